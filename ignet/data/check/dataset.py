"""All faults of a dataset in one pass: its root, each of its sequences, and what only shows between them."""

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

from ignet.data.check.calibration import copied_doubts
from ignet.data.check.faults import Fault, Faults, count_downloads, count_phrase
from ignet.data.check.labels import sequence_doubts
from ignet.data.check.sequence import SequenceReport, check_sequence
from ignet.data.check.sequence_tree import SequenceTree
from ignet.data.check.source import SourceReport
from ignet.data.check.tree import alike
from ignet.data.check.wanted import Wanted, entries, is_sequence
from ignet.data.formats import kitti
from ignet.data.formats.official import CAMERA, DOWNLOADS, KINDS, SEMANTICKITTI_FRAMES, image_kinds
from ignet.data.formats.origin import restore
from ignet.data.label_sets.label_set import LabelSet
from ignet.errors import reason_of


@dataclass
class DatasetReport:
    """What was found in a dataset.

    Attributes:
        root: its folder.
        deep: whether every file was read.
        sequences: one report each; their faults stand in ``faults`` too.
        faults: all of them, and all doubts.
        source: what was found in the source dataset, where one was looked at; its faults stand in ``faults`` too.
        notes: what is no fault and yet good to know, one line each.
    """

    root: Path
    deep: bool
    sequences: list[SequenceReport] = field(default_factory=list)
    faults: Faults = field(default_factory=Faults)
    source: SourceReport | None = None
    notes: list[str] = field(default_factory=list)

    def counts(self) -> dict[str, int]:
        """Files of each kind in all sequences together, readable or not."""
        trees = [report.tree for report in self.sequences]
        counts = {kind: sum(len(tree.sizes.get(kind, {})) for tree in trees) for kind in KINDS}
        images = [len(tree.sizes.get(kind, {})) for tree in trees for kind in image_kinds(tree.cameras).values()]
        return {**counts, "images": sum(images)}

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "root": str(self.root),
            "deep": self.deep,
            "sequences": {report.sequence: _counts(report) for report in self.sequences},
            "source": self.source
            and {"root": str(self.source.root), "layout": self.source.layout, "pairs": self.source.pairs},
            "faults": [fault.as_json() for fault in self.faults],
            "doubts": [doubt.as_json() for doubt in self.faults.doubts],
            "downloads": [
                {"archive": name, "faults": count, "where": DOWNLOADS.get(name)}
                for name, count in count_downloads(self.faults).items()
            ],
            "notes": self.notes,
        }


def check_dataset(
    root: Path,
    wanted: Wanted,
    complete: bool = False,
    deep: bool = False,
    workers: int = 1,
    remission_scale: float = 1.0,
    cameras: tuple[int, ...] = (CAMERA,),
    may_lack: Collection[str] = (),
    *,
    label_set: LabelSet,
) -> DatasetReport:
    """Collect all faults of a dataset; raises none of them.

    Args:
        root: folder that holds ``sequences/``.
        wanted: what must be there of each sequence.
        complete: the sequences must hold all scans that SemanticKITTI has of them.
        deep: read every file.
        workers: threads that read.
        remission_scale: what stands for a remission of 1 in the scans.
        cameras: whose images are meant.
        may_lack: ``images`` and ``labels``: scans may be without an image of a camera, or without labels.
        label_set: of the label files.
    """
    report = DatasetReport(root, deep)
    if fault := _root_fault(root):
        report.faults.append(fault)
        return report
    if not wanted:
        download = "data_odometry_velodyne.zip"
        found, expected = "found no sequence in it", "a folder for each, with velodyne/ in it"
        report.faults.append(
            Fault("no-sequence", root / "sequences", found, expected, restore(root, download, "here"), download)
        )
    for sequence, kinds in wanted.items():
        options = complete, deep, workers, remission_scale, cameras, may_lack
        report.sequences.append(check_sequence(root, sequence, kinds, *options, label_set=label_set))
    trees = [one.tree for one in report.sequences]
    _name_swapped_counts(trees)
    _name_foreign_labels(trees)
    for one in report.sequences:
        report.faults.take(one.faults)
        report.notes += one.tree.notes
    labelled, scribbled = (
        {one.sequence: one.share(name) for one in report.sequences} for name in ("labelled", "scribbled")
    )
    report.faults.doubts += sequence_doubts(root, labelled, scribbled)
    for camera in cameras:
        known = {
            tree.sequence: (calibration, size)
            for tree in trees
            if (calibration := tree.calibrations.get((camera, None))) and (size := tree.image_size(camera))
        }
        report.faults.doubts += copied_doubts(root, known, camera)
    report.faults += _packed_archives(root, report.faults)
    return report


def _root_fault(root: Path) -> Fault | None:
    """Why there is nothing to look at."""
    remedy = "set dataset.root to the folder that holds sequences/"
    try:
        entries = os.listdir(root)
    except OSError as error:
        return Fault("root", root, reason_of(error), "a dataset that holds sequences/", remedy)
    if (root / "sequences").is_dir():
        return None
    expected = "the folder sequences/"
    if other := alike(root, "sequences"):
        return Fault("root-name", root / other, f"found the name '{other}'", "'sequences'", "rename it to sequences")
    inside = next((root / entry for entry in sorted(entries) if (root / entry / "sequences").is_dir()), None)
    if root.name == "sequences" and any(is_sequence(root / entry) for entry in entries):
        inside = root.parent
    remedy = f"set dataset.root to {inside}" if inside else restore(root, "data_odometry_velodyne.zip", "here")
    return Fault(
        "root",
        root,
        "found no folder sequences/ in it",
        expected,
        remedy,
        None if inside else "data_odometry_velodyne.zip",
    )


def _packed_archives(root: Path, faults: Sequence[Fault]) -> Iterator[Fault]:
    """Archives that lie in the dataset and would fix a fault, but were never unpacked."""
    needed = count_downloads(faults)
    for folder in (root, root.parent):
        for name in sorted(set(entries(folder)) & set(needed)):
            found, remedy = (
                "found the archive itself",
                f"unpack it: {needed[name]} of the faults above are of its files",
            )
            yield Fault("packed", folder / name, found, "its content in sequences/", remedy, name)


def _name_swapped_counts(trees: Sequence[SequenceTree]) -> None:
    """Where two sequences have each other's number of files, say that, instead of what each lacks."""
    for one, other in combinations([tree for tree in trees if tree.sizes.get("scans")], 2):
        for kind in ("images", "labels", "scribbles"):
            scans, files = (
                [len(tree.frames) for tree in (one, other)],
                [len(tree.sizes.get(kind, {})) for tree in (one, other)],
            )
            if scans[0] == scans[1] or files != scans[::-1]:
                continue
            folder = one.folder / KINDS[kind].folder
            found = (
                f"found {files[0]} {KINDS[kind].noun}s for {scans[0]} scans, and the reverse in sequence "
                f"{other.sequence}"
            )
            remedy = f"swap the folders {KINDS[kind].folder} of sequences {one.sequence} and {other.sequence}"
            for tree in (one, other):
                _drop(tree, kind, ("missing", "orphan", "label-length"))
            one.faults.append(Fault("swapped", folder, found, "one for each scan", remedy, KINDS[kind].download))


def _name_foreign_labels(trees: Sequence[SequenceTree]) -> None:
    """Where all label files that do not fit their scans fit those of another sequence, say of which."""
    for tree in trees:
        for kind in ("labels", "scribbles"):
            wrong = [
                fault
                for fault in tree.faults
                if fault.kind == "label-length" and fault.path.parent.name == KINDS[kind].folder
            ]
            frames = [Path(name).stem for fault in wrong for name in fault.files]
            if not frames or 2 * len(frames) < len(tree.sizes[kind]):  # one file may fit another scan by chance
                continue
            for other in trees:
                if other is not tree and all(_fits(tree.sizes[kind][frame], other, frame) for frame in frames):
                    _drop(tree, kind, ("label-length",))
                    found = f"found labels that fit the scans of sequence {other.sequence}"
                    remedy = restore(tree.folder, KINDS[kind].download)
                    tree.fault("foreign", kind, frames, found, f"those of sequence {tree.sequence}", remedy)
                    break


def _fits(size: int, tree: SequenceTree, frame: str) -> bool:
    return tree.readable("scans", frame) and size == kitti.LABEL_BYTES * tree.points(frame)


def _drop(tree: SequenceTree, kind: str, names: Sequence[str]) -> None:
    tree.faults[:] = [
        fault for fault in tree.faults if fault.kind not in names or fault.path.parent.name != KINDS[kind].folder
    ]


def _counts(report: SequenceReport) -> dict[str, Any]:
    counts: dict[str, Any] = {kind: len(sizes) for kind, sizes in report.tree.sizes.items()}
    if report.sequence in SEMANTICKITTI_FRAMES:
        counts["official_scans"] = SEMANTICKITTI_FRAMES[report.sequence]
    if report.frames:
        counts |= {"points": sum(facts.points for facts in report.frames), "fingerprint": report.fingerprint}
        for kind, name, word in (("labels", "label_share", "labelled"), ("scribbles", "scribble_share", "scribbled")):
            counts |= {name: report.share(word)} if kind in report.tree.sizes else {}
    return counts


def describe(report: DatasetReport) -> str:
    """A summary for a person; the faults themselves are not in it."""
    counts: Mapping[str, int] = report.counts()
    parts = ", ".join(f"{count:,} {KINDS[kind].noun}s" for kind, count in counts.items() if count)
    how = "everything read" if report.deep else "names, sizes and headers; --deep reads everything"
    lines = [f"{report.root}: {len(report.sequences)} sequences, {parts or 'nothing found'} ({how})"]
    if report.source:
        lines.append(
            f"{report.source.root}: {report.source.pairs:,} pairs of source images and labels ({report.source.layout})"
        )
    lines += report.notes
    doubts = f", {count_phrase(report.faults.doubts, 'doubt')}" if report.faults.doubts else ""
    if not report.faults:
        return "\n".join([*lines, f"no fault{doubts}"])
    lines.append(count_phrase(report.faults) + doubts)
    downloads = count_downloads(report.faults)
    if downloads:
        lines.append("downloads that fix them:")
        lines += [f"  {name}  ({DOWNLOADS.get(name, 'its publisher')}): {count}" for name, count in downloads.items()]
    return "\n".join(lines)
