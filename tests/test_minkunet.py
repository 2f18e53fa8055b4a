"""Voxels, the UNet in both engines, its names, its file, and prediction from a scan."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from ignet.config.backbones import MinkUNetConfig
from ignet.data.label_sets.label_set import SEMANTICKITTI, load_label_set
from ignet.errors import IgnetError
from ignet.files.atomic import read_weights, write_weights
from ignet.models.backbones.minkunet import MinkUNet, ResidualBlock, to_minkowski_names
from ignet.models.segmentor3d import build_network, load_network, predict_scan, save_network
from ignet.models.sparse.engine import make_geometry, minkowski_fault
from ignet.models.sparse.voxels import VoxelBatch, collate, voxel_features, voxelize

CPU = torch.device("cpu")
FAULT = minkowski_fault(CPU)
NEEDS_MINKOWSKI = pytest.mark.skipif(FAULT is not None, reason=f"{FAULT}; run `make setup`")
ENGINES = ["torch", pytest.param("minkowski", marks=NEEDS_MINKOWSKI)]
NUSCENES = load_label_set("nuscenes")
SMALL = MinkUNetConfig(stem=4, encoder=(4, 6, 8, 10), decoder=(8, 6, 6, 5), blocks=2, voxel=0.5)


def scan(seed: int = 0, points: int = 3000) -> np.ndarray:
    """A ground plane and two walls, float32 (N, 4)."""
    generator = np.random.default_rng(seed)
    xyz = generator.uniform([-20, -15, -1.7], [20, 15, 1.5], (points, 3))
    kind = generator.integers(0, 3, points)
    xyz[kind == 0, 2] = -1.7
    xyz[kind == 1, 1] = 6 + 0.3 * xyz[kind == 1, 0]
    xyz[kind == 2, 0] = -9
    return np.column_stack([xyz, generator.uniform(0, 1, points)]).astype(np.float32)


def voxels(seeds: tuple[int, ...] = (0, 1), voxel: float = 0.5) -> tuple[Tensor, Tensor, Tensor]:
    """Coordinates, features and inverse of a batch."""
    scans = [scan(seed) for seed in seeds]
    parts = [voxelize(points, voxel) for points in scans]
    coordinates, inverse = collate([part[0] for part in parts], [part[1] for part in parts])
    features = np.concatenate([voxel_features(points, part[2]) for points, part in zip(scans, parts, strict=True)])
    return torch.from_numpy(coordinates), torch.from_numpy(features), torch.from_numpy(inverse)


# ---------------------------------------------------------------- voxels


def test_voxelize_by_hand() -> None:
    points = np.array([[0.95, 0, 0, 0.1], [-0.05, 0, 0, 0.2], [0.91, 0.09, 0.01, 0.3], [0, 0, -0.11, 0.4]], np.float32)
    coordinates, inverse, first = voxelize(points, 0.1)
    assert coordinates.dtype == np.int32 and inverse.dtype == np.int64 and first.dtype == np.int64
    assert coordinates.tolist() == [[-1, 0, 0], [0, 0, -2], [9, 0, 0]]
    assert inverse.tolist() == [2, 0, 2, 1]
    assert first.tolist() == [1, 3, 0]
    np.testing.assert_array_equal(voxel_features(points, first), points[[1, 3, 0]])


@given(st.lists(st.tuples(*[st.floats(-300, 300, width=32)] * 3), max_size=60), st.sampled_from([0.05, 0.1, 0.37]))
def test_voxelize_properties(cells: list[tuple[float, float, float]], voxel: float) -> None:
    points = np.array([(*cell, 0.5) for cell in cells], np.float32).reshape(-1, 4)
    coordinates, inverse, first = voxelize(points, voxel)
    np.testing.assert_array_equal(coordinates[inverse], np.floor(points[:, :3].astype(np.float64) / voxel))
    assert len({tuple(c) for c in coordinates.tolist()}) == len(coordinates)
    assert coordinates.tolist() == sorted(coordinates.tolist())
    assert [inverse.tolist().index(row) for row in range(len(coordinates))] == first.tolist()


@pytest.mark.parametrize("value", [np.nan, np.inf, 7000.0])
def test_voxelize_refuses_broken_points(value: float) -> None:
    points = scan()
    points[17, 1] = value
    with pytest.raises(IgnetError, match="point 17 .*expected finite values within 6553.6 m"):
        voxelize(points, 0.1)


def test_collate_by_hand() -> None:
    a, b = np.array([[1, 2, 3], [4, 5, 6]], np.int32), np.array([[7, 8, 9]], np.int32)
    coordinates, inverse = collate([a, b], [np.array([1, 0, 1]), np.array([0, 0])])
    assert coordinates.dtype == np.int32 and inverse.dtype == np.int64
    assert coordinates.tolist() == [[0, 1, 2, 3], [0, 4, 5, 6], [1, 7, 8, 9]]
    assert inverse.tolist() == [1, 0, 1, 2, 2]


# ---------------------------------------------------------------- the network


def run_unet(engine: str, dtype: torch.dtype, training: bool = True) -> tuple[Tensor, list[Tensor]]:
    """Output, and gradients to the input and to every weight, of one small UNet with fixed weights."""
    torch.manual_seed(3)
    network = MinkUNet(4, SMALL.stem, SMALL.encoder, SMALL.decoder, SMALL.blocks).to(dtype).train(training)
    coordinates, features, _ = voxels()
    features = features.to(dtype).requires_grad_()
    result = network.voxels(features, make_geometry(engine, coordinates))
    cotangent = torch.randn(result.shape, generator=torch.Generator().manual_seed(4), dtype=torch.float64).to(dtype)
    return result, list(torch.autograd.grad(result, [features, *network.parameters()], cotangent))


@NEEDS_MINKOWSKI
def test_engines_agree_in_float64() -> None:
    ours, theirs = run_unet("torch", torch.float64), run_unet("minkowski", torch.float64)
    torch.testing.assert_close(ours[0], theirs[0], rtol=1e-10, atol=1e-10)
    for a, b in zip(ours[1], theirs[1], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10 * float(1 + b.abs().max()))


@NEEDS_MINKOWSKI
def test_engines_agree_in_float32() -> None:
    ours, theirs = run_unet("torch", torch.float32), run_unet("minkowski", torch.float32)
    torch.testing.assert_close(ours[0], theirs[0], rtol=1e-4, atol=1e-4)
    for a, b in zip(ours[1], theirs[1], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3 * float(1 + b.abs().max()))


def test_training_step_is_bitwise_repeatable() -> None:
    first, second = run_unet("torch", torch.float32), run_unet("torch", torch.float32)
    assert torch.equal(first[0], second[0])
    assert all(torch.equal(a, b) for a, b in zip(first[1], second[1], strict=True))


def test_shape_of_the_published_network() -> None:
    """Widths and block count of SPVNAS' MinkUNet: its 21.7 M parameters, of which the classifier is no part here."""
    network = MinkUNet(4, 32, (32, 64, 128, 256), (256, 128, 96, 96), 2)
    assert network.channels == 96
    assert round(sum(p.numel() for p in network.parameters()) / 1e6, 1) == 21.7
    assert network.down[3][0].kernel.shape == (8, 128, 128)
    assert network.up[0][0].kernel.shape == (8, 256, 256)
    assert network.merge[3][0].net[0].kernel.shape == (27, 96 + 32, 96)


def test_the_branches_of_a_block_are_added_before_the_last_relu() -> None:
    block = ResidualBlock(2, 3)
    kinds = [[type(layer).__name__ for layer in branch.children()] for branch in (block.net, block.downsample)]
    assert kinds == [
        ["SparseConv3d", "BatchNorm1d", "ReLU", "SparseConv3d", "BatchNorm1d"],
        ["SparseConv3d", "BatchNorm1d"],
    ]
    assert not list(ResidualBlock(3, 3).downsample.children())


def test_every_weight_is_used() -> None:
    _, gradients = run_unet("torch", torch.float64)
    assert all(float(gradient.abs().max()) > 0 for gradient in gradients)


def test_points_of_a_voxel_share_their_result() -> None:
    torch.manual_seed(0)
    network = build_network(SMALL, label_set=SEMANTICKITTI)
    coordinates, features, inverse = voxels()
    logits, hidden = network(VoxelBatch(coordinates, features, inverse), "torch")
    assert logits.shape == (6000, 19) and hidden.shape == (6000, 5) == (6000, network.channels)
    torch.testing.assert_close(logits, network.classifier(hidden))
    row = int(inverse.bincount().argmax())
    same = logits[inverse == row]
    assert len(same) > 1 and torch.equal(same, same[:1].expand_as(same))


# ---------------------------------------------------------------- names and files


def test_names_of_minkowski_modules() -> None:
    network = build_network(SMALL, label_set=SEMANTICKITTI)
    state = network.state_dict()
    renamed = to_minkowski_names(state, network)
    assert len(renamed) == len(state)
    assert (
        "backbone.stem.0.kernel" in renamed
        and "backbone.stem.1.bn.running_mean" in renamed
        and "classifier.linear.weight" in renamed
    )
    assert "backbone.merge.0.0.net.4.bn.weight" in renamed
    assert [name.replace(".bn.", ".").replace(".linear.", ".") for name in renamed] == list(state)


@NEEDS_MINKOWSKI
def test_minkowski_modules_take_our_weights() -> None:
    """A stem of genuine MinkowskiEngine modules, loaded with our weights under the converted names, gives our
    result."""
    from ignet.models.sparse.minkowski_engine import ME

    torch.manual_seed(0)
    ours = MinkUNet(4, SMALL.stem, SMALL.encoder, SMALL.decoder, SMALL.blocks).stem
    coordinates, features, _ = voxels()
    ours(features, make_geometry("torch", coordinates), 1)  # moves the running statistics away from 0 and 1
    theirs = nn.Sequential()
    for cin, cout in ((4, SMALL.stem), (SMALL.stem, SMALL.stem)):
        theirs.extend(
            [
                ME.MinkowskiConvolution(cin, cout, kernel_size=3, dimension=3),
                ME.MinkowskiBatchNorm(cout),
                ME.MinkowskiReLU(),
            ]
        )
    theirs.load_state_dict(to_minkowski_names(ours.state_dict(), ours))
    found = ours.eval()(features, make_geometry("torch", coordinates), 1)
    expected = theirs.eval()(ME.SparseTensor(features, coordinates=coordinates))
    assert torch.equal(expected.C, coordinates)
    torch.testing.assert_close(found, expected.F, rtol=1e-4, atol=1e-5)


@NEEDS_MINKOWSKI
def test_a_checkpoint_serves_both_engines(tmp_path: Path) -> None:
    torch.manual_seed(1)
    network = build_network(SMALL, label_set=SEMANTICKITTI)
    coordinates, features, inverse = voxels()
    network(VoxelBatch(coordinates, features, inverse), "minkowski")
    save_network(tmp_path / "model.safetensors", network, SMALL, "minkowski")
    loaded, config, engine = load_network(tmp_path / "model.safetensors")
    assert engine == "minkowski" and config == SMALL
    expected = predict_scan(network, SMALL, "minkowski", scan(), CPU)
    found = predict_scan(loaded, config, "torch", scan(), CPU)
    np.testing.assert_allclose(found[1], expected[1], atol=1e-4)
    assert (found[0] == expected[0]).mean() > 0.999


def test_the_file_holds_what_inference_needs(tmp_path: Path) -> None:
    torch.manual_seed(2)
    network = build_network(SMALL, NUSCENES).eval()
    path = tmp_path / "model.safetensors"
    save_network(path, network, SMALL, "torch", {"run": "baseline", "engine": "overridden"})
    state, metadata = read_weights(path)
    assert {key.split(".")[0] for key in state} == {"backbone", "classifier"}
    assert metadata == {"backbone": SMALL.canonical(), "engine": "torch", "label_set": NUSCENES.text, "run": "baseline"}
    loaded, config, engine = load_network(path)
    assert (config, engine, loaded.training) == (SMALL, "torch", False)
    assert loaded.label_set.classes == NUSCENES.classes and loaded.classifier.out_features == 16
    assert all(torch.equal(value, loaded.state_dict()[key]) for key, value in network.state_dict().items())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda state, metadata: metadata.pop("backbone"), "lacks a readable 'backbone'"),
        (lambda state, metadata: metadata.update(label_set="many"), "label set that is no JSON"),
        (lambda state, metadata: metadata.update(backbone='{"name": "minkunet", "depth": 3}'), "unknown key 'depth'"),
        (lambda state, metadata: metadata.update(backbone='{"name": "other"}'), "backbone 'other', expected minkunet"),
        (lambda state, metadata: metadata.update(label_set=NUSCENES.text), "weights do not fit.*classifier"),
        (lambda state, metadata: state.pop("classifier.bias"), "weights do not fit.*classifier.bias"),
        (lambda state, metadata: metadata.update(backbone=MinkUNetConfig().canonical()), "weights do not fit"),
    ],
)
def test_foreign_files_are_refused(tmp_path: Path, change, words: str) -> None:
    path = tmp_path / "model.safetensors"
    save_network(path, build_network(SMALL, label_set=SEMANTICKITTI), SMALL, "torch")
    state, metadata = read_weights(path)
    change(state, metadata)
    write_weights(path, state, metadata)
    with pytest.raises(IgnetError, match=words) as caught:
        load_network(path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)


# ---------------------------------------------------------------- prediction


@pytest.mark.parametrize("engine", ENGINES)
def test_predict_scan(engine: str) -> None:
    torch.manual_seed(0)
    network = build_network(SMALL, label_set=SEMANTICKITTI)
    points = scan()
    ids, confidence = predict_scan(network, SMALL, engine, points, CPU)
    assert ids.dtype == np.uint8 and ids.shape == (3000,) and ids.max() < 19
    assert confidence.dtype == np.float32 and confidence.shape == (3000,)
    assert confidence.min() >= 1 / 19 and confidence.max() <= 1
    again = predict_scan(network, SMALL, engine, points, CPU)
    assert (ids == again[0]).mean() > 0.999  # MinkowskiEngine's sums come in any order
    np.testing.assert_allclose(confidence, again[1], rtol=0, atol=0 if engine == "torch" else 1e-4)
    empty = predict_scan(network, SMALL, engine, points[:0], CPU)
    assert empty[0].shape == empty[1].shape == (0,) and empty[0].dtype == np.uint8


@settings(max_examples=5)
@given(st.integers(0, 1000))
def test_prediction_follows_the_points(seed: int) -> None:
    """The points in another order get the same classes in that order, where no voxel holds two of them."""
    torch.manual_seed(0)
    network = build_network(SMALL, label_set=SEMANTICKITTI)
    points = scan()
    points = points[voxelize(points, SMALL.voxel)[2]]
    order = np.random.default_rng(seed).permutation(len(points))
    expected = predict_scan(network, SMALL, "torch", points, CPU)
    found = predict_scan(network, SMALL, "torch", points[order], CPU)
    np.testing.assert_array_equal(found[0], expected[0][order])
    np.testing.assert_array_equal(found[1], expected[1][order])
