"""Parameters of the networks, their multiply-adds and the memory that they move, counted on torch's meta device."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from ignet.config.training_2d import SegformerConfig
from ignet.config.training_3d import BackboneConfig
from ignet.data.label_sets.label_set import LabelSet

if TYPE_CHECKING:  # networks are built only where a plan asks for their size
    from torch import Tensor, nn

KITTI_VOXELS = {0.05: 0.7522, 0.1: 0.5242, 0.2: 0.3057, 0.4: 0.1484, 0.8: 0.0621, 1.6: 0.0232, 3.2: 0.0078, 4.8: 0.0043}
"""Occupied voxels a point by the voxel's side in metres: the mean of 18 real frames of SemanticKITTI (sequences 00-02,
04-07, 09, 10)."""

WORLD_VOXELS = {
    0.05: 0.987,
    0.1: 0.8804,
    0.2: 0.6258,
    0.3: 0.4423,
    0.4: 0.3329,
    0.8: 0.1513,
    1.6: 0.0658,
    3.2: 0.0273,
    4.8: 0.0182,
}
"""The same in the embedded world of config/demo.yaml, whose scans have a tenth of the points."""

Shares = Mapping[float, float]


def segformer_parameters(config: SegformerConfig) -> int:
    """Parameters of a SegFormer."""
    return _parameters(_segformer(config))


def segformer_work(config: SegformerConfig, pixels: float) -> float:
    """Multiply-adds of one forward pass over an image of ``pixels`` pixels; its shape hardly matters."""
    return _segformer_size(config, pixels)[0]


def segformer_traffic(config: SegformerConfig, pixels: float) -> float:
    """Bytes of memory that the same pass moves for each multiply-add, see `counted`."""
    work, moved = _segformer_size(config, pixels)
    return moved / work


def network_3d_parameters(config: BackboneConfig, label_set: LabelSet) -> int:
    """Parameters of a 3D network, with its classifier."""
    return _parameters(_network_3d(config, label_set))


def network_3d_work(config: BackboneConfig, label_set: LabelSet, points: float, shares: Shares) -> float:
    """Multiply-adds of one forward pass over a scan of ``points`` points, as if all neighbours were occupied.

    ``shares`` as in `occupied_voxels`. The true number is lower by the share of empty neighbours. Interpolation between
    levels, less than a hundredth of a network, is not counted.
    """
    return _network_3d_size(config, label_set, points, tuple(shares.items()))[0]


def network_3d_traffic(config: BackboneConfig, label_set: LabelSet, points: float, shares: Shares) -> float:
    """Bytes of memory that the same pass moves for each multiply-add, see `counted`.

    A sparse convolution gathers the rows of each offset, multiplies them, and adds the products to its output.
    """
    work, moved = _network_3d_size(config, label_set, points, tuple(shares.items()))
    return moved / work


def occupied_voxels(points: float, voxel: float, shares: Shares) -> float:
    """Voxels of side ``voxel`` metres that hold some of ``points`` points.

    Args:
        points: of one scan.
        voxel: metres.
        shares: occupied voxels a point by the voxel's side, rising; interpolated (log-log), constant beyond its ends.
    """
    known = np.interp(np.log(voxel), np.log(list(shares)), np.log(list(shares.values())))
    return float(points * np.exp(known))


def counted(run: Callable[[], object]) -> tuple[float, float]:
    """Multiply-adds of what ``run`` computes on the meta device, and bytes that its operators read and write.

    Every operator is counted as one that reads its operands from memory and writes its result there, as PyTorch without
    a compiler does; views are not counted.
    """
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves
    from torch.utils.flop_counter import FlopCounterMode

    class Traffic(TorchDispatchMode):
        moved = 0.0

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            result = func(*args, **(kwargs or {}))
            if not func.is_view:
                tensors = (each for each in tree_leaves((args, kwargs, result)) if isinstance(each, torch.Tensor))
                self.moved += sum(each.numel() * each.element_size() for each in tensors)
            return result

    with torch.no_grad(), Traffic() as traffic, FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops() / 2, traffic.moved


@cache
def _segformer_size(config: SegformerConfig, pixels: float) -> tuple[float, float]:
    import torch

    return counted(lambda: _segformer(config)(torch.empty(1, 3, 32, 32 * max(round(pixels / 1024), 1), device="meta")))


@cache
def _network_3d_size(
    config: BackboneConfig, label_set: LabelSet, points: float, shares: tuple[tuple[float, float], ...]
) -> tuple[float, float]:
    import torch

    from ignet.models.sparse.voxels import VoxelBatch

    class Counted:
        """A geometry without voxels: only their number at each level, and what convolutions between them cost."""

        engine, device, work, moved = "torch", torch.device("meta"), 0.0, 0.0

        def rows(self, stride: int) -> int:
            return max(round(occupied_voxels(points, config.voxel * stride, dict(shares))), 1)

        def coordinates(self, stride: int) -> "Tensor":
            return torch.empty(self.rows(stride), 4, dtype=torch.int32, device="meta")

        def convolve(
            self, features: "Tensor", kernel: "Tensor", kernel_size: int, in_stride: int, out_stride: int
        ) -> "Tensor":
            # between levels each voxel of the finer one meets one offset of the kernel
            offsets = len(kernel) if in_stride == out_stride else 1
            pairs = offsets * self.rows(min(in_stride, out_stride))
            self.work += pairs * kernel[0].numel()
            # gathered: read, written, read by the product; the product: written, read, and its sum read and written
            self.moved += 4 * (pairs * (3 * kernel.shape[1] + 4 * kernel.shape[2]) + kernel.numel())
            return torch.empty(self.rows(out_stride), kernel.shape[2], device="meta")

    network, geometry = _network_3d(config, label_set), Counted()
    features = torch.empty(geometry.rows(1), next(network.parameters()).shape[1], device="meta")
    inverse = torch.empty(round(points), dtype=torch.int64, device="meta")
    batch = VoxelBatch(geometry.coordinates(1), features, inverse)
    work, moved = counted(lambda: network(batch, lambda coordinates: geometry))
    return geometry.work + work, geometry.moved + moved


@cache
def _segformer(config: SegformerConfig) -> "nn.Module":
    import torch

    from ignet.models.teachers.segformer import build_segmenter

    with torch.device("meta"):
        return build_segmenter(config.model_copy(update={"weights": "random"})).eval()


@cache
def _network_3d(config: BackboneConfig, label_set: LabelSet) -> "nn.Module":
    import torch

    from ignet.models.segmentor3d import build_network

    with torch.device("meta"):
        return build_network(config, label_set).eval()


def _parameters(network: "nn.Module") -> int:
    return sum(parameter.numel() for parameter in network.parameters())
