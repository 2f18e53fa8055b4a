"""LaserMix by hand: bands of inclination in turns, drawn from the ranges of the settings."""

import numpy as np
import pytest
from test_fovmix import sample

from ignet.config.base import validate
from ignet.config.mixing import LaserMixConfig
from ignet.data.label_sets.label_set import SEMANTICKITTI
from ignet.data.lidar.mixing import lasermix as module
from ignet.data.lidar.mixing.lasermix import lasermix, mix
from ignet.data.lidar.mixing.sample import Sample
from ignet.errors import IgnetError


def ladder(number: int, degrees: list[float]) -> Sample:
    """Points at these inclinations, in all directions and at all distances."""
    made, rng = sample(number, len(degrees), (0, 1)), np.random.default_rng(number)
    azimuth, distance = rng.uniform(-np.pi, np.pi, len(degrees)), rng.uniform(2, 60, len(degrees))
    angle = np.deg2rad(degrees)
    flat = distance * np.cos(angle)
    made.points[:, :3] = np.column_stack([flat * np.cos(azimuth), flat * np.sin(azimuth), distance * np.sin(angle)])
    return made


def test_bands_come_from_both_scans_in_turns_whatever_the_direction_and_the_distance() -> None:
    base, donor = (ladder(number, [-45, -17, -2, 2, 17, 45]) for number in (0, 1))
    edges = np.deg2rad([-20, 0, 20])
    mixed = lasermix(base, donor, edges, 0)
    assert np.array_equal(mixed.points, np.vstack([base.points[[0, 3, 4]], donor.points[[1, 2, 5]]]))
    assert np.array_equal(mixed.labels, np.hstack([base.labels[[0, 3, 4]], donor.labels[[1, 2, 5]]]))
    assert mixed.sectors == base.sectors
    other = lasermix(base, donor, edges, 1)
    assert np.array_equal(other.points, np.vstack([base.points[[1, 2, 5]], donor.points[[0, 3, 4]]]))


def test_a_scan_mixed_with_itself_is_itself() -> None:
    scan = sample(0, 500, (-0.7, 0.7))
    mixed = lasermix(scan, scan, np.deg2rad([-10.0, -3, 1]), 1)
    assert np.array_equal(mixed.points[np.argsort(mixed.points[:, 3])], scan.points)


def test_number_and_order_of_the_bands_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    monkeypatch.setattr(module, "lasermix", lambda base, donor, edges, first: calls.append((edges, first)) or base)
    scan, settings = sample(0, 5, (0, 1)), LaserMixConfig(bands=(3, 5), inclination=(-30, 10))
    for seed in range(300):
        mix(scan, [scan], np.random.default_rng(seed), settings, SEMANTICKITTI)
    counts = {(len(edges) + 1, first): 0 for edges, first in calls}
    for edges, first in calls:
        counts[len(edges) + 1, first] += 1
        np.testing.assert_allclose(np.rad2deg(edges), np.linspace(-30, 10, len(edges) + 2)[1:-1])
    assert set(counts) == {(bands, first) for bands in (3, 4, 5) for first in (0, 1)}
    assert min(counts.values()) > 25


@pytest.mark.parametrize(
    "wrong", [{"bands": [6, 4]}, {"inclination": [3, -25]}, {"inclination": [-91, 0]}, {"inclination": [0, 91]}]
)
def test_settings_out_of_order_are_one_line(wrong: dict) -> None:
    with pytest.raises(IgnetError, match="expected the smaller number first, and within"):
        validate(LaserMixConfig, {"probability": 1, **wrong}, "x")
    validate(LaserMixConfig, {"bands": [4, 4], "inclination": [-90, 90]}, "x")
