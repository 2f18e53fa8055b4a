"""Local semantic context: histograms by hand, what training and prediction do with them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from ignet.config.backbones import LocalContextConfig, MinkUNetConfig
from ignet.data.label_sets.label_set import SEMANTICKITTI
from ignet.data.lidar.local_context import add_local_context, context_channels
from ignet.models.backbones.registry import collate_for
from ignet.models.segmentor3d import build_network, load_network, predict_scan, save_network

SMALL = LocalContextConfig(levels=((4, 8), (2, 4), (1, 1)), radius=40.0, dropout=0.0)
CPU = torch.device("cpu")


def scan(count: int = 500, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    points = np.column_stack([rng.uniform(-60, 60, (count, 2)), rng.uniform(-2, 1, count), rng.random(count)]).astype(
        np.float32
    )
    return points, np.where(rng.random(count) < 0.2, rng.integers(0, 19, count), 255).astype(np.uint8)


def by_hand(points: np.ndarray, labels: np.ndarray, config: LocalContextConfig) -> np.ndarray:
    """Point by point: the labels of all points in the same sector of the same ring."""
    found = []
    for rings, sectors in config.levels:
        distance = np.hypot(points[:, 0].astype(float), points[:, 1].astype(float))
        turn = (np.arctan2(points[:, 1].astype(float), points[:, 0].astype(float)) + np.pi) / (2 * np.pi)
        ring = np.minimum((distance / config.radius * rings).astype(int), rings - 1)
        cell = list(zip(ring, np.minimum((turn * sectors).astype(int), sectors - 1), strict=True))
        rows = []
        for here in cell:
            inside = [label for label, other in zip(labels, cell, strict=True) if other == here and label != 255]
            rows.append(np.bincount(inside, minlength=19) / max(len(inside), 1))
        found.append(np.array(rows))
    return np.hstack(found)


def test_histograms_are_those_of_the_cells() -> None:
    points, labels = scan()
    rows = np.random.default_rng(1).permutation(500)[:300]
    plain = np.arange(1200, dtype=np.float32).reshape(300, 4)
    found = add_local_context(plain, points, rows, labels, SMALL, 19)
    assert found.dtype == np.float32 and found.shape == (300, 4 + 3 * 19) == (300, 4 + context_channels(SMALL, 19))
    np.testing.assert_array_equal(found[:, :4], plain)
    np.testing.assert_allclose(found[:, 4:], by_hand(points, labels, SMALL)[rows], atol=1e-6)


def test_each_level_sums_to_one_where_a_label_is_near_and_to_zero_elsewhere() -> None:
    points, labels = scan(60)
    sums = (
        add_local_context(np.zeros((60, 0), np.float32), points, np.arange(60), labels, SMALL, 19)
        .reshape(60, 3, 19)
        .sum(axis=2)
    )
    assert set(np.unique(sums.round(5))) == {0, 1}
    assert (sums[:, 2] > 0.99).all() and (np.diff(sums, axis=1) >= -1e-5).all()


def test_without_labels_it_is_zero() -> None:
    points, _ = scan(50)
    plain = np.ones((50, 4), np.float32)
    for labels in (None, np.full(50, 255, np.uint8)):
        found = add_local_context(plain, points, np.arange(50), labels, SMALL, 19)
        assert (found[:, :4] == 1).all() and not found[:, 4:].any()


def test_the_rear_has_two_sectors_and_what_lies_beyond_the_radius_is_in_the_last_ring() -> None:
    """An azimuth of pi belongs to the last sector, one of -pi to the first."""
    config = LocalContextConfig(levels=((2, 4),), radius=40.0)
    points = np.array([[-5, 0.0], [-5, -0.0], [-99, 0.0], [-99, -0.0]], np.float32)
    found = add_local_context(
        np.zeros((4, 0), np.float32), points, np.arange(4), np.array([0, 1, 2, 3], np.uint8), config, 4
    )
    np.testing.assert_array_equal(found, np.eye(4))


@pytest.mark.parametrize("levels", [((4, 8), (3, 4)), ((2, 4), (4, 8)), ()])
def test_levels_are_nested(levels: tuple) -> None:
    with pytest.raises(ValidationError, match="multiples|at least 1"):
        LocalContextConfig(levels=levels)


def test_the_defaults_are_the_published_cells() -> None:
    """480 x 360 cells in groups of 24 x 9, 48 x 18 and 96 x 36 (ScribbleKITTI's configuration)."""
    assert LocalContextConfig().levels == ((480 // 24, 360 // 9), (480 // 48, 360 // 18), (480 // 96, 360 // 36))


def test_off_it_is_no_part_of_a_settings_text() -> None:
    assert context_channels(None, 19) == 0
    assert "local_context" not in MinkUNetConfig().canonical()
    assert "local_context" in MinkUNetConfig(local_context=SMALL).canonical()


def test_a_view_carries_it_behind_the_other_features() -> None:
    points, labels = scan()
    plain = collate_for(MinkUNetConfig(voxel=0.5), label_set=SEMANTICKITTI)([points, points], None)
    with_context = collate_for(MinkUNetConfig(voxel=0.5, local_context=SMALL), label_set=SEMANTICKITTI)(
        [points, points], [labels, None]
    )
    first = int((plain.coordinates[:, 0] == 0).sum())
    assert len(plain.features) == len(plain.coordinates) == 2 * first
    assert torch.equal(with_context.features[:, :4], plain.features) and torch.equal(
        with_context.inverse, plain.inverse
    )
    assert with_context.features[:first, 4:].any() and not with_context.features[first:, 4:].any()


def test_a_network_with_it_predicts_from_the_scan_alone_and_listens_to_labels(tmp_path: Path) -> None:
    config = MinkUNetConfig(voxel=1.0, stem=4, encoder=(4, 4, 4, 4), decoder=(4, 4, 4, 4), local_context=SMALL)
    torch.manual_seed(0)
    save_network(tmp_path / "model.safetensors", build_network(config, label_set=SEMANTICKITTI), config, "torch")
    network, loaded, engine = load_network(tmp_path / "model.safetensors")
    assert loaded == config
    points, labels = scan()
    (alone, sure), (again, _) = (predict_scan(network, loaded, engine, points, CPU) for _ in range(2))
    assert alone.shape == (500,) and np.array_equal(alone, again)
    assert not np.array_equal(sure, predict_scan(network, loaded, engine, points, CPU, labels)[1])
    assert np.array_equal(sure, predict_scan(network, loaded, engine, points, CPU, np.full(500, 255, np.uint8))[1])
