"""Faults and doubts of a dataset as values: what is wrong with which file, or strange about it, and what fixes it."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ignet.data.formats.origin import is_archived, restore
from ignet.errors import IgnetError, error_text, reason_of


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong.

    Attributes:
        kind: a short fixed name, for scripts.
        path: the file or folder; the first of several.
        found: what was found.
        expected: what should be there.
        remedy: what to do.
        download: the archive that fixes it; None where none holds the file, whichever is given.
        files: names of all the files, where there are several of one folder.
    """

    kind: str
    path: Path
    found: str
    expected: str
    remedy: str
    download: str | None = None
    files: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.download and not is_archived(self.path):
            object.__setattr__(self, "download", None)

    def __str__(self) -> str:
        others = f" (and {named(self.files[1:])})" if len(self.files) > 1 else ""
        return error_text(self.found, self.expected, self.remedy, f"{self.path}{others}")

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
    """Collects faults instead of stopping at the first, and doubts beside them.

    A fault is what cannot be right: whoever finds one stops. A doubt is what is only strange, and may be right for a
    sensor or labels of one's own: it is said in one line and stops nothing.

    Attributes:
        doubts: what is strange; `Fault` values that are no members of the list.
    """

    def __init__(self, faults: Iterable[Fault] = (), doubts: Iterable[Fault] = ()) -> None:
        super().__init__(faults)
        self.doubts = list(doubts)

    def doubt(self, fault: Fault) -> None:
        """Keep what is strange without being impossible."""
        self.doubts.append(fault)

    def take(self, other: "Faults") -> None:
        """Keep the faults and the doubts of another collection, too."""
        self.extend(other)
        self.doubts.extend(other.doubts)

    def add_others(self, other: "Faults") -> None:
        """Add the faults and doubts of another look at the same files, without duplicates of kind and folder."""
        for mine, found in ((self, other), (self.doubts, other.doubts)):
            known = {(fault.kind, fault.path.parent) for fault in mine}
            mine.extend(fault for fault in found if (fault.kind, fault.path.parent) not in known)

    def gather(self, kinds: Collection[str]) -> None:
        """Merge the faults of these kinds in one folder into one, and the doubts into another.

        The merged message tells of the first file and names all.
        """
        self[:], self.doubts = _gathered(self, kinds), _gathered(self.doubts, kinds)

    @contextmanager
    def kept(self, kind: str, path: Path, download: str | None = None) -> Iterator[None]:
        """Keep an error of reading ``path`` in the block as a fault."""
        try:
            yield
        except (IgnetError, OSError) as error:
            self.append(as_fault(error, kind, path, download))


def _gathered(faults: Sequence[Fault], kinds: Collection[str]) -> list[Fault]:
    found: dict[tuple[str, Path] | int, Fault] = {}
    for number, fault in enumerate(faults):
        key = (fault.kind, fault.path.parent) if fault.kind in kinds else number
        first = found.get(key)
        files = (*(first.files or (first.path.name,)), *(fault.files or (fault.path.name,))) if first else ()
        found[key] = replace(first, files=files) if first else fault
    return list(found.values())


def as_fault(error: IgnetError | OSError, kind: str, path: Path, download: str | None = None) -> Fault:
    """The fault that an error of reading a file tells of."""
    if isinstance(error, OSError):
        remedies = {
            PermissionError: "give read permission (chmod -R u+rX)",
            FileNotFoundError: f"{restore(path)}, or fix the link",
        }
        remedy = remedies.get(type(error), "fix the link or the disk")
        return Fault("unreadable", path, reason_of(error), "a file that can be read", remedy, download)
    found = error.found if error.path in (None, path, str(path)) else f"{error.path}: {error.found}"
    return Fault(kind, path, found, error.expected or "a readable file", error.remedy or restore(path), download)


def count_phrase(faults: Sequence[object], noun: str = "fault") -> str:
    """How many there are, in words."""
    return f"1 {noun}" if len(faults) == 1 else f"{len(faults)} {noun}s"


def format_faults(faults: Faults) -> Iterator[str]:
    """Every fault, then every doubt, in one line each; a doubt says that it is one."""
    yield from map(str, faults)
    yield from (f"doubt: {doubt}" for doubt in faults.doubts)


def named(files: Sequence[str], most: int = 3) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(files) - most} more" if len(files) > most else ""
    return ", ".join(files[:most]) + more


def count_downloads(faults: Sequence[Fault]) -> dict[str, int]:
    """Number of faults that each archive fixes, the most first."""
    counts: dict[str, int] = {}
    for fault in faults:
        if fault.download:
            counts[fault.download] = counts.get(fault.download, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: -item[1]))
