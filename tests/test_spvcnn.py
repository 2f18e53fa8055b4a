"""SPVCNN in both engines, its size, its branch of points, its file, and a training."""

from pathlib import Path

import numpy as np
import pytest
import torch
from test_minkunet import CPU, ENGINES, NEEDS_MINKOWSKI, scan, voxels
from test_objective import FULL, losses, make_batch, make_objective
from torch import Tensor

from ignet.config.backbones import MinkUNetConfig, SPVCNNConfig
from ignet.data.label_sets.label_set import SEMANTICKITTI
from ignet.models.backbones.spvcnn import SPVCNN
from ignet.models.segmentor3d import build_network, load_network, predict_scan, save_network
from ignet.models.sparse.engine import make_geometry

SMALL = SPVCNNConfig(stem=4, encoder=(4, 6, 8, 10), decoder=(8, 6, 6, 5), blocks=1, voxel=0.5)
PUBLISHED = {
    1.0: (21_723_315, 21_778_003),
    0.64: (8_771_298, 8_793_617),
    0.5: (5_435_235, 5_449_267),
}


def run(engine: str, dtype: torch.dtype, dropout: float = 0.0) -> tuple[Tensor, list[Tensor]]:
    """Output, and gradients to the input and to every weight, of one small network with fixed weights in training."""
    torch.manual_seed(3)
    network = SPVCNN(SMALL.model_copy(update={"dropout": dropout}), 19).to(dtype)
    coordinates, features, _ = voxels()
    features = features.to(dtype).requires_grad_()
    result = network.voxels(features, make_geometry(engine, coordinates))
    cotangent = torch.randn(result.shape, generator=torch.Generator().manual_seed(4), dtype=torch.float64).to(dtype)
    return result, list(torch.autograd.grad(result, [features, *network.parameters()], cotangent))


@NEEDS_MINKOWSKI
@pytest.mark.parametrize(("dtype", "value", "slope"), [(torch.float64, 1e-10, 1e-10), (torch.float32, 1e-4, 1e-3)])
def test_engines_agree(dtype: torch.dtype, value: float, slope: float) -> None:
    """But for dropout, which draws voxel by voxel in the order of the engine."""
    ours, theirs = run("torch", dtype), run("minkowski", dtype)
    torch.testing.assert_close(ours[0], theirs[0], rtol=value, atol=value)
    for a, b in zip(ours[1], theirs[1], strict=True):
        torch.testing.assert_close(a, b, rtol=slope, atol=slope * float(1 + b.abs().max()))


def test_training_step_is_bitwise_repeatable() -> None:
    first, second = run("torch", torch.float32, 0.3), run("torch", torch.float32, 0.3)
    assert torch.equal(first[0], second[0])
    assert all(torch.equal(a, b) for a, b in zip(first[1], second[1], strict=True))


def test_every_weight_is_used() -> None:
    assert all(float(gradient.abs().max()) > 0 for gradient in run("torch", torch.float64)[1])


@pytest.mark.parametrize("factor", PUBLISHED)
def test_numbers_of_parameters_are_the_published_ones(factor: float) -> None:
    widths = [int(factor * width) for width in (32, 32, 64, 128, 256, 256, 128, 96, 96)]
    shape = {"stem": widths[0], "encoder": widths[1:5], "decoder": widths[5:], "blocks": 2}
    with torch.device("meta"):
        networks = [build_network(config(**shape), SEMANTICKITTI) for config in (MinkUNetConfig, SPVCNNConfig)]
    assert tuple(sum(p.numel() for p in network.parameters()) for network in networks) == PUBLISHED[factor]


def test_points_and_voxels_meet_where_spvcnn_says() -> None:
    """The network beside its published order of operations, written out with plain means and interpolations."""
    torch.manual_seed(0)
    network = SPVCNN(SMALL, 19).double().eval()
    coordinates, features, _ = voxels()
    geometry = make_geometry("torch", coordinates)
    levels = network.encode(features.double(), geometry)

    def meets(stride: int) -> Tensor:
        """Rows (N,) of the voxels that hold the points."""
        cells = torch.cat([coordinates[:, :1], coordinates[:, 1:].div(stride, rounding_mode="floor") * stride], 1)
        level = geometry.coordinates(stride)
        return (cells[:, None] == level[None]).all(2).int().argmax(1)

    def devoxelized(values: Tensor, stride: int) -> Tensor:
        cells = {tuple(cell): row for row, cell in enumerate(geometry.coordinates(stride).tolist())}
        result = []
        for batch, *place in coordinates.tolist():
            total, weights = torch.zeros(values.shape[1], dtype=torch.float64), 0.0
            for step in range(8):
                at = [c // stride * stride + stride * (step >> axis & 1) for axis, c in enumerate(place)]
                if (row := cells.get((batch, *at))) is not None:
                    weight = float(np.prod([1 - abs(c - corner) / stride for c, corner in zip(place, at, strict=True)]))
                    total, weights = total + weight * values[row], weights + weight
            result.append(total / weights)
        return torch.stack(result)

    def voxelized(values: Tensor, stride: int) -> Tensor:
        rows = meets(stride)
        return torch.stack([values[rows == row].mean(0) for row in range(geometry.rows(stride))])

    with torch.no_grad():
        z0, (x0, x1, x2, x3, x4) = levels[0], levels
        z1 = devoxelized(x4, 16) + network.points[0](z0)
        y1 = network.decode(0, voxelized(z1, 16), x3, geometry)
        y2 = network.decode(1, y1, x2, geometry)
        z2 = devoxelized(y2, 4) + network.points[1](z1)
        y3 = network.decode(2, voxelized(z2, 4), x1, geometry)
        y4 = network.decode(3, y3, x0, geometry)
        expected = y4 + network.points[2](z2)
        found = network.voxels(features.double(), geometry)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


def test_dropout_acts_on_what_returns_to_voxels_in_training_alone() -> None:
    torch.manual_seed(0)
    network, seen = SPVCNN(SMALL, 19), []
    coordinates, features, _ = voxels()
    geometry = make_geometry("torch", coordinates)
    network.dropout.register_forward_hook(lambda _, before, after: seen.append((before[0], after)))
    for training in (True, False):
        network.train(training).voxels(features, geometry)
    assert [tuple(before.shape) for before, _ in seen] == 2 * [(geometry.rows(16), 10), (geometry.rows(4), 6)]
    for before, after in seen[:2]:
        kept = after != 0
        assert 0.6 < kept.float().mean() < 0.8
        torch.testing.assert_close(after[kept], before[kept] / 0.7)
    assert all(torch.equal(before, after) for before, after in seen[2:])


def test_all_terms_train_it() -> None:
    objective = make_objective(FULL.model_copy(update={"backbone": SMALL}))
    losses(objective, make_batch())["loss"].backward()
    assert {"ce", "lovasz", "consistency", "image", "contrastive"} == {term.name for term in objective.terms}
    assert all(p.grad is not None and p.grad.isfinite().all() for p in objective.student.parameters())


@NEEDS_MINKOWSKI
def test_a_checkpoint_serves_both_engines(tmp_path: Path) -> None:
    torch.manual_seed(1)
    network = build_network(SMALL, SEMANTICKITTI)
    save_network(tmp_path / "model.safetensors", network, SMALL, "minkowski")
    loaded, config, engine = load_network(tmp_path / "model.safetensors")
    assert (config, engine) == (SMALL, "minkowski") and isinstance(loaded.backbone, SPVCNN)
    expected = predict_scan(network, SMALL, "minkowski", scan(), CPU)
    found = predict_scan(loaded, config, "torch", scan(), CPU)
    np.testing.assert_allclose(found[1], expected[1], atol=1e-4)
    assert (found[0] == expected[0]).mean() > 0.999


@pytest.mark.parametrize("engine", ENGINES)
def test_prediction_follows_the_points(engine: str) -> None:
    torch.manual_seed(0)
    network, points = build_network(SMALL, SEMANTICKITTI), scan()
    ids, confidence = predict_scan(network, SMALL, engine, points, CPU)
    again = predict_scan(network, SMALL, engine, points, CPU)
    assert (ids == again[0]).mean() > 0.999  # MinkowskiEngine's sums come in any order
    np.testing.assert_allclose(confidence, again[1], rtol=0, atol=0 if engine == "torch" else 1e-4)
    assert len(np.unique(ids)) > 1
