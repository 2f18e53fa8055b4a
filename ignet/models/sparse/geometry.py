"""What every sparse engine gives: where the voxels are, and convolution between them."""

import math
from typing import Protocol

import torch
from torch import Tensor

from ignet.errors import IgnetError
from ignet.models.sparse.levels import Axes, Stride, as_axes, as_level
from ignet.models.sparse.voxels import COORDINATE_LIMIT

BATCH_LIMIT = 2**9

Convolution = tuple[int | Axes, Stride, Stride]
"""Kernel size, level of the input, level of the result."""


class Geometry(Protocol):
    """The voxels of one batch at every stride, in one engine.

    Level 1 holds the rows of the caller's coordinates, in the caller's order. A coarser one is a
    `ignet.models.sparse.levels.Level`, or a number s that stands for the unique floor(c / s) * s; the order of its rows
    is the engine's own but fixed for the geometry's life. Kernel maps depend on coordinates alone and are kept here, so
    all layers, and all networks, that are given the same geometry share them.
    """

    engine: str
    device: torch.device

    def rows(self, stride: Stride) -> int:
        """Number of voxels of the level ``stride``."""
        ...

    def coordinates(self, stride: Stride) -> Tensor:
        """int32 (rows, 4): batch, x, y, z of the level's voxels in voxels of level 1, one a row of features."""
        ...

    def convolve(
        self, features: Tensor, kernel: Tensor, kernel_size: int | Axes, in_stride: Stride, out_stride: Stride
    ) -> Tensor:
        """Sparse convolution from one level to another; differentiable in ``features`` and ``kernel``.

        out[p] = sum_k in[p + off_k * in_stride] W_k where the result's level is no finer; a transposed convolution
        where it is: the input at p reaches the outputs at p + off_k * out_stride, over the same pairs as the
        convolution that leads the other way. Offset k = ix + Kx iy + Kx Ky iz; along each axis off = i - K // 2 for an
        odd K, i for an even one. Sites that are not occupied count as zero.

        Args:
            features: float (rows(in_stride), Cin).
            kernel: float (Kx Ky Kz, Cin, Cout), MinkowskiEngine's layout.
            kernel_size: Kx, Ky, Kz, or one number for all.
            in_stride: level of ``features``.
            out_stride: level of the result; its stride divides that of ``in_stride``, or is a multiple of it.

        Returns:
            float (rows(out_stride), Cout).
        """
        ...


def check_coordinates(coordinates: Tensor) -> None:
    """Refuse what an engine would answer with wrong results: another shape or type, or coordinates out of range.

    Raises:
        IgnetError: with what was found and what was expected.
    """
    check_layout(coordinates)
    check_bounds(*coordinate_bounds(coordinates).view(-1).tolist())


def check_layout(coordinates: Tensor) -> None:
    """The part of `check_coordinates` that looks at no number."""
    if coordinates.dtype != torch.int32 or coordinates.dim() != 2 or coordinates.shape[1] != 4:
        raise IgnetError(
            f"voxel coordinates: found {str(coordinates.dtype).removeprefix('torch.')} {tuple(coordinates.shape)}, "
            "expected int32 (N, 4): batch, x, y, z"
        )
    if len(coordinates) == 0:
        raise IgnetError("voxel coordinates: found none, expected at least one voxel; drop empty scans")


def coordinate_bounds(coordinates: Tensor) -> Tensor:
    """int32 (2, 4): the least and the largest batch, x, y, z of (N, 4) coordinates."""
    return torch.stack([coordinates.amin(0), coordinates.amax(0)])


def check_bounds(batch: int, x: int, y: int, z: int, last: int, x_top: int, y_top: int, z_top: int) -> None:
    """The part of `check_coordinates` that looks at the numbers of `coordinate_bounds`."""
    low, high = min(x, y, z), max(x_top, y_top, z_top)
    if low < -COORDINATE_LIMIT or high >= COORDINATE_LIMIT:
        raise IgnetError(
            f"voxel coordinates: found {low} to {high}, expected {-COORDINATE_LIMIT} to {COORDINATE_LIMIT - 1}; "
            "use larger voxels, or look for broken points"
        )
    if batch < 0 or last >= BATCH_LIMIT:
        raise IgnetError(f"voxel coordinates: found batch numbers {batch} to {last}, expected 0 to {BATCH_LIMIT - 1}")


def duplicate_error(found: int, unique: int) -> IgnetError:
    """The error for coordinates that occur twice."""
    return IgnetError(
        f"voxel coordinates: found {found} rows but {unique} distinct voxels, expected each voxel once; "
        "make them with ignet.models.sparse.voxels.voxelize"
    )


def is_transposed(in_stride: Stride, out_stride: Stride) -> bool:
    """The result's level is the finer one.

    Raises:
        ValueError: neither stride is a multiple of the other along all axes.
    """
    ours, theirs = as_level(in_stride).stride, as_level(out_stride).stride
    pairs = list(zip(ours, theirs, strict=True))
    if all(large % small == 0 for small, large in pairs):
        return False
    if any(large % small for large, small in pairs):
        raise ValueError(f"strides {in_stride} and {out_stride}: neither is a multiple of the other")
    return True


def check_convolution(
    rows: int, features: Tensor, kernel: Tensor, kernel_size: int | Axes, in_stride: Stride, out_stride: Stride
) -> None:
    """Refuse operands that do not fit a convolution; ``rows`` is the number of voxels of the input level.

    Raises:
        ValueError: a mistake of the calling code.
    """
    is_transposed(in_stride, out_stride)
    offsets = math.prod(as_axes(kernel_size))
    if kernel.dim() != 3 or kernel.shape[0] != offsets:
        raise ValueError(f"kernel {tuple(kernel.shape)}: expected ({offsets}, Cin, Cout) for kernel size {kernel_size}")
    if features.shape != (rows, kernel.shape[1]):
        raise ValueError(
            f"features {tuple(features.shape)}: expected ({rows}, {kernel.shape[1]}) at stride {in_stride}"
        )
