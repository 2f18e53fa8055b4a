"""What a finished training wrote, noted in its state, which stays until the workflow has recorded it."""

import os
from collections.abc import Iterable
from pathlib import Path

from ignet.errors import IgnetError
from ignet.files.atomic import file_hash, read_json, write_json

NOTE = "outputs.json"
"""File in a training's state: path of each output, relative to the state's folder, -> SHA-256 of its content."""


def note_outputs(folder: Path, outputs: Iterable[Path]) -> None:
    """Note in the state's ``folder`` which files the training wrote.

    Raises:
        IgnetError: the note cannot be written.
    """
    # relative, so that a tree of results can be moved as a whole
    write_json(folder / NOTE, {os.path.relpath(path, folder): file_hash(path) for path in outputs})


def noted_outputs(folder: Path) -> dict[str, str]:
    """Absolute path of each output that the state in ``folder`` names -> SHA-256.

    Nothing where its training is not finished.
    """
    try:
        return {os.path.abspath(folder / name): digest for name, digest in read_json(folder / NOTE).items()}
    except (IgnetError, AttributeError, TypeError):  # none, or a damaged one: that state stays
        return {}
