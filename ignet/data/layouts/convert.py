"""Write the frames of a layout as a tree that the workflow reads: SemanticKITTI's layout, with links where a file fits as it is."""

import csv
from collections.abc import Callable, Iterable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ignet.console import progress
from ignet.data import kitti
from ignet.data.layouts.frame import SensorFrame
from ignet.errors import IgnetError
from ignet.files import atomic, write_array, write_png

FRAMES = "frames.csv"
"""Beside ``sequences/``: which frame of which drive each frame is."""

Array = NDArray[np.float32] | NDArray[np.uint32]


def convert(frames: Iterable[SensorFrame], out: Path) -> dict[str, int]:
    """Write a tree; it gets its name when it is whole.

    A sequence is a drive, or a part of it with one calibration, since a sequence has one ``calib.txt``; sequences are numbered in the
    order of their first frames, and their frames from 000000.

    Args:
        frames: in their order.
        out: the folder to make.

    Returns:
        Number of frames of each sequence.

    Raises:
        IgnetError: the folder is there already, there is no frame, or a frame is broken.
    """
    if out.exists():
        raise IgnetError(f"{out}: found it there already, expected a new folder; remove it, or choose another one")
    sequences: dict[tuple[str, bytes], str] = {}
    counts: dict[str, int] = {}
    with atomic(out) as tree:
        tree.mkdir()
        with (tree / FRAMES).open("w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file, lineterminator="\n")
            rows.writerow(["sequence", "frame", "drive", "name"])
            for frame in progress(frames := list(frames), "converted frame"):
                key = (frame.drive, frame.calibration.p2.tobytes() + frame.calibration.tr.tobytes())
                sequence = sequences.setdefault(key, f"{len(sequences):02d}")
                name = f"{counts.get(sequence, 0):06d}"
                _write(frame, tree, sequence, name)
                counts[sequence] = counts.get(sequence, 0) + 1
                rows.writerow([sequence, name, frame.drive, frame.name])
        if not counts:
            raise IgnetError(f"{out}: found no frame, expected some; look at the folder that the layout reads")
    return counts


def _write(frame: SensorFrame, tree: Path, sequence: str, name: str) -> None:
    folder = kitti.sequence_path(tree, sequence)
    if name == "000000":
        for part in ("velodyne", "image_2"):
            (folder / part).mkdir(parents=True)
        kitti.write_calibration(kitti.calibration_path(tree, sequence), frame.calibration)
    _place(frame.scan, kitti.scan_path(tree, sequence, name), frame, _as_scan)
    if frame.labels is not None:
        (folder / "labels").mkdir(exist_ok=True)
        _place(frame.labels, kitti.label_path(tree, sequence, name), frame, _as_labels)
    _place_image(frame, kitti.image_path(tree, sequence, name))


def _place(source: Path | Callable[[], Array], target: Path, frame: SensorFrame, check: Callable[[Array, str], Array]) -> None:
    """A link to a file that fits as it is, or the array that a function gives."""
    if isinstance(source, Path):
        _link(source, target)
    else:
        write_array(target, check(source(), f"frame {frame.name} of {frame.drive}"))


def _link(source: Path, target: Path) -> None:
    if not source.is_file():
        raise IgnetError(f"{source}: no such file, expected one for each frame; unpack its archive again, or remove the frame's others")
    target.symlink_to(source.resolve())


def _place_image(frame: SensorFrame, target: Path) -> None:
    if frame.image.suffix == ".png":
        _link(frame.image, target)
        return
    image = cv2.imread(str(frame.image), cv2.IMREAD_COLOR)
    if image is None:
        raise IgnetError(f"{frame.image}: cannot be read, expected an image that OpenCV reads; unpack it again")
    write_png(target, image[:, :, ::-1])


def _as_scan(points: Array, where: str) -> Array:
    if points.ndim != 2 or points.shape[1] != 4 or points.dtype != np.float32:
        found = f"{points.dtype} {points.shape}"
        raise IgnetError(f"{where}: found a scan {found}, expected float32 (N, 4): x, y, z, remission; mend the layout's module")
    return points.astype("<f4")


def _as_labels(labels: Array, where: str) -> Array:
    if labels.ndim != 1 or labels.dtype != np.uint32:
        found = f"{labels.dtype} {labels.shape}"
        raise IgnetError(f"{where}: found labels {found}, expected uint32 (N,) of SemanticKITTI's raw ids; mend the layout's module")
    return labels.astype("<u4")
