"""Levels with a stride for each axis, expanded levels and kernels with a size for each axis: both engines against plain
Python."""

from itertools import pairwise, product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_sparse import ENGINES, scattered
from torch import Tensor

from ignet.models.sparse.engine import make_geometry
from ignet.models.sparse.layers import SparseConv3d, SparseSequential
from ignet.models.sparse.levels import VOXELS, Level, as_level
from ignet.models.sparse.torch_engine import TorchGeometry

EXTENT = (9, 8, 5)
CUBE = (3, 3, 3)


def levels(convolutions, extent=None) -> list[Level]:
    """Level 1 and the expanded ones below it, by kernel size and stride."""
    chain = [VOXELS]
    for kernel_size, step in convolutions:
        chain.append(chain[-1].expanded(kernel_size, step, extent))
    return chain


TWICE = levels([(CUBE, (2, 2, 2)), (CUBE, (2, 2, 1))])
BOUNDED = levels([(CUBE, (2, 2, 2)), (CUBE, (2, 2, 1))], EXTENT)
CONVOLUTIONS = [
    *(((x, y, z), VOXELS, VOXELS) for x, y, z in [(3, 1, 3), (1, 3, 3), (3, 1, 1), (1, 3, 1), (1, 1, 3), (2, 3, 1)]),
    ((3, 1, 3), 2, 2),
    (CUBE, 1, Level((2, 2, 1))),
    ((2, 2, 1), 1, Level((2, 2, 1))),
    ((2, 2, 1), Level((2, 2, 1)), 1),
    (CUBE, Level((2, 2, 1)), Level((4, 4, 2))),
    *((CUBE, one, other) for chain in (TWICE, BOUNDED) for fine, coarse in [chain[:2], chain[1:]] for one, other in
      [(fine, coarse), (coarse, fine)]),
    (CUBE, TWICE[1], TWICE[1]),
    ((1, 3, 3), BOUNDED[2], BOUNDED[2]),
]  # fmt: skip


def cells(seed: int, share: float = 0.3) -> Tensor:
    """Occupied cells within `EXTENT` in random order: int32 (N, 4)."""
    found = scattered(seed, share).abs()
    found = found[(found[:, 1:] < torch.tensor(EXTENT)).all(1)].unique(dim=0)
    found[0, 1:] = torch.tensor(EXTENT) - 1  # a corner of the box
    found = found.unique(dim=0)
    return found[torch.randperm(len(found), generator=torch.Generator().manual_seed(seed))]


def reached(sites: set, kernel_size, step, extent=None) -> set:
    """One strided convolution's output sites, in units of its stride: every q with q * step + offset = p."""
    return {
        (batch, *q)
        for batch, *p in sites
        for q in product(
            *(range((c - k) // s - 1, (c + k) // s + 2) for c, k, s in zip(p, kernel_size, step, strict=True))
        )
        if all(abs(b * s - c) <= k // 2 for b, c, k, s in zip(q, p, kernel_size, step, strict=True))
        and (extent is None or all(0 <= b < n for b, n in zip(q, extent, strict=True)))
    }


def rows_of(geometry, level) -> list[tuple[int, ...]]:
    return [tuple(row) for row in geometry.coordinates(level).tolist()]


@pytest.mark.parametrize("engine", ENGINES)
@settings(max_examples=12)
@given(
    seed=st.integers(0, 10**6),
    convolutions=st.lists(
        st.sampled_from([(CUBE, (2, 2, 2)), (CUBE, (2, 2, 1)), ((5, 3, 1), (3, 1, 1)), ((3, 1, 5), (1, 1, 2))]),
        min_size=1,
        max_size=3,
    ),
    bounded=st.booleans(),
)
def test_expanded_levels_are_what_chained_kernels_reach(
    engine: str, seed: int, convolutions: list, bounded: bool
) -> None:
    coordinates = cells(seed, 0.05) if bounded else scattered(seed, 0.03)
    geometry = make_geometry(engine, coordinates)
    sites, stride, shape = {tuple(row) for row in coordinates.tolist()}, (1, 1, 1), EXTENT
    chain = levels(convolutions, EXTENT if bounded else None)
    for level, (kernel_size, step) in zip(chain[1:], convolutions, strict=True):
        shape = tuple(-(-n // s) for n, s in zip(shape, step, strict=True))
        sites = reached(sites, kernel_size, step, shape if bounded else None)
        stride = tuple(s * t for s, t in zip(stride, step, strict=True))
        found = rows_of(geometry, level)
        assert level.stride == stride and geometry.rows(level) == len(found) == len(set(found))
        assert set(found) == {(b, *(c * s for c, s in zip(site, stride, strict=True))) for b, *site in sites}


def test_an_expanded_level_by_hand() -> None:
    """Two voxels of one line: an even one is a site itself, an odd one lies between two; a box ends before the
    second."""
    geometry = TorchGeometry(torch.tensor([[0, -2, 0, 0], [1, 5, 0, 0]], dtype=torch.int32))
    level = VOXELS.expanded((3, 1, 1), (2, 1, 1))
    assert rows_of(geometry, level) == [(0, -2, 0, 0), (1, 4, 0, 0), (1, 6, 0, 0)]
    assert rows_of(geometry, VOXELS.expanded((3, 1, 1), (2, 1, 1), (6, 1, 1))) == [(1, 4, 0, 0)]
    assert rows_of(geometry, level.expanded((3, 1, 1), (2, 1, 1))) == [(0, -4, 0, 0), (0, 0, 0, 0), (1, 4, 0, 0),
                                                                      (1, 8, 0, 0)]  # fmt: skip


@pytest.mark.parametrize("engine", ENGINES)
def test_floor_levels_have_a_stride_for_each_axis(engine: str) -> None:
    coordinates = scattered(1)
    expected = {(b, x // 2 * 2, y // 4 * 4, z) for b, x, y, z in coordinates.tolist()}
    found = rows_of(make_geometry(engine, coordinates), Level((2, 4, 1)))
    assert len(found) == len(expected) and set(found) == expected


def plain(geometry, features: Tensor, kernel: Tensor, kernel_size, source, target) -> Tensor:
    """The convolution by its definition, pair by pair."""
    source, target = as_level(source), as_level(target)
    transposed = any(s > t for s, t in zip(source.stride, target.stride, strict=True))
    step = target.stride if transposed else source.stride
    inputs = {site: row for row, site in enumerate(rows_of(geometry, source))}
    offsets = [(x, y, z) for z in range(kernel_size[2]) for y in range(kernel_size[1]) for x in range(kernel_size[0])]
    shifts = [
        [(i - k // 2 if k % 2 else i) * s for i, k, s in zip(offset, kernel_size, step, strict=True)]
        for offset in offsets
    ]
    out = []
    for batch, *site in rows_of(geometry, target):
        total = features.new_zeros(kernel.shape[2])
        for k, shift in enumerate(shifts):
            other = tuple(c - d if transposed else c + d for c, d in zip(site, shift, strict=True))
            if (batch, *other) in inputs:
                total = total + features[inputs[batch, *other]] @ kernel[k]
        out.append(total)
    return torch.stack(out)


def operands(geometry, kernel_size, source, dtype=torch.float64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    features = torch.randn(geometry.rows(source), 3, generator=generator, dtype=torch.float64)
    kernel = torch.randn(kernel_size[0] * kernel_size[1] * kernel_size[2], 3, 2, generator=generator).double()
    return features.to(dtype).requires_grad_(), kernel.to(dtype).requires_grad_()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("convolution", CONVOLUTIONS, ids=str)
def test_a_convolution_follows_its_definition(engine: str, convolution) -> None:
    """Which both engines therefore compute, to 1e-10 in float64 and to its own precision in float32."""
    geometry = make_geometry(engine, cells(2, 0.1))
    for dtype, tolerance in ((torch.float64, 1e-10), (torch.float32, 1e-4)):
        features, kernel = operands(geometry, *convolution[:2], dtype)
        expected = plain(geometry, features, kernel, *convolution)
        found = geometry.convolve(features, kernel, *convolution)
        torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)
        cotangent = torch.randn(expected.shape, generator=torch.Generator().manual_seed(4)).to(dtype)
        gradients = [torch.autograd.grad(result, (features, kernel), cotangent) for result in (found, expected)]
        torch.testing.assert_close(*gradients, rtol=tolerance, atol=10 * tolerance)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_inverse_convolution_takes_the_pairs_of_the_convolution(engine: str) -> None:
    """With the weights transposed it is the adjoint, before and after the convolution itself has run."""
    geometry = make_geometry(engine, cells(5))
    fine, coarse = BOUNDED[1:]
    features, kernel = operands(geometry, CUBE, fine)
    back = torch.randn(geometry.rows(coarse), 2, dtype=torch.float64)
    first = geometry.convolve(back, kernel.transpose(1, 2).contiguous(), CUBE, coarse, fine)
    there = geometry.convolve(features, kernel, CUBE, fine, coarse)
    again = geometry.convolve(back, kernel.transpose(1, 2).contiguous(), CUBE, coarse, fine)
    torch.testing.assert_close((features * first).sum(), (there * back).sum(), rtol=1e-12, atol=1e-10)
    torch.testing.assert_close(again, first, rtol=0, atol=1e-12)


def test_maps_and_sites_that_were_announced_are_not_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    announced = [(CUBE, fine, coarse) for fine, coarse in pairwise(BOUNDED)] + [((3, 1, 3), VOXELS, VOXELS)]
    coordinates = cells(6)
    late, early = TorchGeometry(coordinates), TorchGeometry(coordinates, announced)
    expected = []
    for kernel_size, fine, coarse in announced:
        features, kernel = operands(late, kernel_size, fine)
        expected.append(late.convolve(features, kernel, kernel_size, fine, coarse))
    monkeypatch.setattr(early, "_make_maps", None)
    for (kernel_size, fine, coarse), result in zip(announced, expected, strict=True):
        features, kernel = operands(early, kernel_size, fine)
        assert torch.equal(early.convolve(features, kernel, kernel_size, fine, coarse), result)
        early.kernel_map(kernel_size, coarse, fine)


def test_bitwise_repeatable() -> None:
    def run() -> list[Tensor]:
        geometry, results = TorchGeometry(cells(7, 0.6)), []
        for convolution in CONVOLUTIONS:
            features, kernel = operands(geometry, *convolution[:2], torch.float32)
            results.append(geometry.convolve(features, kernel, *convolution))
            results += torch.autograd.grad(results[-1].square().sum(), (features, kernel))
        return results

    assert all(torch.equal(a, b) for a, b in zip(run(), run(), strict=True))


@pytest.mark.parametrize("kernel_size", [(3, 1, 1), (1, 3, 3), (3, 1, 3)])
def test_gradcheck(kernel_size: tuple[int, int, int]) -> None:
    geometry = TorchGeometry(cells(8, 0.04))
    features, kernel = operands(geometry, kernel_size, VOXELS)
    assert torch.autograd.gradcheck(
        lambda f, k: geometry.convolve(f, k, kernel_size, VOXELS, VOXELS), (features, kernel)
    )


# ---------------------------------------------------------------- layers and refusals


def test_layers_have_sizes_for_each_axis_and_remember_sites() -> None:
    torch.manual_seed(0)
    geometry = TorchGeometry(cells(9))
    fine, coarse = BOUNDED[:2]
    down = SparseConv3d(3, 4, 3, stride=(2, 2, 2))
    up = SparseConv3d(4, 5, 3, stride=(2, 2, 2), transposed=True)
    inside = SparseSequential(SparseConv3d(4, 4, (3, 1, 3)), torch.nn.BatchNorm1d(4), SparseConv3d(4, 4, 1))
    assert [tuple(layer.kernel.shape) for layer in (down, inside[0], inside[2])] == [(27, 3, 4), (9, 4, 4), (4, 4)]
    assert inside[0].kernel.abs().max() <= (4 * 9) ** -0.5 and up.kernel.abs().max() <= (5 * 27) ** -0.5
    below = down(torch.randn(geometry.rows(fine), 3), geometry, fine, coarse)
    assert below.shape == (geometry.rows(coarse), 4)
    assert inside.result(coarse) == coarse and inside(below, geometry, coarse).shape == below.shape
    assert up(below, geometry, coarse, fine).shape == (geometry.rows(fine), 5)


def test_levels_that_layers_name() -> None:
    assert SparseConv3d(1, 1, 3, stride=(2, 2, 1)).result(2) == Level((4, 4, 2))
    assert SparseConv3d(1, 1, 3, stride=2).result(Level((2, 2, 1))) == Level((4, 4, 2))
    assert SparseConv3d(1, 1, (2, 2, 1), stride=(2, 2, 1), transposed=True).result(Level((4, 4, 1))) == Level((2, 2, 1))
    with pytest.raises(ValueError, match=r"stride \(2, 2, 2\) needs a target"):
        SparseConv3d(1, 1, 3, stride=2).result(TWICE[1])


def test_levels_without_a_meaning_are_refused() -> None:
    for kernel_size, step in (((2, 3, 3), (1, 2, 2)), ((3, 3, 1), (2, 2, 2)), ((3, 3, 3), (3, 1, 1))):
        with pytest.raises(ValueError, match="expected odd numbers of at least 2 s - 1"):
            VOXELS.expanded(kernel_size, step)
    with pytest.raises(ValueError, match="its sites are no voxels"):
        Level((2, 2, 2)).expanded(CUBE, (2, 2, 2))


@pytest.mark.parametrize("engine", ENGINES)
def test_strides_that_do_not_fit_are_refused(engine: str) -> None:
    geometry = make_geometry(engine, cells(10))
    one, other = Level((2, 1, 1)), Level((1, 2, 1))
    with pytest.raises(ValueError, match="neither is a multiple"):
        geometry.convolve(torch.ones(geometry.rows(one), 1), torch.ones(27, 1, 1), 3, one, other)
