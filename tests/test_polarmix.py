"""PolarMix and instance paste by hand: half of the circle swapped, chosen classes added at several angles."""

from dataclasses import replace

import numpy as np
import pytest
from test_fovmix import sample

from ignet.config.mixing import InstancePasteConfig, PolarMixConfig
from ignet.data.label_sets.label_set import SEMANTICKITTI
from ignet.data.lidar.augment import rotate_z
from ignet.data.lidar.mixing import instance_paste, polarmix
from ignet.data.lidar.mixing.sample import Sample

SECTOR = (-0.7, 0.7)
CAR, PERSON = 0, 5


def azimuth(points: np.ndarray) -> np.ndarray:
    return np.mod(np.arctan2(points[:, 1], points[:, 0]), 2 * np.pi)


def origins(mixed: Sample, number: int) -> np.ndarray:
    """Numbers of the points of one scan, in their order."""
    origin = mixed.points[:, 3].astype(int)
    return origin[origin % 64 == number] // 64


def polar(seed: int, base: Sample, donor: Sample, **settings: object) -> Sample:
    return polarmix.mix(base, [donor], np.random.default_rng(seed), PolarMixConfig(**settings), SEMANTICKITTI)


def test_half_of_the_circle_is_the_donors() -> None:
    base, donor = sample(0, 400, SECTOR), sample(1, 400, (0.1, 0.6))
    mixed = polarmix.swap_half(base, donor, 1.0)
    inside = [(azimuth(each.points) >= 1) & (azimuth(each.points) <= 1 + np.pi) for each in (base, donor)]
    assert np.array_equal(origins(mixed, 0), np.flatnonzero(~inside[0]))
    assert np.array_equal(origins(mixed, 1), np.flatnonzero(inside[1]))
    assert mixed.sectors == {2: SECTOR}


def test_the_direction_of_the_half_is_drawn_from_the_whole_circle(monkeypatch: pytest.MonkeyPatch) -> None:
    starts = []
    monkeypatch.setattr(polarmix, "swap_half", lambda base, donor, start: starts.append(start) or base)
    base, donor = (sample(number, 5, SECTOR) for number in (0, 1))
    for seed in range(200):
        polar(seed, base, donor, swap_probability=1, paste_probability=0)
    assert 0 <= min(starts) < 0.2 and 2 * np.pi - 0.2 < max(starts) <= 2 * np.pi


def test_each_part_has_its_probability() -> None:
    base, donor = (sample(number, 200, SECTOR) for number in (0, 1))
    mixed = [polar(seed, base, donor, swap_probability=0.5, paste_probability=0.25, copies=1) for seed in range(400)]
    swapped = [len(origins(each, 0)) < 200 for each in mixed]
    pasted = [len(each) > 200 for each, swap in zip(mixed, swapped, strict=True) if not swap]
    assert 0.42 < np.mean(swapped) < 0.58
    assert 0.17 < np.mean(pasted) < 0.33
    nothing = polar(0, base, donor, swap_probability=0, paste_probability=0)
    assert nothing is base


def test_copies_lie_in_parts_of_the_circle_of_their_own() -> None:
    base, donor = sample(0, 50, SECTOR), sample(1, 300, SECTOR)
    objects = np.flatnonzero(np.isin(donor.labels, [CAR, PERSON]))
    turns = []
    for seed in range(50):
        mixed = polar(seed, base, donor, swap_probability=0, classes=("car", "person"), copies=3)
        assert np.array_equal(mixed.points[:50], base.points)
        assert np.array_equal(origins(mixed, 1), np.tile(objects, 3))
        copies = mixed.points[50:].reshape(3, len(objects), 4)
        assert np.array_equal(copies[0], donor.points[objects])
        angles = np.mod(azimuth(copies[:, 0]) - azimuth(donor.points[objects[:1]]), 2 * np.pi)[1:]
        for copy, angle in zip(copies[1:], angles, strict=True):
            np.testing.assert_allclose(copy, rotate_z(donor.points[objects], angle), atol=1e-3)
        turns.append(np.rad2deg(angles))
    low, high = np.min(turns, axis=0), np.max(turns, axis=0)
    assert (low >= [-0.01, 119.99]).all() and (high <= [120.01, 240.01]).all()
    assert (low < [15, 135]).all() and (high > [105, 225]).all()


def test_the_published_classes_are_those_that_move_by_themselves_or_are_ridden() -> None:
    assert SEMANTICKITTI.ids_of(PolarMixConfig().classes).tolist() == [0, 1, 2, 3, 4, 5, 6, 7]


def test_paste_adds_the_points_of_its_classes_and_takes_none_away() -> None:
    base, donors = sample(0, 100, SECTOR), [sample(number, 200, SECTOR) for number in (1, 2)]
    mixed = instance_paste.paste(base, donors, [0.0, np.pi / 2], SEMANTICKITTI.ids_of(["person"]))
    assert np.array_equal(mixed.points[:100], base.points) and mixed.sectors == base.sectors
    first, second = (donor.points[donor.labels == PERSON] for donor in donors)
    assert len(first) > 3 and np.array_equal(mixed.points[100:], np.vstack([first, rotate_z(second, np.pi / 2)]))


def test_each_scan_of_a_paste_has_an_angle_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    monkeypatch.setattr(instance_paste, "paste", lambda base, donors, angles, classes: drawn.append(angles) or base)
    base, settings = sample(0, 5, SECTOR), InstancePasteConfig(scans=2)
    for seed in range(100):
        instance_paste.mix(base, [base, base], np.random.default_rng(seed), settings, SEMANTICKITTI)
    angles = np.array(drawn)
    assert angles.shape == (100, 2) and abs(np.corrcoef(angles.T)[0, 1]) < 0.3
    assert 0 <= angles.min() < 0.3 and 2 * np.pi - 0.3 < angles.max() <= 2 * np.pi


def test_without_any_such_point_nothing_is_added() -> None:
    base, donor = sample(0, 20, SECTOR), sample(1, 20, SECTOR)
    bare = replace(donor, labels=np.full(20, 255, np.uint8))
    mixed = instance_paste.paste(base, [bare], [1.0], SEMANTICKITTI.ids_of(["car"]))
    assert np.array_equal(mixed.points, base.points) and len(mixed.feature) == len(base.feature)
