"""Which sites each level of a sparse network holds, and in what order: sorted int64 keys of batch, x, y, z."""

from dataclasses import dataclass
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

Axes = tuple[int, int, int]
"""A number for each of x, y and z."""

# 18 bits an axis hold the allowed coordinates and a kernel's reach around them, so that no neighbour's key carries into
# the next axis
BITS = 18
SHIFT = 1 << (BITS - 1)
LAST = torch.iinfo(torch.int64).max  # larger than any key


@dataclass(frozen=True)
class Level:
    """The sites of one stride; coordinates are in voxels, that is in units of the level 1.

    Attributes:
        stride: distance of neighbouring sites along x, y, z.
        reach: None: the sites are the unique floor(c / stride) * stride of the voxels c. Else they are all multiples of
            the stride that lie no farther than this from some voxel, along every axis.
        extent: sites outside of 0 <= c < extent are left out; None: there are no limits. Only with a reach.
    """

    stride: Axes
    reach: Axes | None = None
    extent: Axes | None = None

    def expanded(self, kernel_size: Axes, step: Axes, extent: Axes | None = None) -> "Level":
        """The level of every site that a strided convolution reaches from this one: spconv's output sites.

        Args:
            kernel_size: odd along each axis, and at least 2 step - 1: then the sites between a voxel and what chained
                kernels reach are all there, within the extent too, and one distance says which are reached.
            step: stride of the convolution.
            extent: of the result.

        Raises:
            ValueError: a mistake of the calling code.
        """
        if any(k % 2 == 0 or k < 2 * s - 1 for k, s in zip(kernel_size, step, strict=True)):
            raise ValueError(f"kernel size {kernel_size}: expected odd numbers of at least 2 s - 1 for stride {step}")
        if self.reach is None and self.stride != (1, 1, 1):
            raise ValueError(f"{self}: its sites are no voxels; expand level 1, or an expanded level")
        reach = [r + k // 2 * s for r, k, s in zip(self.reach or (0, 0, 0), kernel_size, self.stride, strict=True)]
        stride = [s * t for s, t in zip(self.stride, step, strict=True)]
        return Level(as_axes(stride), as_axes(reach), extent)


VOXELS = Level((1, 1, 1))
"""Level 1: the rows of the caller's coordinates, in the caller's order."""

Stride = int | Level
"""A level, or the number that stands for its stride along all three axes."""


def as_axes(value: "int | list[int] | Axes") -> Axes:
    """The same number for each axis, where there is one."""
    x, y, z = (value,) * 3 if isinstance(value, int) else value
    return x, y, z


@cache
def as_level(stride: Stride) -> Level:
    """The level that a number stands for."""
    return stride if isinstance(stride, Level) else Level(as_axes(stride))


def pack(coordinates: Tensor) -> Tensor:
    """int (N, 4) batch, x, y, z -> int64 (N,) keys that sort by batch, x, y, z."""
    key, *axes = coordinates.long().unbind(1)
    for axis in axes:
        key = torch.add(axis, key, alpha=1 << BITS)
    return key + ((SHIFT << 2 * BITS) + (SHIFT << BITS) + SHIFT)


def unpack(keys: Tensor) -> Tensor:
    """int64 (N,) keys -> int32 (N, 4) batch, x, y, z."""
    mask = (1 << BITS) - 1
    axes = [(keys >> shift & mask) - SHIFT for shift in (2 * BITS, BITS, 0)]
    return torch.stack([keys >> 3 * BITS, *axes], 1).int()


def find_sites(coordinates: Tensor, level: Level) -> tuple[Tensor, Tensor]:
    """The sites of a level, several times each, without waiting for the device.

    Args:
        coordinates: int32 (N, 4) batch, x, y, z of the voxels.
        level: another one than the voxels' own.

    Returns:
        sorted keys int64 (M,), and bool (M,), which are the first of their site.
    """
    if level.reach is None:
        batch, *axes = coordinates.unbind(1)
        cells = [torch.div(c, s, rounding_mode="floor") * s for c, s in zip(axes, level.stride, strict=True)]
        keys = pack(torch.stack([batch, *cells], 1)).sort().values
        return keys, F.pad(keys[1:] != keys[:-1], (1, 0), value=True)
    keys = _sites_within(coordinates.long(), level, level.reach).sort().values
    return keys, F.pad(keys[1:] != keys[:-1], (1, 0), value=True) & (keys != LAST)


def _sites_within(coordinates: Tensor, level: Level, reach: Axes) -> Tensor:
    """Keys of all sites within reach of each voxel, int64 (N * candidates,); `LAST` in place of what is none."""
    keys, valid = coordinates[:, :1], torch.ones_like(coordinates[:, :1], dtype=torch.bool)
    for axis, (stride, distance) in enumerate(zip(level.stride, reach, strict=True)):
        position = coordinates[:, axis + 1, None]
        below = position.remainder(stride)  # how far the site at or below the voxel is away
        steps = torch.arange(-(distance // stride), (distance + stride - 1) // stride + 1, device=keys.device)
        away = steps * stride - below
        site, near = position + away, away.abs() <= distance
        if level.extent is not None:
            near &= (site >= 0) & (site < level.extent[axis])
        keys = ((keys << BITS)[:, :, None] + (site + SHIFT)[:, None, :]).flatten(1)
        valid = (valid[:, :, None] & near[:, None, :]).flatten(1)
    return keys.masked_fill(~valid, LAST).view(-1)


def closed(keys: Tensor) -> Tensor:
    """Sorted keys, then one larger than all: a search past the last voxel finds a key that equals no query."""
    return torch.cat([keys, torch.full_like(keys[:1], LAST)])


def places(mask: Tensor, count: int) -> Tensor:
    """int64 (count,), where a bool (N,) mask is true; on a GPU without waiting for it, as the count is known."""
    found = mask.nonzero() if mask.device.type == "cpu" else torch.nonzero_static(mask, size=count)
    return found.squeeze(1)
