"""Parameters of the networks, their multiply-adds and the memory that they move, counted on torch's meta device."""

import math
from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from ignet.config.backbones import BackboneConfig, Cylinder3DConfig
from ignet.config.teachers import TeacherConfig
from ignet.config.training_2d import SegformerConfig
from ignet.data.label_sets.label_set import LabelSet

if TYPE_CHECKING:  # networks are built only where a plan asks for their size
    from torch import Tensor, nn

    from ignet.data.lidar.network_input import Input
    from ignet.models.sparse.levels import Stride
    from ignet.models.teachers.base import ImageNetwork

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

KITTI_CELLS = {
    1.0: (0.34763, 0.30731, 0.12725, 0.07779, 0.03229),
    2.0: (0.15718, 0.10716, 0.03601, 0.01779, 0.00547),
    4.0: (0.05798, 0.02925, 0.00882, 0.00273, 0.00077),
    8.0: (0.0178, 0.00845, 0.00136, 0.00039, 0.0001),
}
"""Sites a point of Cylinder3D's five levels by the side of a cell, in units of the published grid's: the mean of nine
of these frames, one of each sequence."""

WORLD_CELLS = {
    1.0: (0.84704, 1.15307, 0.58618, 0.47884, 0.25003),
    2.0: (0.47304, 0.52167, 0.21606, 0.13771, 0.0489),
    4.0: (0.2191, 0.15027, 0.06696, 0.0244, 0.00781),
    8.0: (0.07845, 0.06384, 0.0119, 0.00391, 0.00098),
}
"""The same in the embedded world, of six scans."""

PUBLISHED_CELLS = 480 * 360 * 32 / (50 * 6)
"""Cells of Cylinder3D's published grid to a metre along rho and one along z."""

Shares = Mapping[float, float]
CellShares = Mapping[float, tuple[float, ...]]


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


def teacher_work(config: TeacherConfig, pixels: float) -> float:
    """Multiply-adds of a frozen teacher's pass over an image; one whose shape only a hub knows counts as DINOv2-S."""
    return _teacher_size(config, pixels)[0]


def teacher_traffic(config: TeacherConfig, pixels: float) -> float:
    """Bytes of memory that the same pass moves for each multiply-add, see `counted`."""
    work, moved = _teacher_size(config, pixels)
    return moved / work


def teacher_parameters(config: TeacherConfig) -> int:
    """Parameters of a frozen teacher."""
    return _parameters(_teacher(config))


def teacher_channels(config: TeacherConfig) -> int:
    """Channels of a frozen teacher's features."""
    return int(_teacher(config).channels)


def network_3d_parameters(config: BackboneConfig, label_set: LabelSet) -> int:
    """Parameters of a 3D network, with its classifier."""
    return _parameters(_network_3d(config, label_set))


def network_3d_work(config: BackboneConfig, label_set: LabelSet, points: float, shares: Shares | CellShares) -> float:
    """Multiply-adds of one forward pass over a scan of ``points`` points, as if all neighbours were occupied.

    ``shares`` as in `occupied_voxels`, of a Cylinder3D as in `occupied_cells`. The true number is lower by the share of
    empty neighbours. Interpolation between levels, less than a hundredth of a network, is not counted.
    """
    return _network_3d_size(config, label_set, points, tuple(shares.items()))[0]


def network_3d_traffic(
    config: BackboneConfig, label_set: LabelSet, points: float, shares: Shares | CellShares
) -> float:
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


def occupied_cells(points: float, config: Cylinder3DConfig, level: int, shares: CellShares) -> float:
    """Sites of a level of Cylinder3D in a scan of ``points`` points.

    Args:
        points: of one scan.
        config: the grid and its limits.
        level: 0 to 4.
        shares: sites a point of each level, by the side of a cell in units of the published ones, the cube root of its
            volume; interpolated like those of `occupied_voxels`.
    """
    cells = math.prod(config.grid) / (config.radius * (config.height[1] - config.height[0]))
    sites = {side: each[level] for side, each in shares.items()}
    return occupied_voxels(points, (PUBLISHED_CELLS / cells) ** (1 / 3), sites)


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
def _teacher_size(config: TeacherConfig, pixels: float) -> tuple[float, float]:
    return _image_size(_teacher(config), pixels)


@cache
def _segformer_size(config: SegformerConfig, pixels: float) -> tuple[float, float]:
    return _image_size(_segformer(config), pixels)


def _image_size(network: "nn.Module", pixels: float) -> tuple[float, float]:
    import torch

    return counted(lambda: network(torch.empty(1, 3, 32, 32 * max(round(pixels / 1024), 1), device="meta")))


@cache
def _network_3d_size(
    config: BackboneConfig, label_set: LabelSet, points: float, shares: tuple[tuple[float, Any], ...]
) -> tuple[float, float]:
    import torch

    from ignet.models.backbones import cylinder3d
    from ignet.models.sparse.levels import as_level

    network = _network_3d(config, label_set)

    def volume(level: "Stride") -> int:
        return math.prod(as_level(level).stride)

    class Counted:
        """A geometry without voxels: only their number at each level, and what convolutions between them cost."""

        engine, device, work, moved = "torch", torch.device("meta"), 0.0, 0.0

        def rows(self, stride: "Stride") -> int:
            level = as_level(stride)
            if isinstance(config, Cylinder3DConfig):
                count = occupied_cells(points, config, cylinder3d.make_levels(config).index(level), dict(shares))
            else:
                count = occupied_voxels(points, config.voxel * level.stride[0], dict(shares))
            return max(round(count), 1)

        def coordinates(self, stride: "Stride") -> "Tensor":
            return torch.empty(self.rows(stride), 4, dtype=torch.int32, device="meta")

        def convolve(
            self, features: "Tensor", kernel: "Tensor", kernel_size: Any, in_stride: "Stride", out_stride: "Stride"
        ) -> "Tensor":
            fine, coarse = sorted((in_stride, out_stride), key=volume)
            # between levels a voxel of the finer one meets as many of the coarser one's as there are offsets to a step
            pairs = len(kernel) * self.rows(fine) * volume(fine) / volume(coarse)
            self.work += pairs * kernel[0].numel()
            # gathered: read, written, read by the product; the product: written, read, and its sum read and written
            self.moved += 4 * (pairs * (3 * kernel.shape[1] + 4 * kernel.shape[2]) + kernel.numel())
            return torch.empty(self.rows(out_stride), kernel.shape[2], device="meta")

    geometry = Counted()
    batch = _empty_batch(config, label_set, geometry.coordinates(1), points)
    work, moved = counted(lambda: network(batch, lambda coordinates: geometry))
    return geometry.work + work, geometry.moved + moved


def _empty_batch(config: BackboneConfig, label_set: LabelSet, coordinates: "Tensor", points: float) -> "Input":
    """The network's input, as far as sizes go."""
    import torch

    from ignet.models.backbones import cylinder3d, minkunet
    from ignet.models.sparse.voxels import VoxelBatch

    inverse = torch.empty(round(points), dtype=torch.int64, device="meta")
    if isinstance(config, Cylinder3DConfig):
        width = cylinder3d.input_channels(config, len(label_set))
        return cylinder3d.CylinderBatch(coordinates, torch.empty(len(inverse), width, device="meta"), inverse)
    features = torch.empty(len(coordinates), minkunet.input_channels(config, len(label_set)), device="meta")
    return VoxelBatch(coordinates, features, inverse)


@cache
def _segformer(config: SegformerConfig) -> "nn.Module":
    import torch

    from ignet.models.teachers.segformer import build_segmenter

    with torch.device("meta"):
        return build_segmenter(config.model_copy(update={"weights": "random"})).eval()


@cache
def _teacher(config: TeacherConfig) -> "ImageNetwork":
    import torch

    from ignet.models.teachers.registry import empty_teacher

    with torch.device("meta"):
        return empty_teacher(config)


@cache
def _network_3d(config: BackboneConfig, label_set: LabelSet) -> "nn.Module":
    import torch

    from ignet.models.segmentor3d import build_network

    with torch.device("meta"):
        return build_network(config, label_set).eval()


def _parameters(network: "nn.Module") -> int:
    return sum(parameter.numel() for parameter in network.parameters())
