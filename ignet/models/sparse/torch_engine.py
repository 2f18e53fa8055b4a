"""Sparse convolution in plain PyTorch: bitwise repeatable on the CPU, the same on CUDA, with nothing to compile.

A convolution works through blocks of output rows, so that its memory is bounded: gather the input rows of the (output,
offset) pairs of the block, multiply those of each offset by its weight, and sum each output's products in a fixed
order. Nothing is added atomically, hence the repeatability. In bfloat16 on CUDA the products of all offsets are one
kernel.
"""

from collections.abc import Iterable, Sequence
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
    is_transposed,
)
from ignet.models.sparse.kernel_maps import Block, KernelMap, kernel_maps, neighbours, reversed_table
from ignet.models.sparse.levels import (
    VOXELS,
    Axes,
    Level,
    Stride,
    as_axes,
    as_level,
    closed,
    find_sites,
    pack,
    places,
    unpack,
)

_Key = tuple[Axes, Level, Level]


class Sites(NamedTuple):
    """The voxels of one level."""

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
        wanted = [_key(convolution) for convolution in convolutions]
        keys = pack(coordinates)
        sites = {level: find_sites(coordinates, level) for *_, level in wanted if level != VOXELS}
        numbers = [(keys[1:] <= keys[:-1]).sum(), *(first.sum() for _, first in sites.values())]
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
        self._levels = {VOXELS: Sites(coordinates, closed(keys), row)}
        for (level, found_sites), count in zip(sites.items(), counts, strict=True):
            self._levels[level] = _distinct(*found_sites, count)
        self._maps: dict[_Key, tuple[KernelMap, KernelMap]] = {}
        self._make_maps(wanted)

    def rows(self, stride: Stride) -> int:
        """Number of voxels of a level."""
        return len(self._sites(as_level(stride)).coordinates)

    def coordinates(self, stride: Stride) -> Tensor:
        """int32 (rows, 4) of a level."""
        return self._sites(as_level(stride)).coordinates

    def convolve(
        self, features: Tensor, kernel: Tensor, kernel_size: int | Axes, in_stride: Stride, out_stride: Stride
    ) -> Tensor:
        """Sparse convolution; see `ignet.models.sparse.geometry.Geometry.convolve`."""
        check_convolution(self.rows(in_stride), features, kernel, kernel_size, in_stride, out_stride)
        if torch.is_autocast_enabled(features.device.type) and features.dtype != torch.float64:
            dtype = torch.get_autocast_dtype(features.device.type)
            features = features.to(dtype)
        result: Tensor = _Convolution.apply(features, kernel, self, (kernel_size, in_stride, out_stride))
        return result

    def kernel_map(
        self, kernel_size: int | Axes, in_stride: Stride, out_stride: Stride, reverse: bool = False
    ) -> KernelMap:
        """The pairs of a convolution or, reversed, of its gradient: outputs to inputs, same offset numbers."""
        if is_transposed(in_stride, out_stride):
            in_stride, out_stride, reverse = out_stride, in_stride, not reverse
        key = _key((kernel_size, in_stride, out_stride))
        if key not in self._maps:
            self._make_maps([key])
        return self._maps[key][reverse]

    def _make_maps(self, keys: Sequence[_Key]) -> None:
        tables: list[tuple[Tensor, int | None]] = []
        for key in keys:
            kernel_size, in_level, out_level = key
            table = self._table(*key)
            symmetric = in_level == out_level and all(size % 2 for size in kernel_size)
            tables.append((table, len(table) // 2 if symmetric else None))
            if not symmetric:
                tables.append((reversed_table(table, self.rows(in_level)), None))
        made = iter(kernel_maps(tables)) if tables else iter(())
        for key in keys:
            forward = next(made)
            # point symmetry: the same pairs, met from the other side
            backward = next(made) if forward.identity is None else forward._replace(mirrored=True)
            self._maps[key] = (forward, backward)

    def _sites(self, level: Level) -> Sites:
        if level not in self._levels:
            keys, first = find_sites(self._levels[VOXELS].coordinates, level)
            self._levels[level] = _distinct(keys, first, int(first.sum()))
        return self._levels[level]

    def _table(self, kernel_size: Axes, in_level: Level, out_level: Level) -> Tensor:
        """int32 (K, rows(out)): the input row at each offset from each output row, -1 where there is none.

        The input's level is the finer one.
        """
        source, target = self._sites(in_level), self._sites(out_level)
        table = neighbours(source.keys, target.keys, kernel_size, in_level.stride)
        if source.row is not None:
            table = source.row.int()[table.long()]
        if target.row is not None:
            table = torch.empty_like(table).index_copy_(1, target.row[:-1], table)
        return table


def _key(convolution: Convolution) -> _Key:
    kernel_size, in_stride, out_stride = convolution
    return as_axes(kernel_size), as_level(in_stride), as_level(out_stride)


def _distinct(keys: Tensor, first: Tensor, count: int) -> Sites:
    keys = keys.index_select(0, places(first, count))
    return Sites(unpack(keys), closed(keys), None)


class _Convolution(torch.autograd.Function):
    """Keeps only the input and the weight for the gradient, and gathers again; computes in the input's format."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, kernel: Tensor, geometry: TorchGeometry, which: Convolution) -> Tensor:
        ctx.save_for_backward(features, kernel)
        ctx.geometry, ctx.which = geometry, which
        kernel_map, kernel = geometry.kernel_map(*which), kernel.to(features.dtype)
        sums = [_sum(_multiply(features, kernel, kernel_map, block), block) for block in kernel_map.blocks]
        return _join(sums, features, kernel, kernel_map.identity)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor, None, None]:
        features, kernel = ctx.saved_tensors
        kernel_map = ctx.geometry.kernel_map(*ctx.which, reverse=True)
        transposed = kernel.to(features.dtype).transpose(1, 2)
        gradient = gradient.contiguous()
        weights = transposed if ctx.needs_input_grad[0] else None
        sums = []
        # half precision would lose the sum over the blocks
        kernel_gradient = torch.zeros_like(kernel, dtype=torch.promote_types(kernel.dtype, torch.float32))
        for block in kernel_map.blocks:
            products = _multiply_back(features, gradient, weights, kernel_gradient, kernel_map, block)
            if products is not None:
                sums.append(_sum(products, block))
        if kernel_map.identity is not None:
            kernel_gradient[kernel_map.identity] = features.T @ gradient
        feature_gradient = _join(sums, gradient, transposed, kernel_map.identity) if sums else None
        return feature_gradient, kernel_gradient.to(kernel.dtype), None, None


def _multiply(features: Tensor, kernel: Tensor, kernel_map: KernelMap, block: Block) -> Tensor:
    """(rows, Cin) -> (P, Cout), the input row of each pair times the weight of its offset."""
    if _has_grouped_products(features):
        return _grouped_products(features.index_select(0, block.source), kernel, kernel_map, block)
    products = features.new_empty(len(block.source), kernel.shape[2])
    weights = kernel_map.in_order(kernel.unbind(0))
    gathered = _gather(features, block.source, block)
    for k, rows, out in zip(block.used, gathered, products.split(block.counts), strict=True):
        torch.mm(rows, weights[k], out=out)
    return products


def _multiply_back(
    features: Tensor, gradient: Tensor, transposed: Tensor | None, total: Tensor, kernel_map: KernelMap, block: Block
) -> Tensor | None:
    """Add (P, Cin)^T (P, Cout) of each offset to (K, Cin, Cout) total; (rows, Cout) gradients -> (P, Cin) products.

    Without transposed weights the features need no gradient, and there are no products.
    """
    if _has_grouped_products(features):
        theirs = gradient.index_select(0, block.source)
        _add_grouped_products(total, features.index_select(0, block.target), theirs, kernel_map, block)
        return None if transposed is None else _grouped_products(theirs, transposed, kernel_map, block)
    totals = kernel_map.in_order(total.unbind(0))
    weights = None if transposed is None else kernel_map.in_order(transposed.unbind(0))
    products = gradient.new_empty(len(block.source), features.shape[1])
    pairs = zip(_gather(features, block.target, block), _gather(gradient, block.source, block), strict=True)
    for k, (ours, theirs), out in zip(block.used, pairs, products.split(block.counts), strict=True):
        if weights is not None:
            torch.mm(theirs, weights[k], out=out)
        totals[k].add_(ours.t().mm(theirs))
    return None if weights is None else products


def _gather(values: Tensor, places: Tensor, block: Block) -> Iterable[Tensor]:
    """The rows of each offset's pairs: on the CPU when their turn comes, so that they are used while in its cache."""
    if values.device.type == "cpu":
        return (values.index_select(0, each) for each in places.split(block.counts))
    return values.index_select(0, places).split(block.counts)


def _grouped_products(gathered: Tensor, kernel: Tensor, kernel_map: KernelMap, block: Block) -> Tensor:
    width = kernel.shape[2]
    kernel = kernel.flip(0) if kernel_map.mirrored else kernel
    return F.grouped_mm(_aligned(gathered), _aligned(kernel, 1, 2), offs=block.ends)[:, :width]


def _add_grouped_products(total: Tensor, ours: Tensor, theirs: Tensor, kernel_map: KernelMap, block: Block) -> None:
    products = F.grouped_mm(_aligned(ours).t(), _aligned(theirs), offs=block.ends)
    # an offset without a pair is a product over nothing, which kernels may leave unwritten
    products = products[:, : ours.shape[1], : theirs.shape[1]].masked_fill(block.unused, 0)
    total.add_(products.flip(0) if kernel_map.mirrored else products)


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
