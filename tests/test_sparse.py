"""Both sparse engines: against dense convolution, against each other, and what they refuse."""

import importlib.util

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ignet.errors import IgnetError
from ignet.models.sparse import kernel_maps
from ignet.models.sparse.engine import make_geometry, minkowski_fault, resolve_engine
from ignet.models.sparse.layers import SparseConv3d
from ignet.models.sparse.levels import pack, unpack
from ignet.models.sparse.torch_engine import TorchGeometry

CPU = torch.device("cpu")
FAULT = minkowski_fault(CPU)
ENGINES = [
    "torch",
    pytest.param("minkowski", marks=pytest.mark.skipif(FAULT is not None, reason=f"{FAULT}; run `make setup`")),
]
CONVOLUTIONS = [(3, 1, 1), (1, 1, 1), (2, 1, 2), (2, 2, 1), (3, 1, 2), (3, 2, 1), (3, 2, 2), (2, 4, 2), (5, 1, 1)]
SIDE = 8  # the dense grid spans -SIDE / 2 to SIDE / 2, so that floor and truncation differ


def scattered(seed: int, share: float = 0.3, batch: int = 2) -> Tensor:
    """Occupied cells of a small grid around the origin, in random order: int32 (N, 4)."""
    generator = torch.Generator().manual_seed(seed)
    cells = (torch.rand(batch, SIDE, SIDE, SIDE, generator=generator) < share).nonzero()
    cells[:, 1:] -= SIDE // 2
    return cells[torch.randperm(len(cells), generator=generator)].int()


def operands(
    geometry, convolution, dtype=torch.float64, seed: int = 0, widths: tuple[int, int] = (3, 5)
) -> tuple[Tensor, Tensor]:
    """Random features and an asymmetric kernel that both want a gradient."""
    kernel_size, in_stride, _ = convolution
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(geometry.rows(in_stride), widths[0], generator=generator, dtype=torch.float64)
    kernel = torch.randn(kernel_size**3, *widths, generator=generator, dtype=torch.float64)
    return features.to(dtype).requires_grad_(), kernel.to(dtype).requires_grad_()


def sites(geometry, stride: int) -> tuple[Tensor, ...]:
    """Dense indices (batch, x, y, z) of a level's rows, in units of its stride."""
    coordinates = geometry.coordinates(stride).long()
    return tuple(
        (
            coordinates // torch.tensor([1, stride, stride, stride]) + torch.tensor([0, *[SIDE // 2 // stride] * 3])
        ).unbind(1)
    )


def dense(geometry, features: Tensor, kernel: Tensor, kernel_size: int, in_stride: int, out_stride: int) -> Tensor:
    """The same convolution by torch's dense one, which orders its weights (Cout, Cin, x, y, z)."""
    batch = int(geometry.coordinates(1)[:, 0].max()) + 1
    side = SIDE // in_stride
    grid = features.new_zeros(batch, side, side, side, features.shape[1]).index_put(
        sites(geometry, in_stride), features
    )
    grid = grid.permute(0, 4, 1, 2, 3)
    # k = ix + K iy + K^2 iz: the kernel's first axis unfolds to z, y, x
    weight = kernel.view(kernel_size, kernel_size, kernel_size, *kernel.shape[1:]).permute(2, 1, 0, 3, 4)
    padding = kernel_size // 2 if kernel_size % 2 else 0
    if out_stride >= in_stride:
        step = out_stride // in_stride
        out = torch.nn.functional.conv3d(grid, weight.permute(4, 3, 0, 1, 2), stride=step, padding=padding)
    else:
        step = in_stride // out_stride
        out = torch.nn.functional.conv_transpose3d(
            grid, weight.permute(3, 4, 0, 1, 2), stride=step, padding=padding, output_padding=step - 1 if padding else 0
        )
    return out.permute(0, 2, 3, 4, 1)[sites(geometry, out_stride)]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("convolution", CONVOLUTIONS)
def test_equals_dense_convolution(engine: str, convolution: tuple[int, int, int]) -> None:
    geometry = make_geometry(engine, scattered(1))
    features, kernel = operands(geometry, convolution)
    expected = dense(geometry, features, kernel, *convolution)
    found = geometry.convolve(features, kernel, *convolution)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)
    cotangent = torch.randn(expected.shape, dtype=expected.dtype, generator=torch.Generator().manual_seed(5))
    wanted = torch.autograd.grad(expected, (features, kernel), cotangent)
    torch.testing.assert_close(torch.autograd.grad(found, (features, kernel), cotangent), wanted, rtol=0, atol=1e-10)


def test_offset_order_by_hand() -> None:
    """One voxel at the origin, one a step along x, y or z: each product is the weight of that very offset."""
    kernel = torch.arange(27.0).view(27, 1, 1)
    for axis, weight in ((1, 1), (2, 3), (3, 9)):
        coordinates = torch.zeros(2, 4, dtype=torch.int32)
        coordinates[1, axis] = 1
        found = TorchGeometry(coordinates).convolve(torch.tensor([[0.0], [1.0]]), kernel, 3, 1, 1)
        assert found.flatten().tolist() == [13 + weight, 13]
    cell = torch.tensor([[0, -1, -2, -1]], dtype=torch.int32)
    geometry = TorchGeometry(cell)
    assert geometry.coordinates(2).tolist() == [[0, -2, -2, -2]]
    assert (
        geometry.convolve(torch.ones(1, 1), torch.arange(8.0).view(8, 1, 1), 2, 1, 2).item() == 1 + 4
    )  # offsets 1, 0, 1


def aligned(one, other, stride: int) -> tuple[Tensor, Tensor]:
    """Row orders in which the levels of two geometries name the same voxels."""
    return pack(one.coordinates(stride)).argsort(), pack(other.coordinates(stride)).argsort()


@pytest.mark.skipif(FAULT is not None, reason=f"{FAULT}; run `make setup`")
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 2e-5)])
@pytest.mark.parametrize("convolution", CONVOLUTIONS)
def test_engines_agree(convolution: tuple[int, int, int], dtype: torch.dtype, tolerance: float) -> None:
    coordinates = scattered(2, share=0.5)
    ours, theirs = make_geometry("torch", coordinates), make_geometry("minkowski", coordinates)
    _, in_stride, out_stride = convolution
    features, kernel = operands(ours, convolution, dtype)
    rows_in, rows_in_theirs = aligned(ours, theirs, in_stride)
    rows_out, rows_out_theirs = aligned(ours, theirs, out_stride)
    assert torch.equal(ours.coordinates(out_stride)[rows_out], theirs.coordinates(out_stride)[rows_out_theirs])
    moved = torch.empty_like(features).index_copy(0, rows_in_theirs, features[rows_in])
    found = ours.convolve(features, kernel, *convolution)[rows_out]
    expected = theirs.convolve(moved, kernel, *convolution)[rows_out_theirs]
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)
    cotangent = torch.randn(found.shape, generator=torch.Generator().manual_seed(7), dtype=torch.float64).to(dtype)
    gradients = [torch.autograd.grad(result, (features, kernel), cotangent) for result in (found, expected)]
    torch.testing.assert_close(*gradients, rtol=10 * tolerance, atol=10 * tolerance)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("engine", ["torch", "minkowski"])
@pytest.mark.parametrize("convolution", CONVOLUTIONS)
def test_cuda_agrees_with_the_cpu(engine: str, convolution: tuple[int, int, int]) -> None:
    device = torch.device("cuda")
    if engine == "minkowski" and (fault := minkowski_fault(device)):
        pytest.skip(f"{fault}; run `make setup`")
    coordinates = scattered(11)
    here, there = make_geometry("torch", coordinates), make_geometry(engine, coordinates.to(device))
    features, kernel = operands(here, convolution)
    _, in_stride, out_stride = convolution
    rows_in, rows_in_there = (
        pack(here.coordinates(in_stride)).argsort(),
        pack(there.coordinates(in_stride)).argsort().cpu(),
    )
    rows_out, rows_out_there = (
        pack(here.coordinates(out_stride)).argsort(),
        pack(there.coordinates(out_stride)).argsort().cpu(),
    )
    moved = torch.empty_like(features).index_copy(0, rows_in_there, features[rows_in]).to(device)
    found = there.convolve(moved, kernel.to(device), *convolution).cpu()[rows_out_there]
    expected = here.convolve(features, kernel, *convolution)[rows_out]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)
    gradients = [torch.autograd.grad(result.square().sum(), (features, kernel)) for result in (found, expected)]
    torch.testing.assert_close(*gradients, rtol=1e-10, atol=1e-8)


@pytest.mark.parametrize("convolution", [(3, 1, 1), (2, 1, 2), (2, 2, 1), (3, 1, 2), (2, 1, 1)])
def test_gradcheck(convolution: tuple[int, int, int]) -> None:
    geometry = TorchGeometry(scattered(3, share=0.04))
    features, kernel = operands(geometry, convolution, widths=(2, 2))
    assert torch.autograd.gradcheck(lambda f, k: geometry.convolve(f, k, *convolution), (features, kernel))


@pytest.mark.parametrize("convolution", [(3, 1, 1), (2, 1, 2), (2, 2, 1)])
def test_blocks_change_nothing(convolution: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    coordinates = scattered(4)
    whole = TorchGeometry(coordinates)
    features, kernel = operands(whole, convolution)
    expected = whole.convolve(features, kernel, *convolution)
    monkeypatch.setitem(kernel_maps.BLOCK_ROWS, "cpu", 7)
    pieces = TorchGeometry(coordinates)
    found = pieces.convolve(features, kernel, *convolution)
    assert len(pieces.kernel_map(*convolution).blocks) > 3
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    gradients = [torch.autograd.grad(result.square().sum(), (features, kernel)) for result in (found, expected)]
    torch.testing.assert_close(*gradients, rtol=0, atol=1e-11)


@pytest.mark.parametrize("convolution", [(3, 1, 1), (2, 1, 2), (2, 2, 1)])
def test_bitwise_repeatable(convolution: tuple[int, int, int]) -> None:
    coordinates = scattered(5, share=0.6, batch=6)

    def run() -> list[Tensor]:
        geometry = TorchGeometry(coordinates)
        features, kernel = operands(geometry, convolution, torch.float32, widths=(16, 24))
        result = geometry.convolve(features, kernel, *convolution)
        return [result, *torch.autograd.grad(result.square().sum(), (features, kernel))]

    first = run()
    assert all(torch.equal(a, b) for _ in range(3) for a, b in zip(first, run(), strict=True))


@pytest.mark.parametrize("engine", ENGINES)
@settings(max_examples=15)
@given(seed=st.integers(0, 10**6))
def test_rows_follow_the_caller(engine: str, seed: int) -> None:
    """Another order of the same voxels gives the same results in that order."""
    coordinates = scattered(seed, share=0.1)
    order = torch.randperm(len(coordinates), generator=torch.Generator().manual_seed(seed))
    kernels = torch.randn(2, 27, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    features = torch.randn(len(coordinates), 2, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))

    def there_and_back(cells: Tensor, values: Tensor) -> Tensor:
        geometry = make_geometry(engine, cells)
        assert torch.equal(geometry.coordinates(1), cells)
        return geometry.convolve(geometry.convolve(values, kernels[0], 3, 1, 2), kernels[1], 3, 2, 1)

    expected = there_and_back(coordinates, features)[order]
    torch.testing.assert_close(there_and_back(coordinates[order], features[order]), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("convolution", [(3, 1, 1), (3, 1, 2)])
def test_scans_of_a_batch_do_not_mix(engine: str, convolution: tuple[int, int, int]) -> None:
    coordinates = scattered(6)
    both = make_geometry(engine, coordinates)
    features, kernel = operands(both, convolution)
    mine = coordinates[:, 0] == 1
    alone = make_geometry(engine, coordinates[mine] * torch.tensor([0, 1, 1, 1], dtype=torch.int32))
    found = both.convolve(features, kernel, *convolution)[both.coordinates(convolution[2])[:, 0] == 1]
    expected = alone.convolve(features[mine], kernel, *convolution)
    cells = both.coordinates(convolution[2])
    order = pack(cells[cells[:, 0] == 1]).argsort()
    torch.testing.assert_close(
        found[order], expected[pack(alone.coordinates(convolution[2])).argsort()], rtol=0, atol=1e-10
    )


def test_kernel_maps_are_shared() -> None:
    geometry = TorchGeometry(scattered(7))
    assert geometry.kernel_map(3, 1, 1) is geometry.kernel_map(3, 1, 1)
    assert geometry.kernel_map(2, 2, 1) is geometry.kernel_map(2, 1, 2, reverse=True)


def test_only_input_and_weight_are_kept() -> None:
    geometry = TorchGeometry(scattered(8))
    features, kernel = operands(geometry, (3, 1, 1))
    result = geometry.convolve(features, kernel, 3, 1, 1)
    saved = result.grad_fn.saved_tensors
    assert [t.data_ptr() for t in saved] == [features.data_ptr(), kernel.data_ptr()]


def test_lonely_voxels() -> None:
    """Where nothing has a neighbour only the centre weight counts."""
    coordinates = torch.tensor([[0, 0, 0, 0], [0, 9, 9, 9], [3, 0, 0, 1]], dtype=torch.int32)
    geometry = TorchGeometry(coordinates)
    features, kernel = operands(geometry, (3, 1, 1))
    result = geometry.convolve(features, kernel, 3, 1, 1)
    torch.testing.assert_close(result, features @ kernel[13])
    result.sum().backward()
    assert kernel.grad is not None and set(kernel.grad.abs().sum((1, 2)).nonzero().flatten().tolist()) == {13}


@pytest.mark.parametrize("engine", ENGINES)
def test_autocast(engine: str) -> None:
    """bf16 on the CPU stands for bf16 on CUDA: gradients come back in the parameter's format, close to float32's."""
    geometry = make_geometry(engine, scattered(9))
    features, kernel = operands(geometry, (3, 1, 1), torch.float32)
    expected = geometry.convolve(features, kernel, 3, 1, 1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = geometry.convolve(features, kernel, 3, 1, 1)
    assert found.dtype == (torch.bfloat16 if engine == "torch" else torch.float32)
    torch.testing.assert_close(found.float(), expected, rtol=0.05, atol=0.2)
    gradient = torch.autograd.grad(found.float().sum(), kernel)[0]
    assert gradient.dtype == torch.float32
    torch.testing.assert_close(gradient, torch.autograd.grad(expected.sum(), kernel)[0], rtol=0.05, atol=1.0)


@given(st.lists(st.tuples(st.integers(0, 511), *[st.integers(-(2**16), 2**16 - 1)] * 3), min_size=1))
def test_keys_hold_every_allowed_coordinate(cells: list[tuple[int, int, int, int]]) -> None:
    coordinates = torch.tensor(cells, dtype=torch.int32)
    assert torch.equal(unpack(pack(coordinates)), coordinates)
    assert [cells[i] for i in pack(coordinates).argsort(stable=True)] == sorted(cells)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("coordinates", "words"),
    [
        (torch.zeros(3, 4, dtype=torch.int64), "int64.*expected int32"),
        (torch.zeros(3, 3, dtype=torch.int32), r"\(3, 3\).*\(N, 4\)"),
        (torch.zeros(0, 4, dtype=torch.int32), "found none"),
        (torch.tensor([[0, 0, 0, 0], [0, 70000, 0, 0]], dtype=torch.int32), "0 to 70000.*larger voxels"),
        (torch.tensor([[0, 0, 0, -70000]], dtype=torch.int32), "-70000"),
        (torch.tensor([[-1, 0, 0, 0]], dtype=torch.int32), "batch numbers -1"),
        (torch.tensor([[0, 1, 2, 3], [0, 0, 0, 0], [0, 1, 2, 3]], dtype=torch.int32), "3 rows but 2 distinct"),
    ],
)
def test_bad_coordinates_are_refused(engine: str, coordinates: Tensor, words: str) -> None:
    with pytest.raises(IgnetError, match=words):
        make_geometry(engine, coordinates)


@pytest.mark.parametrize("engine", ENGINES)
def test_misfits_are_refused(engine: str) -> None:
    geometry = make_geometry(engine, scattered(10))
    features, kernel = operands(geometry, (3, 1, 1))
    with pytest.raises(ValueError, match="expected"):
        geometry.convolve(features[:-1], kernel, 3, 1, 1)
    with pytest.raises(ValueError, match=r"\(8, Cin, Cout\)"):
        geometry.convolve(features, kernel, 2, 1, 2)
    with pytest.raises(ValueError, match="multiple"):
        geometry.convolve(features, kernel, 3, 2, 3)


def test_layer_initialisation_and_levels() -> None:
    torch.manual_seed(0)
    layer = SparseConv3d(8, 16, 3)
    assert layer.kernel.shape == (27, 8, 16)
    assert 0.9 * (8 * 27) ** -0.5 < layer.kernel.abs().max() <= (8 * 27) ** -0.5
    up = SparseConv3d(8, 16, 2, stride=2, transposed=True)
    assert up.kernel.abs().max() <= (16 * 8) ** -0.5 and up.result(4) == 2
    assert SparseConv3d(8, 16, 2, stride=2).result(4) == 8
    assert SparseConv3d(8, 16, 1).kernel.shape == (8, 16)


def test_engine_resolution(monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve_engine("auto", CPU) == "torch"
    assert resolve_engine("torch", CPU) == "torch"
    with pytest.raises(IgnetError, match="spconv.*auto, torch or minkowski"):
        resolve_engine("spconv", CPU)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for device in (CPU, torch.device("cuda")):
        with pytest.raises(IgnetError, match="not installed.*make setup.*engine: torch"):
            resolve_engine("minkowski", device)
    assert resolve_engine("auto", torch.device("cuda")) == "torch"
    with pytest.raises(IgnetError, match="make setup"):
        make_geometry("minkowski", scattered(0))


@pytest.mark.skipif(FAULT is not None, reason=f"{FAULT}; run `make setup`")
def test_minkowski_without_cuda_is_refused_on_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    from ignet.models.sparse import minkowski_engine

    monkeypatch.setattr(minkowski_engine.ME, "is_cuda_available", lambda: False)
    with pytest.raises(IgnetError, match="built without CUDA.*cuda"):
        resolve_engine("minkowski", torch.device("cuda"))
    assert resolve_engine("auto", torch.device("cuda")) == "torch"
    monkeypatch.setattr(minkowski_engine.ME, "is_cuda_available", lambda: True)
    assert resolve_engine("minkowski", torch.device("cuda")) == "minkowski"
    assert resolve_engine("auto", torch.device("cuda")) == "torch"
