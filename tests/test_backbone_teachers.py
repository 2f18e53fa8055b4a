"""Backbones of transformers as frozen teachers: random weights in local folders, nothing downloaded."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from ignet.config.teachers import TransformersConfig, teacher_config
from ignet.errors import IgnetError
from ignet.files.atomic import write_weights
from ignet.models.teachers.backbone import PATCHES, build
from ignet.models.teachers.base import FrozenTeacher
from ignet.models.teachers.registry import load_teacher

VIT: dict[str, Any] = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
# class of settings, class of the network, settings, pixels of a patch
KINDS: dict[str, tuple[str, str, dict[str, Any], int]] = {
    "dinov2": ("Dinov2Config", "Dinov2Model", {**VIT, "image_size": 56, "patch_size": 14}, 14),
    "dinov2_with_registers": (
        "Dinov2WithRegistersConfig",
        "Dinov2WithRegistersModel",
        {**VIT, "image_size": 56, "patch_size": 14},
        14,
    ),
    "dinov3_vit": (
        "DINOv3ViTConfig",
        "DINOv3ViTModel",
        {**VIT, "intermediate_size": 48, "patch_size": 16, "num_register_tokens": 4},
        16,
    ),
}


def checkpoint(folder: Path, kind: str) -> Path:
    """A folder as transformers writes it, with random weights of one kind."""
    settings, network, values, _ = KINDS[kind]
    torch.manual_seed(0)
    getattr(transformers, network)._from_config(getattr(transformers, settings)(**values)).save_pretrained(folder)
    return folder


def test_all_kinds_are_tested() -> None:
    assert set(KINDS) == set(PATCHES)


@pytest.mark.parametrize("kind", KINDS)
def test_a_patch_is_found_where_it_is_in_the_image(kind: str, tmp_path: Path) -> None:
    stride = KINDS[kind][-1]
    network = build(TransformersConfig(weights=str(checkpoint(tmp_path / kind, kind)), layers=(0,)))
    teacher, image = FrozenTeacher(network), torch.rand(1, 3, 3 * stride + 5, 5 * stride + 1)
    features = teacher(image).features[0]
    assert features.shape == (24, 4, 6) and teacher.channels == 24
    image[..., stride : 2 * stride, 3 * stride : 4 * stride] += 1
    changed = (teacher(image).features[0] - features).abs().sum(0)
    assert (changed > 1e-4).nonzero().tolist() == [[1, 3]]
    pixel = torch.tensor([[3 * stride + (stride - 1) / 2, stride + (stride - 1) / 2]])
    torch.testing.assert_close(teacher.sample(features, pixel)[0], features[:, 1, 3])


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_gives_the_network_back_frozen(kind: str, tmp_path: Path) -> None:
    patch = KINDS[kind][-1]
    settings = TransformersConfig(weights=str(checkpoint(tmp_path / kind, kind)), layers=(0, -1))
    network, image = build(settings), torch.rand(1, 3, 61, 103)
    write_weights(tmp_path / "m.safetensors", network.state_dict(), {"network": json.dumps(network.shape)})
    teacher = load_teacher(tmp_path / "m.safetensors")
    features = teacher(image).features
    assert teacher.channels == 48 and teacher.network.stride == patch
    assert features.shape == (1, 48, -(-61 // patch), -(-103 // patch))
    assert not list(teacher.parameters()) and features.isfinite().all() and teacher.classifier() is None
    with torch.no_grad():
        assert torch.equal(features, network(image).features)


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_the_network_of_transformers(kind: str, tmp_path: Path) -> None:
    """Weights are the checkpoint's, and class and register tokens are no cells."""
    folder, patch = checkpoint(tmp_path / kind, kind), KINDS[kind][-1]
    network, image = build(TransformersConfig(weights=str(folder))), torch.rand(1, 3, 2 * patch, 3 * patch)
    theirs = getattr(transformers, KINDS[kind][1]).from_pretrained(folder).eval()
    with torch.no_grad():
        tokens = theirs((image - network.mean) / network.deviation).last_hidden_state[0]
        torch.testing.assert_close(network(image).features[0], tokens[-6:].T.reshape(24, 2, 3), rtol=1e-4, atol=1e-4)


def test_a_finer_image_has_smaller_cells_at_the_right_places(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "dinov2", "dinov2")
    teacher = FrozenTeacher(build(TransformersConfig(weights=str(folder), layers=(0,), scale=2.0)))
    assert teacher.network.stride == 7 and teacher.network.offset == 3
    image = torch.rand(1, 3, 28, 42)
    features = teacher(image).features[0]
    assert features.shape == (24, 4, 6)
    image[..., 7:14, 21:28] += 1
    changed = (teacher(image).features[0] - features).abs().sum(0)
    assert divmod(int(changed.argmax()), 6) == (1, 3)


def test_dinov2_small_has_its_published_shape(tmp_path: Path) -> None:
    """ViT-S/14 with positions of 37 x 37 patches, which are interpolated to KITTI's 27 x 89."""
    config = transformers.Dinov2Config(
        hidden_size=384, num_hidden_layers=12, num_attention_heads=6, image_size=518, patch_size=14
    )
    transformers.Dinov2Model._from_config(config).save_pretrained(tmp_path / "small")
    network = build(TransformersConfig(weights=str(tmp_path / "small")))
    assert sum(p.numel() for p in network.parameters()) == 22_056_576
    with torch.no_grad():
        assert network(torch.rand(1, 3, 376, 1241)).features.shape == (1, 384, 27, 89)


def test_colours_are_brought_to_those_of_the_checkpoint(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "dinov2", "dinov2")
    assert build(TransformersConfig(weights=str(folder))).mean.flatten().tolist() == pytest.approx(
        [0.485, 0.456, 0.406]
    )
    (folder / "preprocessor_config.json").write_text(
        json.dumps({"image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.25, 0.5]}), encoding="utf-8"
    )
    network = build(TransformersConfig(weights=str(folder)))
    assert network.mean.flatten().tolist() == pytest.approx([0.5, 0.4, 0.3])
    assert network.deviation.flatten().tolist() == pytest.approx([0.2, 0.25, 0.5])


def test_wrong_folders_are_refused_in_one_line(tmp_path: Path) -> None:
    def refusal(**values: Any) -> str:
        with pytest.raises(IgnetError) as error:
            build(TransformersConfig(**values))
        return str(error.value)

    assert "no config.json" in refusal(weights=str(tmp_path / "none"))
    folder = checkpoint(tmp_path / "dinov2", "dinov2")
    assert "layers has 3" in refusal(weights=str(folder), layers=(3,))
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    assert "no model.safetensors" in refusal(weights=str(folder)) and "pickles" in refusal(weights=str(folder))
    write_weights(folder / "model.safetensors", {"other": torch.zeros(1)})
    assert "missing" in refusal(weights=str(folder)) or "not loaded" in refusal(weights=str(folder))
    transformers.ResNetModel._from_config(
        transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8, 8], depths=[1, 1], layer_type="basic")
    ).save_pretrained(tmp_path / "resnet")
    assert "model_type is resnet, expected one of dinov2" in refusal(weights=str(tmp_path / "resnet"))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"kind": "transformers"}, ["teachers.a", "weights"]),
        ({"kind": "transformers", "weights": "./here", "revision": "main"}, ["teachers.a", "revision is main"]),
        ({"kind": "transformers", "weights": "a/b", "scale": 0}, ["teachers.a", "scale"]),
    ],
)
def test_wrong_settings_are_named(values: object, words: list[str]) -> None:
    with pytest.raises(IgnetError) as error:
        teacher_config(values, "teachers.a")
    assert all(word in str(error.value) for word in words), str(error.value)
