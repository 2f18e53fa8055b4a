"""What a 3D network takes: the voxels of the scans of a batch."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ignet.config.training_3d import LocalContextConfig
from ignet.data.lidar.local_context import add_local_context
from ignet.data.lidar.voxels import collate, voxel_features, voxelize


@dataclass(frozen=True)
class View:
    """The voxels of one view of a batch; ``features[inverse]`` brings values of voxels back to points.

    Attributes:
        coordinates: int32 (M, 4), scan number in the batch, then x, y, z in voxels.
        features: float32 (M, F), see `ignet.data.lidar.voxels.voxel_features`, then the local context where there is
            one.
        inverse: int64 (N,), row of each point's voxel.
    """

    coordinates: Tensor
    features: Tensor
    inverse: Tensor

    def to(self, device: torch.device) -> "View":
        """The same view on ``device``."""
        return View(
            *(tensor.to(device, non_blocking=True) for tensor in (self.coordinates, self.features, self.inverse))
        )


def make_view(
    scans: Sequence[NDArray[np.float32]],
    voxel: float,
    context: LocalContextConfig | None = None,
    labels: Sequence[NDArray[np.uint8] | None] | None = None,
) -> View:
    """Voxelise scans into one batch.

    Args:
        scans: float32 (N_i, 4) each.
        voxel: metres.
        context: whether and how the labels around a point are input features.
        labels: of each scan, uint8 (N_i,), 255 where there is none; None for a scan, or for all: no label is known.
    """
    voxelized = [voxelize(points, voxel) for points in scans]
    coordinates, inverse = collate([cells for cells, _, _ in voxelized], [inverse for _, inverse, _ in voxelized])
    features = []
    for points, known, (_, _, first) in zip(scans, labels or [None] * len(scans), voxelized, strict=True):
        plain = voxel_features(points, first)
        features.append(add_local_context(plain, points, first, known, context) if context else plain)
    # one scan with local context has tens of megabytes of features: not to be copied for nothing
    joined = features[0] if len(features) == 1 else np.concatenate(features)
    return View(torch.from_numpy(coordinates), torch.from_numpy(joined), torch.from_numpy(inverse))
