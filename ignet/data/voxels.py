"""From points to voxels, and from single scans to a batch: pure functions of arrays."""

from collections.abc import Sequence

import numpy as np

from ignet.errors import IgnetError

COORDINATE_LIMIT = 2**16  # voxels from the origin along each axis; sparse engines pack coordinates into one integer


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
    cells = np.floor(points[:, :3].astype(np.float64) / voxel)
    inside = (cells >= -COORDINATE_LIMIT) & (cells < COORDINATE_LIMIT)
    if not inside.all():
        broken = int(np.flatnonzero(~inside.all(axis=1))[0])
        found = ", ".join(f"{value:g}" for value in points[broken, :3])
        raise IgnetError(
            f"point {broken} of the scan: found x, y, z = {found}, expected finite values within {COORDINATE_LIMIT * voxel:g} m; "
            "check the scan file, or use larger voxels"
        )
    x, y, z = (cells.astype(np.int64) + COORDINATE_LIMIT).T
    width = 2 * COORDINATE_LIMIT
    keys, first, inverse = np.unique((x * width + y) * width + z, return_index=True, return_inverse=True)
    coordinates = np.stack([keys // width**2, keys // width % width, keys % width], axis=1) - COORDINATE_LIMIT
    return coordinates.astype(np.int32), inverse.reshape(-1).astype(np.int64), first.astype(np.int64)


def voxel_features(points: np.ndarray, first: np.ndarray) -> np.ndarray:
    """The network's input: x, y, z in metres and remission of the first point in each voxel, float32 (M, 4).

    The choice of the field's published MinkUNet (SPVNAS, and ScribbleKITTI's MinkowskiNet after it): one point stands for its voxel,
    no mean is taken.

    Args:
        points: float32 (N, 4): x, y, z, remission.
        first: int64 (M,) from `voxelize`.
    """
    return np.ascontiguousarray(points[first, :4], dtype=np.float32)


def collate(coordinates: Sequence[np.ndarray], inverses: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Join scans into one batch.

    Args:
        coordinates: one int32 (M_b, 3) each scan.
        inverses: one int64 (N_b,) each scan, the voxel of each point within its own scan.

    Returns:
        coordinates int32 (sum M_b, 4): number of the scan, x, y, z; inverse int64 (sum N_b,), the row of each point's voxel.
    """
    batch = [np.column_stack([np.full(len(c), b, dtype=np.int32), c]) for b, c in enumerate(coordinates)]
    offsets = np.cumsum([0, *(len(c) for c in coordinates)])
    inverse = [np.asarray(i, dtype=np.int64) + offset for i, offset in zip(inverses, offsets[:-1], strict=True)]
    return np.concatenate(batch).astype(np.int32, copy=False), np.concatenate(inverse)
