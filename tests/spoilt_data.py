"""Ways to spoil sequence 01 of a dataset, and what the check must say of each."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from ignet.data.formats import kitti

# each takes the folder of the sequence, of 5 frames with 500 points and images of 64 x 32 pixels


def remove(name: str) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        path = folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    return spoil


def rename(name: str, other: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).rename(folder / other) and None


def content(name: str, data: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(data) and None


def cut(name: str, size: int) -> Callable[[Path], None]:
    return lambda folder: os.truncate(folder / name, size)


def empty_folder(name: str) -> Callable[[Path], None]:
    return lambda folder: [path.unlink() for path in (folder / name).iterdir()] and None


def link(name: str, target: str) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        remove(name)(folder)
        (folder / name).symlink_to(target)

    return spoil


def folder_for_file(name: str) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        (folder / name).unlink()
        (folder / name).mkdir()

    return spoil


def picture(name: str, *size: int) -> Callable[[Path], None]:
    return lambda folder: Image.fromarray(np.full(size, 90, np.uint8)).save(folder / name)


def deep_picture(folder: Path) -> None:
    cv2.imwrite(str(folder / "image_2/000003.png"), np.full((32, 64, 3), 4095, np.uint16))


def damaged_picture(folder: Path) -> None:
    path = folder / "image_2/000002.png"
    data = bytearray(path.read_bytes())
    data[200:260] = bytes(60)
    path.write_bytes(data)


def scan(change: Callable[[np.ndarray], Any]) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        path = folder / "velodyne/000001.bin"
        points = kitti.scan_values(path)
        change(points)
        points.astype("<f4").tofile(path)

    return spoil


def point(column: int, value: float) -> Callable[[Path], None]:
    return scan(lambda points: points.__setitem__((7, column), value))


def labels(name: str, value: int) -> Callable[[Path], None]:
    return lambda folder: [np.full(500, value, "<u4").tofile(path) for path in sorted(folder.glob(name))] and None


def copies(source: str, target: str) -> Callable[[Path], None]:
    return lambda folder: (
        [shutil.copy(path, folder / target / path.name) for path in sorted((folder / source).iterdir())] and None
    )


def calibration(
    p2: str = "40 0 31.5 0 0 40 15.5 0 0 0 1 0", tr: str | None = "0 -1 0 0 0 0 -1 -0.1 1 0 0 -0.3"
) -> Callable[[Path], None]:
    text = f"P2: {p2}\n" + (f"Tr: {tr}\n" if tr else "")
    return lambda folder: (folder / "calib.txt").write_text(text) and None


SPOILT: list[tuple[str, Callable[[Path], None], str, str, str]] = [
    # name of the fault, what is spoilt, the file below sequences/, what the line says, what fixes it
    ("no-sequence", lambda folder: shutil.rmtree(folder), "01", "no such folder", "data_odometry_velodyne"),
    (
        "sequence-name",
        lambda folder: folder.rename(folder.with_name("1")) and None,
        "1",
        "found the name '1'",
        "rename it to 01",
    ),
    (
        "sequence-name",
        lambda folder: folder.rename(folder.with_name("001")) and None,
        "001",
        "'001'",
        "rename it to 01",
    ),
    ("no-folder", remove("image_2"), "01/image_2", "no such folder", "data_odometry_color"),
    ("no-folder", remove("scribbles"), "01/scribbles", "no such folder", "scribblekitti"),
    ("no-folder", remove("labels"), "01/labels", "no such folder", "data_odometry_labels"),
    (
        "folder-name",
        rename("velodyne", "Velodyne"),
        "01/Velodyne",
        "found the name 'Velodyne'",
        "rename it to velodyne",
    ),
    ("folder-name", rename("image_2", "image_02"), "01/image_02", "'image_02'", "rename it to image_2"),
    ("file-name", rename("calib.txt", "Calib.txt"), "01/Calib.txt", "'Calib.txt'", "rename it"),
    ("empty-folder", empty_folder("labels"), "01/labels", "found no .label file", "data_odometry_labels"),
    ("missing", remove("image_2/000003.png"), "01/image_2/000003.png", "found 4 of 5 images", "data_odometry_color"),
    ("padding", rename("velodyne/000001.bin", "velodyne/1.bin"), "01/velodyne/1.bin", "'1.bin'", "6 digits"),
    (
        "padding",
        rename("image_2/000001.png", "image_2/0000000001.png"),
        "01/image_2/0000000001.png",
        "'0000000001.png'",
        "rename",
    ),
    (
        "case",
        rename("image_2/000001.png", "image_2/000001.PNG"),
        "01/image_2/000001.PNG",
        "'000001.PNG'",
        "small letters",
    ),
    (
        "leftover",
        content("velodyne/000004.bin.part", b"0"),
        "01/velodyne/000004.bin.part",
        "000004.bin.part",
        "unpacking was stopped",
    ),
    ("unreadable", link("labels/000001.label", "nowhere"), "01/labels/000001.label", "No such file", "link"),
    ("unreadable", link("velodyne", "velodyne"), "01/velodyne", "Too many levels of symbolic links", "link"),
    (
        "unreadable",
        link("scribbles/000002.label", "000002.label"),
        "01/scribbles/000002.label",
        "Too many levels",
        "link",
    ),
    ("unreadable", lambda folder: link("01", "01")(folder.parent), "01", "Too many levels", "link"),
    ("not-a-file", folder_for_file("image_2/000001.png"), "01/image_2/000001.png", "found a folder", "unpack it again"),
    ("empty-file", cut("velodyne/000002.bin", 0), "01/velodyne/000002.bin", "found 0 bytes", "unpack it again"),
    ("scan-size", cut("velodyne/000002.bin", 7999), "01/velodyne/000002.bin", "found 7999 bytes", "unpack it again"),
    (
        "label-length",
        cut("labels/000002.label", 1600),
        "01/labels/000002.label",
        "found 400 labels, expected 500",
        "belong",
    ),
    ("label-length", cut("scribbles/000002.label", 1999), "01/scribbles/000002.label", "found 499.75 labels", "belong"),
    ("label-length", cut("labels/000002.label", 0), "01/labels/000002.label", "found 0 labels", "belong"),
    (
        "image-format",
        content("image_2/000000.png", b"<html>404"),
        "01/image_2/000000.png",
        "are no PNG",
        "unpack it again",
    ),
    ("image-format", cut("image_2/000000.png", 0), "01/image_2/000000.png", "found 0 bytes", "unpack it again"),
    ("image-cut", cut("image_2/000000.png", 300), "01/image_2/000000.png", "no whole image", "unpacking was stopped"),
    ("image-grey", picture("image_2/000003.png", 32, 64), "01/image_2/000003.png", "grey image", "data_odometry_color"),
    (
        "image-depth",
        deep_picture,
        "01/image_2/000003.png",
        "found 16 bits a channel, expected 8",
        "divide what has 12 bits by 16",
    ),
    (
        "image-size",
        picture("image_2/000003.png", 32, 62, 3),
        "01/image_2/000003.png",
        "found 62x32 pixels, expected 64x32",
        "again",
    ),
    ("calibration", remove("calib.txt"), "01/calib.txt", "no such file", "data_odometry_calib"),
    ("calibration", calibration(tr=None), "01/calib.txt", "expected a line 'Tr:'", "data_odometry_calib"),
    ("calibration", content("calib.txt", b"Tr: 1"), "01/calib.txt", "expected a line 'P2:'", "data_odometry_calib"),
    ("calibration", calibration(p2="1 2 3"), "01/calib.txt", "found 3 finite numbers", "data_odometry_calib"),
    ("calibration", calibration(p2="nan " * 12), "01/calib.txt", "found 0 finite numbers", "data_odometry_calib"),
    (
        "calibration-tr",
        calibration(tr="0 -2 0 0 0 0 -1 0 1 0 0 0"),
        "01/calib.txt",
        "no rotation",
        "data_odometry_calib",
    ),
    (
        "calibration-tr",
        calibration(tr="0 1 0 0 0 0 -1 0 1 0 0 0"),
        "01/calib.txt",
        "determinant -1",
        "data_odometry_calib",
    ),
    ("calibration-p2", calibration(p2="0 " * 12), "01/calib.txt", "cannot be inverted", "data_odometry_calib"),
    ("calibration-view", calibration(tr="0 -1 0 0 0 0 -1 0 1 0 0 -45"), "01/calib.txt", "no point of 5 scans", "calib"),
    (
        "calibration-axes",
        calibration(tr="0 0 1 0 -1 0 0 0 0 -1 0 0"),
        "01/calib.txt",
        "when it is inverted",
        "invert it",
    ),
    (
        "calibration-distance",
        calibration(tr="0 -1 0 0 0 0 -1 -100 1 0 0 -300"),
        "01/calib.txt",
        "m from the LiDAR",
        "to metres",
    ),
    ("not-finite", point(1, np.nan), "01/velodyne/000001.bin", "found 1 points that are not finite", "restore it"),
    ("not-finite", point(3, np.inf), "01/velodyne/000001.bin", "found 1 points that are not finite", "restore it"),
    (
        "remission",
        scan(lambda points: points[:, 3].__imul__(255)),
        "01/velodyne/000001.bin",
        "expected 0 to 1",
        "remission_scale",
    ),
    (
        "units",
        scan(lambda points: points[:, :3].__imul__(1000)),
        "01/velodyne/000001.bin",
        "expected metres",
        "convert it",
    ),
    (
        "units",
        scan(lambda points: points[:, :3].__imul__(0.01)),
        "01/velodyne/000001.bin",
        "some beyond 1",
        "convert it",
    ),
    (
        "no-return",
        scan(lambda points: points.fill(0)),
        "01/velodyne/000001.bin",
        "found no point with a return",
        "restore it",
    ),
    (
        "text",
        content("velodyne/000001.bin", b"12.5 -3.25 0.5 0\n" * 470 + b"0.10 0 0 0"),
        "01/velodyne/000001.bin",
        "found text",
        "convert it",
    ),
]
DEEP: list[tuple[str, Callable[[Path], None], str, str, str]] = [
    ("image-broken", damaged_picture, "01/image_2/000002.png", "no whole image", "unpack it again"),
    (
        "unknown-id",
        labels("labels/000001.label", 77),
        "01/labels/000001.label",
        "found raw class 77 on 500 points",
        "convert",
    ),
    (
        "unknown-id",
        labels("scribbles/000004.label", 300),
        "01/scribbles/000004.label",
        "found raw class 300",
        "convert",
    ),
    ("no-class", labels("labels/*.label", 0), "01/labels", "found no point with a class", "data_odometry_labels"),
    ("no-class", labels("scribbles/*.label", 0), "01/scribbles", "found no point with a class", "scribblekitti"),
    (
        "dense-scribbles",
        copies("labels", "scribbles"),
        "01/scribbles",
        "of the points labelled, as in labels/",
        "simulated",
    ),
]
