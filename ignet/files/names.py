"""What sequences, scans, runs and 2D networks may be called: one rule for all that read names.

All of them name files and folders, stand in command lines, and sequences and scans in those of other people's data.
"""

import argparse
import re
from collections.abc import Iterable, Sequence
from typing import Any

SEQUENCE = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"
"""Pattern of a sequence's and of a scan's name: letters, digits, ``_``, ``-`` and ``.``, such as ``08``, ``drive_A`` or
a time stamp."""

RUN = r"[A-Za-z0-9_][A-Za-z0-9_-]*"
"""Pattern of a run's and of a 2D network's name."""

SETTINGS = ".settings"
"""What no name of a sequence ends in: ``NAME.settings.json`` lies beside the results of the sequence ``NAME``."""


def is_name(text: str) -> bool:
    """Whether a sequence or a scan can be called that."""
    return re.fullmatch(SEQUENCE, text) is not None and not text.endswith(SETTINGS)


def is_run(text: str) -> bool:
    """Whether a run or a 2D network can be called that."""
    return re.fullmatch(RUN, text) is not None


def scan_name(file: str, suffix: str) -> str | None:
    """The scan that a file of this name belongs to, such as ``000007`` for ``000007.bin``; None where it is of none.

    Args:
        file: its name, without a folder.
        suffix: of the files that are looked for, such as ``.bin``.
    """
    stem = file.removesuffix(suffix)
    return stem if stem != file and is_name(stem) else None


def natural(name: str) -> tuple[list[tuple[int, int, str]], str]:
    """Key that sorts names as people count: ``drive_2`` before ``drive_10``.

    Of names with leading zeros the order is that of text.
    """
    parts = re.findall(r"\d+|\D+", name)
    # numbers before text; the name itself decides between 7 and 07
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts], name


def in_order(names: Iterable[str]) -> list[str]:
    """Each name once, in natural order."""
    return sorted(set(names), key=natural)


class Sequences(argparse.Action):
    """Argument that takes names of sequences; each counts once, however often it is given.

    A name that no sequence can have is an error of the command line.
    """

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:
        """Keep the names in the order in which they were given."""
        names: Sequence[str] = [values] if isinstance(values, str) else values
        if wrong := [name for name in names if not is_name(name)]:
            parser.error(f"argument {option}: found '{wrong[0]}', expected letters, digits, '_', '-' and '.'")
        setattr(namespace, self.dest, list(dict.fromkeys(names)))
