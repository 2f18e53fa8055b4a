"""Names of the files in a sequence's folders: which belong to a scan, which are meant to, which do not."""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from ignet.files.names import scan_name

_OTHER_FORMATS = (".jpg", ".jpeg", ".ppm", ".bmp", ".tif", ".npy", ".npz", ".pcd", ".ply", ".txt")
_PARTS = (".part", ".partial", ".crdownload", ".download", ".filepart", ".tmp")


@dataclass
class Sorted:
    """The files of a folder by what their names mean.

    Attributes:
        scans: names of the scans that a file has the right name of; they are what the stages find.
        wrong: way of being wrong -> file -> the scan that it is meant for. Ways: ``case`` (of the suffix), ``format``
            (another one), ``leftover`` (of a download or of unpacking).
        ignored: files that no stage looks at and that do no harm; those of the system, which are hidden, are not among
            them.
    """

    scans: list[str] = field(default_factory=list)
    wrong: dict[str, dict[str, str]] = field(default_factory=lambda: defaultdict(dict))
    ignored: list[str] = field(default_factory=list)


def sort_names(files: Iterable[str], suffix: str, scans: Collection[str] = ()) -> Sorted:
    """Sort the files of one folder by their names.

    Args:
        files: names of all files there.
        suffix: of the files that are looked for.
        scans: names of the scans, where the folder is another one than theirs.
    """
    files = sorted(files)
    found = Sorted([scan for file in files if (scan := scan_name(file, suffix))])
    right, known = set(found.scans), {*found.scans, *scans}
    for file in files:
        if scan_name(file, suffix) or file.startswith(".") or file.casefold() in ("thumbs.db", "desktop.ini"):
            continue
        scan = _meant(file, known)
        fault = None if scan is None else _fault(file.removeprefix(scan), suffix, scan in right)
        if scan is None or fault is None:
            found.ignored.append(file)
        else:
            found.wrong[fault][file] = scan
    return found


def _meant(file: str, known: Collection[str]) -> str | None:
    """The scan that a file of another name is meant for: one whose name it begins with, up to a dot, or a number."""
    stems = [file[: match.start()] for match in re.finditer(r"\.|$", file)]
    scan = next((stem for stem in reversed(stems) if stem in known), None)
    return scan or (stems[0] if stems[0].isdecimal() and stems[0].isascii() else None)


def _fault(ending: str, suffix: str, beside: bool) -> str | None:
    """What is wrong with a file of a scan that ends like this.

    Nothing where it lies beside the right file and is whole.
    """
    ending = ending.casefold()
    if ending.startswith(suffix) and ending.endswith(_PARTS):
        return "leftover"
    if beside:
        return None
    if ending == suffix:
        return "case"
    return "format" if ending in _OTHER_FORMATS else "leftover"


def spellings(kinds: Mapping[str, Collection[str]], official: int | None) -> dict[str, dict[str, str]]:
    """Numbers that are spelled otherwise than those of the other folders, such as ``7`` beside ``000007``.

    Args:
        kinds: kind of files -> names of the scans that there are files of; the scans themselves come first.
        official: number of the scans that SemanticKITTI has of the sequence, which are named by six digits; None: any
            names.

    Returns:
        Kind -> found spelling -> the one that most folders have, in doubt the scans'.
    """
    spelled: dict[int, Counter[str]] = defaultdict(Counter)
    for names in kinds.values():
        for name in sorted(names):
            if name.isdecimal():
                spelled[int(name)][name] += 1
    right = {number: names.most_common(1)[0][0] for number, names in spelled.items()}
    if official is not None:
        right |= {number: f"{number:06d}" for number in range(official)}
    return {
        kind: {
            name: right[int(name)]
            for name in names
            if name.isdecimal() and right[int(name)] != name and right[int(name)] not in set(names)
        }
        for kind, names in kinds.items()
    }


def shape(name: str) -> str:
    """A name without its numbers: what all scans of a sequence have in common."""
    return re.sub(r"\d+", "0", name)
