"""Fingerprints of the user's data: cheap to take, changed by any change of a file."""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from ignet.errors import IgnetError

KINDS = {"scans": "velodyne", "images": "image_2", "labels": "labels", "scribbles": "scribbles", "calibration": "calib.txt"}
"""What a stage may read of a sequence, and the folder or file that holds it."""


def sequence_fingerprint(root: Path, sequences: Iterable[str], kinds: Iterable[str]) -> str:
    """Hash of names, sizes and modification times of the named kinds of files of some sequences.

    Args:
        root: folder that holds ``sequences/``.
        sequences: names of the sequences.
        kinds: keys of ``KINDS``.

    Returns:
        16 hexadecimal digits; contents are not read, so 40,000 scans take about a second.

    Raises:
        IgnetError: the dataset or a sequence is missing.
    """
    if not (root / "sequences").is_dir():
        raise IgnetError(f"{root}: holds no folder 'sequences', expected a SemanticKITTI tree; set dataset.root to the folder above it")
    digest = hashlib.sha256()
    for sequence in sequences:
        folder = root / "sequences" / sequence
        if not folder.is_dir():
            raise IgnetError(f"{folder}: missing; unpack this sequence, or leave it out of dataset.train_sequences and val_sequences")
        for kind in sorted(kinds):
            digest.update(f"{sequence}/{kind}\n".encode())
            _update(digest, folder / KINDS[kind])
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
        digest.update(f"{os.path.relpath(folder, root)}\n".encode())
        _update(digest, Path(folder))
    return digest.hexdigest()[:16]


def _update(digest: "hashlib._Hash", path: Path) -> None:
    # a missing folder is no error here: the check of the dataset names it, with the file and the fix
    if path.is_file():
        entries = [path]
    elif path.is_dir():
        entries = sorted((Path(entry.path) for entry in os.scandir(path) if entry.is_file()), key=lambda p: p.name)
    else:
        entries = []
    for entry in entries:
        stat = entry.stat()
        digest.update(f"{entry.name} {stat.st_size} {stat.st_mtime_ns}\n".encode())
