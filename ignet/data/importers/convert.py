"""Write the frames of a layout in SemanticKITTI's layout, with links where a file fits as it is.

What passes through memory is looked at: what is wrong with it is listed, and points without a return are left out.
"""

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ignet.data.check.faults import Faults
from ignet.data.check.sequence import CONTENT_KINDS, judge_scan
from ignet.data.formats import kitti
from ignet.data.formats.calibration import Calibration, write_calibration
from ignet.data.formats.official import FRAMES, JPEG
from ignet.data.formats.scan_values import returns
from ignet.data.importers.frame import Image, Labels, SensorFrame
from ignet.data.label_sets.label_set import LabelSet
from ignet.errors import IgnetError
from ignet.files.atomic import atomic, write_array, write_png
from ignet.log import progress


@dataclass
class Converted:
    """What was written.

    Attributes:
        frames: number of frames of each sequence.
        faults: of the arrays that were written, and doubts; linked files were not read.
        without_return: points that were left out, because no pulse came back.
        linked: files that are links.
        cameras: numbers of those that images were written of.
    """

    frames: dict[str, int] = field(default_factory=dict)
    faults: Faults = field(default_factory=Faults)
    without_return: int = 0
    linked: int = 0
    cameras: set[int] = field(default_factory=set)


def convert(frames: Iterable[SensorFrame], out: Path, label_set: LabelSet) -> Converted:
    """Write a tree; it gets its name when it is whole.

    A sequence is what the layout names, and a frame whose calibration is not that of its first frame has a file of its
    own, ``calib/F.txt``. Where it names none, a sequence is a drive, or a part of it with one calibration; these are
    numbered in the order of their first frames. Frames are numbered from 000000.

    Args:
        frames: in their order.
        out: the folder to make.
        label_set: of the labels.

    Raises:
        IgnetError: the folder is there already, there is no frame, or a frame is broken.
    """
    if out.exists():
        raise IgnetError(f"{out}: found it there already, expected a new folder; remove it, or choose another one")
    sequences: dict[tuple[str, bytes], str] = {}
    with atomic(out) as tree:
        tree.mkdir()
        writer = _Writer(tree, out, label_set)
        with (tree / FRAMES).open("w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file, lineterminator="\n")
            rows.writerow(["sequence", "frame", "drive", "name"])
            for frame in progress(frames := list(frames), "converted frame"):
                key = (frame.drive, b"" if frame.sequence else _identity(frame.calibrations))
                sequence = sequences.setdefault(key, frame.sequence or f"{len(sequences):02d}")
                name = writer.add(frame, sequence)
                rows.writerow([sequence, name, frame.drive, frame.name])
        if not sequences:
            raise IgnetError(f"{out}: found no frame, expected some; look at the folder that the layout reads")
    writer.done.faults.gather(CONTENT_KINDS)
    return writer.done


def _identity(calibrations: Mapping[int, Calibration]) -> bytes:
    return b"".join(
        repr((number, each.size)).encode() + each.projection.tobytes() + each.tr.tobytes()
        for number, each in calibrations.items()
    )


class _Writer:
    """Writes frames into ``tree``, which is to become ``out``; ``done`` says what was written."""

    def __init__(self, tree: Path, out: Path, label_set: LabelSet) -> None:
        self.tree, self.out, self.label_set, self.done = tree, out, label_set, Converted()
        self.calibrations: dict[str, bytes] = {}  # of each sequence's own file
        self.formats: dict[Path, str] = {}  # of each folder of images

    def add(self, frame: SensorFrame, sequence: str) -> str:
        """Write a frame as the next one of a sequence; returns its name."""
        name = f"{self.done.frames.get(sequence, 0):06d}"
        folder, where = kitti.sequence_path(self.tree, sequence), f"frame {frame.name} of {frame.drive}"
        if name == "000000":
            for part in ("velodyne", *(f"image_{number}" for number in frame.images)):
                (folder / part).mkdir(parents=True)
            write_calibration(kitti.calibration_path(self.tree, sequence), frame.calibrations)
            self.calibrations[sequence] = _identity(frame.calibrations)
        elif _identity(frame.calibrations) != self.calibrations[sequence]:
            (folder / "calib").mkdir(exist_ok=True)
            own = kitti.frame_calibration_path(self.tree, sequence, name)
            write_calibration(own, frame.calibrations)
        there = self._scan(frame, kitti.scan_path(self.tree, sequence, name), where)
        for path, labels in ((kitti.label_path, frame.labels), (kitti.scribble_path, frame.scribbles)):
            if labels is not None:
                target = path(self.tree, sequence, name)
                target.parent.mkdir(exist_ok=True)
                self._labels(labels, target, where, there)
        for number, image in frame.images.items():
            self._image(image, kitti.image_path(self.tree, sequence, name, number), where)
        self.done.cameras |= set(frame.images)
        self.done.frames[sequence] = self.done.frames.get(sequence, 0) + 1
        return name

    def _scan(self, frame: SensorFrame, target: Path, where: str) -> NDArray[np.bool_] | None:
        """Write or link a scan; of one in memory, which of its points have a return and were written."""
        if isinstance(frame.scan, Path):
            self._link(frame.scan, target)
            return None
        points = _as_scan(frame.scan(), where)
        there = returns(points) if len(points) else None
        there = np.ones(len(points), bool) if there is None else there
        if not there.any():
            raise IgnetError(
                f"{where}: found no point with a return among {len(points)}, expected some; leave this frame out"
            )
        points = points[there]
        self.done.without_return += int((~there).sum())
        self.done.faults.take(judge_scan(self._final(target), points))
        write_array(target, points)
        return there

    def _labels(self, source: Labels, target: Path, where: str, there: NDArray[np.bool_] | None) -> None:
        """Write or link labels, without those of the points that were left out."""
        if isinstance(source, Path) and (there is None or there.all()):
            self._link(source, target)
            return
        labels = kitti.read_labels(source) if isinstance(source, Path) else _as_labels(source(), where)
        if there is not None:
            if len(labels) != len(there):
                raise IgnetError(
                    f"{where}: found {len(labels)} labels, expected {len(there)}, one a point; fix the layout's module"
                )
            labels = labels[there]
        final = self._final(target)
        with self.done.faults.kept("unknown-id", final):
            self.label_set.to_train_ids(labels, str(final))
        write_array(target, labels.astype("<u4"))

    def _image(self, source: Image, target: Path, where: str) -> None:
        if not isinstance(source, Path):
            write_png(target, _as_image(source(), where))
            return
        # a camera's images are of one format: PNG, or JPEG where the first one is
        suffix = self.formats.setdefault(target.parent, JPEG if source.suffix in (JPEG, ".jpeg") else ".png")
        target = target.with_suffix(suffix)
        if source.suffix.replace(".jpeg", JPEG) == suffix or not source.is_file():
            self._link(source, target)
            return
        # a grey image stays grey, and 16 bits stay 16: the check says the same of it as of a PNG
        image = cv2.imread(str(source), cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH)
        if image is None or image.dtype not in (np.uint8, np.uint16):
            found = "cannot be read" if image is None else f"found pixels of type {image.dtype}"
            raise IgnetError(
                f"{source}: {found}, expected an image of 8 bits that OpenCV reads; unpack it again, or convert it"
            )
        done, encoded = cv2.imencode(suffix, image)
        if not done:
            raise IgnetError(
                f"{source}: found an image of {image.shape}, expected one that fits into a {suffix} file; convert it"
            )
        write_array(target, encoded)

    def _link(self, source: Path, target: Path) -> None:
        if not source.is_file():
            raise IgnetError(
                f"{source}: no such file, expected one for each frame; unpack its archive again, or remove the "
                "frame's others"
            )
        target.symlink_to(source.resolve())
        self.done.linked += 1

    def _final(self, target: Path) -> Path:
        """Where a file will be when the tree has its name."""
        return self.out / target.relative_to(self.tree)


def _as_scan(points: NDArray[np.float32], where: str) -> NDArray[np.float32]:
    if points.ndim != 2 or points.shape[1] != 4 or points.dtype != np.float32:
        found = f"{points.dtype} {points.shape}"
        raise IgnetError(
            f"{where}: found a scan {found}, expected float32 (N, 4): x, y, z, remission; fix the layout's module"
        )
    return points.astype("<f4")


def _as_image(image: NDArray[np.uint8], where: str) -> NDArray[np.uint8]:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        found = f"{image.dtype} {image.shape}"
        raise IgnetError(f"{where}: found an image {found}, expected uint8 (H, W, 3), RGB; fix the layout's module")
    return image


def _as_labels(labels: NDArray[np.uint32], where: str) -> NDArray[np.uint32]:
    if labels.ndim != 1 or labels.dtype != np.uint32:
        found = f"{labels.dtype} {labels.shape}"
        raise IgnetError(f"{where}: found labels {found}, expected uint32 (N,) of raw ids; fix the layout's module")
    return labels.astype("<u4")
