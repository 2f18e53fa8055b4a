"""Source datasets: layouts, label formats, class statistics."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from ignet.data.formats.source_images import SourceDataset
from ignet.data.label_sets.label_set import CITYSCAPES
from ignet.errors import IgnetError

ROAD, SKY, CAR = (CITYSCAPES.classes.index(name) for name in ("road", "sky", "car"))
IDS = np.array([[7, 7, 23], [26, 0, 34]], np.uint8)  # road, road, sky; car, unlabeled, licence plate
TRAIN = [[ROAD, ROAD, SKY], [CAR, 255, 255]]


def image(path: Path, size: tuple[int, int] = (2, 3), value: tuple[int, int, int] = (10, 20, 30)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*size, 3), value, np.uint8)).save(path)


def label(path: Path, ids: np.ndarray, palette: np.ndarray | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(ids)
    if palette is not None:
        picture = picture.convert("P")
        picture.putdata(ids.ravel().tolist())
        picture.putpalette(palette.astype(np.uint8).ravel().tolist())
    picture.save(path)


def gtav(root: Path, name: str = "00001") -> Path:
    image(root / "images" / f"{name}.png")
    return root / "labels" / f"{name}.png"


def test_all_label_ids_and_train_ids_agree(tmp_path: Path) -> None:
    path = gtav(tmp_path)
    image(tmp_path / "images/00001.png", (1, 35))
    label(path, np.arange(35, dtype=np.uint8)[None])
    train = SourceDataset(tmp_path, "gtav").read(0)[1][0]
    expected = np.full(35, 255)
    expected[[7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33]] = range(19)
    np.testing.assert_array_equal(train, expected)
    np.testing.assert_array_equal(train[CITYSCAPES.raw_ids], range(19))


def test_gtav_grey_palette_and_colours_are_the_same_labels(tmp_path: Path) -> None:
    label(gtav(tmp_path, "a"), IDS)
    label(
        gtav(tmp_path, "b"), IDS, np.random.default_rng(0).integers(0, 256, (256, 3))
    )  # the index counts, not the colour
    colors = np.zeros((2, 3, 3), np.uint8)
    for train, color in ((ROAD, CITYSCAPES.colors[ROAD]), (SKY, CITYSCAPES.colors[SKY]), (CAR, CITYSCAPES.colors[CAR])):
        colors[np.array(TRAIN) == train] = color
    label(gtav(tmp_path, "c"), colors)
    source = SourceDataset(tmp_path, "gtav")
    assert len(source) == 3
    with Image.open(tmp_path / "labels/b.png") as picture:
        assert picture.mode == "P"
    for i in range(3):
        pixels, labels = source.read(i)
        assert pixels.shape == (2, 3, 3)
        assert pixels[0, 0].tolist() == [10, 20, 30]
        assert (labels.dtype, labels.tolist()) == (np.uint8, TRAIN)


def test_all_colours_of_cityscapes_and_gta_v_s_second_static(tmp_path: Path) -> None:
    ids = [raw for raw in CITYSCAPES.raw_colors if raw > 3]  # the first ones are black as well
    colors = [*(CITYSCAPES.raw_colors[raw] for raw in ids), (20, 20, 20)]
    path = gtav(tmp_path)
    image(tmp_path / "images/00001.png", (1, len(colors)))
    label(path, np.array([colors], np.uint8))
    expected = [*CITYSCAPES.to_train_ids(np.array(ids)), 255]
    assert SourceDataset(tmp_path, "gtav").read(0)[1][0].tolist() == expected
    label(path, np.array([[*colors[1:], (20, 20, 21)]], np.uint8))
    with pytest.raises(IgnetError, match=r"unknown label colour \(20, 20, 21\)"):
        SourceDataset(tmp_path, "gtav").read(0)


def test_gtav_train_id_variant_wins(tmp_path: Path) -> None:
    label(gtav(tmp_path), IDS)
    label(tmp_path / "labels/00001_labelTrainIds.png", np.array([[18, 0, 255], [7, 8, 9]], np.uint8))
    assert SourceDataset(tmp_path, "gtav").read(0)[1].tolist() == [[18, 0, 255], [7, 8, 9]]


def test_synthia_reads_the_red_channel(tmp_path: Path) -> None:
    image(tmp_path / "RGB/0000000.png", (1, 23))
    rgb = np.zeros((1, 23, 3), np.uint16)
    rgb[..., 0] = np.arange(23)
    rgb[..., 1] = 3  # the instance
    path = tmp_path / "GT/LABELS/0000000.png"
    path.parent.mkdir(parents=True)
    cv2.imwrite(str(path), rgb[:, :, ::-1])
    train = SourceDataset(tmp_path, "synthia").read(0)[1][0]
    names = [CITYSCAPES.classes[i] if i != 255 else "-" for i in train]
    assert names == [
        *(
            "-",
            "sky",
            "building",
            "road",
            "sidewalk",
            "fence",
            "vegetation",
            "pole",
            "car",
            "traffic sign",
            "person",
            "bicycle",
        ),
        *("motorcycle", "-", "-", "traffic light", "-", "rider", "-", "bus", "-", "wall", "-"),
    ]
    assert len({*names} - {"-"}) == 16
    Image.fromarray(rgb[..., 0].astype(np.uint8)).save(path)
    with pytest.raises(IgnetError, match="no 16-bit colour image"):
        SourceDataset(tmp_path, "synthia").read(0)


def test_cityscapes_split(tmp_path: Path) -> None:
    for split, city in (("train", "aachen"), ("train", "zurich"), ("val", "munster")):
        image(tmp_path / f"leftImg8bit/{split}/{city}/{city}_0_leftImg8bit.png")
        label(tmp_path / f"gtFine/{split}/{city}/{city}_0_gtFine_labelIds.png", IDS)
        label(tmp_path / f"gtFine/{split}/{city}/{city}_0_gtFine_instanceIds.png", IDS)
    assert [pair[0].parent.name for pair in SourceDataset(tmp_path, "cityscapes").pairs] == ["aachen", "zurich"]
    validation = SourceDataset(tmp_path, "cityscapes", "val")
    assert len(validation) == 1
    assert validation.read(0)[1].tolist() == TRAIN


def test_class_statistics(tmp_path: Path) -> None:
    label(gtav(tmp_path, "a"), IDS)
    label(gtav(tmp_path, "b"), np.full((2, 3), 7, np.uint8))
    source = SourceDataset(tmp_path, "gtav")
    frequencies = source.class_frequencies()
    assert frequencies.dtype == np.float64
    np.testing.assert_allclose(frequencies[[ROAD, SKY, CAR]], [0.8, 0.1, 0.1])
    assert frequencies.sum() == pytest.approx(1)
    presence = source.class_presence()
    assert (presence.shape, presence.dtype) == ((2, 19), np.bool_)
    assert [np.flatnonzero(row).tolist() for row in presence] == [[ROAD, SKY, CAR], [ROAD]]


def test_nothing_labelled_has_no_frequency(tmp_path: Path) -> None:
    label(gtav(tmp_path), np.zeros((2, 3), np.uint8))
    assert not SourceDataset(tmp_path, "gtav").class_frequencies().any()


def test_pairs(tmp_path: Path) -> None:
    with pytest.raises(IgnetError, match="expected gtav, synthia or cityscapes"):
        SourceDataset(tmp_path, "kitti")
    with pytest.raises(IgnetError, match="labels: no such folder"):
        SourceDataset(tmp_path, "gtav")
    label(gtav(tmp_path), IDS)
    image(tmp_path / "images/00002.png")
    image(tmp_path / "images/00003.png")
    with pytest.raises(
        IgnetError, match=r"00002\.png: found no label image of the same name \(1 more without a partner\)"
    ):
        SourceDataset(tmp_path, "gtav")
    for name in ("00001", "00002", "00003"):
        (tmp_path / f"images/{name}.png").unlink()
    with pytest.raises(IgnetError, match=r"labels/00001\.png: found no image of the same name"):
        SourceDataset(tmp_path, "gtav")
    (tmp_path / "labels/00001.png").unlink()
    with pytest.raises(IgnetError, match="found no images"):
        SourceDataset(tmp_path, "gtav")


def test_broken_labels(tmp_path: Path) -> None:
    path = gtav(tmp_path)
    for values, said in (
        (np.full((2, 3), 77, np.uint8), "unknown label id 77"),
        (np.full((2, 3, 3), 201, np.uint8), r"unknown label colour \(201, 201, 201\)"),
        (np.full((2, 4), 7, np.uint8), r"found 4x2 pixels, expected 3x2 as .*images/00001\.png has"),
    ):
        label(path, values)
        with pytest.raises(IgnetError, match=rf"labels/00001\.png: .*{said}"):
            SourceDataset(tmp_path, "gtav").read(0)
    label(path, np.random.default_rng(0).choice(CITYSCAPES.raw_ids.astype(np.uint8), (60, 60)))
    data = path.read_bytes()
    for broken in (b"", b"no image", data[: len(data) // 2]):
        path.write_bytes(broken)
        with pytest.raises(IgnetError, match=r"labels/00001\.png: found .*expected a label image") as error:
            SourceDataset(tmp_path, "gtav").read(0)
        assert "\n" not in str(error.value)
