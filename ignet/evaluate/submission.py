"""The SemanticKITTI benchmark's zip file: written from a folder of predictions, checked by its own rules.

The rules are those of semantic-kitti-api's ``validate_submission.py``: the file's name, explicit entries of the
folders, one file for each scan with one uint32 for each point. Beyond them: no other file, no damaged one, and nothing
but raw ids that count (a 0 is a miss).
"""

import zipfile
import zlib
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import numpy as np

from ignet.data.check.faults import count_phrase, named
from ignet.data.formats.kitti import LABEL_BYTES, POINT_BYTES, frame_ids, scan_path
from ignet.data.formats.official import SEMANTICKITTI_FRAMES, TEST_SEQUENCES
from ignet.data.formats.origin import restore
from ignet.data.label_sets.label_set import IGNORE, LabelSet
from ignet.errors import IgnetError, reason_of
from ignet.evaluate.predictions import foreign_ids
from ignet.files.atomic import atomic
from ignet.log import progress

TEST_SCANS = {sequence: SEMANTICKITTI_FRAMES[sequence] for sequence in TEST_SEQUENCES}
"""The benchmark's test sequences and the number of their scans, 20,351 in all."""

DESCRIPTION = "description.txt"
"""The one further file that the benchmark takes, at the top: name of the method, links."""

_DATE = (1980, 1, 1, 0, 0, 0)  # the format's first day: equal predictions give equal bytes

Scans = dict[str, dict[str, int]]
"""Points of each scan by sequence and frame."""


class RefusedError(IgnetError):
    """A submission that the benchmark would refuse, or whose points it would count as misses.

    Attributes:
        faults: one line each.
    """

    def __init__(self, path: Path, faults: Sequence[str]) -> None:
        super().__init__(
            f"{path}: found {count_phrase(faults)}, expected none in a submission; fix them and write it again"
        )
        self.faults = list(faults)


def list_scans(dataset: Path, sequences: Sequence[str] | None) -> Scans:
    """Points of the scans that a submission needs labels for, from the sizes of their files.

    Args:
        dataset: folder that holds ``sequences/NN/velodyne``.
        sequences: None: the benchmark's test sequences, which must be complete then.

    Raises:
        IgnetError: a sequence is missing, incomplete, or holds a scan that was cut short.
    """
    scans: Scans = {}
    for sequence in sequences or TEST_SCANS:
        sizes = {frame: scan_path(dataset, sequence, frame).stat().st_size for frame in frame_ids(dataset, sequence)}
        folder = scan_path(dataset, sequence, "").parent
        if sequences is None:
            _check_names(folder, sizes, TEST_SCANS[sequence])
        if broken := [frame for frame, size in sizes.items() if not size or size % POINT_BYTES]:
            name = f"{folder / broken[0]}.bin"
            raise IgnetError(
                f"{name}: found {sizes[broken[0]]} bytes, expected a multiple of {POINT_BYTES}; {restore(folder)}"
            )
        scans[sequence] = {frame: size // POINT_BYTES for frame, size in sizes.items()}
    return scans


def _check_names(folder: Path, scans: Collection[str], count: int) -> None:
    """The scans are those of the benchmark by name: as many with other names would be refused there."""
    official = [f"{number:06d}" for number in range(count)]
    lacking = [f"{name}.bin" for name in official if name not in scans]
    more = [f"{name}.bin" for name in sorted(set(scans) - set(official))]
    if not lacking and not more:
        return
    found = " and ".join(
        [f"no {named(lacking)}"] * bool(lacking) + [f"{named(more)} beyond the benchmark's"] * bool(more)
    )
    remedy = restore(folder, "data_odometry_velodyne") if lacking else "remove what is too much"
    raise IgnetError(
        f"{folder}: found {len(scans)} scans, {found}, expected {count}, 000000.bin to {official[-1]}.bin; {remedy}"
    )


def write_submission(
    path: Path, predictions: Path, scans: Scans, label_set: LabelSet, description: Path | None = None
) -> None:
    """Write the zip file and check it before it gets its name; equal predictions give equal bytes.

    Args:
        path: the file, which must end in ``.zip``.
        predictions: folder that holds ``sequences/NN/predictions/NNNNNN.label``, uint32 raw ids.
        scans: of :func:`list_scans`.
        label_set: of the predictions.
        description: a text that goes along as ``description.txt``.

    Raises:
        RefusedError: a prediction is missing or faulty; nothing is left then.
        IgnetError: the file cannot be written.
    """
    if path.suffix != ".zip":
        raise IgnetError(
            f"{path}: found no .zip at its end, expected it there: the benchmark takes no other name; change --out"
        )
    faults: list[str] = []
    with atomic(path) as temporary:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as file:
            if description:
                _add(file, DESCRIPTION, _text(description))
            for folder in _folders(scans):
                file.writestr(_entry(folder), b"")
            for name, points in progress(list(_labels(scans)), "packed scan"):
                data, fault = _read(predictions / name)
                fault = fault or _label_fault(f"{predictions / name}", data, points, label_set)
                if fault:
                    faults.append(fault)
                else:
                    _add(file, name, data)
        faults = faults or check_submission(temporary, scans, label_set)
        if faults:
            raise RefusedError(path, faults)


def check_submission(path: Path, scans: Scans, label_set: LabelSet) -> list[str]:
    """Every reason, one line each, why the benchmark would refuse a zip file or count its points as misses.

    Args:
        path: the zip file.
        scans: of :func:`list_scans`.
        label_set: of the predictions.

    Raises:
        IgnetError: there is no such file, or it is no zip file.
    """
    faults = [] if path.suffix == ".zip" else [f"{path}: found no .zip at its end, expected it there; rename it"]
    try:
        with zipfile.ZipFile(path) as file:
            entries = [entry.filename for entry in file.infolist()]
            faults += _name_faults(path, entries, scans)
            return [*faults, *_content_faults(path, file, set(entries), scans, label_set)]
    except (OSError, zipfile.BadZipFile) as error:
        raise IgnetError(
            f"{path}: cannot be read ({error}), expected a zip file; write it again with ignet submit"
        ) from None


def _name_faults(path: Path, entries: Sequence[str], scans: Scans) -> list[str]:
    """What is wrong with the names alone."""
    folders, files = list(_folders(scans)), {name for name, _ in _labels(scans)}
    faults = [
        f"{path}: found no entry '{folder}', expected it: the benchmark wants folders as entries of their own; write "
        "it with ignet submit"
        for folder in folders
        if folder not in entries
    ]
    faults += [
        f"{path}: found '{name}' {count} times, expected it once; write it again"
        for name, count in Counter(entries).items()
        if count > 1
    ]
    unknown = sorted({name for name in entries if not name.endswith("/")} - files - {DESCRIPTION})
    if unknown:
        faults.append(
            f"{path}: found {named(unknown)}, expected nothing but sequences/NN/predictions/NNNNNN.label of the scans; "
            "leave them out"
        )
    return faults


def _content_faults(
    path: Path, file: zipfile.ZipFile, entries: set[str], scans: Scans, label_set: LabelSet
) -> Iterator[str]:
    """What is wrong with the label files."""
    for name, points in progress(list(_labels(scans)), "checked scan"):
        where = f"{path}: {name}"
        if name not in entries:
            yield (
                f"{where}: no such file, expected the labels of this scan; predict its sequence and write the zip again"
            )
            continue
        try:
            fault = _label_fault(where, file.read(name), points, label_set)
        except (RuntimeError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
            fault = f"{where}: cannot be unpacked ({error}), expected a whole file; write the zip again"
        if fault:
            yield fault


def _label_fault(where: str, data: bytes, points: int, label_set: LabelSet) -> str | None:
    """What is wrong with one label file."""
    if len(data) != LABEL_BYTES * points:
        return (
            f"{where}: found {len(data)} bytes, expected {LABEL_BYTES * points}, a uint32 for each of {points} "
            "points; predict it again"
        )
    raw = np.frombuffer(data, "<u4").astype(np.uint32)
    if fault := foreign_ids(raw, label_set):
        return f"{where}: {fault}; predict it again"
    classes, counts = np.unique(raw & 0xFFFF, return_counts=True)
    wrong = ~label_set.is_raw_id(classes)
    wrong[~wrong] = label_set.to_train_ids(classes[~wrong]) == IGNORE
    if not wrong.any():
        return None
    ids, number = ", ".join(map(str, classes[wrong][:8])), counts[wrong].sum()
    expected = f"raw ids of the {len(label_set)} classes, and never 0"
    return f"{where}: found id {ids} on {number} points, expected {expected}; predict it again"


def _folders(scans: Scans) -> Iterator[str]:
    yield "sequences/"
    for sequence in scans:
        yield from (f"sequences/{sequence}/", f"sequences/{sequence}/predictions/")


def _labels(scans: Scans) -> Iterator[tuple[str, int]]:
    """Name in the zip file and number of points of each scan's labels."""
    for sequence, frames in scans.items():
        for frame, points in frames.items():
            yield f"sequences/{sequence}/predictions/{frame}.label", points


def _read(path: Path) -> tuple[bytes, str | None]:
    try:
        return path.read_bytes(), None
    except OSError as error:
        return (
            b"",
            f"{path}: {reason_of(error)}, expected the predictions of this scan; run the stage predict for its "
            "sequence",
        )


def _text(path: Path) -> bytes:
    data, fault = _read(path)
    if fault:
        raise IgnetError(f"{path}: cannot be read, expected the description of the method; correct --description")
    return data


def _add(file: zipfile.ZipFile, name: str, data: bytes) -> None:
    file.writestr(_entry(name), data, zipfile.ZIP_DEFLATED)


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _DATE)
    entry.create_system = 3  # Unix, so that the permissions below are read
    entry.external_attr = 0o40755 << 16 | 0x10 if name.endswith("/") else 0o100644 << 16
    return entry
