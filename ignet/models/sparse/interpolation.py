"""Between points and the voxels of a coarser level: trilinear interpolation one way, means the other."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ignet.models.sparse.levels import closed, pack


class Corners(NamedTuple):
    """The eight voxels of a level whose low corners surround each point.

    Attributes:
        rows: int64 (N, 8), that of the voxel that holds the point first; it also stands for voxels that are not there.
        weights: float32 (N, 8), trilinear in the point's place within its voxel; 0 for voxels that are not there.
    """

    rows: Tensor
    weights: Tensor


def find_corners(points: Tensor, voxels: Tensor, stride: int) -> Corners:
    """Find the voxels to interpolate between; a GPU is not waited for.

    Args:
        points: int32 (N, 4) batch, x, y, z in voxels of level 1.
        voxels: int32 (M, 4) the voxels of the level ``stride`` in any order, those that hold a point among them.
        stride: of the level; the voxel (b, x, y, z) holds the points from (x, y, z) up to ``stride`` further.
    """
    keys, order = pack(voxels).sort()
    low = torch.cat([points[:, :1], torch.div(points[:, 1:], stride, rounding_mode="floor") * stride], 1)
    own = order[torch.searchsorted(keys, pack(low))]

    steps = torch.cartesian_prod(*[torch.arange(2, device=points.device)] * 3)
    around = pack((voxels[:, None] + F.pad(steps * stride, (1, 0))).view(-1, 4))
    place = torch.searchsorted(keys, around)
    there = (closed(keys)[place] == around).view(-1, 8)
    itself = torch.arange(len(voxels), device=points.device)[:, None]
    rows = torch.where(there, F.pad(order, (0, 1))[place].view(-1, 8), itself)

    fraction = ((points[:, 1:] - low[:, 1:]) / stride)[:, None]
    weights = torch.where(steps > 0, fraction, 1 - fraction).prod(2)
    return Corners(rows[own], weights * there[own])


def interpolate(features: Tensor, corners: Corners) -> Tensor:
    """Interpolate trilinearly, with weights that sum to 1 over the voxels that are there.

    The devoxelisation of SPVCNN (Tang et al., ECCV 2020), which takes the low corner for a voxel's place. Half
    precision is computed in float32.

    Args:
        features: float (M, C) of the voxels.
        corners: of N points.

    Returns:
        float (N, C).
    """
    features = features.to(torch.promote_types(features.dtype, torch.float32))
    weights = corners.weights.to(features.dtype)
    return F.embedding_bag(
        corners.rows, features, per_sample_weights=weights / weights.sum(1, keepdim=True), mode="sum"
    )


def scatter_mean(features: Tensor, rows: Tensor, count: int) -> Tensor:
    """Mean of the points in each voxel.

    Args:
        features: float (N, C) of the points.
        rows: int64 (N,) the voxel that holds each point.
        count: M, number of voxels, each of which holds a point.

    Returns:
        float (M, C); each sum is taken in the order of the points.
    """
    ordered, order = rows.sort(stable=True)
    begin = torch.searchsorted(ordered, torch.arange(count, device=rows.device))
    return F.embedding_bag(order, features, begin, mode="mean")
