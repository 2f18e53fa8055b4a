"""Every fault of a sequence, found before anything is trained on it, and the facts of its frames."""

import hashlib
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ignet.console import progress
from ignet.data import kitti
from ignet.data.calibration_check import view_faults
from ignet.data.faults import Fault, Faults
from ignet.data.headers import check_calibration, check_images
from ignet.data.labels import CLASSES, IGNORE, to_train_ids
from ignet.data.official import KINDS
from ignet.data.projection import project
from ignet.data.tree import SequenceTree, read_tree

FARTHEST = 1000.0
"""Metres that no LiDAR of a car reaches: larger coordinates are in another unit."""

_VIEWS, _MOST_VIEWS = 5, 50  # scans that are projected; the larger number where nothing is in front of the camera in the others


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
        tree: its files.
        frames: facts of each frame that the scans name; empty where the files were not read.
        faults: what is wrong, and in ``faults.doubts`` what is strange; each as text is one line: file, found, expected, what to do.
        fingerprint: SHA-256 over the names and contents of all files that were read.
    """

    sequence: str
    tree: SequenceTree
    frames: list[FrameFacts] = field(default_factory=list)
    faults: Faults = field(default_factory=Faults)
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


def check_sequence(
    root: Path, sequence: str, wanted: Collection[str], complete: bool = False, deep: bool = True, workers: int = 1
) -> SequenceReport:
    """Collect all faults of a sequence; raises none of them.

    Args:
        root: the dataset.
        sequence: its name.
        wanted: what must be there, of ``scans``, ``images`` (with a calibration that has `Tr`), ``labels`` and ``scribbles``; labels are
            checked wherever there are any.
        complete: the sequence must hold all scans that SemanticKITTI has of it.
        deep: read every file; otherwise names, sizes and headers, and a few scans, which the calibration must bring into their images.
        workers: threads that read.
    """
    tree = read_tree(root, sequence, wanted, complete)
    if "images" in wanted and tree.sizes:
        check_images(tree)
        check_calibration(tree)
        _check_view(tree)
    report = SequenceReport(sequence, tree=tree, faults=tree.faults)
    if deep:
        _read_all(tree, report, workers)
    return report


def _read_all(tree: SequenceTree, report: SequenceReport, workers: int) -> None:
    """Read every file that no fault is known of; facts, faults and the fingerprint go into the report."""
    digest = hashlib.sha256()
    calibration = tree.folder / "calib.txt"
    if tree.calibration:
        digest.update(calibration.read_bytes())
    with ThreadPoolExecutor(workers) as pool:
        read = pool.map(lambda frame: _Frame(tree, frame), tree.frames)
        for frame in progress(read, f"sequence {tree.sequence}", total=len(tree.frames)):
            report.frames.append(frame.facts)
            report.faults.take(frame.faults)
            digest.update(frame.digest.digest())
    report.fingerprint = digest.hexdigest() if tree.frames else ""
    _check_shares(tree, report)


def _check_view(tree: SequenceTree) -> None:
    """The calibration brings points of some scans into their images: few scans, and more where these show none."""
    frames = [frame for frame in tree.frames if tree.readable("scans", frame) and frame in tree.image_sizes]
    if tree.calibration is None:
        return
    inside = points = 0
    looked = dict.fromkeys(_spread(frames, _VIEWS))
    for frame in dict.fromkeys([*looked, *_spread(frames, _MOST_VIEWS)]):
        if inside and frame not in looked:
            break
        looked[frame] = None
        with tree.faults.kept("unreadable", tree.path("scans", frame), KINDS["scans"].download):
            scan = kitti.read_scan(tree.path("scans", frame))
            seen = project(scan, tree.calibration.p2, tree.calibration.tr, *tree.image_sizes[frame]).inside
            inside, points = inside + int(seen.sum()), points + len(seen)
    tree.faults.take(view_faults(inside, points, len(looked), tree.folder / "calib.txt"))


def _spread(frames: Sequence[str], most: int) -> list[str]:
    """At most so many of the frames, from the first to the last."""
    return [frames[number] for number in sorted({*np.linspace(0, len(frames) - 1, min(most, len(frames))).astype(int)})]


def _check_shares(tree: SequenceTree, report: SequenceReport) -> None:
    """Labels without any class, and dense labels in the place of scribbles."""
    points, labelled, scribbled = (sum(getattr(facts, name) for facts in report.frames) for name in ("points", "labelled", "scribbled"))
    for kind, count in (("labels", labelled), ("scribbles", scribbled)):
        whole = points and tree.sizes.get(kind) and not tree.broken[kind]
        if whole and not count and not any(fault.path.parent.name == KINDS[kind].folder for fault in report.faults):
            folder, download = tree.folder / KINDS[kind].folder, KINDS[kind].download
            remedy = f"unpack {download} again"
            report.faults.append(Fault("no-class", folder, "found no point with a class", "some in every sequence", remedy, download))
    if points and labelled == scribbled > points / 2:
        found, download = f"found {scribbled / points:.0%} of the points labelled, as in labels/", KINDS["scribbles"].download
        remedy = f"unpack {download}, or set dataset.scribbles to simulated"
        report.faults.append(Fault("dense-scribbles", tree.folder / "scribbles", found, "scribbles (about 8 %)", remedy, download))


class _Frame:
    """Reads the files of one frame: ``facts``, ``faults``, and a ``digest`` of what was read."""

    def __init__(self, tree: SequenceTree, frame: str) -> None:
        self.tree, self.frame, self.faults, self.digest = tree, frame, Faults(), hashlib.sha256()
        points = self._scan()
        counts, drawn = self._classes("labels", points), self._classes("scribbles", points)
        width, height = self._image()
        self.facts = FrameFacts(frame, points or 0, int(counts.sum()), int(drawn.sum()), width, height, tuple(counts.tolist()))

    def _file(self, kind: str) -> Path | None:
        """Path of a file to read, which enters the digest; None where it is not there or known to be faulty."""
        if not self.tree.readable(kind, self.frame):
            return None
        path = self.tree.path(kind, self.frame)
        with self.faults.kept("unreadable", path, KINDS[kind].download):
            data = path.read_bytes()
            self.digest.update(f"{path.parent.name}/{path.name} {len(data)}\n".encode() + data)
            return path
        return None

    def _fault(self, name: str, kind: str, found: str, expected: str, remedy: str) -> None:
        self.faults.append(Fault(name, self.tree.path(kind, self.frame), found, expected, remedy, KINDS[kind].download))

    def _scan(self) -> int | None:
        """Number of points; None where the scan cannot be read."""
        if (path := self._file("scans")) is None:
            return None
        with self.faults.kept("scan-size", path, KINDS["scans"].download):
            points = kitti.read_scan(path)
            if broken := int((~np.isfinite(points).all(axis=1)).sum()):
                self._fault("not-finite", "scans", f"found {broken} points that are not finite", "none", "unpack it again")
                return len(points)
            low, high, far = points[:, 3].min(), points[:, 3].max(), np.abs(points[:, :3]).max()
            if low < 0 or high > 1:
                self._fault("remission", "scans", f"found remission {low:g} to {high:g}", "0 to 1", "convert it")
            if far > FARTHEST:
                self._fault("units", "scans", f"found a coordinate of {far:g}", f"metres, {FARTHEST:g} at most", "convert it")
            return len(points)
        return None

    def _classes(self, kind: str, points: int | None) -> NDArray[np.int64]:
        """Points of each class, int64 (19,); zeros where the labels cannot be read."""
        if (path := self._file(kind)) is not None:
            with self.faults.kept("unknown-id", path, KINDS[kind].download):
                train = to_train_ids(kitti.read_labels(path, points), str(path))
                return np.bincount(train, minlength=IGNORE + 1)[: len(CLASSES)]
        return np.zeros(len(CLASSES), np.int64)

    def _image(self) -> tuple[int, int]:
        """Width and height; zeros where the image cannot be read."""
        if (path := self._file("images")) is not None:
            with self.faults.kept("image-broken", path, KINDS["images"].download):
                height, width = kitti.read_image(path).shape[:2]
                return width, height
        return 0, 0
