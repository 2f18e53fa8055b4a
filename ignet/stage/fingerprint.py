"""Fingerprints of the user's data: cheap, changed by a change of any file that a stage may read, by no other.

Links are followed, to files and to folders: what they lead to counts, and not where it lies.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from ignet.data.formats.official import JPEG, KINDS
from ignet.data.formats.origin import restore
from ignet.errors import IgnetError, reason_of
from ignet.files.names import scan_name

IMAGES = (".png",)
"""What is read of a source dataset."""

WEIGHTS = (".json", ".safetensors")
"""What is read of a checkpoint's folder."""


def checkpoint_fingerprint(path: Path) -> str:
    """Identity of weights: of a checkpoint's folder or of a file by sizes and times; of what is not there its name."""
    if path.is_dir():
        return tree_fingerprint(path, WEIGHTS)
    if path.is_file():
        found = path.stat()
        return f"{path} {found.st_size} {found.st_mtime_ns}"
    return str(path)


def sequence_fingerprint(
    root: Path, sequences: Iterable[str], kinds: Iterable[str], listings: dict[Path, bytes] | None = None
) -> str:
    """Hash of names, sizes and modification times of the named kinds of files of some sequences.

    Args:
        root: folder that holds ``sequences/``.
        sequences: names of the sequences.
        kinds: those of `ignet.data.formats.official.KINDS`, and ``calibration``, which includes those of single frames.
        listings: names, sizes and times of the files of each folder that was read before, by path; what is missing is
            read and kept there. For a caller that asks for many combinations of the same folders within a moment.

    Returns:
        16 hexadecimal digits; contents are not read, so 40,000 scans take about a second.

    Raises:
        IgnetError: the dataset or a sequence is missing.
    """
    if not (root / "sequences").is_dir():
        raise IgnetError(
            f"{root}: holds no folder 'sequences', expected a SemanticKITTI tree; set dataset.root to the folder "
            "above it"
        )
    digest = hashlib.sha256()
    listings = {} if listings is None else listings
    for sequence in sequences:
        folder = root / "sequences" / sequence
        if not folder.is_dir():
            raise IgnetError(
                f"{folder}: missing; {restore(folder, how='here')}, or leave it out of dataset.train_sequences and "
                "dataset.val_sequences"
            )
        for kind in sorted(kinds):
            path = folder / place(kind)
            if path not in listings:
                listings[path] = _listing(path, kind)
            digest.update(f"{sequence}/{kind}\n".encode() + listings[path])
    return digest.hexdigest()[:16]


def place(kind: str) -> str:
    """The folder or file of a kind in a sequence's folder."""
    return "calib.txt" if kind == "calibration" else KINDS[kind].folder


def tree_fingerprint(root: Path, suffixes: tuple[str, ...] = IMAGES) -> str:
    """Hash of names, sizes and modification times of the visible files below ``root`` with one of the suffixes.

    Raises:
        IgnetError: no such folder, or a folder in it cannot be read.
    """
    if not root.is_dir():
        raise IgnetError(f"{root}: missing; set source.root to the folder of the synthetic dataset")
    digest = hashlib.sha256()
    for entry in _below(root, suffixes, ()):
        digest.update(
            f"{os.path.relpath(os.path.dirname(entry.path), root)}/{_line(entry.name, entry.stat())}".encode()
        )
    return digest.hexdigest()[:16]


def read_files(path: Path, kind: str) -> list[Path]:
    """The files of one kind that a stage may read in a sequence's folder, by name.

    Of a kind that is one file, that file; of a calibration also those of single frames.
    """
    frames = path.with_suffix("") if kind == "calibration" else path
    return [*([path] if path.is_file() else []), *(Path(entry.path) for entry in _readable(frames, kind))]


def _listing(path: Path, kind: str) -> bytes:
    return "".join(_line(file.name, file.stat()) for file in read_files(path, kind)).encode()


def _readable(folder: Path, kind: str) -> list[os.DirEntry[str]]:
    # a missing folder is no error here: the check of the dataset names it, with the file and the fix
    entries = _entries(folder) if folder.is_dir() else []
    suffix = ".txt" if kind == "calibration" else KINDS[kind].suffix
    suffixes = (suffix, JPEG) if suffix == KINDS["images"].suffix else (suffix,)  # JPEGs where there is no PNG
    found = ([entry for entry in entries if scan_name(entry.name, s) and entry.is_file()] for s in suffixes)
    return next(filter(None, found), [])


def _below(folder: str | Path, suffixes: tuple[str, ...], above: tuple[str, ...]) -> Iterator[os.DirEntry[str]]:
    real = os.path.realpath(folder)
    if real in above:  # a link to a folder that it lies in
        return
    for entry in _entries(folder):
        if entry.is_dir():
            yield from _below(entry.path, suffixes, (*above, real))
        elif entry.name.endswith(suffixes) and entry.is_file():
            yield entry


def _entries(folder: str | Path) -> list[os.DirEntry[str]]:
    """What lies in a folder, by name, but hidden files: none is ever read."""
    try:
        with os.scandir(folder) as entries:
            return sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda entry: entry.name)
    except OSError as error:
        raise IgnetError(f"{folder}: cannot be read ({reason_of(error)}); make it readable") from None


def _line(name: str, stat: os.stat_result) -> str:
    """Name, size, time of the last change."""
    return f"{name} {stat.st_size} {stat.st_mtime_ns}\n"
