"""Sparse convolution in plain PyTorch: bitwise repeatable on the CPU, the same on CUDA, with nothing to compile.

A convolution works through blocks of output rows, so that its memory is bounded: gather the input rows of all (output,
offset) pairs of the block, multiply those of each offset by its weight, and sum each output's products in a fixed
order. Nothing is added atomically, hence the repeatability. In bfloat16 on CUDA the products of all offsets are one
kernel.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from ignet.models.sparse.geometry import (
    Convolution,
    check_bounds,
    check_convolution,
    check_layout,
    coordinate_bounds,
    duplicate_error,
)
from ignet.models.sparse.kernel_maps import (
    Block,
    KernelMap,
    closed,
    kernel_maps,
    neighbours,
    pack,
    places,
    reversed_table,
    unpack,
)


class Level(NamedTuple):
    """The voxels of one stride."""

    coordinates: Tensor  # int32 (N, 4)
    keys: Tensor  # int64 (N + 1,) sorted, then one larger than all
    row: Tensor | None  # int64 (N + 1,) row of each sorted key, then -1; none where the rows are sorted


class TorchGeometry:
    """Voxels and kernel maps in plain PyTorch; see `ignet.models.sparse.geometry.Geometry`."""

    engine = "torch"

    def __init__(self, coordinates: Tensor, convolutions: Sequence[Convolution] = ()):
        """Take int32 (N, 4) coordinates (batch, x, y, z), each voxel once, and make the maps of ``convolutions``.

        A GPU is waited for twice, for the sizes of all levels and of all maps; then once more for each convolution that
        is not among them.

        Raises:
            IgnetError: wrong shape or type, out of range, or duplicates.
        """
        check_layout(coordinates)
        self.device = coordinates.device
        keys = pack(coordinates)
        cells = {stride: _cells(coordinates, stride) for *_, stride in convolutions if stride > 1}
        numbers = [(keys[1:] <= keys[:-1]).sum(), *(first.sum() for _, first in cells.values())]
        found = torch.cat([coordinate_bounds(coordinates).view(-1), torch.stack(numbers)]).tolist()
        bounds, unsorted, counts = found[:8], found[8], found[9:]
        check_bounds(*bounds)
        row = None
        if unsorted:
            keys, row = keys.sort()
            distinct = 1 + int((keys[1:] > keys[:-1]).sum())
            if distinct < len(keys):
                raise duplicate_error(len(keys), distinct)
            row = F.pad(row, (0, 1), value=-1)
        self._levels = {1: Level(coordinates, closed(keys), row)}
        for (stride, sorted_cells), count in zip(cells.items(), counts, strict=True):
            self._levels[stride] = _level(*sorted_cells, count)
        self._maps: dict[Convolution, tuple[KernelMap, KernelMap]] = {}
        self._make_maps(convolutions)

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
            features = features.to(dtype)
        result: Tensor = _Convolution.apply(features, kernel, self, (kernel_size, in_stride, out_stride))
        return result

    def kernel_map(self, kernel_size: int, in_stride: int, out_stride: int, reverse: bool = False) -> KernelMap:
        """The pairs of a convolution or, reversed, of its gradient: outputs to inputs, same offset numbers."""
        if in_stride > out_stride:
            in_stride, out_stride, reverse = out_stride, in_stride, not reverse
        key = (kernel_size, in_stride, out_stride)
        if key not in self._maps:
            self._make_maps([key])
        return self._maps[key][reverse]

    def _make_maps(self, convolutions: Sequence[Convolution]) -> None:
        tables: list[tuple[Tensor, int | None]] = []
        for convolution in convolutions:
            kernel_size, in_stride, out_stride = convolution
            table = self._table(*convolution)
            symmetric = in_stride == out_stride and kernel_size % 2
            tables.append((table, kernel_size**3 // 2 if symmetric else None))
            if not symmetric:
                tables.append((reversed_table(table, self.rows(in_stride)), None))
        made = iter(kernel_maps(tables)) if tables else iter(())
        for convolution in convolutions:
            forward = next(made)
            # point symmetry: the same pairs, met from the other side
            backward = next(made) if forward.identity is None else forward._replace(mirrored=True)
            self._maps[convolution] = (forward, backward)

    def _level(self, stride: int) -> Level:
        if stride not in self._levels:
            keys, first = _cells(self._levels[max(s for s in self._levels if stride % s == 0)].coordinates, stride)
            self._levels[stride] = _level(keys, first, int(first.sum()))
        return self._levels[stride]

    def _table(self, kernel_size: int, in_stride: int, out_stride: int) -> Tensor:
        """int32 (K^3, rows(out)): the input row at each offset from each output row, -1 where there is none.

        In_stride <= out_stride.
        """
        source, target = self._level(in_stride), self._level(out_stride)
        table = neighbours(source.keys, target.keys, kernel_size, in_stride)
        if source.row is not None:
            table = source.row.int()[table.long()]
        if target.row is not None:
            table = torch.empty_like(table).index_copy_(1, target.row[:-1], table)
        return table


def _cells(coordinates: Tensor, stride: int) -> tuple[Tensor, Tensor]:
    """Sorted keys of the voxels' cells at a coarser stride, int64 (N,), and which are the first of their cell."""
    spatial = torch.div(coordinates[:, 1:], stride, rounding_mode="floor") * stride
    keys = pack(torch.cat([coordinates[:, :1], spatial], 1)).sort().values
    return keys, F.pad(keys[1:] != keys[:-1], (1, 0), value=True)


def _level(keys: Tensor, first: Tensor, count: int) -> Level:
    keys = keys.index_select(0, places(first, count))
    return Level(unpack(keys), closed(keys), None)


class _Convolution(torch.autograd.Function):
    """Keeps only the input and the weight for the gradient, and gathers again; computes in the input's format."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, kernel: Tensor, geometry: TorchGeometry, which: Convolution) -> Tensor:
        ctx.save_for_backward(features, kernel)
        ctx.geometry, ctx.which = geometry, which
        kernel_map, kernel = geometry.kernel_map(*which), kernel.to(features.dtype)
        sums = [
            _sum(_multiply(features.index_select(0, block.source), kernel, kernel_map, block), block)
            for block in kernel_map.blocks
        ]
        return _join(sums, features, kernel, kernel_map.identity)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor, None, None]:
        features, kernel = ctx.saved_tensors
        kernel_map = ctx.geometry.kernel_map(*ctx.which, reverse=True)
        transposed = kernel.to(features.dtype).transpose(1, 2)
        gradient = gradient.contiguous()
        sums = []
        # half precision would lose the sum over the blocks
        kernel_gradient = torch.zeros_like(kernel, dtype=torch.promote_types(kernel.dtype, torch.float32))
        for block in kernel_map.blocks:
            gathered = gradient.index_select(0, block.source)
            if ctx.needs_input_grad[0]:
                sums.append(_sum(_multiply(gathered, transposed, kernel_map, block), block))
            _add_products(kernel_gradient, features.index_select(0, block.target), gathered, kernel_map, block)
        if kernel_map.identity is not None:
            kernel_gradient[kernel_map.identity] = features.T @ gradient
        feature_gradient = _join(sums, gradient, transposed, kernel_map.identity) if sums else None
        return feature_gradient, kernel_gradient.to(kernel.dtype), None, None


def _multiply(gathered: Tensor, kernel: Tensor, kernel_map: KernelMap, block: Block) -> Tensor:
    """(P, Cin) gathered rows -> (P, Cout), each times the weight of its offset."""
    if _has_grouped_products(gathered):
        width = kernel.shape[2]
        kernel = kernel.flip(0) if kernel_map.mirrored else kernel
        return F.grouped_mm(_aligned(gathered), _aligned(kernel, 1, 2), offs=block.ends)[:, :width]
    weights = kernel_map.in_order(kernel.unbind(0))
    products = gathered.new_empty(len(gathered), kernel.shape[2])
    for k, rows, out in zip(block.used, gathered.split(block.counts), products.split(block.counts), strict=True):
        torch.mm(rows, weights[k], out=out)
    return products


def _add_products(total: Tensor, facing: Tensor, gathered: Tensor, kernel_map: KernelMap, block: Block) -> None:
    """Add (P, Cin)^T (P, Cout) of each offset's pairs to (K^3, Cin, Cout)."""
    if _has_grouped_products(gathered):
        products = F.grouped_mm(_aligned(facing).t(), _aligned(gathered), offs=block.ends)
        # an offset without a pair is a product over nothing, which kernels may leave unwritten
        products = products[:, : facing.shape[1], : gathered.shape[1]].masked_fill(block.unused, 0)
        total.add_(products.flip(0) if kernel_map.mirrored else products)
        return
    each: Sequence[Tensor] = kernel_map.in_order(total.unbind(0))
    for k, ours, theirs in zip(block.used, facing.split(block.counts), gathered.split(block.counts), strict=True):
        each[k].add_(ours.t().mm(theirs))


def _has_grouped_products(rows: Tensor) -> bool:
    """Torch multiplies each group of rows by its own matrix in one kernel here."""
    device, supported = rows.device, hasattr(F, "grouped_mm") and rows.dtype == torch.bfloat16
    return supported and device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)


def _aligned(values: Tensor, *axes: int) -> Tensor:
    """Zeros to a multiple of 16 bytes along the axes (the last one by default), which grouped products ask for."""
    short = [-values.shape[axis] % 8 for axis in axes or (values.ndim - 1,)]
    return F.pad(values, [part for missing in reversed(short) for part in (0, missing)]) if any(short) else values


def _sum(products: Tensor, block: Block) -> Tensor:
    """(P, C) products -> (rows, C), the sum of each output row's products in the order of the offsets."""
    if len(products) == 0:
        return products.new_zeros(len(block.begin) - 1, products.shape[1])
    return torch.embedding_bag(products, block.order, block.begin, False, 0, False, None, True)[0]


def _join(sums: list[Tensor], features: Tensor, kernel: Tensor, identity: int | None) -> Tensor:
    result = sums[0] if len(sums) == 1 else torch.cat(sums)
    return result if identity is None else result.addmm_(features, kernel[identity])
