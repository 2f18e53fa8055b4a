"""Cylinder3D in both engines and both variants: its cells, its size, its kernels, its file, and prediction."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from test_minkunet import CPU, ENGINES, NEEDS_MINKOWSKI, scan
from test_objective import FULL, losses, make_batch, make_objective
from torch import Tensor, nn

from ignet.config.backbones import Cylinder3DConfig, LocalContextConfig
from ignet.data.label_sets.label_set import SEMANTICKITTI
from ignet.errors import IgnetError
from ignet.models.backbones.cylinder3d import (
    AsymmetricBlock,
    Cylinder3D,
    CylinderBatch,
    Gates,
    collate_scans,
    point_features,
    scatter_max,
)
from ignet.models.segmentor3d import build_network, load_network, predict_scan, save_network
from ignet.models.sparse.engine import make_geometry
from ignet.models.sparse.layers import SparseConv3d
from ignet.models.sparse.levels import VOXELS
from ignet.workflow.experiment import network_title

VARIANTS = ["as_published", "as_drawn"]
SMALL = Cylinder3DConfig(grid=(40, 30, 9), radius=20, points=(4, 6), cell_features=3, width=2)
PUBLISHED = {"grid": (480, 360, 32), "points": (64, 128, 256), "cell_features": 16, "width": 32}


def small(variant: str, **changes: object) -> Cylinder3DConfig:
    return SMALL.model_copy(update={"variant": variant, **changes})


def batch_of(config: Cylinder3DConfig = SMALL) -> CylinderBatch:
    return collate_scans([scan(0), scan(1)], None, config, 19)


# ---------------------------------------------------------------- points and cells


def test_cells_and_features_by_hand() -> None:
    config = Cylinder3DConfig(grid=(6, 5, 4), radius=10, height=(-3, 3))  # cells of 2 m, 90 degrees, 2 m
    points = np.array([[3, 0, -2.5, 0.1], [3, -4, 0.5, 0.2], [24, 32, 9, 0.3], [-1, 0, -9, 0.4]], np.float32)
    cells, features = point_features(points, config)
    assert cells.tolist() == [[1, 2, 0], [2, 1, 1], [5, 2, 3], [0, 4, 0]]
    assert features.dtype == np.float32
    quarter, angle = np.pi / 2, np.arctan2(4, 3)
    polar = [[3, 0, -2.5], [5, -angle, 0.5], [40, angle, 9], [1, np.pi, -9]]
    centres = [[3, 0.5 * quarter, -2], [5, -0.5 * quarter, 0], [11, 0.5 * quarter, 4], [1, 2.5 * quarter, -2]]
    expected = np.hstack([np.subtract(polar, centres), polar, points[:, [0, 1, 3]]])
    np.testing.assert_allclose(features, expected, atol=1e-6)


def test_the_published_grid_holds_its_edges() -> None:
    """The last cell along each axis is that of the limit itself, on which all farther points lie."""
    config = Cylinder3DConfig(**PUBLISHED)
    cells, _ = point_features(np.array([[-60, 0, 5, 0], [1e-3, -1e-6, -9, 0]], np.float32), config)
    assert cells.tolist() == [[479, 359, 31], [0, 179, 0]]


@given(st.lists(st.tuples(*[st.floats(-60, 60, width=32)] * 3), min_size=1, max_size=40))
def test_points_lie_in_their_cells(positions: list[tuple[float, float, float]]) -> None:
    points = np.array([(*position, 0.5) for position in positions], np.float32)
    cells, features = point_features(points, SMALL)
    assert (cells >= 0).all() and (cells < SMALL.grid).all()
    inside = (features[:, 3] < 20) & (features[:, 5] > -4) & (features[:, 5] < 2)
    half = np.array([20 / 39, 2 * np.pi / 29, 6 / 8]) / 2
    assert (np.abs(features[inside, :3]) <= half + 1e-5).all()
    np.testing.assert_allclose(features[:, 3] * np.cos(features[:, 4]), points[:, 0], atol=1e-4)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_broken_points_are_refused(value: float) -> None:
    points = scan()
    points[17, 1] = value
    with pytest.raises(IgnetError, match=f"point 17 .*{value}.*expected finite values; check the scan"):
        collate_scans([points], None, SMALL, 19)


def test_a_batch_names_the_cell_of_each_point() -> None:
    batch = batch_of()
    assert batch.coordinates.dtype == torch.int32 and batch.inverse.dtype == torch.int64
    assert batch.features.dtype == torch.float32 and batch.features.shape == (6000, 9)
    expected = np.concatenate([np.insert(point_features(scan(b), SMALL)[0], 0, b, axis=1) for b in (0, 1)])
    np.testing.assert_array_equal(batch.coordinates[batch.inverse], expected)
    assert len(batch.coordinates.unique(dim=0)) == len(batch.coordinates) == int(batch.inverse.max()) + 1


def test_local_context_stands_behind_the_features_of_every_point() -> None:
    config = small("as_drawn", local_context=LocalContextConfig())
    labels = np.random.default_rng(0).integers(0, 19, 3000).astype(np.uint8)
    features = collate_scans([scan(0), scan(1)], [labels, None], config, 19).features
    assert features.shape == (6000, 9 + 3 * 19)
    assert torch.equal(features[:, :9], batch_of().features)
    torch.testing.assert_close(features[:3000, 9:].view(3000, 3, 19).sum(2), torch.ones(3000, 3))
    assert not features[3000:, 9:].any()
    assert Cylinder3D(config, 19).points.points[1].in_features == 9 + 3 * 19


def test_scatter_max_and_its_gradient_by_hand() -> None:
    features = torch.tensor([[1.0, -5.0], [3.0, -7.0], [2.0, 0.0], [2.0, -1.0]], requires_grad=True)
    result = scatter_max(features, torch.tensor([1, 1, 0, 0]), 2)
    assert result.tolist() == [[2, 0], [3, -5]]
    (result * torch.tensor([[10.0, 20.0], [30.0, 40.0]])).sum().backward()
    assert features.grad is not None
    assert features.grad.tolist() == [[0, 40], [30, 0], [5, 20], [5, 0]]
    assert scatter_max(features.bfloat16(), torch.tensor([1, 1, 0, 0]), 2).dtype == torch.float32


# ---------------------------------------------------------------- the network


@pytest.mark.parametrize(("variant", "parameters"), [("as_drawn", 55_853_366), ("as_published", 49_586_486)])
def test_numbers_of_parameters_are_the_published_ones(variant: str, parameters: int) -> None:
    with torch.device("meta"):
        network = Cylinder3D(Cylinder3DConfig(variant=variant, **PUBLISHED), 19)
    assert network.channels == 128
    head = 27 * 128 * 20 + 20  # the published network's last layer, in whose place the points are classified
    assert sum(p.numel() for p in network.parameters()) + head == parameters
    assert sum(p.numel() for p in network.points.parameters()) == 112_802


def kernels(part: nn.Module) -> list[tuple[int, ...]]:
    return [layer.kernel_size for layer in part.modules() if isinstance(layer, SparseConv3d)]


def test_kernels_of_the_variants() -> None:
    drawn, published = (Cylinder3D(small(variant), 19) for variant in ("as_drawn", "as_published"))
    high, wide, cube = (3, 1, 3), (1, 3, 3), (3, 3, 3)
    assert kernels(drawn.context) == [wide, high, high, wide]
    assert kernels(published.context) == 4 * [wide]
    for one, other in zip(drawn.encoder, published.encoder, strict=True):
        assert (kernels(one), kernels(other)) == ([high, wide, wide, high], 4 * [high])
    for one, other in zip(drawn.decoder, published.decoder, strict=True):
        assert (kernels(one), kernels(other)) == ([cube, cube, wide, high, cube], [cube, cube, wide, wide, wide])
    assert kernels(drawn.gates) == [(3, 1, 1), (1, 3, 1), (1, 1, 3)]
    assert kernels(published.gates) == 3 * [(3, 1, 1)]


def test_levels_are_spconvs() -> None:
    """Strides and numbers of cells along each axis of the published network."""
    network = Cylinder3D(Cylinder3DConfig(grid=(480, 360, 32), width=1, points=(1,)), 19)
    every = np.stack(np.meshgrid([0, 479], [0, 359], [0, 31], indexing="ij"), -1).reshape(-1, 3)
    geometry = make_geometry("torch", torch.from_numpy(np.insert(every, 0, 0, axis=1)).int())
    strides, shapes = [], []
    for level in network.levels:
        strides.append(level.stride)
        shapes.append(((geometry.coordinates(level)[:, 1:].amax(0) / torch.tensor(level.stride)).int() + 1).tolist())
    assert [down.stride for down in network.down] == [(2, 2, 2), (2, 2, 2), (2, 2, 1), (2, 2, 1)]
    assert [stage.inverse.stride for stage in network.decoder] == [(2, 2, 1), (2, 2, 1), (2, 2, 2), (2, 2, 2)]
    assert strides == [(1, 1, 1), (2, 2, 2), (4, 4, 4), (8, 8, 4), (16, 16, 4)]
    assert shapes == [[480, 360, 32], [240, 180, 16], [120, 90, 8], [60, 45, 8], [30, 23, 8]]


def run(engine: str, dtype: torch.dtype, variant: str) -> tuple[Tensor, list[Tensor]]:
    """Output, and gradients to the input and to every weight, of one small network with fixed weights in training."""
    torch.manual_seed(3)
    network, batch = Cylinder3D(small(variant), 19).to(dtype), batch_of()
    features = batch.features.to(dtype).requires_grad_()
    result, row = network(CylinderBatch(batch.coordinates, features, batch.inverse), engine)
    assert torch.equal(row, batch.inverse)
    cotangent = torch.randn(result.shape, generator=torch.Generator().manual_seed(4), dtype=torch.float64).to(dtype)
    return result, list(torch.autograd.grad(result, [features, *network.parameters()], cotangent))


@NEEDS_MINKOWSKI
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(("dtype", "value", "slope"), [(torch.float64, 1e-10, 1e-10), (torch.float32, 1e-3, 2e-3)])
def test_engines_agree(dtype: torch.dtype, value: float, slope: float, variant: str) -> None:
    ours, theirs = run("torch", dtype, variant), run("minkowski", dtype, variant)
    torch.testing.assert_close(ours[0], theirs[0], rtol=value, atol=value)
    for a, b in zip(ours[1], theirs[1], strict=True):
        torch.testing.assert_close(a, b, rtol=slope, atol=slope * float(1 + b.abs().max()))


def test_training_step_is_bitwise_repeatable() -> None:
    first, second = run("torch", torch.float32, "as_drawn"), run("torch", torch.float32, "as_drawn")
    assert torch.equal(first[0], second[0])
    assert all(torch.equal(a, b) for a, b in zip(first[1], second[1], strict=True))


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_weight_is_used(variant: str) -> None:
    assert all(float(gradient.abs().max()) > 0 for gradient in run("torch", torch.float64, variant)[1])


@pytest.mark.parametrize("variant", VARIANTS)
def test_all_maps_are_announced(variant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a GPU is waited for twice a batch: nothing is made after the geometry."""
    network, batch = Cylinder3D(small(variant), 19), batch_of()
    geometry = make_geometry("torch", batch.coordinates, network.convolutions)
    monkeypatch.setattr(geometry, "_make_maps", None)
    cells = network.points(batch.features, batch.inverse, len(batch.coordinates))
    network.cells(cells, geometry).square().mean().backward()


def test_the_order_of_operations_is_cylinder3ds() -> None:
    """Each block beside its formula, in the words of the published code."""
    torch.manual_seed(0)
    network, batch = Cylinder3D(small("as_drawn"), 19).double().eval(), batch_of()
    geometry = make_geometry("torch", batch.coordinates)
    levels = network.levels

    def layer(features: Tensor, parts: nn.Module, number: int, level, activation=nn.functional.leaky_relu) -> Tensor:
        """Convolution, activation, normalisation: the layer of this number."""
        conv, _, norm = list(parts)[3 * number : 3 * number + 3]
        return norm(activation(geometry.convolve(features, conv.kernel, conv.kernel_size, level, level)))

    def block(features: Tensor, part: AsymmetricBlock, level) -> Tensor:
        shortcut, main = part.branches
        return layer(layer(features, shortcut, 0, level), shortcut, 1, level) + layer(
            layer(features, main, 0, level), main, 1, level
        )

    def gates(features: Tensor, part: Gates) -> Tensor:
        total = 0
        for conv, norm, _ in part.gates:
            total = total + torch.sigmoid(norm(geometry.convolve(features, conv.kernel, conv.kernel_size, 1, 1)))
        return features * total

    with torch.no_grad():
        points = network.points.points(batch.features.double())
        cells = torch.stack([points[batch.inverse == row].amax(0) for row in range(geometry.rows(1))])
        features, skips = block(torch.relu(network.points.cells[0](cells)), network.context, VOXELS), []
        for number in range(4):
            skips.append(block(features, network.encoder[number], levels[number]))
            kernel = network.down[number].kernel
            features = geometry.convolve(skips[-1], kernel, 3, levels[number], levels[number + 1])
        for number in range(4):
            part, level, finer = network.decoder[number], levels[4 - number], levels[3 - number]
            features = geometry.convolve(layer(features, part.before, 0, level), part.inverse.kernel, 3, level, finer)
            features = features + skips[3 - number]
            for each in range(3):
                features = layer(features, part.refine, each, finer)
        expected = torch.cat([gates(features, network.gates), features], 1)
        double = CylinderBatch(batch.coordinates, batch.features.double(), batch.inverse)
        torch.testing.assert_close(network(double, "torch")[0], expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("variant", VARIANTS)
def test_tables_name_the_variant(variant: str) -> None:
    assert network_title(small(variant)) == f"cylinder3d {variant}"


# ---------------------------------------------------------------- files and prediction


@NEEDS_MINKOWSKI
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_checkpoint_serves_both_engines(tmp_path: Path, variant: str) -> None:
    torch.manual_seed(1)
    network, settings = build_network(small(variant), SEMANTICKITTI), small(variant)
    network(batch_of(), "minkowski")  # moves the running statistics away from 0 and 1
    save_network(tmp_path / "model.safetensors", network, settings, "minkowski")
    loaded, config, engine = load_network(tmp_path / "model.safetensors")
    assert (config, engine) == (settings, "minkowski") and isinstance(loaded.backbone, Cylinder3D)
    expected = predict_scan(network, settings, "minkowski", scan(), CPU)
    found = predict_scan(loaded, config, "torch", scan(), CPU)
    np.testing.assert_allclose(found[1], expected[1], atol=1e-4)
    assert (found[0] == expected[0]).mean() > 0.999


def test_weights_of_one_variant_do_not_pass_for_the_other(tmp_path: Path) -> None:
    save_network(tmp_path / "x", build_network(small("as_drawn"), SEMANTICKITTI), small("as_published"), "torch")
    with pytest.raises(IgnetError, match=r"do not fit the backbone.*refine"):
        load_network(tmp_path / "x")


@pytest.mark.parametrize("engine", ENGINES)
def test_prediction_follows_the_points(engine: str) -> None:
    """Points in another order, and scans alone or in a batch, get the same classes."""
    torch.manual_seed(0)
    network, points = build_network(SMALL, SEMANTICKITTI), scan()
    ids, confidence = predict_scan(network, SMALL, engine, points, CPU)
    order = np.random.default_rng(1).permutation(len(points))
    again = predict_scan(network, SMALL, engine, points[order], CPU)
    assert (again[0] == ids[order]).mean() > 0.999 and len(np.unique(confidence)) > 100
    np.testing.assert_allclose(again[1], confidence[order], atol=1e-4)
    with torch.no_grad():
        both, _ = network(collate_scans([scan(1), points], None, SMALL, 19), engine)
    np.testing.assert_allclose(both[3000:].softmax(1).amax(1), confidence, atol=1e-4)


def test_labels_reach_a_network_with_local_context() -> None:
    torch.manual_seed(0)
    config = small("as_drawn", local_context=LocalContextConfig())
    network, points = build_network(config, SEMANTICKITTI), scan()
    alone = predict_scan(network, config, "torch", points, CPU)
    silent = predict_scan(network, config, "torch", points, CPU, np.full(3000, 255, np.uint8))
    told = predict_scan(network, config, "torch", points, CPU, np.zeros(3000, np.uint8))
    assert np.array_equal(alone[1], silent[1]) and not np.array_equal(alone[1], told[1])


def test_all_terms_train_it() -> None:
    objective = make_objective(FULL.model_copy(update={"backbone": SMALL}))
    losses(objective, make_batch(backbone=SMALL))["loss"].backward()
    assert {"ce", "lovasz", "consistency", "image", "contrastive"} <= {term.name for term in objective.terms}
    assert all(p.grad is not None and p.grad.isfinite().all() for p in objective.student.parameters())


def test_bfloat16_gives_nearly_the_same() -> None:
    torch.manual_seed(0)
    network, batch = build_network(SMALL, SEMANTICKITTI), batch_of()
    expected, _ = network(batch, "torch")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found, _ = network(batch, "torch")
    found.float().square().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() and p.grad.dtype == p.dtype for p in network.parameters())
    assert (found.float() - expected).abs().mean() < 0.1 * expected.abs().mean()
