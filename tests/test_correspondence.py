"""The z-buffer by its properties, and what it does to real frames."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from label_agreement import label_agreement

from ignet.data.formats import kitti
from ignet.data.formats.calibration import read_calibration
from ignet.data.label_sets.label_set import IGNORE
from ignet.data.label_sets.label_set import SEMANTICKITTI as LABELS
from ignet.data.projection.figure import draw_correspondence
from ignet.data.projection.geometry import Projected, project, visible

P2 = np.array([[100.0, 0, 50, 0], [0, 100, 20, 0], [0, 0, 1, 0]])
FORWARD = np.array([[0.0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]])
WIDTH, HEIGHT = 101, 41

scenes = st.integers(0, 2**32 - 1).map(
    lambda seed: np.random.default_rng(seed).uniform([1, -8, -3], [25, 8, 3], (200, 3))
)
cells, tolerances = st.integers(1, 9), st.floats(0, 0.5)


def projected(points: np.ndarray) -> Projected:
    return project(points, P2, FORWARD, WIDTH, HEIGHT)


def seen(points: np.ndarray, cell: int, tolerance: float) -> np.ndarray:
    return visible(projected(points), WIDTH, HEIGHT, cell, tolerance)


@settings(max_examples=50)
@given(scenes, cells, tolerances)
def test_what_is_occluded_occludes_nothing(points: np.ndarray, cell: int, tolerance: float) -> None:
    mask = seen(points, cell, tolerance)
    assert seen(points[mask], cell, tolerance).all()


@settings(max_examples=50)
@given(scenes, cells, tolerances, tolerances)
def test_a_larger_tolerance_hides_no_more(points: np.ndarray, cell: int, one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert not (seen(points, cell, low) & ~seen(points, cell, high)).any()
    assert (seen(points, cell, 1e6) == projected(points).inside).all()


@settings(max_examples=50)
@given(scenes, cells, tolerances, st.randoms(use_true_random=False))
def test_the_order_of_the_points_does_not_matter(points: np.ndarray, cell: int, tolerance: float, random) -> None:
    order = np.array(random.sample(range(len(points)), len(points)))
    np.testing.assert_array_equal(seen(points[order], cell, tolerance), seen(points, cell, tolerance)[order])


@settings(max_examples=50)
@given(scenes, cells, tolerances)
def test_one_more_point_changes_its_own_cell_alone(points: np.ndarray, cell: int, tolerance: float) -> None:
    before = seen(points[1:], cell, tolerance)
    after = seen(points, cell, tolerance)[1:]
    assert not (after & ~before).any()  # a point can hide others, and never uncover one
    place = np.floor((projected(points).pixel + 0.5) / cell)
    assert (place[1:][before & ~after] == place[0]).all()


@settings(max_examples=50)
@given(scenes, st.floats(0.1, 10), cells, tolerances)
def test_pixels_and_order_do_not_depend_on_the_unit(
    points: np.ndarray, unit: float, cell: int, tolerance: float
) -> None:
    one, other = projected(points), projected(points * unit)
    both = one.inside & other.inside
    assert both.sum() >= one.inside.sum() - 1  # rounding may move a point over the image's edge
    np.testing.assert_allclose(other.pixel[both], one.pixel[both], atol=1e-3)


def test_agreement_by_hand() -> None:
    line = np.arange(6.0)[:, None]
    labels = np.array([3, 3, 3, 8, 8, 8], np.uint8)
    # the two nearest: 0 -> 1, 2; 1 -> 0, 2; 5 -> 3, 4
    assert label_agreement(line, labels, np.array([1, 1, 0, 0, 0, 1], bool), 2) == 1
    assert label_agreement(line, labels, np.array([0, 0, 1, 0, 0, 0], bool), 2) == 0.5  # its neighbours are 1 and 3
    assert label_agreement(line, labels, np.ones(6, bool), 2) == pytest.approx((4 * 2 + 2 * 1) / 12)


def test_agreement_leaves_out_what_has_no_label() -> None:
    line = np.arange(4.0)[:, None]
    labels = np.array([1, IGNORE, 1, 2], np.uint8)
    assert label_agreement(line, labels, np.array([1, 1, 0, 0], bool), 1) == 1  # 2 is the nearest labelled one of 0
    assert np.isnan(label_agreement(line, labels, np.array([0, 1, 0, 0], bool), 1))
    assert np.isnan(label_agreement(line[:1], labels[:1], np.ones(1, bool), 1))


def test_agreement_of_points_on_one_place() -> None:
    place, labels = np.zeros((4, 2)), np.array([1, 1, 2, 2], np.uint8)
    assert 0 <= label_agreement(place, labels, np.ones(4, bool), 3) <= 1
    # with all four asked and all three others as neighbours, one of three is the same
    assert label_agreement(place, labels, np.ones(4, bool), 3) == pytest.approx(1 / 3)


def test_caption_of_the_picture() -> None:
    image, none = np.zeros((32, 64, 3), np.uint8), np.zeros(0, np.uint8)
    plain = draw_correspondence(image, np.zeros((0, 2), np.float32), np.zeros(0, np.float32), none)
    titled = draw_correspondence(image, np.zeros((0, 2), np.float32), np.zeros(0, np.float32), none, "14.9 % visible")
    assert titled.shape[0] > plain.shape[0] and titled.shape[1] == plain.shape[1]
    assert (titled[: titled.shape[0] - plain.shape[0]] == 255).any()


@pytest.mark.parametrize("sequence", ["00", "01", "02", "04", "05", "06", "07", "09", "10"])
def test_real_frames(kitti_sample: Path, sequence: str) -> None:
    """14 to 16 % of the points are in the image, and the z-buffer takes away those that lie among other things'
    points."""
    calibration = read_calibration(kitti.calibration_path(kitti_sample, sequence))
    width, height = kitti.image_size(kitti.image_path(kitti_sample, sequence, "000009"))
    points = kitti.read_scan(kitti.scan_path(kitti_sample, sequence, "000009"))
    labels = LABELS.to_train_ids(kitti.read_labels(kitti.label_path(kitti_sample, sequence, "000009"), len(points)))
    found = project(points, calibration.projection, calibration.tr, width, height)
    mask = visible(found, width, height, 4, 0.05)
    assert 14 <= round(100 * found.inside.mean()) <= 16
    assert 0.9 < mask.sum() / found.inside.sum() < 0.99
    # in the image: with the occluded points among them, and without
    inside, hidden = found.inside, found.inside & ~mask
    before = label_agreement(found.pixel[inside], labels[inside], np.ones(inside.sum(), bool))
    after = label_agreement(found.pixel[mask], labels[mask], np.ones(mask.sum(), bool))
    of_hidden = label_agreement(found.pixel[inside], labels[inside], hidden[inside])
    assert after > before > of_hidden
    assert after > 0.92
    # in space the visible points have as pure surroundings as all those in the image
    assert label_agreement(points[:, :3], labels, mask) > label_agreement(points[:, :3], labels, inside) - 0.001
