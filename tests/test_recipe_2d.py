"""The optional parts of the 2D recipe: shapes by name, feature distance, masked consistency, scales, number format."""

import sys

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from test_segformer import checkpoint
from test_stages_2d import ADAPT, PRETRAIN, adapt, run_script, work  # noqa: F401
from training_files import training_files

from ignet.config.training_2d import (
    Adapt2DConfig,
    FeatureDistanceConfig,
    ImageConfig,
    MaskConfig,
    Pretrain2DConfig,
    SegformerConfig,
)
from ignet.data.images.dataset import random_factor
from ignet.devices import autocast
from ignet.losses.feature_distance import THINGS, feature_distance, thing_cells
from ignet.models.teachers.base import FrozenTeacher, content_hash
from ignet.models.teachers.segformer import build_segmenter
from ignet.train.distributed import Ranks
from ignet.train.imagenet_distance import FeatureDistance
from ignet.train.masking import mask_patches
from ignet.train.run import TrainingRun

CPU = torch.device("cpu")


# --- settings -----------------------------------------------------------------


def test_published_shapes_by_name() -> None:
    network = SegformerConfig(mit="b5")
    assert (network.hidden_sizes, network.depths, network.decoder_channels) == ((64, 128, 320, 512), (3, 6, 40, 3), 768)
    assert SegformerConfig(mit="b0").depths == (2, 2, 2, 2)
    with pytest.raises(ValidationError, match="mit is b1, whose depths are"):
        SegformerConfig(mit="b1", depths=(1, 1, 1, 1))


def test_a_shape_by_name_is_the_same_result_as_its_numbers() -> None:
    numbers = {"hidden_sizes": [64, 128, 320, 512], "depths": [3, 4, 6, 3], "decoder_channels": 768}
    named, spelt = (Pretrain2DConfig(network=network).canonical() for network in ({"mit": "b2"}, numbers))
    assert named == spelt == Pretrain2DConfig(network={"mit": "b2", **numbers}).canonical()


def test_what_is_off_is_no_part_of_a_settings_text() -> None:
    plain, off = Adapt2DConfig(), Adapt2DConfig(masked={"ratio": 0.5}, feature_distance={"weights": "some"})
    assert plain.canonical() == off.canonical()
    assert plain.identity()["masked"] == plain.identity()["feature_distance"] == {"weight": 0.0}
    assert "source_scale_range" not in plain.identity() and "source_scale_range" in plain.model_dump()
    assert Adapt2DConfig(masked={"weight": 1}).identity()["masked"]["ratio"] == 0.7


def test_wrong_values() -> None:
    for wrong, words in (
        ({"feature_distance": {"weight": 0.1}}, "names no ImageNet encoder"),
        ({"source_scale_range": (2, 1)}, "must be above 0 and rise"),
        ({"masked": {"ratio": 1.0}}, "less than 1"),
    ):
        with pytest.raises(ValidationError, match=words):
            Adapt2DConfig(**wrong)  # type: ignore[arg-type]


# --- feature distance ---------------------------------------------------------


def test_cells_that_one_thing_fills() -> None:
    labels = torch.full((1, 8, 12), 0)  # road
    labels[0, :4, :4] = 13  # car: all of a cell
    labels[0, :4, 4:8], labels[0, :1, 4:8] = 11, 0  # person: three quarters of it
    labels[0, :4, 8:] = torch.tensor([11, 11, 13, 13])  # two things, half each
    labels[0, 4:, :4], labels[0, 4:, 4:8] = 255, 10  # nothing; sky, which is no thing
    assert thing_cells(labels, 4, 0.75).tolist() == [[[True, True, False], [False, False, False]]]
    assert thing_cells(labels, 4, 0.8).tolist() == [[[True, False, False], [False, False, False]]]
    assert thing_cells(torch.full((2, 5, 5), 13), 4, 0.75).tolist() == [[[True, False], [False, False]]] * 2
    assert thing_cells(torch.full((1, 5, 4), 0), 4, 0.75, things=(0,)).tolist() == [
        [[True], [False]]
    ]  # what lies beyond the border is nothing
    assert len(THINGS) == 10 and 13 in THINGS and 0 not in THINGS


def test_distance_by_hand_and_its_gradient() -> None:
    features = torch.zeros(1, 2, 1, 3, dtype=torch.float64, requires_grad=True)
    reference = torch.tensor([[[[3.0, 0, 7]], [[4.0, 0, 7]]]], dtype=torch.float64, requires_grad=True)
    distance = feature_distance(features, reference, torch.tensor([[[True, True, False]]]))
    assert distance.item() == pytest.approx((5 + 0) / 2, abs=1e-5)
    assert feature_distance(features, reference, torch.tensor([[[True, False, False]]])).item() == pytest.approx(5)
    distance.backward()
    assert features.grad is not None and reference.grad is None and torch.isfinite(features.grad).all()
    np.testing.assert_allclose(features.grad[0, :, 0], [[-0.3, 0, 0], [-0.4, 0, 0]], atol=1e-6)


def test_distance_without_cells_is_zero_with_a_graph() -> None:
    features = torch.rand(1, 4, 2, 2, requires_grad=True)
    distance = feature_distance(features, torch.rand(1, 4, 2, 2), torch.zeros(1, 2, 2, dtype=torch.bool))
    distance.backward()
    assert distance == 0 and features.grad is not None
    with pytest.raises(ValueError, match="expected"):
        feature_distance(features, torch.rand(1, 3, 2, 2), torch.zeros(1, 2, 2, dtype=torch.bool))


def test_the_feature_distance_weighs_that_to_the_imagenet_encoder(tmp_path) -> None:
    checkpoint(19).save_pretrained(tmp_path)
    settings = FeatureDistanceConfig(weight=0.5, weights=str(tmp_path))
    encoder = build_segmenter(SegformerConfig(weights=str(tmp_path))).eval()
    distance = FeatureDistance(settings, build_segmenter(SegformerConfig(weights=str(tmp_path))), Ranks())
    images, deep, labels = torch.rand(1, 3, 64, 64), torch.rand(1, 16, 2, 2), torch.full((1, 64, 64), 13)
    labels[:, :32] = 0  # no thing
    with torch.no_grad():
        apart = (deep - encoder(images).deep).norm(dim=1)[:, 1].mean()
    assert distance(images, deep, labels).item() == pytest.approx(0.5 * apart.item(), rel=1e-4)
    assert bool(distance) and distance.content == content_hash(FrozenTeacher(encoder))
    off = FeatureDistance(FeatureDistanceConfig(), encoder, Ranks())
    assert not off and off.content == ""


# --- masks, scales, numbers ---------------------------------------------------


def test_blocks_are_hidden_as_a_whole() -> None:
    images = torch.rand(3, 3, 50, 70)
    hidden = mask_patches(images, 0.7, 16, np.random.default_rng(0))
    changed = (hidden != images).any(dim=1)
    for image in changed:
        blocks = [image[top : top + 16, left : left + 16] for top in range(0, 50, 16) for left in range(0, 70, 16)]
        assert all(bool(block.all()) or not bool(block.any()) for block in blocks)
    assert 0.5 < changed.float().mean() < 0.9 and not torch.equal(changed[0], changed[1])
    model = build_segmenter(SegformerConfig(hidden_sizes=(8, 8, 10, 16), decoder_channels=12))
    assert torch.equal(hidden[changed[:, None].expand_as(hidden)].unique(), model.mean.ravel().unique())


def test_blocks_by_hand() -> None:
    class Drawn:
        """Stands for a generator whose numbers are known."""

        def random(self, shape: tuple[int, ...]) -> np.ndarray:
            assert shape == (2, 1, 2, 3)  # of 3 x 5 pixels, in blocks of 2
            return np.array([[[[0.1, 0.9, 0.3], [0.9, 0.3, 0.9]]], [[[0.9, 0.9, 0.9], [0.9, 0.9, 0.2]]]])

    images = torch.ones(2, 3, 3, 5)
    hidden = mask_patches(images, 0.3, 2, Drawn())  # type: ignore[arg-type]
    shown = torch.tensor(
        [[[0, 0, 1, 1, 1]] * 2 + [[1, 1, 1, 1, 1]], [[1] * 5] * 2 + [[1, 1, 1, 1, 0]]], dtype=torch.bool
    )
    for channel, mean in enumerate((0.485, 0.456, 0.406)):
        torch.testing.assert_close(hidden[:, channel], torch.where(shown, 1.0, mean))


def test_factors_lie_within_their_limits_and_off_draws_nothing() -> None:
    rng = np.random.default_rng(0)
    drawn = np.array([random_factor((0.5, 2.0), rng) for _ in range(2000)])
    assert 0.5 <= drawn.min() < 0.55 and 1.8 < drawn.max() <= 2 and abs(np.log(drawn).mean()) < 0.05
    before = rng.bit_generator.state
    assert random_factor(ImageConfig().source_scale_range, rng) == 1 and rng.bit_generator.state == before


def test_number_formats() -> None:
    layer, x = torch.nn.Linear(4, 4), torch.rand(2, 4)
    for precision, expected in (("auto", torch.float32), ("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        with autocast(CPU, precision):  # type: ignore[arg-type]
            assert layer(x).dtype == expected


# --- trainings ----------------------------------------------------------------


def test_the_scripts_with_all_of_it(work, tmp_path) -> None:  # noqa: F811
    torch.manual_seed(0)
    encoder = checkpoint(19)
    encoder.save_pretrained(tmp_path / "imagenet")
    extra = {
        "source_scale_range": [0.8, 1.25],
        "precision": "bfloat16",
        "feature_distance": {"weight": 0.5, "weights": str(tmp_path / "imagenet")},
    }
    out = tmp_path / "pretrain"
    files = training_files(out)
    settings = {**PRETRAIN, "steps": 3, "network": {"weights": str(tmp_path / "imagenet")}, **extra}
    run_script("pretrain_2d", settings, "--source", work / "source", *files, "--state", tmp_path / "state")
    curves = np.genfromtxt(out / "curves.csv", delimiter=",", names=True)
    # cars are smaller than a cell here, so that the term itself is looked at in the tests above
    assert "feature_distance" in curves.dtype.names and np.isfinite(curves["loss"]).all()

    for name in ("source", "target", "projection"):
        (tmp_path / name).symlink_to(work / name)
    settings = {**ADAPT, "steps": 3, "masked": {"weight": 1.0, "block": 8}, **extra}
    adapt(tmp_path, tmp_path / "adapted", settings)
    curves = np.genfromtxt(tmp_path / "adapted" / "curves.csv", delimiter=",", names=True)
    assert (curves["masked"] > 0).all() and "feature_distance" in curves.dtype.names


@pytest.mark.parametrize("key", ["network", "feature_distance"])
def test_a_state_knows_the_weights_behind_its_settings(work, tmp_path, monkeypatch, key) -> None:  # noqa: F811
    """Another checkpoint in the same folder: a killed training may not go on with the state of the first."""
    folder, out, states = tmp_path / "imagenet", tmp_path / "out", []
    network = {"hidden_sizes": [8, 8, 10, 16], "depths": [1, 2, 1, 1], "decoder_channels": 20}
    settings = {
        **PRETRAIN,
        "network": network,
        key: {"weights": str(folder), **({"weight": 0.5} if key == "feature_distance" else {})},
    }
    files = training_files(out)

    def stop(run: TrainingRun) -> None:
        states.append(run.identity)
        sys.exit(0)

    monkeypatch.setattr(TrainingRun, "__enter__", stop)
    for added in (0.0, 0.0, 1.0):
        encoder = checkpoint(19)
        next(encoder.parameters()).data += added
        encoder.save_pretrained(folder)
        with pytest.raises(SystemExit):
            run_script("pretrain_2d", settings, "--source", work / "source", *files, "--state", tmp_path / "state")
    assert states[0] == states[1] != states[2]


def test_an_encoder_of_another_shape_is_refused(work, tmp_path, capsys) -> None:  # noqa: F811
    checkpoint(19).save_pretrained(tmp_path / "imagenet")
    for name in ("source", "target", "projection", "pretrain"):
        (tmp_path / name).symlink_to(work / name)
    other = {"hidden_sizes": [16, 16, 20, 32], "depths": [1, 1, 1, 1], "decoder_channels": 12}
    out = tmp_path / "other"
    files = training_files(out)
    distance = FeatureDistanceConfig(weight=1.0, weights=str(tmp_path / "imagenet")).model_dump()
    settings = {**PRETRAIN, "steps": 2, "network": other, "feature_distance": distance}
    with pytest.raises(SystemExit):
        run_script("pretrain_2d", settings, "--source", work / "source", *files, "--state", tmp_path / "state")
    assert "found an encoder of [8, 8, 10, 16] channels, expected [16, 16, 20, 32]" in capsys.readouterr().err
    assert MaskConfig().weight == 0
