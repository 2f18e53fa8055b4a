"""Fingerprints of the user's data: cheap to take, changed by any change of a file."""

import hashlib
import os
from collections.abc import Iterable
from operator import itemgetter
from pathlib import Path

from ignet.errors import IgnetError

KINDS = {"scans": "velodyne", "images": "image_2", "labels": "labels", "scribbles": "scribbles", "calibration": "calib.txt"}
"""What a stage may read of a sequence, and the folder or file that holds it."""


def sequence_fingerprint(root: Path, sequences: Iterable[str], kinds: Iterable[str], listings: dict[Path, bytes] | None = None) -> str:
    """Hash of names, sizes and modification times of the named kinds of files of some sequences.

    Args:
        root: folder that holds ``sequences/``.
        sequences: names of the sequences.
        kinds: keys of ``KINDS``.
        listings: names, sizes and times of each folder that was read before, by path; what is missing is read and kept there. For a
            caller that asks for many combinations of the same folders within a moment.

    Returns:
        16 hexadecimal digits; contents are not read, so 40,000 scans take about a second.

    Raises:
        IgnetError: the dataset or a sequence is missing.
    """
    if not (root / "sequences").is_dir():
        raise IgnetError(f"{root}: holds no folder 'sequences', expected a SemanticKITTI tree; set dataset.root to the folder above it")
    digest = hashlib.sha256()
    listings = {} if listings is None else listings
    for sequence in sequences:
        folder = root / "sequences" / sequence
        if not folder.is_dir():
            raise IgnetError(f"{folder}: missing; unpack this sequence, or leave it out of dataset.train_sequences and val_sequences")
        for kind in sorted(kinds):
            path = folder / KINDS[kind]
            if path not in listings:
                listings[path] = _listing(path)
            digest.update(f"{sequence}/{kind}\n".encode() + listings[path])
    return digest.hexdigest()[:16]


def tree_fingerprint(root: Path) -> str:
    """Hash of names, sizes and modification times of all files below ``root``.

    Raises:
        IgnetError: no such folder.
    """
    if not root.is_dir():
        raise IgnetError(f"{root}: missing; set source.root to the folder of the synthetic dataset")
    digest = hashlib.sha256()
    for folder, _, _ in sorted(os.walk(root)):
        digest.update(f"{os.path.relpath(folder, root)}\n".encode() + _listing(Path(folder)))
    return digest.hexdigest()[:16]


def _listing(path: Path) -> bytes:
    """One line a file: name, size, time of its last change."""
    # a missing folder is no error here: the check of the dataset names it, with the file and the fix
    if path.is_file():
        found = [(path.name, path.stat())]
    elif path.is_dir():
        with os.scandir(path) as entries:
            found = sorted(((entry.name, entry.stat()) for entry in entries if entry.is_file()), key=itemgetter(0))
    else:
        found = []
    return "".join(f"{name} {stat.st_size} {stat.st_mtime_ns}\n" for name, stat in found).encode()
