"""Layers over an engine's geometry.

Features are plain (rows, C) tensors, so normalisation and activation are torch's own.
"""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from ignet.models.sparse.geometry import Geometry


class SparseConv3d(nn.Module):
    """Sparse 3D convolution without bias; weights in MinkowskiEngine's layout, with its initialisation.

    Parameter ``kernel``: (K^3, Cin, Cout), or (Cin, Cout) for K = 1 at stride 1, which needs no neighbours.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, transposed: bool = False
    ):
        """Make the layer; a transposed one divides the level's stride by ``stride``, another one multiplies it."""
        super().__init__()
        self.kernel_size, self.stride, self.transposed = kernel_size, stride, transposed
        self.pointwise = kernel_size == 1 and stride == 1
        shape = (in_channels, out_channels) if self.pointwise else (kernel_size**3, in_channels, out_channels)
        bound = 1 / math.sqrt((out_channels if transposed else in_channels) * kernel_size**3)
        self.kernel = nn.Parameter(torch.empty(shape).uniform_(-bound, bound))

    def forward(self, features: Tensor, geometry: Geometry, stride: int) -> Tensor:
        """Features (rows(stride), Cin) of level ``stride`` -> (rows(result), Cout) of the level `result` names."""
        if self.pointwise:
            return features @ self.kernel
        return geometry.convolve(features, self.kernel, self.kernel_size, stride, self.result(stride))

    def result(self, stride: int) -> int:
        """The level of the result, given that of the input."""
        return stride // self.stride if self.transposed else stride * self.stride

    def extra_repr(self) -> str:
        """What print(layer) shows."""
        shape = "x".join(map(str, self.kernel.shape))
        return f"kernel={shape}, kernel_size={self.kernel_size}, stride={self.stride}, transposed={self.transposed}"


class SparseSequential(nn.Sequential):
    """Layers in a row: those with a `result` get geometry and level, torch's own the features alone."""

    def forward(self, features: Tensor, geometry: Geometry, stride: int) -> Tensor:  # type: ignore[override]
        """Features (rows(stride), Cin) of the level ``stride`` -> (rows(result), Cout)."""
        layers: Iterable[Any] = self
        for layer in layers:
            if hasattr(layer, "result"):
                features = layer(features, geometry, stride)
                stride = layer.result(stride)
            else:
                features = layer(features)
        return features

    def result(self, stride: int) -> int:
        """The level of the result, given that of the input."""
        layers: Iterable[Any] = self
        for layer in layers:
            stride = layer.result(stride) if hasattr(layer, "result") else stride
        return stride
