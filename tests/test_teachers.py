import hashlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from one_camera import seen_by_one
from torch import Tensor, nn

from ignet.config.training_2d import SegformerConfig
from ignet.data.formats.kitti import image_path
from ignet.data.projection.correspondence import Correspondence, CorrespondenceWriter, FrameCorrespondence, View
from ignet.errors import IgnetError
from ignet.evaluate.segmentation2d import predict_image
from ignet.files.atomic import write_png, write_weights
from ignet.models.point_features import PointFeatures
from ignet.models.teachers.base import FrozenTeacher, ImageNetwork, content_hash, read_network, sample_features
from ignet.models.teachers.registry import TEACHERS, load_teacher
from ignet.models.teachers.segformer import Segmenter, build_segmenter, load_segmenter, save_segmenter

CPU = torch.device("cpu")


class Output(NamedTuple):
    features: Tensor
    logits: Tensor | None = None


class Blocks(ImageNetwork):
    """Mean colours of blocks of 8 x 8 pixels, times a factor."""

    stride = 8
    channels = 3

    def __init__(self, factor: Tensor) -> None:
        super().__init__()
        self.factor = nn.Parameter(factor)

    def forward(self, images: Tensor) -> Output:
        return Output(nn.functional.avg_pool2d(images, 8, ceil_mode=True, count_include_pad=False) * self.factor)


@pytest.fixture
def blocks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Weights of a teacher of another kind."""

    def restore(tensors: dict[str, Tensor], shape: dict[str, Any]) -> Blocks:
        return Blocks(tensors["factor"])

    monkeypatch.setitem(TEACHERS, "blocks", restore)
    path = tmp_path / "blocks.safetensors"
    write_weights(path, {"factor": torch.tensor(2.0)}, {"network": '{"model_type": "blocks"}'})
    return path


@pytest.mark.parametrize(("stride", "offset"), [(4, 1.5), (8, 3.5), (8, 0.0), (14, 6.5), (1, 0.0)])
def test_a_ramp_of_pixel_coordinates_is_sampled_as_those(stride: int, offset: float) -> None:
    centres = [offset + stride * torch.arange(count) for count in (5, 7)]
    v, u = torch.meshgrid(*centres, indexing="ij")
    low, high = offset, offset + 4 * stride
    pixel = low + (high - low) * torch.rand(50, 2, dtype=torch.float64)
    sampled = sample_features(torch.stack([u, v]).double(), pixel, stride, offset)
    torch.testing.assert_close(sampled, pixel)


def test_beyond_the_outermost_centres_the_border_holds() -> None:
    feature = torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])
    pixel = torch.tensor([[-4.0, -9.0], [0.0, 0.0], [8.0, 0.0], [99.0, 99.0], [4.0, 4.0], [2.0, 0.0]])
    sampled = sample_features(feature, pixel, 8, 0.0)
    torch.testing.assert_close(sampled[:, 0], torch.tensor([1.0, 1.0, 2.0, 4.0, 2.5, 1.25]))


def test_a_cell_begins_where_the_image_does_unless_a_network_says_so() -> None:
    class Centred(Blocks):
        offset = 0.0

    assert Blocks(torch.tensor(1.0)).offset == 3.5
    feature, pixel = torch.tensor([[[0.0, 8.0]]]), torch.tensor([[4.0, 0.0]])
    assert FrozenTeacher(Centred(torch.tensor(1.0))).sample(feature, pixel).item() == 4.0
    assert FrozenTeacher(Blocks(torch.tensor(1.0))).sample(feature, pixel).item() == 0.5


def test_segformer_is_found_by_its_file(tmp_path: Path) -> None:
    network = build_segmenter(
        SegformerConfig(hidden_sizes=(8, 16, 40, 64), depths=(1, 1, 1, 1), decoder_channels=12)
    ).eval()
    save_segmenter(tmp_path / "model.safetensors", network)
    teacher, image = load_teacher(tmp_path / "model.safetensors"), torch.rand(1, 3, 37, 50)
    assert isinstance(teacher.network, Segmenter) and teacher.channels == 12
    assert (teacher.network.stride, teacher.network.offset) == (4, 1.5)
    with torch.no_grad():
        output = network(image)
    assert torch.equal(teacher(image).features, output.features)
    classifier = teacher.classifier()
    assert classifier is not None
    assert classifier.weight.shape == (19, 12) and classifier.bias.shape == (19,)
    # at the centre of a cell the classifier of the sampled feature gives the cell's logits
    sampled = teacher.sample(output.features[0], torch.tensor([[4 * 5 + 1.5, 4 * 3 + 1.5]]))
    torch.testing.assert_close(sampled[0], output.features[0, :, 3, 5])
    with torch.no_grad():
        expected = network.classifier(output.features)[0, :, 3, 5].numpy()
    np.testing.assert_allclose(classifier.weight @ sampled[0].numpy() + classifier.bias, expected, atol=1e-5)


def test_a_teacher_of_another_kind_and_stride_gives_features_of_points(blocks: Path, tmp_path: Path) -> None:
    image = np.zeros((16, 24, 3), np.uint8)
    image[:, 8:16, 0], image[8:, :, 1] = 255, 255
    path = image_path(tmp_path, "00", "000000")
    path.parent.mkdir(parents=True)
    write_png(path, image)
    pixel = np.array([[11.5, 3.5], [7.5, 3.5], [3.5, 11.5], [3.5, 7.5]], np.float32)
    points = seen_by_one(
        points=9, index=np.array([1, 4, 5, 8], np.int32), pixel=pixel, scribble=np.full(4, 255, np.uint8),
        width=24, height=16, sector=(-0.5, 0.5),
    )  # fmt: skip
    with CorrespondenceWriter(tmp_path / "00.h5") as writer:
        writer.add("000000", points)
    network = PointFeatures(blocks, tmp_path, CPU)
    assert network.channels == 3 and network.classifier is None
    ((frame, index, feature),) = network.extract("00", Correspondence(tmp_path / "00.h5"), ["000000"])
    assert frame == "000000" and index.tolist() == [1, 4, 5, 8]
    np.testing.assert_allclose(feature, [[2, 0, 0], [1, 0, 0], [0, 2, 0], [0, 1, 0]], atol=1e-5)


def test_features_of_several_cameras_come_each_from_its_own_image(blocks: Path, tmp_path: Path) -> None:
    sizes = {0: (24, 16), 3: (16, 8)}
    for camera, (width, height) in sizes.items():
        path = image_path(tmp_path, "00", "000000", camera)
        path.parent.mkdir(parents=True)
        write_png(path, np.full((height, width, 3), (255 * (camera == 0), 255 * (camera == 3), 0), np.uint8))
    points = FrameCorrespondence(
        points=9,
        index=np.array([1, 4, 5], np.int32),
        camera=np.array([3, 0, 3], np.uint8),
        pixel=np.array([[11.5, 3.5], [20.5, 11.5], [4.5, 3.5]], np.float32),
        scribble=np.full(3, 255, np.uint8),
        views={camera: View(*size, (-0.5, 0.5)) for camera, size in sizes.items()},
    )
    with CorrespondenceWriter(tmp_path / "00.h5", cameras=(0, 3, 5)) as writer:
        writer.add("000000", points)
    ((_, index, feature),) = PointFeatures(blocks, tmp_path, CPU).extract(
        "00", Correspondence(tmp_path / "00.h5"), ["000000"]
    )
    assert index.tolist() == [1, 4, 5]
    np.testing.assert_allclose(feature, [[0, 2, 0], [2, 0, 0], [0, 2, 0]], atol=1e-5)


def test_a_teacher_of_any_kind_is_frozen(blocks: Path) -> None:
    teacher = load_teacher(blocks).train().requires_grad_(True)
    output = teacher(torch.rand(1, 3, 16, 16, requires_grad=True))
    assert not list(teacher.parameters()) and not output.features.requires_grad
    assert not any(part.training for part in teacher.modules())


def test_a_network_without_classes_segments_nothing(blocks: Path) -> None:
    with pytest.raises(IgnetError, match="found a network without classes"):
        predict_image(load_teacher(blocks), np.zeros((16, 16, 3), np.uint8), CPU)


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ({}, "no 2D network"),
        ({"network": "no json"}, "no 2D network"),
        ({"network": "[1]"}, "no 2D network"),
        ({"network": "{}"}, "no 2D network .*model_type"),
        ({"network": '{"model_type": "bert"}'}, "found the kind 'bert', expected one of segformer"),
        ({"network": '{"model_type": "segformer"}'}, "no 2D network .*give a model.safetensors of pretrain_2d"),
    ],
)
def test_a_file_of_no_known_kind_is_one_line(tmp_path: Path, metadata: dict[str, str], words: str) -> None:
    path = tmp_path / "other.safetensors"
    write_weights(path, {"weight": torch.zeros(2)}, metadata)
    with pytest.raises(IgnetError, match=rf"other\.safetensors: .*{words}"):
        load_teacher(path)


def test_the_content_of_a_network_is_its_tensors_by_name() -> None:
    def network(**tensors: Tensor) -> nn.Module:
        module = nn.Module()
        for name, value in tensors.items():
            module.register_buffer(name, value)
        return module

    a, b = torch.tensor([[1.0, 2.0]]), torch.tensor([3], dtype=torch.int64)
    expected = hashlib.sha256(
        b"a torch.float32 (1, 2)\n" + a.numpy().tobytes() + b"b torch.int64 (1,)\n" + b.numpy().tobytes()
    ).hexdigest()
    assert content_hash(network(b=b, a=a)) == content_hash(network(a=a, b=b)) == expected
    others = [network(a=a + 1, b=b), network(a=a.T, b=b), network(c=a, b=b), network(a=a.double(), b=b)]
    assert len({expected, *map(content_hash, others)}) == 5


def test_a_training_takes_no_network_of_another_kind(blocks: Path) -> None:
    assert read_network(blocks)[1] == {"model_type": "blocks"}
    with pytest.raises(IgnetError, match="no 2D network .found the kind 'blocks', expected 'segformer'"):
        load_segmenter(blocks)
