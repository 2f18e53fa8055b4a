"""Cylinder3D: a sparse UNet of asymmetric kernels over cells of a cylinder (Zhu et al., CVPR 2021).

Shape and order follow xinge008/Cylinder3D (network/segmentator_3d_asymm_spconv.py, cylinder_fea_generator.py). There,
layers of different kernels share one index key, and spconv 1 computes such a layer over the pairs of the first of them:
the network of the published figures is not the one of the paper's drawing. Both are variants here. What is this
project's own: points are classified by one linear layer, and not their cells by a 3^3 convolution.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ignet.config.backbones import Cylinder3DConfig
from ignet.data.lidar.local_context import add_local_context, context_channels
from ignet.devices import TensorGroup
from ignet.errors import IgnetError
from ignet.models.sparse.engine import Engine, make_geometry
from ignet.models.sparse.geometry import Convolution, Geometry
from ignet.models.sparse.layers import SparseConv3d, SparseSequential
from ignet.models.sparse.levels import VOXELS, Axes, Level
from ignet.models.sparse.voxels import collate, voxelize

INPUTS = 9  # offset from the cell's centre, rho, phi, z, x, y, remission
STEPS: tuple[Axes, ...] = ((2, 2, 2), (2, 2, 2), (2, 2, 1), (2, 2, 1))
CUBE: Axes = (3, 3, 3)


@dataclass(frozen=True)
class Kernels:
    """Kernel sizes along rho, phi, z of the parts whose layers are not 3^3.

    Attributes:
        context: of the two layers of a branch of the first block; the other branch has them in reverse.
        residual: the same of the encoder's blocks.
        refine: of the three layers at the end of a decoder stage.
        gates: of the three layers at the end, whose results are summed and multiply their input.
    """

    context: tuple[Axes, Axes]
    residual: tuple[Axes, Axes]
    refine: tuple[Axes, Axes, Axes]
    gates: tuple[Axes, Axes, Axes]


VARIANTS = {
    "as_drawn": Kernels(
        context=((1, 3, 3), (3, 1, 3)),
        residual=((3, 1, 3), (1, 3, 3)),
        refine=((1, 3, 3), (3, 1, 3), CUBE),
        gates=((3, 1, 1), (1, 3, 1), (1, 1, 3)),
    ),
    # what spconv 1 computed: the first layer's pairs for all of a part
    "as_published": Kernels(
        context=((1, 3, 3),) * 2, residual=((3, 1, 3),) * 2, refine=((1, 3, 3),) * 3, gates=((3, 1, 1),) * 3
    ),
}


@dataclass(frozen=True)
class CylinderBatch(TensorGroup):
    """The points of a batch of scans and the cells that they lie in.

    Attributes:
        coordinates: int32 (M, 4), scan number in the batch, then the cell's number along rho, phi and z.
        features: float32 (N, F) of the points, see `point_features`, then the local context where there is one.
        inverse: int64 (N,), row of each point's cell.
    """

    coordinates: Tensor
    features: Tensor
    inverse: Tensor


def point_features(
    points: NDArray[np.float32], config: Cylinder3DConfig
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Cell and input features of each point.

    A point outside of the cylinder is counted to the cell at its edge; phi does not wrap around.

    Args:
        points: float32 (N, 4): x, y, z in metres, remission.
        config: limits of the cylinder and number of cells.

    Returns:
        cells, whole numbers as float64 (N, 3), along rho, phi and z; features float32 (N, 9): rho, phi, z minus those
        of the cell's centre, then rho, phi, z, x, y, remission; metres and radians.

    Raises:
        IgnetError: a coordinate is not finite.
    """
    broken = np.flatnonzero(~np.isfinite(points[:, :3]).all(1))
    if len(broken):
        found = ", ".join(f"{value:g}" for value in points[broken[0], :3])
        raise IgnetError(
            f"point {broken[0]} of the scan: found x, y, z = {found}, expected finite values; check the scan file"
        )
    x, y, z = points[:, 0], points[:, 1], points[:, 2]
    polar = np.stack([np.hypot(x, y), np.arctan2(y, x), z], 1)
    low, high = np.array([(0, config.radius), (-np.pi, np.pi), config.height]).T
    interval = (high - low) / (np.array(config.grid) - 1)
    cells = np.floor((np.clip(polar.astype(np.float64), low, high) - low) / interval)
    offset = polar - ((cells + 0.5) * interval + low)
    return cells, np.column_stack([offset, polar, x, y, points[:, 3]]).astype(np.float32)


def collate_scans(
    scans: Sequence[NDArray[np.float32]],
    labels: Sequence[NDArray[np.uint8] | None] | None,
    config: Cylinder3DConfig,
    classes: int,
) -> CylinderBatch:
    """Find the cells of scans and join them into one batch.

    Args:
        scans: float32 (N_i, 4) each: x, y, z in metres, remission.
        labels: of each scan, uint8 (N_i,), 255 where there is none; None for a scan, or for all: no label is known.
        config: the cells, and whether the labels around a point are input features.
        classes: number of classes of the labels.
    """
    coordinates, inverses, features, context = [], [], [], config.local_context
    for points, known in zip(scans, labels or [None] * len(scans), strict=True):
        cells, plain = point_features(points, config)
        occupied, inverse, _ = voxelize(cells, 1)
        coordinates.append(occupied)
        inverses.append(inverse)
        every = np.arange(len(points))
        features.append(add_local_context(plain, points, every, known, context, classes) if context else plain)
    joined, rows = collate(coordinates, inverses)
    return CylinderBatch(torch.from_numpy(joined), torch.from_numpy(np.concatenate(features)), torch.from_numpy(rows))


def input_channels(config: Cylinder3DConfig, classes: int) -> int:
    """Features of a point in what `collate_scans` makes."""
    return INPUTS + context_channels(config.local_context, classes)


class PointEncoder(nn.Module):
    """A perceptron on each point, the maximum over the points of each cell, and a narrower layer on that."""

    def __init__(self, in_channels: int, widths: Sequence[int], out_channels: int):
        super().__init__()
        layers: list[nn.Module] = [nn.BatchNorm1d(in_channels)]
        for cin, cout in pairwise([in_channels, *widths]):
            layers += [nn.Linear(cin, cout), nn.BatchNorm1d(cout), nn.ReLU(inplace=True)]
        self.points = nn.Sequential(*layers, nn.Linear(widths[-1], widths[-1]))
        self.cells = nn.Sequential(nn.Linear(widths[-1], out_channels), nn.ReLU(inplace=True))

    def forward(self, features: Tensor, inverse: Tensor, cells: int) -> Tensor:
        """Float (N, Cin) of the points and int64 (N,) rows of their cells -> (cells, Cout)."""
        return self.cells(scatter_max(self.points(features), inverse, cells))


def scatter_max(features: Tensor, rows: Tensor, count: int) -> Tensor:
    """The largest of each channel over the points of each cell; equal ones share the gradient.

    Half precision is computed in float32.

    Args:
        features: float (N, C) of the points.
        rows: int64 (N,) the cell of each point.
        count: M, number of cells, each of which holds a point.

    Returns:
        float (M, C).
    """
    features = features.to(torch.promote_types(features.dtype, torch.float32))
    least = features.new_full((count, features.shape[1]), -torch.inf)
    return least.scatter_reduce(0, rows[:, None].expand_as(features), features, "amax")


def conv_norm(cin: int, cout: int, kernel_size: Axes) -> list[nn.Module]:
    """Convolution, leaky ReLU and, behind it, batch normalisation."""
    return [SparseConv3d(cin, cout, kernel_size), nn.LeakyReLU(inplace=True), nn.BatchNorm1d(cout)]


class AsymmetricBlock(nn.Module):
    """The sum of two branches of two layers, whose kernels stand in either order."""

    def __init__(self, cin: int, cout: int, kernels: tuple[Axes, Axes]):
        super().__init__()
        self.branches = nn.ModuleList(
            SparseSequential(*conv_norm(cin, cout, first), *conv_norm(cout, cout, second))
            for first, second in (kernels, kernels[::-1])
        )

    def forward(self, features: Tensor, geometry: Geometry, level: Level) -> Tensor:
        """(rows(level), Cin) -> (rows(level), Cout)."""
        one, other = (branch(features, geometry, level) for branch in self.branches)
        return one + other


class DecoderStage(nn.Module):
    """A 3^3 layer, the inverse of the encoder's strided convolution, the skip added, and three layers more."""

    def __init__(self, cin: int, cout: int, step: Axes, kernels: tuple[Axes, Axes, Axes]):
        super().__init__()
        self.before = SparseSequential(*conv_norm(cin, cout, CUBE))
        self.inverse = SparseConv3d(cout, cout, CUBE, step, transposed=True)
        self.refine = SparseSequential(*(layer for kernel in kernels for layer in conv_norm(cout, cout, kernel)))

    def forward(self, features: Tensor, skip: Tensor, geometry: Geometry, level: Level, finer: Level) -> Tensor:
        """(rows(level), Cin) and the encoder's (rows(finer), Cout) -> (rows(finer), Cout)."""
        features = self.inverse(self.before(features, geometry, level), geometry, level, finer)
        return self.refine(features + skip, geometry, finer)


class Gates(nn.Module):
    """Dimension-decomposition based context modelling: the sum of three gates multiplies the input."""

    def __init__(self, channels: int, kernels: tuple[Axes, Axes, Axes]):
        super().__init__()
        self.gates = nn.ModuleList(
            SparseSequential(SparseConv3d(channels, channels, kernel), nn.BatchNorm1d(channels), nn.Sigmoid())
            for kernel in kernels
        )

    def forward(self, features: Tensor, geometry: Geometry, level: Level) -> Tensor:
        """(rows(level), C) -> (rows(level), C)."""
        x, y, z = (gate(features, geometry, level) for gate in self.gates)
        return (x + y + z) * features


def make_levels(config: Cylinder3DConfig) -> list[Level]:
    """The cells, and below them four times every site that a strided 3^3 kernel reaches within the grid."""
    levels = [VOXELS]
    for step in STEPS:
        levels.append(levels[-1].expanded(CUBE, step, config.grid))
    return levels


class Cylinder3D(nn.Module):
    """The network over five levels; ``channels`` is the width of its result."""

    def __init__(self, config: Cylinder3DConfig, classes: int):
        """Make the network with fresh weights, drawn from torch's global generator."""
        super().__init__()
        kernels, width = VARIANTS[config.variant], config.width
        widths = [width * 2**stage for stage in range(1, 5)]
        self.levels = make_levels(config)
        self.points = PointEncoder(input_channels(config, classes), config.points, config.cell_features)
        self.context = AsymmetricBlock(config.cell_features, width, kernels.context)
        self.encoder = nn.ModuleList(
            AsymmetricBlock(cin, cout, kernels.residual) for cin, cout in pairwise([width, *widths])
        )
        self.down = nn.ModuleList(
            SparseConv3d(cout, cout, CUBE, step) for cout, step in zip(widths, STEPS, strict=True)
        )
        self.decoder = nn.ModuleList(
            DecoderStage(cin, cout, step, kernels.refine)
            for (cin, cout), step in zip(pairwise([widths[-1], *widths[::-1]]), STEPS[::-1], strict=True)
        )
        self.gates = Gates(widths[0], kernels.gates)
        self.channels = 2 * widths[0]
        self.convolutions = self._convolutions()

    def _convolutions(self) -> list[Convolution]:
        """What a geometry is asked for: kernels within each level, and those between levels, which lead both ways."""
        parts: list[tuple[nn.Module, int]] = [(self.context, 0), (self.gates, 0)]
        parts += [(block, stage) for stage, block in enumerate(self.encoder)]
        parts += [(block.get_submodule("before"), 4 - stage) for stage, block in enumerate(self.decoder)]
        parts += [(block.get_submodule("refine"), 3 - stage) for stage, block in enumerate(self.decoder)]
        within = [
            (layer.kernel_size, self.levels[number], self.levels[number])
            for part, number in parts
            for layer in part.modules()
            if isinstance(layer, SparseConv3d)
        ]
        return list(dict.fromkeys([*within, *((CUBE, fine, coarse) for fine, coarse in pairwise(self.levels))]))

    def forward(self, batch: CylinderBatch, engine: Engine) -> tuple[Tensor, Tensor]:
        """Features float (M, channels) of the cells, and the row int64 (N,) of each point's cell."""
        geometry = make_geometry(engine, batch.coordinates, self.convolutions)
        cells = self.points(batch.features, batch.inverse, len(batch.coordinates))
        return self.cells(cells, geometry), batch.inverse

    def cells(self, features: Tensor, geometry: Geometry) -> Tensor:
        """Float (M, cell features) -> float (M, channels), rows in the same order."""
        features, skips = self.context(features, geometry, VOXELS), []
        for block, down, (level, coarser) in zip(self.encoder, self.down, pairwise(self.levels), strict=True):
            skips.append(block(features, geometry, level))
            features = down(skips[-1], geometry, level, coarser)
        for block, (level, finer) in zip(self.decoder, pairwise(self.levels[::-1]), strict=True):
            features = block(features, skips.pop(), geometry, level, finer)
        return torch.cat([self.gates(features, geometry, VOXELS), features], 1)
