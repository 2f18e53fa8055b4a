"""The manifest of a dataset: one row of a CSV file for each checked frame."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ignet.data.labels import CLASSES
from ignet.errors import IgnetError
from ignet.files import atomic, read_json
from ignet.names import natural

COLUMNS = ("sequence", "frame", "role", "points", "labelled", "scribbled", "width", "height", *CLASSES)
_LISTS = ("frames", "points", "labelled", "scribbled", "image_sizes", "class_counts")


def write_manifest(path: Path, sequences: Sequence[Path]) -> None:
    """Write the rows of all sequences, in the order of their names, atomically.

    Args:
        path: the CSV file; names of sequences and frames keep their leading zeros (read them as text).
        sequences: JSON files of checked sequences (`SequenceReport.as_json` and the role).

    Raises:
        IgnetError: a file is missing or is none of those, or a sequence is given twice.
    """
    reports = sorted((_report(file) for file in sequences), key=lambda report: natural(report["sequence"]))
    names = [report["sequence"] for report in reports]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise IgnetError(f"{path}: sequence {', '.join(twice)} is given twice, expected each once; name every JSON file once")
    with atomic(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for report in reports:
            writer.writerows(_rows(report))


def _report(file: Path) -> dict[str, Any]:
    report = read_json(file)
    keys = ("sequence", "role", *_LISTS)
    missing = [key for key in keys if key not in report] if isinstance(report, dict) else list(keys)
    if missing or len({len(report[key]) for key in _LISTS}) != 1:
        fault = f"no {', '.join(missing)}" if missing else "lists of different lengths"
        raise IgnetError(f"{file}: found {fault}, expected the facts of a checked sequence; run check_sequence again")
    return report


def _rows(report: dict[str, Any]) -> Iterator[list[Any]]:
    for frame, points, labelled, scribbled, size, counts in zip(*(report[key] for key in _LISTS), strict=True):
        yield [report["sequence"], frame, report["role"], points, labelled, scribbled, *size, *counts]
