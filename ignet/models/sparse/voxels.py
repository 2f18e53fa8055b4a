"""From points to voxels, and from single scans to a batch."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from ignet.devices import TensorGroup
from ignet.errors import IgnetError

COORDINATE_LIMIT = 2**16  # voxels from the origin along each axis; sparse engines pack coordinates into one integer
_BLOCK = 1 << 14  # points at a time, so that what is computed stays in the processor's cache


@dataclass(frozen=True)
class VoxelBatch(TensorGroup):
    """The voxels of a batch of scans; ``features[inverse]`` brings values of voxels back to points.

    Attributes:
        coordinates: int32 (M, 4), scan number in the batch, then x, y, z in voxels.
        features: float32 (M, F), see :func:`voxel_features`, then the local context where there is one.
        inverse: int64 (N,), row of each point's voxel.
    """

    coordinates: Tensor
    features: Tensor
    inverse: Tensor


def voxelize(points: np.ndarray, voxel: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the voxels that a scan occupies: floor(position / voxel).

    Args:
        points: float32 (N, >=3): x, y, z in metres (further columns are ignored).
        voxel: side of a voxel in metres.

    Returns:
        coordinates int32 (M, 3), sorted by x, y, z, each voxel once; inverse int64 (N,), the voxel of each point;
        first int64 (M,), the lowest number of a point in each voxel.

    Raises:
        IgnetError: a coordinate is not finite, or farther than 65,536 voxels from the origin.
    """
    if not len(points):
        return np.zeros((0, 3), np.int32), np.zeros(0, np.int64), np.zeros(0, np.int64)
    columns = [points[:, axis] for axis in range(3)]
    low, high = ([float(_cell(fold(column), voxel)) for column in columns] for fold in (np.min, np.max))
    # false, too, where a coordinate is not a number
    if not all(bottom >= -COORDINATE_LIMIT and top < COORDINATE_LIMIT for bottom, top in zip(low, high, strict=True)):
        raise _fault(points, voxel)
    bits = [int(top - bottom).bit_length() for bottom, top in zip(low, high, strict=True)]
    keys = np.empty(len(points), np.int64)
    for start in range(0, len(points), _BLOCK):
        part = slice(start, start + _BLOCK)
        x, y, z = (
            (_cell(column[part], voxel) - bottom).astype(np.int64) for column, bottom in zip(columns, low, strict=True)
        )
        keys[part] = (((x << bits[1]) | y) << bits[2]) | z
    keys, index = _sort(keys, sum(bits))
    starts = np.concatenate([[True], keys[1:] != keys[:-1]])
    inverse = np.empty(len(points), np.int64)
    inverse[index] = np.cumsum(starts) - 1
    keys, first = keys[starts], index[starts]
    coordinates = np.empty((len(keys), 3), np.int32)
    for column in (2, 1, 0):
        coordinates[:, column] = (keys & ((1 << bits[column]) - 1)) + int(low[column])
        keys >>= bits[column]
    return coordinates, inverse, first


def _cell(position: np.ndarray, voxel: float) -> np.ndarray:
    """Number of the voxel along one axis, a whole float64."""
    return np.floor(position.astype(np.float64) / voxel)


def _sort(keys: np.ndarray, bits: int) -> tuple[np.ndarray, np.ndarray]:
    """Non-negative keys of so many bits, sorted, and the place of each before; equal keys stay in their order."""
    index_bits = int(len(keys) - 1).bit_length()
    if bits + index_bits > 63:
        index = np.argsort(keys, kind="stable")
        return keys[index], index
    # numbers alone are sorted several times faster than numbers with their places
    packed = keys << index_bits
    packed |= np.arange(len(keys))
    packed.sort()
    return packed >> index_bits, packed & ((1 << index_bits) - 1)


def _fault(points: np.ndarray, voxel: float) -> IgnetError:
    """What is wrong with the first point that lies nowhere."""
    cells = _cell(points[:, :3], voxel)
    inside = (cells >= -COORDINATE_LIMIT) & (cells < COORDINATE_LIMIT)
    broken = int(np.flatnonzero(~inside.all(axis=1))[0])
    found = ", ".join(f"{value:g}" for value in points[broken, :3])
    return IgnetError(
        f"point {broken} of the scan: found x, y, z = {found}, expected finite values within "
        f"{COORDINATE_LIMIT * voxel:g} m; check the scan file, or use larger voxels"
    )


def voxel_features(points: np.ndarray, first: np.ndarray) -> np.ndarray:
    """The network's input: x, y, z in metres and remission of the first point in each voxel, float32 (M, 4).

    The choice of the field's published MinkUNet (SPVNAS, and ScribbleKITTI's MinkowskiNet after it): one point stands
    for its voxel, no mean is taken.

    Args:
        points: float32 (N, 4): x, y, z, remission.
        first: int64 (M,) from `voxelize`.
    """
    return np.ascontiguousarray(points[:, :4].take(first, axis=0), dtype=np.float32)


def collate(coordinates: Sequence[np.ndarray], inverses: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Join scans into one batch.

    Args:
        coordinates: one int32 (M_b, 3) each scan.
        inverses: one int64 (N_b,) each scan, the voxel of each point within its own scan.

    Returns:
        coordinates int32 (sum M_b, 4): number of the scan, x, y, z; inverse int64 (sum N_b,), the row of each point's
        voxel.
    """
    rows = np.cumsum([0, *(len(c) for c in coordinates)])
    joined = np.empty((int(rows[-1]), 4), np.int32)
    for b, scan in enumerate(coordinates):
        joined[rows[b] : rows[b + 1], 0] = b
        joined[rows[b] : rows[b + 1], 1:] = scan
    inverse = [np.asarray(i, dtype=np.int64) + row for i, row in zip(inverses, rows[:-1], strict=True)]
    return joined, np.concatenate(inverse)
