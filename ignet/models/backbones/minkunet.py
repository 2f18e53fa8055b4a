"""MinkUNet, the sparse UNet of the field: the network of SPVNAS, which is ScribbleKITTI's MinkowskiNet.

Shape and names follow mit-han-lab/spvnas (core/models/semantic_kitti/minkunet.py). Published widths: stem 32, encoder
32 64 128 256, decoder 256 128 96 96, two residual blocks a stage.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ignet.config.backbones import BackboneSettings, MinkUNetConfig, VoxelUNetConfig
from ignet.data.lidar.local_context import add_local_context, context_channels
from ignet.models.sparse.engine import Engine, make_geometry
from ignet.models.sparse.geometry import Geometry
from ignet.models.sparse.layers import SparseConv3d, SparseSequential
from ignet.models.sparse.levels import Stride
from ignet.models.sparse.voxels import VoxelBatch, collate, voxel_features, voxelize

INPUTS = 4  # x, y, z, remission


def collate_scans(
    scans: Sequence[NDArray[np.float32]],
    labels: Sequence[NDArray[np.uint8] | None] | None,
    config: VoxelUNetConfig,
    classes: int,
) -> VoxelBatch:
    """Voxelise scans into one batch.

    Args:
        scans: float32 (N_i, 4) each: x, y, z in metres, remission.
        labels: of each scan, uint8 (N_i,), 255 where there is none; None for a scan, or for all: no label is known.
        config: the side of a voxel, and whether the labels around a point are input features.
        classes: number of classes of the labels.
    """
    voxelized = [voxelize(points, config.voxel) for points in scans]
    coordinates, inverse = collate([cells for cells, _, _ in voxelized], [inverse for _, inverse, _ in voxelized])
    features, context = [], config.local_context
    for points, known, (_, _, first) in zip(scans, labels or [None] * len(scans), voxelized, strict=True):
        plain = voxel_features(points, first)
        features.append(add_local_context(plain, points, first, known, context, classes) if context else plain)
    # one scan with local context has tens of megabytes of features: not to be copied for nothing
    joined = features[0] if len(features) == 1 else np.concatenate(features)
    return VoxelBatch(torch.from_numpy(coordinates), torch.from_numpy(joined), torch.from_numpy(inverse))


def build(config: MinkUNetConfig, classes: int) -> "MinkUNet":
    """A MinkUNet with fresh weights, drawn from torch's global generator."""
    return MinkUNet(input_channels(config, classes), config.stem, config.encoder, config.decoder, config.blocks)


def input_channels(config: BackboneSettings, classes: int) -> int:
    """Features of a voxel in what `collate_scans` makes."""
    return INPUTS + context_channels(config.local_context, classes)


def conv_norm(
    cin: int, cout: int, kernel_size: int, stride: int = 1, transposed: bool = False, relu: bool = True
) -> list[nn.Module]:
    """Convolution, batch normalisation and, by default, ReLU."""
    layers: list[nn.Module] = [SparseConv3d(cin, cout, kernel_size, stride, transposed), nn.BatchNorm1d(cout)]
    return [*layers, nn.ReLU(inplace=True)] if relu else layers


class ResidualBlock(nn.Module):
    """Two 3^3 convolutions beside a shortcut, which is a 1^3 convolution where the widths differ."""

    def __init__(self, cin: int, cout: int):
        super().__init__()
        self.net = SparseSequential(*conv_norm(cin, cout, 3), *conv_norm(cout, cout, 3, relu=False))
        self.downsample = SparseSequential(*([] if cin == cout else conv_norm(cin, cout, 1, relu=False)))

    def forward(self, features: Tensor, geometry: Geometry, stride: Stride) -> Tensor:
        """(rows(stride), Cin) -> (rows(stride), Cout)."""
        return torch.relu(self.net(features, geometry, stride) + self.downsample(features, geometry, stride))

    def result(self, stride: Stride) -> Stride:
        """The level of the result: that of the input."""
        return stride


class MinkUNet(nn.Module):
    """UNet over five levels (strides 1 to 16); ``channels`` is the width of its result."""

    def __init__(
        self,
        in_channels: int,
        stem: int,
        encoder: Sequence[int],
        decoder: Sequence[int],
        blocks: int,
    ):
        """Make the network: widths of the stem and of the four stages each way, and residual blocks a stage."""
        super().__init__()
        self.stem = SparseSequential(*conv_norm(in_channels, stem, 3), *conv_norm(stem, stem, 3))
        widths = [stem, *encoder]
        self.down = nn.ModuleList(
            SparseSequential(*conv_norm(cin, cin, 2, stride=2), *_residual(cin, cout, blocks))
            for cin, cout in pairwise(widths)
        )
        self.up = nn.ModuleList(
            SparseSequential(*conv_norm(cin, cout, 2, stride=2, transposed=True))
            for cin, cout in zip([widths[-1], *decoder[:-1]], decoder, strict=True)
        )
        self.merge = nn.ModuleList(
            SparseSequential(*_residual(cout + skip, cout, blocks))
            for cout, skip in zip(decoder, widths[-2::-1], strict=True)
        )
        self.channels = decoder[-1]
        strides = [2**level for level in range(len(widths))]
        self.convolutions = [(3, s, s) for s in strides] + [(2, s, t) for s, t in pairwise(strides)]

    def forward(self, batch: VoxelBatch, engine: Engine) -> tuple[Tensor, Tensor]:
        """Features float (M, channels) of the voxels, and the row int64 (N,) of each point's voxel."""
        geometry = make_geometry(engine, batch.coordinates, self.convolutions)
        return self.voxels(batch.features, geometry), batch.inverse

    def voxels(self, features: Tensor, geometry: Geometry) -> Tensor:
        """Float (M, in_channels) features of the voxels -> float (M, channels), rows in the same order."""
        levels = self.encode(features, geometry)
        features = levels.pop()
        for stage in range(len(self.up)):
            features = self.decode(stage, features, levels.pop(), geometry)
        return features

    def encode(self, features: Tensor, geometry: Geometry) -> list[Tensor]:
        """Features of every level, of the strides 1, 2, 4, 8 and 16."""
        levels = [self.stem(features, geometry, 1)]
        for stage in self.down:
            levels.append(stage(levels[-1], geometry, 2 ** (len(levels) - 1)))
        return levels

    def decode(self, stage: int, features: Tensor, skip: Tensor, geometry: Geometry) -> Tensor:
        """One decoder stage: features of a level, and what the encoder gave the next finer one, to that one's."""
        stride = 2 ** (len(self.up) - stage)
        features = self.up[stage](features, geometry, stride)
        return self.merge[stage](torch.cat([features, skip], 1), geometry, stride // 2)


def _residual(cin: int, cout: int, blocks: int) -> list[ResidualBlock]:
    return [ResidualBlock(cin if i == 0 else cout, cout) for i in range(blocks)]


def to_minkowski_names(state: dict[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """Rename a state dict of ``network`` for the same tree of MinkowskiEngine modules.

    MinkowskiBatchNorm and MinkowskiLinear wrap torch's layers: 'stem.1.weight' is 'stem.1.bn.weight' there,
    'classifier.weight' is 'classifier.linear.weight'. Kernels have the same name and layout.
    """
    infix = {}
    for name, module in network.named_modules():
        if isinstance(module, nn.BatchNorm1d | nn.Linear):
            infix[name] = "bn" if isinstance(module, nn.BatchNorm1d) else "linear"
    renamed = {}
    for key, value in state.items():
        parent, _, leaf = key.rpartition(".")
        renamed[f"{parent}.{infix[parent]}.{leaf}" if parent in infix else key] = value
    return renamed
