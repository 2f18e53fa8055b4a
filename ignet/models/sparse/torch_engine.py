"""Sparse convolution in plain PyTorch: bitwise repeatable on the CPU, the same on CUDA, with nothing to compile.

Voxels are sorted int64 keys and neighbours are found by binary search. A convolution works through blocks of output
rows, so that its memory is bounded: gather the input rows of all (output, offset) pairs of the block, multiply those of
each offset by its weight, and sum each output's products in a fixed order. Nothing is added atomically, hence the
repeatability.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ignet.models.sparse.geometry import check_convolution, check_coordinates, duplicate_error

# 18 bits an axis hold the allowed coordinates and a kernel's reach around them, so that no neighbour's key carries into
# the next axis
BITS = 18
SHIFT = 1 << (BITS - 1)
# larger blocks leave the processor's cache, smaller ones cost more calls
BLOCK_ROWS = {"cpu": 4096, "cuda": 262144}


class Block(NamedTuple):
    """The (output, offset) pairs of a run of output rows, sorted by offset."""

    source: Tensor  # int32 (P,) input row of each pair
    target: Tensor  # int32 (P,) output row of each pair
    counts: list[int]  # pairs of each offset in ``used``
    used: list[int]  # the offsets that have pairs
    order: Tensor  # int32 (P,) the pairs sorted by output row
    begin: Tensor  # int32 (rows + 1,) where each output row's pairs begin in ``order``


class KernelMap(NamedTuple):
    """All pairs of one convolution.

    ``identity`` is the offset (if any) at which each output row meets the input row of its own number.
    """

    blocks: list[Block]
    identity: int | None


class Level(NamedTuple):
    """The voxels of one stride."""

    coordinates: Tensor  # int32 (N, 4)
    keys: Tensor  # int64 (N + 1,) sorted, then one larger than all
    row: Tensor | None  # int64 (N + 1,) row of each sorted key, then -1; none where the rows are sorted


class TorchGeometry:
    """Voxels and kernel maps in plain PyTorch; see `ignet.models.sparse.geometry.Geometry`."""

    engine = "torch"

    def __init__(self, coordinates: Tensor):
        """Take int32 (N, 4) coordinates (batch, x, y, z), each voxel once.

        Raises:
            IgnetError: wrong shape or type, out of range, or duplicates.
        """
        check_coordinates(coordinates)
        self.device = coordinates.device
        keys = pack(coordinates)
        row = None
        if not bool((keys[1:] > keys[:-1]).all()):
            keys, row = keys.sort()
            distinct = 1 + int((keys[1:] > keys[:-1]).sum())
            if distinct < len(keys):
                raise duplicate_error(len(keys), distinct)
            row = torch.cat([row, row.new_tensor([-1])])
        self._levels = {1: Level(coordinates, _close(keys), row)}
        self._maps: dict[tuple[int, int, int], tuple[KernelMap, KernelMap]] = {}

    def rows(self, stride: int) -> int:
        """Number of voxels of a level."""
        return len(self._level(stride).coordinates)

    def coordinates(self, stride: int) -> Tensor:
        """int32 (rows, 4) of a level."""
        return self._level(stride).coordinates

    def convolve(self, features: Tensor, kernel: Tensor, kernel_size: int, in_stride: int, out_stride: int) -> Tensor:
        """Sparse convolution; see `ignet.models.sparse.geometry.Geometry.convolve`."""
        check_convolution(self.rows(in_stride), features, kernel, kernel_size, in_stride, out_stride)
        if torch.is_autocast_enabled(features.device.type) and features.dtype != torch.float64:
            dtype = torch.get_autocast_dtype(features.device.type)
            features, kernel = features.to(dtype), kernel.to(dtype)
        result: Tensor = _Convolution.apply(features, kernel, self, (kernel_size, in_stride, out_stride))
        return result

    def kernel_map(self, kernel_size: int, in_stride: int, out_stride: int, reverse: bool = False) -> KernelMap:
        """The pairs of a convolution or, reversed, of its gradient: outputs to inputs, same offset numbers."""
        if in_stride > out_stride:
            in_stride, out_stride, reverse = out_stride, in_stride, not reverse
        key = (kernel_size, in_stride, out_stride)
        if key not in self._maps:
            self._maps[key] = self._both_ways(*key)
        return self._maps[key][reverse]

    def _both_ways(self, kernel_size: int, in_stride: int, out_stride: int) -> tuple[KernelMap, KernelMap]:
        table = self._table(kernel_size, in_stride, out_stride)
        if in_stride == out_stride and kernel_size % 2:
            last = kernel_size**3 - 1
            forward = _kernel_map(table, last // 2)
            # point symmetry: the same pairs, met from the other side
            return forward, forward._replace(
                blocks=[block._replace(used=[last - k for k in block.used]) for block in forward.blocks]
            )
        k, target = (table >= 0).nonzero(as_tuple=True)
        swapped = table.new_full((len(table), self.rows(in_stride)), -1)
        swapped[k, table[k, target].long()] = target.int()
        return _kernel_map(table, None), _kernel_map(swapped, None)

    def _level(self, stride: int) -> Level:
        if stride not in self._levels:
            finer = self._levels[max(s for s in self._levels if stride % s == 0)].coordinates
            spatial = torch.div(finer[:, 1:], stride, rounding_mode="floor") * stride
            keys = torch.unique(pack(torch.cat([finer[:, :1], spatial], 1)))
            self._levels[stride] = Level(unpack(keys), _close(keys), None)
        return self._levels[stride]

    def _table(self, kernel_size: int, in_stride: int, out_stride: int) -> Tensor:
        """int32 (K^3, rows(out)): the input row at each offset from each output row, -1 where there is none.

        In_stride <= out_stride.
        """
        source, target = self._level(in_stride), self._level(out_stride)
        symmetric = in_stride == out_stride and kernel_size % 2 == 1
        start = -(kernel_size // 2) if kernel_size % 2 else 0
        table = torch.full((kernel_size**3, self.rows(out_stride)), -1, dtype=torch.int32, device=self.device)
        for column in range(kernel_size**2 // 2 + 1 if symmetric else kernel_size**2):
            iy, ix = divmod(column, kernel_size)
            query = target.keys[:-1] + (((start + ix << BITS) + (start + iy) << BITS) + start) * in_stride
            position = torch.searchsorted(source.keys, query)
            for iz in range(kernel_size):
                k = ix + kernel_size * iy + kernel_size**2 * iz
                found = source.keys[position] == query
                at = found.nonzero().squeeze(1)
                table[k, at] = position[at].int()
                if symmetric:
                    table[len(table) - 1 - k, position[at]] = at.int()
                # z is the lowest part of a key: nothing lies between a voxel and the next one up
                position += found
                query += in_stride
        if source.row is not None:
            table = source.row.int()[table.long()]
        if target.row is not None:
            table = torch.empty_like(table).index_copy_(1, target.row[:-1], table)
        return table


def pack(coordinates: Tensor) -> Tensor:
    """int (N, 4) batch, x, y, z -> int64 (N,) keys that sort by batch, x, y, z."""
    batch, x, y, z = coordinates.long().unbind(1)
    return (((batch << BITS) + x + SHIFT << BITS) + y + SHIFT << BITS) + z + SHIFT


def unpack(keys: Tensor) -> Tensor:
    """int64 (N,) keys -> int32 (N, 4) batch, x, y, z."""
    mask = (1 << BITS) - 1
    axes = [(keys >> shift & mask) - SHIFT for shift in (2 * BITS, BITS, 0)]
    return torch.stack([keys >> 3 * BITS, *axes], 1).int()


def _close(keys: Tensor) -> Tensor:
    # a search past the last voxel then finds a key that equals no query
    return torch.cat([keys, keys.new_tensor([torch.iinfo(torch.int64).max])])


def _kernel_map(table: Tensor, identity: int | None) -> KernelMap:
    """Turn a table of neighbours, int32 (K^3, outputs) with -1 for none, into blocks of pairs."""
    if identity is not None:
        table = table.clone()
        table[identity] = -1
    size = BLOCK_ROWS.get(table.device.type, BLOCK_ROWS["cuda"])
    return KernelMap(
        [_block(table[:, first : first + size].contiguous(), first) for first in range(0, table.shape[1], size)],
        identity,
    )


def _block(table: Tensor, first: int) -> Block:
    offsets, rows = table.shape
    present = table >= 0
    pair = present.view(-1).cumsum(0, dtype=torch.int32) - 1
    place = present.view(-1).nonzero().squeeze(1)  # offset * rows + row, sorted by offset
    target = place % rows
    by_target = present.T.reshape(-1).nonzero().squeeze(1)  # row * offsets + offset, sorted by row
    begin = torch.zeros(rows + 1, dtype=torch.int32, device=table.device)
    begin[1:] = torch.bincount(target, minlength=rows).cumsum(0)
    ends = torch.searchsorted(place, rows * torch.arange(offsets + 1, device=table.device))
    counts = ends.diff().tolist()
    return Block(
        source=table.view(-1).index_select(0, place),
        target=(target + first).int(),
        counts=[n for n in counts if n],
        used=[k for k, n in enumerate(counts) if n],
        order=pair.index_select(0, by_target % offsets * rows + by_target // offsets),
        begin=begin,
    )


class _Convolution(torch.autograd.Function):
    """Keeps only the input and the weight for the gradient, and gathers again."""

    @staticmethod
    def forward(
        ctx: Any, features: Tensor, kernel: Tensor, geometry: TorchGeometry, which: tuple[int, int, int]
    ) -> Tensor:
        ctx.save_for_backward(features, kernel)
        ctx.geometry, ctx.which = geometry, which
        kernel_map, weights = geometry.kernel_map(*which), kernel.unbind(0)
        sums = [
            _sum(_multiply(features.index_select(0, block.source), weights, block), block)
            for block in kernel_map.blocks
        ]
        return _join(sums, features, weights, kernel_map.identity)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor, None, None]:
        features, kernel = ctx.saved_tensors
        kernel_map, weights = ctx.geometry.kernel_map(*ctx.which, reverse=True), kernel.transpose(1, 2).unbind(0)
        gradient = gradient.contiguous()
        sums = []
        # half precision would lose the sum over the blocks
        kernel_gradient = torch.zeros_like(kernel, dtype=torch.promote_types(kernel.dtype, torch.float32))
        each = kernel_gradient.unbind(0)
        for block in kernel_map.blocks:
            gathered = gradient.index_select(0, block.source)
            if ctx.needs_input_grad[0]:
                sums.append(_sum(_multiply(gathered, weights, block), block))
            facing = features.index_select(0, block.target).split(block.counts)
            for k, ours, theirs in zip(block.used, facing, gathered.split(block.counts), strict=True):
                each[k].add_(ours.t().mm(theirs))
        if kernel_map.identity is not None:
            kernel_gradient[kernel_map.identity] = features.T @ gradient
        feature_gradient = _join(sums, gradient, weights, kernel_map.identity) if sums else None
        return feature_gradient, kernel_gradient.to(kernel.dtype), None, None


def _multiply(gathered: Tensor, weights: tuple[Tensor, ...], block: Block) -> Tensor:
    """(P, Cin) gathered rows -> (P, Cout), each times the weight of its offset."""
    products = gathered.new_empty(len(gathered), weights[0].shape[1])
    for k, rows, out in zip(block.used, gathered.split(block.counts), products.split(block.counts), strict=True):
        torch.mm(rows, weights[k], out=out)
    return products


def _sum(products: Tensor, block: Block) -> Tensor:
    """(P, C) products -> (rows, C), the sum of each output row's products in the order of the offsets."""
    if len(products) == 0:
        return products.new_zeros(len(block.begin) - 1, products.shape[1])
    return torch.embedding_bag(products, block.order, block.begin, False, 0, False, None, True)[0]


def _join(sums: list[Tensor], features: Tensor, weights: tuple[Tensor, ...], identity: int | None) -> Tensor:
    result = sums[0] if len(sums) == 1 else torch.cat(sums)
    return result if identity is None else result.addmm_(features, weights[identity])
