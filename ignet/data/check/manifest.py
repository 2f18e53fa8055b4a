"""The manifest of a dataset: one row of a CSV file for each checked frame."""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ignet.data.check.labels import sequence_doubts
from ignet.data.formats import kitti
from ignet.data.label_sets.files import read_classes
from ignet.data.label_sets.label_set import IGNORE, LabelSet
from ignet.errors import IgnetError
from ignet.files.atomic import atomic, read_json
from ignet.files.names import natural

COLUMNS = ("sequence", "frame", "role", "points", "labelled", "scribbled", "scribbles", "width", "height")
"""Columns of the manifest, before one for each class; of several cameras K ``width_K`` and ``height_K``."""

_LISTS = ("frames", "points", "labelled", "image_sizes", "class_counts")


def write_manifest(
    path: Path, sequences: Sequence[Path], simulated: Path | None = None, *, label_set: LabelSet
) -> list[str]:
    """Write the rows of all sequences, in the order of their names, atomically.

    Args:
        path: the CSV file; names of sequences and frames keep their leading zeros (read them as text). ``scribbled``
            counts the points of the scribbles that trainings see, ``scribbles`` says whose they are: ``dataset`` or
            ``simulated``. Both are empty where no training sees any, as in validation sequences. Of several cameras,
            the size of an image that is missing is empty.
        sequences: JSON files of checked sequences (`SequenceReport.as_json` and the role).
        simulated: folder whose ``sequences/NN/scribbles`` were drawn from the dense labels of the training sequences,
            if they were.
        label_set: of the dataset.

    Returns:
        One line each: the doubts of the sequences, and of those that are unlike the others.

    Raises:
        IgnetError: a file is missing or is none of those, or a sequence is given twice.
    """
    reports = sorted((_report(file) for file in sequences), key=lambda report: natural(report["sequence"]))
    names = [report["sequence"] for report in reports]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise IgnetError(
            f"sequence {', '.join(twice)} is given twice", "each once", "name every JSON file once", path=path
        )
    with atomic(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*columns(reports[0]["cameras"] if reports else ()), *label_set.classes])
        for report in reports:
            if simulated and report["role"] == "train":
                report |= {"scribbled": _drawn(simulated, report, label_set), "scribbles": "simulated"}
            writer.writerows(_rows(report))
    doubts = sequence_doubts(
        Path(),
        *({report["sequence"]: _share(report, name) for report in reports} for name in ("labelled", "scribbled")),
    )
    return [*(doubt for report in reports for doubt in report.get("doubts", ())), *map(str, doubts)]


def columns(cameras: Sequence[int]) -> list[str]:
    """The columns before those of the classes."""
    if len(cameras) < 2:
        return list(COLUMNS)
    return [*COLUMNS[:-2], *(f"{side}_{camera}" for camera in cameras for side in COLUMNS[-2:])]


def size_columns(names: Iterable[str]) -> list[str]:
    """Those of some columns that are sides of images."""
    return [name for name in names if re.fullmatch(r"(width|height)(_\d+)?", name)]


def _drawn(root: Path, report: dict[str, Any], label_set: LabelSet) -> list[int]:
    """Points of each frame with a simulated scribble."""
    paths = [kitti.scribble_path(root, report["sequence"], frame) for frame in report["frames"]]
    labels = (read_classes(path, points, label_set) for path, points in zip(paths, report["points"], strict=True))
    return [int(np.count_nonzero(each != IGNORE)) for each in labels]


def _share(report: dict[str, Any], name: str) -> float:
    """Of all points of a sequence; 0 where nothing was read."""
    return sum(report.get(name) or ()) / max(sum(report["points"]), 1)


def _report(file: Path) -> dict[str, Any]:
    report = read_json(file)
    keys = ("sequence", "role", "cameras", *_LISTS)
    missing = [key for key in keys if key not in report] if isinstance(report, dict) else list(keys)
    if missing or len({len(report[key]) for key in _LISTS}) != 1:
        fault = f"no {', '.join(missing)}" if missing else "lists of different lengths"
        raise IgnetError(f"found {fault}", "the facts of a checked sequence", "run check_sequence again", path=file)
    return report


def _rows(report: dict[str, Any]) -> Iterator[list[Any]]:
    scribbled = report.get("scribbled")
    source = report.get("scribbles", "dataset") if scribbled else ""
    lists = (*(report[key] for key in _LISTS), scribbled or [""] * len(report["frames"]))
    several = len(report["cameras"]) > 1
    for frame, points, labelled, sizes, counts, drawn in zip(*lists, strict=True):
        size = [side or "" if several else side for pair in sizes for side in pair]
        yield [report["sequence"], frame, report["role"], points, labelled, drawn, source, *size, *counts]
