"""Every fault of a sequence, found before anything is trained on it, and the facts of its frames."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ignet.console import progress
from ignet.data import kitti
from ignet.data.labels import CLASSES, IGNORE, to_train_ids
from ignet.errors import IgnetError


@dataclass(frozen=True)
class FrameFacts:
    """Facts of one frame; what could not be read is 0.

    Attributes:
        frame: its name.
        points: points of the scan.
        labelled: points with one of the 19 classes in the dense labels.
        scribbled: points with one of the 19 classes in the scribbles.
        width: of the image, pixels.
        height: of the image, pixels.
        class_counts: labelled points of each of the 19 classes.
    """

    frame: str
    points: int
    labelled: int
    scribbled: int
    width: int
    height: int
    class_counts: tuple[int, ...]

    @property
    def scribble_share(self) -> float:
        """Share of the points that carry a scribble."""
        return self.scribbled / self.points if self.points else 0.0


@dataclass
class SequenceReport:
    """What was found in one sequence.

    Attributes:
        sequence: its name.
        frames: facts of each frame that the scans name.
        faults: one line each: file, found, expected, what to do.
        fingerprint: SHA-256 over the names and contents of all files that were read.
    """

    sequence: str
    frames: list[FrameFacts] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    fingerprint: str = ""

    def as_json(self) -> dict[str, Any]:
        """Plain values: columns with one entry a frame."""
        return {
            "sequence": self.sequence,
            "frames": [facts.frame for facts in self.frames],
            "points": [facts.points for facts in self.frames],
            "labelled": [facts.labelled for facts in self.frames],
            "scribbled": [facts.scribbled for facts in self.frames],
            "scribble_share": [facts.scribble_share for facts in self.frames],
            "image_sizes": [[facts.width, facts.height] for facts in self.frames],
            "class_counts": [list(facts.class_counts) for facts in self.frames],
            "fingerprint": self.fingerprint,
        }


def check_sequence(root: Path, sequence: str, need_labels: bool, scribbles_root: Path | None, need_images: bool) -> SequenceReport:
    """Read everything of a sequence and collect all faults; raises none of them.

    Args:
        root: the dataset.
        sequence: its name.
        need_labels: dense labels must be there; otherwise they are checked where the sequence has a folder of them.
        scribbles_root: dataset whose scribbles must be there, or None.
        need_images: camera images and a calibration with `Tr` must be there.
    """
    report = SequenceReport(sequence)
    collect = _Collector(report.faults)
    frames: list[str] = []
    with collect.fault():
        frames = kitti.frame_ids(root, sequence)
    if not frames:
        return report
    if need_images:
        with collect.fault():
            kitti.read_calibration(collect.file(kitti.calibration_path(root, sequence)))
    labels, scribbles = need_labels or kitti.label_path(root, sequence, frames[0]).parent.is_dir(), scribbles_root is not None
    wanted = {
        "images": need_images and collect.folder(kitti.image_path(root, sequence, frames[0]).parent, "data_odometry_color"),
        "labels": labels and collect.folder(kitti.label_path(root, sequence, frames[0]).parent, "the SemanticKITTI labels"),
        "scribbles": scribbles and collect.folder(kitti.scribble_path(scribbles_root or root, sequence, frames[0]).parent, "ScribbleKITTI"),
    }
    for frame in progress(frames, f"sequence {sequence}"):
        points = collect.scan(kitti.scan_path(root, sequence, frame))
        counts = collect.class_counts(kitti.label_path(root, sequence, frame), points, wanted["labels"])
        drawn = collect.class_counts(kitti.scribble_path(scribbles_root or root, sequence, frame), points, wanted["scribbles"])
        width, height = collect.image(kitti.image_path(root, sequence, frame)) if wanted["images"] else (0, 0)
        report.frames.append(FrameFacts(frame, points or 0, int(counts.sum()), int(drawn.sum()), width, height, tuple(counts.tolist())))
    report.fingerprint = collect.digest.hexdigest()
    return report


class _Collector:
    """Reads files, keeps their faults instead of stopping at the first, and hashes what it reads."""

    def __init__(self, faults: list[str]) -> None:
        self.faults = faults
        self.digest = hashlib.sha256()

    @contextmanager
    def fault(self) -> Iterator[None]:
        """Keep an error of the block as a fault."""
        try:
            yield
        except IgnetError as error:
            self.faults.append(str(error))

    def file(self, path: Path) -> Path:
        """Hash a file, if it is there, and pass its path on."""
        if path.is_file():
            self.digest.update(f"{path.parent.name}/{path.name} {path.stat().st_size}\n".encode())
            self.digest.update(path.read_bytes())
        return path

    def folder(self, path: Path, archive: str) -> bool:
        """Whether a folder is there; one fault for all of its files where it is not."""
        if not path.is_dir():
            self.faults.append(f"{path}: no such folder, expected one file for each scan; unpack {archive} here")
        return path.is_dir()

    def scan(self, path: Path) -> int | None:
        """Number of points; None where the scan cannot be read."""
        with self.fault():
            points = kitti.read_scan(self.file(path))
            if broken := int((~np.isfinite(points).all(axis=1)).sum()):
                self.faults.append(f"{path}: found {broken} points that are not finite, expected none; unpack it again")
            elif ((points[:, 3] < 0) | (points[:, 3] > 1)).any():
                low, high = points[:, 3].min(), points[:, 3].max()
                self.faults.append(f"{path}: found remission {low:g} to {high:g}, expected 0 to 1; convert it")
            return len(points)
        return None

    def class_counts(self, path: Path, points: int | None, wanted: bool) -> NDArray[np.int64]:
        """Points of each class, int64 (19,); zeros where the labels are not wanted or cannot be read."""
        with self.fault():
            if not wanted:
                return np.zeros(len(CLASSES), np.int64)
            train = to_train_ids(kitti.read_labels(self.file(path), points), str(path))
            return np.bincount(train, minlength=IGNORE + 1)[: len(CLASSES)]
        return np.zeros(len(CLASSES), np.int64)

    def image(self, path: Path) -> tuple[int, int]:
        """Width and height; zeros where the image cannot be read."""
        with self.fault():
            height, width = kitti.read_image(self.file(path)).shape[:2]
            return width, height
        return 0, 0
