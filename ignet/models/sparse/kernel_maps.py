"""Which voxels meet in a sparse convolution, in plain PyTorch.

Voxels are sorted int64 keys and neighbours are found by binary search; K is the number of a kernel's offsets. What a
size depends on is counted on the device and read in one transfer for all maps of a batch, so that a GPU is not stopped
for each of them.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ignet.models.sparse.levels import BITS, Axes, places

# larger blocks leave the processor's cache, smaller ones cost more calls
BLOCK_ROWS = {"cpu": 4096, "cuda": 262144}


class Block(NamedTuple):
    """The (output, offset) pairs of a run of output rows, sorted by offset."""

    source: Tensor  # int32 (P,) input row of each pair
    target: Tensor  # int32 (P,) output row of each pair
    counts: list[int]  # pairs of each offset in ``used``
    used: list[int]  # the offsets that have pairs
    ends: Tensor  # int32 (K,) where the pairs of each offset end
    unused: Tensor  # bool (K, 1, 1) the offsets that have no pair
    order: Tensor  # int32 (P,) the pairs sorted by output row
    begin: Tensor  # int32 (rows + 1,) where each output row's pairs begin in ``order``


class KernelMap(NamedTuple):
    """All pairs of one convolution.

    ``identity`` is the offset (if any) at which each output row meets the input row of its own number. Where the map is
    ``mirrored``, the offset k of a block is the offset K - 1 - k of the kernel.
    """

    blocks: list[Block]
    identity: int | None
    mirrored: bool = False

    def in_order(self, weights: Sequence[Tensor]) -> Sequence[Tensor]:
        """A tensor for each offset of the kernel, in the order of the blocks' offsets."""
        return weights[::-1] if self.mirrored else weights


def neighbours(source: Tensor, target: Tensor, kernel_size: Axes, stride: Axes) -> Tensor:
    """The place in ``source`` at each offset from each voxel of ``target``.

    Args:
        source: int64 (N + 1,) closed keys of the input voxels.
        target: int64 (M + 1,) closed keys of the output voxels; ``source`` itself where the levels are the same.
        kernel_size: along x, y, z.
        stride: of the input level.

    Returns:
        int32 (kernel's volume, M), -1 where there is no voxel.
    """
    rows, columns, device = len(target) - 1, kernel_size[0] * kernel_size[1], source.device
    x, y, z = (
        _key_steps(size, step << bits, device)
        for size, step, bits in zip(kernel_size, stride, (2 * BITS, BITS, 0), strict=True)
    )
    # z, then y and x, the last one fastest
    shift = (y[:, None] + x).view(-1) + z[:, None]
    table = torch.empty((len(z), columns, rows), dtype=torch.int32, device=device)
    at_once = 1 if device.type == "cpu" else columns  # few columns stay in the processor's cache
    for start in range(0, columns, at_once):
        queries = target[:-1] + shift[:, start : start + at_once, None]
        position = torch.searchsorted(source, queries[0], out_int32=True)
        none = position.new_full((), -1)
        for iz, query in enumerate(queries):
            found = source.index_select(0, position.view(-1)).view_as(query) == query
            torch.where(found, position, none, out=table[iz, start : start + at_once])
            # z is the lowest part of a key: nothing lies between a voxel and the next one up
            position += found
    return table.view(len(shift) * columns, rows)


def _key_steps(size: int, unit: int, device: torch.device) -> Tensor:
    """How far a kernel's offsets along one axis lead, in keys: int64 (size,)."""
    first = -(size // 2) if size % 2 else 0
    return torch.arange(first * unit, (first + size) * unit, unit, device=device)


def reversed_table(table: Tensor, rows: int) -> Tensor:
    """int32 (K, M) input row at each offset from each output row -> (K, rows) output row from each input row."""
    swapped = table.new_full((len(table), rows + 1), -1)
    number = torch.arange(table.shape[1], dtype=torch.int32, device=table.device)
    swapped.scatter_(1, table.masked_fill(table < 0, rows).long(), number.expand_as(table))
    return swapped[:, :-1]


def kernel_maps(tables: Iterable[tuple[Tensor, int | None]]) -> list[KernelMap]:
    """Turn tables of neighbours into blocks of pairs; one transfer from the device for all of them.

    Args:
        tables: int32 (K, outputs), -1 for none, and the identity; the table's row of the identity is overwritten.
    """
    parts, identities = [], []
    for number, (table, identity) in enumerate(tables):
        if identity is not None:
            table[identity] = -1
        size = BLOCK_ROWS.get(table.device.type, BLOCK_ROWS["cuda"])
        parts += [(number, first, part.contiguous()) for first, part in _split(table, size)]
        identities.append(identity)
    present = [part >= 0 for _, _, part in parts]
    each = [mask.sum(1) for mask in present]
    counts = torch.cat(each).tolist()
    maps = [KernelMap([], identity) for identity in identities]
    for (number, first, part), mask, on_device in zip(parts, present, each, strict=True):
        own, counts = counts[: len(part)], counts[len(part) :]
        maps[number].blocks.append(_block(part, mask, first, own, on_device))
    return maps


def _split(table: Tensor, size: int) -> Iterable[tuple[int, Tensor]]:
    return zip(range(0, table.shape[1], size), table.split(size, 1), strict=True)


def _block(table: Tensor, present: Tensor, first: int, counts: list[int], sizes: Tensor) -> Block:
    offsets, rows = table.shape
    total, by_row = sum(counts), present.T.reshape(-1)
    place = places(present.view(-1), total)  # offset * rows + row
    target = torch.arange(first, first + rows, dtype=torch.int32, device=table.device)
    pair = present.view(-1).cumsum(0, dtype=torch.int32).sub_(1).view(offsets, rows)
    return Block(
        source=table.view(-1).index_select(0, place),
        target=target.repeat(offsets).index_select(0, place),
        counts=[n for n in counts if n],
        used=[k for k, n in enumerate(counts) if n],
        ends=sizes.cumsum(0, dtype=torch.int32),
        unused=(sizes == 0).view(-1, 1, 1),
        order=pair.T.reshape(-1).index_select(0, places(by_row, total)),
        begin=torch.nn.functional.pad(present.sum(0).cumsum(0, dtype=torch.int32), (1, 0)),
    )
