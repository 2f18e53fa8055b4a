"""Faults of a dataset as values: what is wrong with which file, and what mends it."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ignet.errors import IgnetError, reason_of


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong.

    Attributes:
        kind: a short fixed name, for scripts.
        path: the file or folder; the first of several.
        found: what was found.
        expected: what should be there.
        remedy: what to do.
        download: the archive that mends it, where one does.
        files: names of all the files, where there are several of one folder.
    """

    kind: str
    path: Path
    found: str
    expected: str
    remedy: str
    download: str | None = None
    files: tuple[str, ...] = ()

    def __str__(self) -> str:
        others = f" (and {named(self.files[1:])})" if len(self.files) > 1 else ""
        return f"{self.path}{others}: {self.found}, expected {self.expected}; {self.remedy}"

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "kind": self.kind,
            "file": str(self.path),
            "files": list(self.files) or [self.path.name],
            "found": self.found,
            "expected": self.expected,
            "remedy": self.remedy,
            "download": self.download,
        }


class Faults(list[Fault]):
    """Collects faults instead of stopping at the first."""

    @contextmanager
    def kept(self, kind: str, path: Path, download: str | None = None) -> Iterator[None]:
        """Keep an error of reading ``path`` in the block as a fault."""
        try:
            yield
        except (IgnetError, OSError) as error:
            self.append(fault_of(error, kind, path, download))


def fault_of(error: IgnetError | OSError, kind: str, path: Path, download: str | None = None) -> Fault:
    """The fault that an error of reading a file tells of."""
    if isinstance(error, OSError):
        remedy = _REMEDIES.get(type(error), "mend the link or the disk")
        return Fault("unreadable", path, reason_of(error), "a file that can be read", remedy, download)
    text = str(error).removeprefix(f"{path}: ")
    parts = re.fullmatch(r"(?P<found>.*?), expected (?P<expected>.*); (?P<remedy>.*)", text, re.DOTALL)
    if not parts:
        return Fault(kind, path, text, "a readable file", "unpack it again", download)
    return Fault(kind, path, parts["found"], parts["expected"], parts["remedy"], download)


_REMEDIES: dict[type[OSError], str] = {
    PermissionError: "give read permission (chmod -R u+rX)",
    FileNotFoundError: "unpack it again, or mend the link",
}


def number_of(faults: Sequence[object]) -> str:
    """How many there are, in words."""
    return "1 fault" if len(faults) == 1 else f"{len(faults)} faults"


def named(files: Sequence[str], most: int = 3) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(files) - most} more" if len(files) > most else ""
    return ", ".join(files[:most]) + more


def downloads_of(faults: Sequence[Fault]) -> dict[str, int]:
    """Number of faults that each archive mends, the most first."""
    counts: dict[str, int] = {}
    for fault in faults:
        if fault.download:
            counts[fault.download] = counts.get(fault.download, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: -item[1]))
