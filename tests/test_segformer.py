"""SegFormer: shapes, alignment of features and pixels, weights on disk, the frozen teacher."""

import copy
import json

import pytest
import torch
from pydantic import ValidationError
from torch import nn
from transformers import SegformerConfig as Shape
from transformers import SegformerForSemanticSegmentation

from ignet.config.training_2d import OptimizerConfig2D, SegformerConfig
from ignet.errors import IgnetError
from ignet.files.atomic import write_weights
from ignet.models.teachers.base import FrozenTeacher, sample_features
from ignet.models.teachers.segformer import build_segmenter, load_segmenter, save_segmenter
from ignet.train.trainer import parameter_groups

TINY = SegformerConfig(hidden_sizes=(4, 6, 10, 16), depths=(1, 1, 1, 1), decoder_channels=12)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return build_segmenter(TINY).eval()


def checkpoint(classes: int) -> SegformerForSemanticSegmentation:
    torch.manual_seed(1)
    shape = Shape(hidden_sizes=[8, 8, 10, 16], depths=[1, 2, 1, 1], decoder_hidden_size=20, num_labels=classes)
    return SegformerForSemanticSegmentation(shape)


@pytest.mark.parametrize(("height", "width"), [(64, 96), (37, 50), (32, 33), (5, 7)])
def test_any_size_gives_logits_of_the_image_and_features_of_a_quarter(model, height, width):
    logits, features, deep = model(torch.rand(2, 3, height, width))
    assert logits.shape == (2, 19, height, width)
    assert features.shape == (2, 12, -(-height // 4), -(-width // 4))
    assert deep.shape == (2, 16, -(-height // 32), -(-width // 32))
    assert features.min() >= 0


def test_agrees_with_the_library(model):
    """Same weights, normalised by hand: the library's own forward gives the same logits at a quarter of the size."""
    shape = copy.deepcopy(model.shape)
    library = SegformerForSemanticSegmentation(shape).eval()
    library.segformer.load_state_dict(model.encoder.state_dict())
    library.decode_head.load_state_dict(
        {
            **model.head.state_dict(),
            **{f"classifier.{key}": value for key, value in model.classifier.state_dict().items()},
        }
    )
    image = torch.rand(1, 3, 64, 96)
    normal = (image - torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)) / torch.tensor([0.229, 0.224, 0.225]).view(
        1, 3, 1, 1
    )
    with torch.no_grad():
        expected = library(pixel_values=normal).logits
        expected = nn.functional.interpolate(expected, size=(64, 96), mode="bilinear", align_corners=False)
        torch.testing.assert_close(model(image).logits, expected)


def test_sampling_a_ramp_is_exact():
    """Cell (i, j) is centred at pixel (4j + 1.5, 4i + 1.5), so a ramp of pixel coordinates is sampled as those
    coordinates."""
    rows, columns = 5, 8
    v, u = torch.meshgrid(4 * torch.arange(rows) + 1.5, 4 * torch.arange(columns) + 1.5, indexing="ij")
    ramp = torch.stack([u, v, 3 * u - 2 * v])
    pixel = torch.tensor([[1.5, 1.5], [2.0, 3.25], [29.5, 17.5], [11.125, 7.0]])
    sampled = sample_features(ramp, pixel, 4, 1.5)
    torch.testing.assert_close(
        sampled, torch.stack([pixel[:, 0], pixel[:, 1], 3 * pixel[:, 0] - 2 * pixel[:, 1]], dim=1)
    )


def test_sampling_beyond_the_outermost_centres_holds_the_border():
    feature = torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])  # an image of 8 x 8 pixels
    pixel = torch.tensor([[-0.5, -0.5], [0.0, 0.0], [7.5, 0.0], [7.5, 7.5], [3.5, 3.5]])
    torch.testing.assert_close(sample_features(feature, pixel, 4, 1.5)[:, 0], torch.tensor([1.0, 1.0, 2.0, 4.0, 2.5]))


@pytest.mark.parametrize(("height", "width"), [(64, 96), (37, 50)])
def test_the_classifier_on_sampled_features_gives_the_logits_of_the_pixel(model, height, width):
    with torch.no_grad():
        logits, features, _ = model(torch.rand(1, 3, height, width))
        v, u = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        sampled = sample_features(features[0], torch.stack([u, v], dim=-1).reshape(-1, 2).float(), 4, 1.5)
        found = sampled @ model.classifier.weight[:, :, 0, 0].T + model.classifier.bias
    torch.testing.assert_close(found.T.reshape(19, height, width), logits[0], rtol=1e-4, atol=1e-5)


def test_a_saved_network_comes_back_whole(model, tmp_path):
    path = tmp_path / "model.safetensors"
    save_segmenter(path, model, TINY)
    loaded = load_segmenter(path)
    assert not loaded.training and loaded.channels == 12
    assert loaded.shape.to_dict()["_name_or_path"] == "random"
    image = torch.rand(1, 3, 32, 64)
    with torch.no_grad():
        assert torch.equal(loaded(image).logits, model(image).logits)
    save_segmenter(tmp_path / "again.safetensors", loaded)
    assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("metadata", [{}, {"network": "no json"}, {"network": json.dumps({"model_type": "segformer"})}])
def test_other_weights_are_refused(tmp_path, metadata):
    write_weights(tmp_path / "other.safetensors", {"weight": torch.zeros(2)}, metadata)
    with pytest.raises(IgnetError, match="no 2D network"):
        load_segmenter(tmp_path / "other.safetensors")


@pytest.mark.parametrize("classes", [19, 5])
def test_a_local_checkpoint_brings_weights_and_shape(tmp_path, classes):
    whole = checkpoint(classes)
    whole.save_pretrained(tmp_path)
    built = build_segmenter(SegformerConfig(weights=str(tmp_path), dropout=0.3))
    assert built.channels == 20 and built.dropout.p == 0.3
    assert all(
        torch.equal(value, whole.segformer.state_dict()[key]) for key, value in built.encoder.state_dict().items()
    )
    assert torch.equal(built.head.linear_fuse.weight, whole.decode_head.linear_fuse.weight)
    assert built.classifier.weight.shape[0] == 19
    if classes == 19:
        assert torch.equal(built.classifier.weight, whole.decode_head.classifier.weight)


def test_an_encoder_alone_is_enough(tmp_path):
    encoder = checkpoint(19).segformer
    encoder.save_pretrained(tmp_path)
    built = build_segmenter(SegformerConfig(weights=str(tmp_path)))
    assert all(torch.equal(value, encoder.state_dict()[key]) for key, value in built.encoder.state_dict().items())


def test_a_checkpoint_without_an_encoder_is_refused(tmp_path):
    whole = checkpoint(19)
    whole.save_pretrained(tmp_path)
    write_weights(tmp_path / "model.safetensors", {"other": torch.zeros(1)}, {"format": "pt"})
    with pytest.raises(IgnetError, match="do not fit"):
        build_segmenter(SegformerConfig(weights=str(tmp_path)))


def test_missing_and_foreign_folders_are_named(tmp_path):
    with pytest.raises(IgnetError, match=r"no config\.json.*random"):
        build_segmenter(SegformerConfig(weights=str(tmp_path / "none")))
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(IgnetError, match="model_type is bert"):
        build_segmenter(SegformerConfig(weights=str(tmp_path)))


def test_hidden_sizes_must_fit_the_heads():
    with pytest.raises(ValidationError, match="attention heads"):
        SegformerConfig(hidden_sizes=(16, 32, 64, 128))


def test_the_frozen_teacher_cannot_be_unfrozen(model):
    teacher = FrozenTeacher(model)
    image, before = torch.rand(2, 3, 32, 32), copy.deepcopy(teacher.state_dict())
    assert before.keys() == {f"network.{key}" for key in model.state_dict()}
    with torch.no_grad():
        torch.testing.assert_close(teacher(image).logits, model(image).logits)
    teacher.train(True).requires_grad_(True)
    student = (
        nn.ModuleList([teacher, nn.Linear(19, 1)]).train().requires_grad_(True)
    )  # as a part of something that is trained
    optimizer = torch.optim.SGD(student.parameters(), lr=1.0, weight_decay=1.0)
    output = teacher(image)
    student[1](output.logits.mean(dim=(2, 3))).sum().backward()
    optimizer.step()
    assert not any(part.training for part in teacher.modules())
    assert not list(teacher.parameters())
    assert not output.logits.requires_grad and not output.features.requires_grad
    assert all(torch.equal(value, before[key]) for key, value in teacher.state_dict().items())


def test_the_frozen_teacher_is_a_copy(model):
    teacher, image = FrozenTeacher(model), torch.rand(1, 3, 32, 32)
    before = teacher(image).logits
    model.train()
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
    assert torch.equal(teacher(image).logits, before)


def test_the_decoder_learns_faster_and_norms_do_not_decay(model):
    settings = OptimizerConfig2D(learning_rate=0.1, head_learning_rate_factor=10, weight_decay=0.5, warmup_steps=0)
    groups = parameter_groups(model, settings, settings.head_learning_rate_factor)
    names = {id(weight): name for name, weight in model.named_parameters()}
    seen = {names[id(w)]: (g["lr"], g["weight_decay"]) for g in groups for w in g["params"]}
    assert seen.keys() == dict(model.named_parameters()).keys()
    for name, (rate, decay) in seen.items():
        assert rate == pytest.approx(0.1 if name.startswith("encoder.") else 1.0)
        assert decay == (0 if name.endswith("bias") or "norm" in name else 0.5), name
