"""Slices of the evaluation against values by hand and against brute force."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from ignet.data.formats.kitti import frame_ids, label_path, read_labels, read_scan, scan_path
from ignet.data.label_sets.label_set import SEMANTICKITTI
from ignet.evaluate.slices import (
    NO_SLICE,
    boundary_points,
    camera_coverage,
    distance_bins,
    distance_names,
)


def test_distance_bins_by_hand():
    points = np.array(
        [[0, 0, 0, 9], [3, 4, 0, 0], [6, 8, 0, 0], [0, 0, -10.5, 0], [-30, 40, 0, 0], [1e4, 0, 0, 0]], np.float32
    )
    assert distance_bins(points, (0, 10, 50)).tolist() == [0, 0, 1, 1, 2, 2]
    assert distance_bins(points, (5.5, 20)).tolist() == [NO_SLICE, NO_SLICE, 0, 0, 1, 1]
    assert distance_names((0, 10, 50)) == ("0-10 m", "10-50 m", "50+ m")
    assert distance_names((2.5,)) == ("2.5+ m",)


def test_camera_coverage():
    assert camera_coverage(4, np.array([2, 0])).tolist() == [0, 1, 0, 1]
    assert camera_coverage(2, np.array([], np.int32)).tolist() == [1, 1]


def test_small_classes_are_classes():
    assert set(SEMANTICKITTI.small_objects) < set(SEMANTICKITTI.classes) and len(
        set(SEMANTICKITTI.small_objects)
    ) == len(SEMANTICKITTI.small_objects)


def test_boundary_by_hand():
    x = np.array([0.0, 0.5, 1.25, 5.0, 5.1, 9.0])
    points = np.column_stack([x, np.zeros((6, 2))])
    # 0 and 0.5 touch at exactly the radius; 1.25 is 0.75 off; 5.1 has no class, so 5.0 stays interior
    labels = np.array([1, 2, 1, 3, 255, 3], np.uint8)
    assert boundary_points(points, labels, 0.5).tolist() == [0, 0, 1, 1, NO_SLICE, 1]
    assert boundary_points(points, labels).tolist() == [0, 0, 1, 1, NO_SLICE, 1]
    assert boundary_points(points, labels, 0.75).tolist() == [0, 0, 0, 1, NO_SLICE, 1]


@pytest.mark.parametrize("labels", [[1, 1, 1], [255, 255, 255]])
def test_boundary_needs_two_classes(labels):
    slices = boundary_points(np.zeros((3, 4), np.float32), np.array(labels, np.uint8))
    assert slices.tolist() == ([1, 1, 1] if labels[0] == 1 else [NO_SLICE] * 3)


def test_boundary_of_an_empty_scan():
    assert boundary_points(np.zeros((0, 4), np.float32), np.zeros(0, np.uint8)).shape == (0,)


@given(st.integers(1, 60), st.integers(0, 2**32 - 1), st.floats(0.05, 1.5))
def test_boundary_agrees_with_all_pairs(count, seed, radius):
    rng = np.random.default_rng(seed)
    points = rng.uniform(0, 3, (count, 4)).astype(np.float32)
    labels = rng.choice(np.array([0, 1, 2, 255], np.uint8), count)
    place = points[:, :3].astype(np.float64)
    near = np.linalg.norm(place[:, None] - place[None], axis=-1) <= radius
    differs = (labels[:, None] != labels[None]) & (labels != 255)
    expected = np.where(labels == 255, NO_SLICE, np.where((near & differs).any(axis=1), 0, 1))
    np.testing.assert_array_equal(boundary_points(points, labels, radius), expected)


def test_boundary_far_out_and_by_a_tiny_radius():
    points = np.array([[0, 0, 0], [1e-4, 0, 0], [-3e5, 4e5, 0], [-3e5, 4e5, 2e-4], [1e6, 0, 0]])
    labels = np.array([1, 2, 1, 2, 2], np.uint8)
    assert boundary_points(points, labels, 1e-4).tolist() == [0, 0, 1, 1, 1]
    assert boundary_points(points, labels, 5e5).tolist() == [0, 0, 0, 0, 1]


def test_boundary_of_real_scans_agrees_with_one_tree_of_all_other_points(kitti_sample):
    sequence = "04"
    frame = frame_ids(kitti_sample, sequence)[0]
    points = read_scan(scan_path(kitti_sample, sequence, frame))
    labels = SEMANTICKITTI.to_train_ids(read_labels(label_path(kitti_sample, sequence, frame)))
    slices = boundary_points(points, labels, 0.3)
    assert (slices[labels == 255] == NO_SLICE).all()
    for one in np.unique(labels[labels != 255])[:4]:
        mine, others = labels == one, (labels != one) & (labels != 255)
        nearest, _ = cKDTree(points[others, :3].astype(np.float64)).query(points[mine, :3].astype(np.float64))
        np.testing.assert_array_equal(slices[mine], np.where(nearest <= 0.3, 0, 1))
    assert 0 < (slices == 0).sum() < (slices == 1).sum()
