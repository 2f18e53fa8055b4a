"""The files of one sequence by their names and sizes: what can be known without opening one."""

import os
import stat
from collections import defaultdict
from collections.abc import Collection, Iterable
from pathlib import Path

from ignet.data.check.faults import Fault, as_fault
from ignet.data.check.sequence_tree import SequenceTree
from ignet.data.check.tree_names import shape, sort_names, spellings
from ignet.data.formats import kitti
from ignet.data.formats.official import CAMERA, JPEG, KINDS, SEMANTICKITTI_FRAMES, image_kinds
from ignet.data.formats.origin import restore
from ignet.errors import reason_of
from ignet.files.names import in_order, scan_name


def read_tree(
    root: Path,
    sequence: str,
    wanted: Collection[str],
    complete: bool = False,
    cameras: tuple[int, ...] = (CAMERA,),
    may_lack: Collection[str] = (),
) -> SequenceTree:
    """List a sequence and check names, counts and sizes; no fault is raised.

    Args:
        root: folder that holds ``sequences/``.
        sequence: its name.
        wanted: kinds that must be there. Labels are checked wherever there are any.
        complete: the sequence must hold all scans that SemanticKITTI has of it.
        cameras: whose images are meant.
        may_lack: ``images`` and ``labels``: scans may be without an image of a camera, or without labels.
    """
    tree = SequenceTree(sequence, kitti.sequence_path(root, sequence), cameras=cameras)
    if not _is_there(tree):
        return tree
    images = {kind: camera for camera, kind in image_kinds(cameras).items()} if "images" in wanted else {}
    wanted = {*wanted} - {"images"} | set(images)
    if "images" in may_lack:
        tree.partial |= {kind: f"image of camera {camera}" for kind, camera in images.items()}
    if "labels" in may_lack:
        tree.partial |= {kind: KINDS[kind].noun for kind in ("labels", "scribbles")}
    for kind in [*KINDS, *sorted(set(images) - set(KINDS))]:
        if kind in wanted or (kind == "labels" and os.path.lexists(tree.folder / KINDS[kind].folder)):
            _list(tree, kind)
    official = SEMANTICKITTI_FRAMES.get(sequence) if complete else None
    _name_spellings(tree, official)
    _count_missing(tree)
    _check_counts(tree, official)
    _check_sizes(tree)
    return tree


def alike(folder: Path, name: str) -> str | None:
    """An entry that is meant to be ``name``: other case, other leading zeros, or KITTI's raw data's name."""
    try:
        entries = sorted(os.listdir(folder))
    except OSError:
        return None
    same = [entry for entry in entries if entry != name and _bare(entry) == _bare(name)]
    return same[0] if same else None


def _bare(name: str) -> str:
    name = name.casefold().replace("image_02", "image_2")
    return str(int(name)) if name.isdecimal() else name


def _is_there(tree: SequenceTree) -> bool:
    try:
        if not stat.S_ISDIR(os.stat(tree.folder).st_mode):
            tree.faults.append(
                Fault("not-a-folder", tree.folder, "found a file", "the folder of the sequence", restore(tree.folder))
            )
            return False
    except FileNotFoundError:
        tree.faults.append(
            _missing(
                tree.folder, "sequence-name", "no-sequence", "the folder of the sequence", "data_odometry_velodyne.zip"
            )
        )
        return False
    except OSError as error:
        tree.faults.append(as_fault(error, "unreadable", tree.folder))
        return False
    return True


def _missing(path: Path, misnamed: str, absent: str, expected: str, download: str) -> Fault:
    """The fault of a folder that is not there, or goes by another name."""
    if other := alike(path.parent, path.name):
        return Fault(
            misnamed, path.with_name(other), f"found the name '{other}'", f"'{path.name}'", f"rename it to {path.name}"
        )
    return Fault(absent, path, "no such folder", expected, restore(path, download, "here"), download)


def _list(tree: SequenceTree, kind: str) -> None:
    """Sizes of the files of one kind; faults of names, links and of the folder."""
    folder, download = tree.folder / KINDS[kind].folder, KINDS[kind].download
    expected = f"one {KINDS[kind].noun} for each scan"
    try:
        with os.scandir(folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except FileNotFoundError:
        fault = _missing(folder, "folder-name", "no-folder", expected, download)
        if fault.kind == "no-folder" and kind in ("labels", "scribbles") and kind in tree.partial:
            tree.sizes[kind], tree.ignored[kind] = {}, []
        else:
            tree.faults.append(fault)
        return
    except OSError as error:
        tree.faults.append(as_fault(error, "unreadable", folder, download))
        return
    tree.sizes[kind] = {}
    suffixes = {Path(entry.name).suffix for entry in found if not entry.name.startswith(".")}
    if KINDS[kind].noun == KINDS["images"].noun and JPEG in suffixes and KINDS[kind].suffix not in suffixes:
        tree.jpeg.add(kind)
    _add_misnamed(tree, kind, [entry.name for entry in found])
    _add_sizes(tree, kind, found)
    if not tree.sizes[kind]:
        remedy = restore(folder, download, "here")
        tree.faults.append(
            Fault("empty-folder", folder, f"found no {tree.suffix(kind)} file", expected, remedy, download)
        )
        del tree.sizes[kind]


def _add_sizes(tree: SequenceTree, kind: str, entries: Iterable[os.DirEntry[str]]) -> None:
    """Sizes of the files with right names; links that lead nowhere and folders are faults."""
    unreadable: dict[str, list[str]] = defaultdict(list)
    folders = []
    for entry in entries:
        frame = scan_name(entry.name, tree.suffix(kind))
        if frame is None:
            continue
        try:
            status = entry.stat()
        except OSError as error:
            unreadable[reason_of(error)].append(frame)
            tree.sizes[kind][frame] = 0
            continue
        tree.sizes[kind][frame] = status.st_size
        if stat.S_ISDIR(status.st_mode):
            folders.append(frame)
    for found, frames in unreadable.items():
        tree.fault(
            "unreadable",
            kind,
            frames,
            found,
            f"a {KINDS[kind].noun}",
            f"fix the link or the permissions, or {restore(tree.folder)}",
        )
    if folders:
        tree.fault(
            "not-a-file",
            kind,
            folders,
            "found a folder",
            f"a {KINDS[kind].noun}",
            f"remove it and {restore(tree.folder)}",
        )


def _add_misnamed(tree: SequenceTree, kind: str, names: Iterable[str]) -> None:
    """Faults of names that no stage would find, one for each way of being wrong.

    The others that none looks at are kept apart.
    """
    suffix, again = tree.suffix(kind), restore(tree.folder, KINDS[kind].download)
    found = sort_names(names, suffix, tree.sizes.get("scans", {}))
    tree.ignored[kind] = found.ignored
    remedies = {
        "case": f"rename them: {suffix} in small letters",
        "format": f"convert them to {suffix}, or {again}",
        "leftover": f"downloading or unpacking was stopped: remove them and {again}",
    }
    for fault, files in found.wrong.items():
        if fault == "case":  # it is there, by another name: not missing, and not readable
            _keep_broken(tree, kind, files.values())
        _misnamed(tree, kind, fault, files, f"{next(iter(files.values()))}{suffix}", remedies[fault])


def _name_spellings(tree: SequenceTree, official: int | None) -> None:
    """Faults of numbers that are written otherwise than those of the other folders."""
    for kind, other in spellings(tree.sizes, official).items():
        if other:
            for frame in other:
                del tree.sizes[kind][frame]
            _keep_broken(tree, kind, other.values())
            files, right = [f"{frame}{tree.suffix(kind)}" for frame in other], next(iter(other.values()))
            _misnamed(tree, kind, "padding", files, f"{right}{tree.suffix(kind)}", f"rename them: {len(right)} digits")


def _keep_broken(tree: SequenceTree, kind: str, frames: Iterable[str]) -> None:
    for frame in frames:
        tree.sizes[kind][frame] = 0
        tree.broken[kind].add(frame)


def _misnamed(tree: SequenceTree, kind: str, fault: str, files: Iterable[str], right: str, remedy: str) -> None:
    first, *_ = files = tuple(files)
    path = tree.folder / KINDS[kind].folder / first
    tree.faults.append(
        Fault(fault, path, f"found the name '{first}'", f"names such as {right}", remedy, KINDS[kind].download, files)
    )


def _count_missing(tree: SequenceTree) -> None:
    """Files that may be missing are counted all the same."""
    for kind, noun in tree.partial.items():
        if kind in tree.sizes and (lacking := set(tree.frames) - set(tree.sizes[kind])):
            name = "missing-labels" if kind in ("labels", "scribbles") else "missing-images"
            found = f"found no {noun} for {len(lacking)} of {len(tree.frames)} scans"
            remedy = f"allowed by dataset.{name.replace('-', '_')}; else restore them"
            tree.faults.doubt(Fault(name, tree.path(kind, min(lacking)), found, "one for each", remedy))


def _check_counts(tree: SequenceTree, official: int | None) -> None:
    """Each kind has one file for each scan, and the scans are those of SemanticKITTI where they must be."""
    scans = set(tree.sizes.get("scans", {}))
    if not scans:
        return
    wanted = scans if official is None else {f"{number:06d}" for number in range(official)}
    for kind, sizes in list(tree.sizes.items()):
        noun, download = KINDS[kind].noun, KINDS[kind].download
        lacking, more = wanted - set(sizes), set(sizes) - wanted - (scans if kind != "scans" else set())
        lacking = set() if kind in tree.partial else lacking
        if kind != "scans":
            strays = {frame for frame in more if shape(frame) not in {shape(scan) for scan in scans}}
            more -= strays
            tree.ignored[kind] += [f"{frame}{tree.suffix(kind)}" for frame in in_order(strays)]
            tree.sizes[kind] = {frame: size for frame, size in sizes.items() if frame not in strays}
        if lacking:
            count = (
                "no such file"
                if official is None
                else f"no such file: found {len(sizes)} of {official} {noun}s{_other(sizes, tree)}"
            )
            expected = (
                f"a {noun} for its scan"
                if official is None
                else f"all that SemanticKITTI has of sequence {tree.sequence}"
            )
            tree.fault("missing", kind, lacking, count, expected, restore(tree.folder, download))
        if more and kind == "scans":
            found, remedy = f"found {len(sizes)} scans{_other(sizes, tree)}", "remove those of other sequences"
            tree.fault("too-many", kind, more, found, f"SemanticKITTI's {official}", remedy)
        elif more:
            found, remedy = (
                f"found no scan for this {noun}",
                f"{restore(tree.folder, KINDS['scans'].download)}, or remove what is too much",
            )
            tree.fault("orphan", kind, more, found, "as many scans", remedy)


def _other(sizes: Collection[str], tree: SequenceTree) -> str:
    """Which other sequence has as many files as were found here."""
    same = [name for name, count in SEMANTICKITTI_FRAMES.items() if count == len(sizes) and name != tree.sequence]
    return f", as many as sequence {' or '.join(same)} has" if same else ""


def _check_sizes(tree: SequenceTree) -> None:
    scans = {frame: size for frame, size in tree.sizes.get("scans", {}).items() if frame not in tree.broken["scans"]}
    if empty := [frame for frame, size in scans.items() if not size]:
        tree.fault(
            "empty-file",
            "scans",
            empty,
            "found 0 bytes",
            "a scan",
            f"the disk was full or copying was stopped: {restore(tree.folder)}",
        )
    if cut := [frame for frame, size in scans.items() if size % kitti.POINT_BYTES]:
        found = f"found {scans[min(cut)]} bytes"
        expected = f"a positive multiple of {kitti.POINT_BYTES} (4 float32 a point)"
        tree.fault(
            "scan-size", "scans", cut, found, expected, f"the file is cut short or is no scan: {restore(tree.folder)}"
        )
    for kind in ("labels", "scribbles"):
        sizes = tree.sizes.get(kind, {})
        other = [
            frame
            for frame, size in sizes.items()
            if tree.readable(kind, frame)
            and tree.readable("scans", frame)
            and size != kitti.LABEL_BYTES * tree.points(frame)
        ]
        if other:
            first = min(other)
            found = f"found {sizes[first] / kitti.LABEL_BYTES:g} labels"
            expected = f"{tree.points(first)}, as many as its scan has points"
            remedy = restore(tree.folder, f"the {KINDS[kind].noun}s that belong to these scans", "here")
            tree.fault("label-length", kind, other, found, expected, remedy)
