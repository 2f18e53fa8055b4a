"""Voxels and sectors: the fast ways against the plain ones, byte for byte."""

import numpy as np
import pytest

from ignet.data.lidar.mixing.fovmix import points_in_sector
from ignet.data.projection.geometry import in_sector
from ignet.errors import IgnetError
from ignet.models.sparse.voxels import COORDINATE_LIMIT, _sort, collate, voxel_features, voxelize


def plainly(points: np.ndarray, voxel: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows as numpy finds them."""
    cells = np.floor(points[:, :3].astype(np.float64) / voxel).astype(np.int64)
    found, first, inverse = np.unique(cells, axis=0, return_index=True, return_inverse=True)
    return found.astype(np.int32), inverse.reshape(-1).astype(np.int64), first.astype(np.int64)


@pytest.mark.parametrize(
    ("spread", "voxel", "count"), [(40, 0.2, 40_000), (2, 0.5, 3000), (700, 0.05, 2000), (0.01, 1.0, 50), (5, 1.0, 1)]
)
def test_voxels_are_those_of_a_plain_search(spread: float, voxel: float, count: int) -> None:
    points = np.random.default_rng(count).normal(0, spread, (count, 4)).astype(np.float32)
    for found, expected in zip(voxelize(points, voxel), plainly(points, voxel), strict=True):
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)


def test_no_point_and_the_farthest_voxels() -> None:
    assert [part.shape for part in voxelize(np.zeros((0, 4), np.float32), 0.1)] == [(0, 3), (0,), (0,)]
    corners = np.array([[1, 1, 1], [-1, -1, -1], [-1, 1, -1]], np.float32) * (COORDINATE_LIMIT - 1)
    np.testing.assert_array_equal(voxelize(corners, 1.0)[0], plainly(corners, 1.0)[0])
    for bad in (np.nan, np.inf, float(COORDINATE_LIMIT), -COORDINATE_LIMIT - 1.0):
        with pytest.raises(IgnetError, match="point 2 of the scan"):
            voxelize(np.array([[0, 0, 0], [1, 1, 1], [0, bad, 0]], np.float32), 1.0)


@pytest.mark.parametrize("bits", [3, 20, 53, 54, 62])
def test_sorting_keeps_equal_keys_in_their_order(bits: int) -> None:
    """With 53 bits and 2,000 keys a key and its place no longer fit into one number."""
    keys = np.random.default_rng(bits).integers(0, 1 << bits, 2000)
    keys[::3] = keys[0]
    found, index = _sort(keys, bits)
    expected = np.argsort(keys, kind="stable")
    np.testing.assert_array_equal(index, expected)
    np.testing.assert_array_equal(found, keys[expected])


@pytest.mark.parametrize("width", [0.0, 0.3, 1.4, np.pi, 3.5, 6.0])
def test_sectors_are_those_of_the_angles(width: float) -> None:
    rng = np.random.default_rng(7)
    points = rng.normal(0, 20, (40000, 4)).astype(np.float32)
    points[:4] = [[0, 0, 0, 0], [1, 0, 0, 0], [-1, 0, 0, 0], [0, -1, 0, 0]]
    for low in (0.0, np.pi / 2, -np.pi, 2.5, *rng.uniform(-10, 10, 5)):
        # points on the lines themselves
        points[4:8, 0], points[4:8, 1] = (
            np.cos([low, low + width, low + np.pi, low + width + np.pi]),
            np.sin([low, low + width, low + np.pi, low + width + np.pi]),
        )
        np.testing.assert_array_equal(points_in_sector(points, low, low + width), in_sector(points, low, low + width))


def test_the_first_point_beyond_the_limit_is_named_with_its_position() -> None:
    far = 65_536.0
    points = np.array([[-far, 0, 0, 1e9], [1, 2, -far - 1, 0], [0, far, 0, 0]], np.float32)
    with pytest.raises(IgnetError) as error:
        voxelize(points, 1.0)
    assert "point 1 of the scan: found x, y, z = 1, 2, -65537, expected" in str(error.value)
    assert "within 65536 m" in str(error.value)
    with pytest.raises(IgnetError, match="within 32768 m"):
        voxelize(points, 0.5)
    assert voxelize(points[:1], 1.0)[0].tolist() == [[-65_536, 0, 0]]


def test_the_first_point_stands_for_its_voxel() -> None:
    points = np.arange(15.0).reshape(3, 5)
    features = voxel_features(points, np.array([2, 0]))
    assert features.dtype == np.float32 and features.flags.c_contiguous
    assert features.tolist() == [[10, 11, 12, 13], [0, 1, 2, 3]]


def test_a_batch_numbers_its_scans_and_their_voxels() -> None:
    scans = [np.array(rows, np.int32) for rows in ([[1, 2, 3], [4, 5, 6]], [[1, 2, 3]], [[7, 8, 9], [-1, -2, -3]])]
    joined, inverse = collate(scans, [np.array([1, 0, 1], np.int32), np.array([0, 0]), np.array([0, 1])])
    assert joined.dtype == np.int32 and inverse.dtype == np.int64
    assert joined.tolist() == [[0, 1, 2, 3], [0, 4, 5, 6], [1, 1, 2, 3], [2, 7, 8, 9], [2, -1, -2, -3]]
    assert inverse.tolist() == [1, 0, 1, 2, 2, 3, 4]
