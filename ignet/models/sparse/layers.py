"""Layers over an engine's geometry.

Features are plain (rows, C) tensors, so normalisation and activation are torch's own.
"""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from ignet.models.sparse.geometry import Geometry
from ignet.models.sparse.levels import Axes, Level, Stride, as_axes, as_level


class SparseConv3d(nn.Module):
    """Sparse 3D convolution without bias; weights in MinkowskiEngine's layout, with its initialisation.

    Parameter ``kernel``: (K, Cin, Cout) for a kernel of K offsets, or (Cin, Cout) for K = 1 at stride 1, which needs no
    neighbours.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Axes,
        stride: int | Axes = 1,
        transposed: bool = False,
    ):
        """Make the layer; a transposed one divides the level's stride by ``stride``, another one multiplies it.

        Both sizes are one number for all axes, or one each for x, y and z.
        """
        super().__init__()
        self.kernel_size, self.stride, self.transposed = kernel_size, stride, transposed
        offsets = math.prod(as_axes(kernel_size))
        self.pointwise = offsets == 1 and as_axes(stride) == (1, 1, 1)
        shape = (in_channels, out_channels) if self.pointwise else (offsets, in_channels, out_channels)
        bound = 1 / math.sqrt((out_channels if transposed else in_channels) * offsets)
        self.kernel = nn.Parameter(torch.empty(shape).uniform_(-bound, bound))

    def forward(self, features: Tensor, geometry: Geometry, stride: Stride, target: Stride | None = None) -> Tensor:
        """Features (rows(stride), Cin) of level ``stride`` -> (rows(target), Cout).

        The target is by default the level that `result` names. One whose sites are remembered makes an inverse
        convolution of a transposed one.
        """
        if self.pointwise:
            return features @ self.kernel
        target = self.result(stride) if target is None else target
        return geometry.convolve(features, self.kernel, self.kernel_size, stride, target)

    def result(self, stride: Stride) -> Stride:
        """The level of the result, given that of the input.

        Raises:
            ValueError: the layer changes the stride of an expanded level, whose sites one has to name.
        """
        if isinstance(stride, int) and isinstance(self.stride, int):
            return stride // self.stride if self.transposed else stride * self.stride
        level, step = as_level(stride), as_axes(self.stride)
        if step == (1, 1, 1):
            return level
        if level.reach is not None:
            raise ValueError(f"{level}: a convolution of stride {step} needs a target")
        pairs = zip(level.stride, step, strict=True)
        return Level(as_axes([s // t if self.transposed else s * t for s, t in pairs]))

    def extra_repr(self) -> str:
        """What print(layer) shows."""
        shape = "x".join(map(str, self.kernel.shape))
        return f"kernel={shape}, kernel_size={self.kernel_size}, stride={self.stride}, transposed={self.transposed}"


class SparseSequential(nn.Sequential):
    """Layers in a row: those with a `result` get geometry and level, torch's own the features alone."""

    def forward(self, features: Tensor, geometry: Geometry, stride: Stride) -> Tensor:  # type: ignore[override]
        """Features (rows(stride), Cin) of the level ``stride`` -> (rows(result), Cout)."""
        layers: Iterable[Any] = self
        for layer in layers:
            if hasattr(layer, "result"):
                features = layer(features, geometry, stride)
                stride = layer.result(stride)
            else:
                features = layer(features)
        return features

    def result(self, stride: Stride) -> Stride:
        """The level of the result, given that of the input."""
        layers: Iterable[Any] = self
        for layer in layers:
            stride = layer.result(stride) if hasattr(layer, "result") else stride
        return stride
