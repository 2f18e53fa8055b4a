"""Each data set as it is published: all that its archives hold, and what is read of it."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from ignet.data.check.dataset import check_dataset
from ignet.data.check.source import check_source
from ignet.data.check.wanted import wanted_at
from ignet.data.formats import kitti
from ignet.data.formats.calibration import read_calibration
from ignet.data.formats.source_images import SourceDataset
from ignet.data.label_sets.label_set import CITYSCAPES, SEMANTICKITTI

ROAD, CAR, SKY, PERSON = (CITYSCAPES.classes.index(name) for name in ("road", "car", "sky", "person"))
P, TR = (
    "7.188560000000e+02 0 6.071928000000e+02 {} 0 7.188560000000e+02 1.852157000000e+02 0 0 0 1 0",
    "0 -1 0 0 0 0 -1 -0.08 1 0 0 -0.27",
)
TRAIN = np.array([[ROAD, CAR, 255], [SKY, PERSON, ROAD]], np.uint8)  # what every source below says
LABEL_IDS = np.array([[7, 26, 4], [23, 24, 7]], np.uint8)


def png(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), pixels if pixels.ndim == 2 else pixels[:, :, ::-1])


@pytest.fixture
def semantickitti(tmp_path: Path) -> Path:
    """KITTI odometry's archives (velodyne, colour of both cameras, calibration, poses), SemanticKITTI's and
    ScribbleKITTI's, unpacked."""
    rng, root = np.random.default_rng(0), tmp_path / "dataset"
    for sequence in ("00", "08", "11"):
        folder = root / "sequences" / sequence
        for number in range(3):
            frame = f"{number:06d}"
            points = rng.uniform([3, -4, -1.7, 0], [40, 4, 2, 0.99], (90, 4)).astype("<f4")
            truth = (
                rng.choice(np.array([0, 1, 10, 40, 48, 70, 99, 252], np.uint32), 90)
                | rng.integers(0, 4, 90).astype(np.uint32) << 16
            )
            parts = {"velodyne": (points, "bin")}
            if sequence != "11":
                parts["labels"] = (truth.astype("<u4"), "label")
            if sequence == "00":  # ScribbleKITTI annotates the training sequences, without instances
                parts["scribbles"] = (np.where(np.arange(90) % 12 == 0, truth & 0xFFFF, 0).astype("<u4"), "label")
            for name, (values, suffix) in parts.items():
                (folder / name).mkdir(parents=True, exist_ok=True)
                values.tofile(folder / name / f"{frame}.{suffix}")
            for camera in ("image_2", "image_3"):
                png(folder / camera / f"{frame}.png", rng.integers(0, 256, (376, 1241, 3), np.uint8))
        lines = [f"P{camera}: {P.format(shift)}" for camera, shift in enumerate((0, -386.1448, 45.38225, -337.2877))]
        (folder / "calib.txt").write_text("\n".join([*lines, f"Tr: {TR}"]) + "\n")
        (folder / "times.txt").write_text("0.0\n0.1\n0.2\n")
        if sequence != "11":
            (folder / "poses.txt").write_text("1 0 0 0 0 1 0 0 0 0 1 0\n" * 3)
    (root / "remove_samples.py").write_text("")
    return root


def test_semantickitti_scribblekitti_and_odometry_images(semantickitti: Path) -> None:
    report = check_dataset(semantickitti, wanted_at(semantickitti, part=True), deep=True, label_set=SEMANTICKITTI)
    assert report.faults == []
    assert report.counts() == {"scans": 9, "images": 9, "labels": 6, "scribbles": 3}
    calibration = read_calibration(kitti.calibration_path(semantickitti, "00"))
    assert calibration.projection[0].tolist() == [718.856, 0, 607.1928, 45.38225]  # of image_2, not of another camera
    assert calibration.tr[:3, 3].tolist() == [0, -0.08, -0.27]
    raw = kitti.read_labels(kitti.label_path(semantickitti, "00", "000002"), 90)
    drawn = kitti.read_labels(kitti.scribble_path(semantickitti, "00", "000002"), 90)
    train, scribbles = SEMANTICKITTI.to_train_ids(raw), SEMANTICKITTI.to_train_ids(drawn)
    assert (scribbles[::12] == train[::12]).all() and (np.delete(scribbles, slice(None, None, 12)) == 255).all()
    assert kitti.instance_ids(raw).max() > 0 == kitti.instance_ids(drawn).max()
    assert kitti.image_size(kitti.image_path(semantickitti, "11", "000000")) == (1241, 376)


def gtav(root: Path) -> None:
    """``NN_images.zip`` and ``NN_labels.zip``: palette images of Cityscapes label ids, and the readme and split files
    beside."""
    png(root / "images/00001.png", np.full((2, 3, 3), 50, np.uint8))
    palette = np.zeros((256, 3), np.uint8)
    for train, label in ((ROAD, 7), (CAR, 26), (SKY, 23), (PERSON, 24)):
        palette[label] = CITYSCAPES.colors[train]
    picture = Image.fromarray(LABEL_IDS).convert("P")
    picture.putdata(LABEL_IDS.ravel().tolist())
    picture.putpalette(palette.ravel().tolist())
    (root / "labels").mkdir()
    picture.save(root / "labels/00001.png")
    (root / "read_mapping").mkdir()
    (root / "split.mat").write_bytes(b"")


def gtav_colours(root: Path) -> None:
    gtav(root)
    with Image.open(root / "labels/00001.png") as picture:
        picture.convert("RGB").save(root / "labels/00001.png")


def gtav_train_ids(root: Path) -> None:
    """As DAFormer's converter leaves it: the originals and the train ids side by side, and its statistics."""
    gtav(root)
    png(root / "labels/00001_labelTrainIds.png", TRAIN)
    (root / "sample_class_stats.json").write_text("[]")


def synthia(root: Path) -> None:
    """SYNTHIA-RAND-CITYSCAPES: 16 bit labels, the class in the red and the instance in the green channel."""
    png(root / "RGB/0000000.png", np.full((2, 3, 3), 50, np.uint8))
    labels = np.zeros((2, 3, 3), np.uint16)
    labels[..., 0] = [[3, 8, 0], [1, 10, 3]]
    labels[..., 1] = [[0, 5, 0], [0, 6, 0]]
    png(root / "GT/LABELS/0000000.png", labels)
    png(root / "GT/COLOR/0000000.png", np.full((2, 3, 3), 7, np.uint8))
    png(root / "Depth/Depth/0000000.png", np.zeros((2, 3), np.uint16))
    (root / "README.txt").write_text("")


def synthia_train_ids(root: Path) -> None:
    synthia(root)
    png(root / "GT/LABELS/0000000_labelTrainIds.png", TRAIN)


def cityscapes(root: Path) -> None:
    for split, city in (("train", "aachen"), ("val", "frankfurt"), ("test", "berlin")):
        name = f"{city}_000000_000019"
        png(root / f"leftImg8bit/{split}/{city}/{name}_leftImg8bit.png", np.full((2, 3, 3), 50, np.uint8))
        fine = root / f"gtFine/{split}/{city}"
        png(fine / f"{name}_gtFine_labelIds.png", LABEL_IDS if split != "test" else np.zeros((2, 3), np.uint8))
        png(fine / f"{name}_gtFine_instanceIds.png", np.full((2, 3), 26001, np.uint16))
        png(fine / f"{name}_gtFine_color.png", np.full((2, 3, 3), 9, np.uint8))
        (fine / f"{name}_gtFine_polygons.json").write_text("{}")
    (root / "README").write_text("")
    (root / "license.txt").write_text("")


SOURCES = [
    ("gtav", gtav),
    ("gtav", gtav_colours),
    ("gtav", gtav_train_ids),
    ("synthia", synthia),
    ("synthia", synthia_train_ids),
]


@pytest.mark.parametrize(("layout", "write"), [*SOURCES, ("cityscapes", cityscapes)])
def test_source_as_published(tmp_path: Path, layout: str, write: Callable[[Path], None]) -> None:
    write(tmp_path)
    source = SourceDataset(tmp_path, layout)
    assert len(source) == 1
    pixels, labels = source.read(0)
    assert pixels.shape == (2, 3, 3) and (pixels == 50).all()
    assert labels.tolist() == TRAIN.tolist()
    for deep in (False, True):
        assert check_source(tmp_path, layout, deep, workers=1).faults == []


def test_real_frames_are_in_the_layout(kitti_sample: Path) -> None:
    """Every kind of file of a real sequence, read."""
    for sequence, size in (("01", (1241, 376)), ("10", (1226, 370))):
        frames = kitti.frame_ids(kitti_sample, sequence)
        assert frames == ["000000", "000009"]
        for frame in frames:
            points = kitti.read_scan(kitti.scan_path(kitti_sample, sequence, frame))
            raw = kitti.read_labels(kitti.label_path(kitti_sample, sequence, frame), len(points))
            assert set(np.unique(SEMANTICKITTI.to_train_ids(raw))) <= {*range(19), 255}
            assert kitti.image_size(kitti.image_path(kitti_sample, sequence, frame)) == size
        calibration = read_calibration(kitti.calibration_path(kitti_sample, sequence))
        assert calibration.projection[2].tolist() == pytest.approx([0, 0, 1, 0], abs=0.01)
