"""Every fault of a sequence, found before anything is trained on it, and the facts of its frames."""

import hashlib
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ignet.data.check.calibration import view_faults
from ignet.data.check.faults import Faults, as_fault
from ignet.data.check.headers import check_calibration, check_images
from ignet.data.check.labels import FrameLabels, label_faults
from ignet.data.check.sequence_tree import SequenceTree
from ignet.data.check.tree import read_tree
from ignet.data.formats import kitti
from ignet.data.formats.official import CAMERA, KINDS, image_kinds
from ignet.data.formats.scan_values import SCAN_KINDS, returns, scan_doubts, scan_faults
from ignet.data.label_sets.label_set import IGNORE, LabelSet
from ignet.data.projection.geometry import project
from ignet.files.names import in_order
from ignet.log import progress

CONTENT_KINDS = frozenset(
    {*SCAN_KINDS, "unknown-id", "image-format", "image-cut", "image-grey", "image-depth", "image-broken"}
)
"""Faults that a whole folder has or one file: each is one line, however many files have it."""

Judge = Callable[[Path, NDArray[np.float32]], Faults]
"""The file of a scan and its values -> faults and doubts."""

_VIEWS, _MOST_VIEWS = (
    5,
    50,
)  # scans that are projected; the larger number where nothing is in front of the camera in the others


@dataclass(frozen=True)
class FrameFacts:
    """Facts of one frame; what could not be read is 0.

    Attributes:
        frame: its name.
        points: points of the scan.
        labelled: points with a class in the dense labels.
        scribbled: points with a class in the scribbles.
        sizes: width and height of each camera's image, pixels; zeros where there is none.
        class_counts: labelled points of each class.
    """

    frame: str
    points: int
    labelled: int
    scribbled: int
    sizes: tuple[tuple[int, int], ...]
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
        faults: what is wrong, and in ``faults.doubts`` what is strange; each as text is one line: file, found,
            expected, what to do.
        fingerprint: SHA-256 over the names and contents of all files that were read.
    """

    sequence: str
    tree: SequenceTree
    frames: list[FrameFacts] = field(default_factory=list)
    faults: Faults = field(default_factory=Faults)
    fingerprint: str = ""

    def share(self, name: str) -> float:
        """Share of all points that are ``labelled`` or ``scribbled``; 0 where there is nothing to read."""
        points = sum(facts.points for facts in self.frames)
        return sum(getattr(facts, name) for facts in self.frames) / points if points else 0.0

    def as_json(self) -> dict[str, Any]:
        """Plain values: columns with one entry a frame; those of the scribbles are None where none were read."""
        scribbled = "scribbles" in self.tree.sizes
        return {
            "sequence": self.sequence,
            "frames": [facts.frame for facts in self.frames],
            "points": [facts.points for facts in self.frames],
            "labelled": [facts.labelled for facts in self.frames],
            "scribbled": [facts.scribbled for facts in self.frames] if scribbled else None,
            "scribble_share": [facts.scribble_share for facts in self.frames] if scribbled else None,
            "cameras": list(self.tree.cameras),
            "image_sizes": [list(map(list, facts.sizes)) for facts in self.frames],
            "class_counts": [list(facts.class_counts) for facts in self.frames],
            "doubts": [str(doubt) for doubt in self.faults.doubts],
            "fingerprint": self.fingerprint,
        }


def check_sequence(
    root: Path,
    sequence: str,
    wanted: Collection[str],
    complete: bool = False,
    deep: bool = True,
    workers: int = 1,
    remission_scale: float = 1.0,
    cameras: tuple[int, ...] = (CAMERA,),
    may_lack: Collection[str] = (),
    *,
    label_set: LabelSet,
) -> SequenceReport:
    """Collect all faults of a sequence; raises none of them.

    Args:
        root: the dataset.
        sequence: its name.
        wanted: what must be there, of ``scans``, ``images`` (with a calibration that has `Tr`), ``labels`` and
            ``scribbles``; labels are checked wherever there are any.
        complete: the sequence must hold all scans that SemanticKITTI has of it.
        deep: read every file; otherwise names, sizes and headers, and a few scans, which the calibration must bring
            into their images.
        workers: threads that read.
        remission_scale: what stands for a remission of 1 in the scans.
        cameras: whose images are meant.
        may_lack: ``images`` and ``labels``: scans may be without an image of a camera, or without labels.
        label_set: of the label files.
    """
    tree = read_tree(root, sequence, wanted, complete, cameras, may_lack)
    # where there are no labels only predictions can be made, in which points without a return have a place
    judge = partial(judge_scan, remission_scale=remission_scale, live=not {"labels", "scribbles"} & {*wanted})
    if "images" in wanted and tree.sizes:
        check_images(tree)
        check_calibration(tree)
    _check_some_scans(tree, judge, deep)
    report = SequenceReport(sequence, tree=tree, faults=tree.faults)
    if deep:
        _read_all(tree, report, workers, judge, label_set)
    tree.faults.gather(CONTENT_KINDS)
    return report


def judge_scan(path: Path, points: NDArray[np.float32], remission_scale: float = 1.0, live: bool = False) -> Faults:
    """Faults and doubts of the values of a scan.

    Args:
        path: its file, which they name.
        points: float32 (N, 4), as they stand in the file.
        remission_scale: what stands for a remission of 1 there.
        live: points without a return are only strange.
    """
    there = returns(points) if live else None
    valid = points if there is None or not there.any() else points[there]
    download = KINDS["scans"].download
    faults = Faults(as_fault(error, kind, path, download) for kind, error in scan_faults(valid, remission_scale))
    if not faults:
        faults.doubts += [as_fault(error, kind, path, download) for kind, error in scan_doubts(points, remission_scale)]
    return faults


def _read_all(tree: SequenceTree, report: SequenceReport, workers: int, judge: Judge, label_set: LabelSet) -> None:
    """Read every file that no fault is known of; facts, faults and the fingerprint go into the report."""
    digest, labels = hashlib.sha256(), []
    if any(frame is None for _, frame in tree.calibrations):
        digest.update((tree.folder / "calib.txt").read_bytes())
    for name in in_order({frame for _, frame in tree.calibrations if frame}):
        digest.update((tree.folder / "calib" / f"{name}.txt").read_bytes())
    with ThreadPoolExecutor(workers) as pool:
        read = pool.map(lambda frame: _Frame(tree, frame, judge, label_set), tree.frames)
        for frame in progress(read, f"sequence {tree.sequence}", total=len(tree.frames)):
            report.frames.append(frame.facts)
            report.faults.take(frame.faults)
            labels.append(frame.labels)
            digest.update(frame.digest.digest())
    report.fingerprint = digest.hexdigest() if tree.frames else ""
    report.faults.take(label_faults(tree.folder, labels))


def _check_some_scans(tree: SequenceTree, judge: Judge, deep: bool) -> None:
    """Values of a few scans, projected into their images; of more scans where no point falls into an image."""
    readable = [frame for frame in tree.frames if tree.readable("scans", frame)]
    judged = cache(lambda frame: _judged(tree, frame, judge, deep))
    for camera in tree.cameras:
        sizes = tree.image_sizes.get(camera, {})
        frames = [frame for frame in readable if frame in sizes and tree.calibration(camera, frame)]
        _check_view(tree, camera, frames, judged)
        if not frames:
            for frame in readable[:1]:
                judged(frame)


def _check_view(
    tree: SequenceTree, camera: int, frames: Sequence[str], judged: Callable[[str], NDArray[np.float32] | None]
) -> None:
    """Project a few scans into a camera's images, and more where no point falls into one."""
    inside = points = 0
    looked = dict.fromkeys(_spread(frames, _VIEWS)) if frames else {}
    for frame in dict.fromkeys([*looked, *(_spread(frames, _MOST_VIEWS) if frames else ())]):
        if inside and frame not in looked:
            break
        looked[frame] = None
        calibration, scan = tree.calibration(camera, frame), judged(frame)
        if calibration and scan is not None:
            size = tree.image_sizes[camera][frame]
            seen = project(scan, calibration.projection, calibration.tr, *size).inside
            inside, points = inside + int(seen.sum()), points + len(seen)
    if points:
        tree.faults.take(view_faults(inside, points, len(looked), tree.folder / "calib.txt", camera))


def _judged(tree: SequenceTree, frame: str, judge: Judge, deep: bool) -> NDArray[np.float32] | None:
    """The values of a scan, if they are such as a scan can have; a calibration is not blamed for others."""
    path = tree.path("scans", frame)
    with tree.faults.kept("unreadable", path, KINDS["scans"].download):
        points = kitti.scan_values(path)
        found = judge(path, points)
        if not found:
            if not deep:  # who reads all scans finds the doubts again
                tree.faults.doubts.extend(found.doubts)
            return points
        tree.faults.extend(found)
    tree.broken["scans"].add(frame)
    return None


def _spread(frames: Sequence[str], most: int) -> list[str]:
    """At most so many of the frames, from the first to the last."""
    return [frames[number] for number in sorted({*np.linspace(0, len(frames) - 1, min(most, len(frames))).astype(int)})]


class _Frame:
    """Reads the files of one frame: ``facts``, counts of its ``labels``, ``faults``, and a ``digest``."""

    def __init__(self, tree: SequenceTree, frame: str, judge: Judge, label_set: LabelSet) -> None:
        self.tree, self.frame, self.judge, self.faults, self.digest = tree, frame, judge, Faults(), hashlib.sha256()
        self.label_set = label_set
        points = self._scan()
        labels, scribbles = self._classes("labels", points), self._classes("scribbles", points)
        counts = np.bincount(() if labels is None else labels, minlength=IGNORE + 1)[: len(label_set)]
        self.labels = _count(frame, points or 0, labels, scribbles)
        sizes = tuple(self._image(kind) for kind in image_kinds(tree.cameras).values())
        facts = points or 0, self.labels.labelled or 0, self.labels.scribbled or 0
        self.facts = FrameFacts(frame, *facts, sizes, tuple(counts.tolist()))

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

    def _scan(self) -> int | None:
        """Number of points; None where the scan cannot be read."""
        if (path := self._file("scans")) is None:
            return None
        with self.faults.kept("scan-size", path, KINDS["scans"].download):
            points = kitti.scan_values(path)
            self.faults.take(self.judge(path, points))
            return len(points)
        return None

    def _classes(self, kind: str, points: int | None) -> NDArray[np.uint8] | None:
        """Train id of each point; None where the labels cannot be read."""
        if (path := self._file(kind)) is not None:
            with self.faults.kept("unknown-id", path, KINDS[kind].download):
                return self.label_set.to_train_ids(kitti.read_labels(path, points), str(path))
        return None

    def _image(self, kind: str) -> tuple[int, int]:
        """Width and height; zeros where the image is missing or cannot be read."""
        if (path := self._file(kind)) is not None:
            with self.faults.kept("image-broken", path, KINDS["images"].download):
                height, width = kitti.read_image(path).shape[:2]
                return width, height
        return 0, 0


def _count(
    frame: str, points: int, labels: NDArray[np.uint8] | None, scribbles: NDArray[np.uint8] | None
) -> FrameLabels:
    """Points with a class, in the dense labels, in the scribbles and in both."""
    labelled, scribbled = (None if ids is None else int(np.count_nonzero(ids != IGNORE)) for ids in (labels, scribbles))
    if labels is None or scribbles is None or len(labels) != len(scribbles):
        return FrameLabels(frame, points, labelled, scribbled)
    both, differing = (labels != IGNORE) & (scribbles != IGNORE), labels != scribbles
    same = not differing.any()
    return FrameLabels(
        frame, points, labelled, scribbled, same, int(np.count_nonzero(both)), int(np.count_nonzero(both & differing))
    )
