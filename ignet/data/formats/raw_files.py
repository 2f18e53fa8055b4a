"""Bytes of a data set's files and lines of a calibration, with one line for each fault."""

import codecs
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ignet.data.formats.official import CALIBRATION
from ignet.data.formats.origin import restore
from ignet.errors import IgnetError, reason_of


def read_bytes(path: Path, what: str, remedy: str) -> bytes:
    """Content of a file; ``what`` is expected there, and ``remedy`` brings it."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise unreadable(path, what, error, remedy) from None


def read_dataset_file(path: Path, what: str, archive: str, how: str = "again") -> bytes:
    """Content of a file of a dataset; its ``archive`` is named as `restore` does, and only where it cannot be read."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise unreadable(path, what, error, restore(path, archive, how)) from None


def unreadable(path: Path, what: str, error: OSError, remedy: str) -> IgnetError:
    """The error of a file that the system does not give."""
    found = "no such file" if isinstance(error, FileNotFoundError) else reason_of(error)
    return IgnetError(found, what, remedy, path=path)


def calibration_lines(path: Path) -> dict[str, str]:
    """Values by key; each key once."""
    data = read_dataset_file(path, "a calibration", CALIBRATION, "here")
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    lines: dict[str, str] = {}
    for line in data.decode("utf-16" if wide else "utf-8-sig", "replace").splitlines():
        key, colon, values = (part.strip() for part in line.partition(":"))
        if colon and lines.setdefault(key, values) != values:
            raise IgnetError(
                f"line '{key}': found twice with other numbers", "once", "remove the one that is wrong", path=path
            )
    return lines


def finite_numbers(path: Path, key: str, values: str, count: int) -> NDArray[np.float64]:
    """So many finite numbers, float64 (count,), of the line ``key`` of a calibration."""
    try:
        numbers = np.array([float(value) for value in values.split()])
    except ValueError as error:
        raise IgnetError(f"line '{key}': {error}", f"{count} numbers", restore(path, CALIBRATION), path=path) from None
    if numbers.size != count or not np.isfinite(numbers).all():
        finite = int(np.isfinite(numbers).sum())
        raise IgnetError(
            f"line '{key}': found {finite} finite numbers", f"{count}", restore(path, CALIBRATION), path=path
        )
    return numbers
