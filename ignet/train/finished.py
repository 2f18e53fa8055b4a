"""Results of finished trainings, set aside when settings change, and restored when they return.

Snakemake removes a job's outputs before it starts. A slip in a setting would so cost the network of the right setting,
which may have taken days. They are kept as hard links in the state folder of their identity,
``STATE/IDENTITY/finished``, beside which a training of that identity looks for its checkpoints, too.
"""

import argparse
import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ignet.files.atomic import atomic, read_json, write_json
from ignet.log import log

if TYPE_CHECKING:
    from ignet.train.distributed import Ranks

FOLDER = "finished"
"""In the folder of an identity."""

KEPT = 3
"""Results that are kept of one training (one network, or one run and seed), the newest."""

_NOTE = "set_aside.json"


def identity_file(weights: Path) -> Path:
    """File beside some weights with the identity of the training that made them."""
    return weights.with_name(".identity")


def note_identity(weights: Path, identity: str) -> None:
    """Say beside finished weights which training made them.

    Not in their settings file, since an identity depends on times of files.
    """
    with atomic(identity_file(weights)) as temporary:
        temporary.write_text(identity, encoding="ascii")


def read_identity(weights: Path) -> str | None:
    """Identity of the training that made some weights; none where nothing readable says so."""
    try:
        found = identity_file(weights).read_text(encoding="ascii")
    except (OSError, ValueError):
        return None
    return found if found.isalnum() else None


def set_aside(state: Path, outputs: Sequence[Path], again: bool = False) -> Path | None:
    """Keep a finished training's outputs; they stay where they are, too.

    Args:
        state: folder of the training states of this stage.
        outputs: files that the training wrote, the weights first.
        again: it is to be trained again whatever lies here, until ``allow_restoring``.

    Returns:
        The folder that holds them; none where one is missing or they do not say their identity.

    Raises:
        IgnetError: the folder cannot be written to.
    """
    identity, files = read_identity(outputs[0]), _all_files(outputs)
    if identity is None or not all(path.is_file() for path in files):
        return None
    folder, output = state / identity / FOLDER, os.path.relpath(outputs[0], state)
    with atomic(folder) as temporary:
        temporary.mkdir()
        for path in files:
            _link(path, temporary / path.name)
        write_json(temporary / _NOTE, {"output": output, "again": again})
    kept = [(note.stat().st_mtime_ns, note.parent) for note in _notes(state) if read_json(note)["output"] == output]
    for _, old in sorted(kept, reverse=True)[KEPT:]:
        shutil.rmtree(old, ignore_errors=True)
        with suppress(OSError):  # a checkpoint lies beside it
            old.parent.rmdir()
    return folder


def allow_restoring(state: Path) -> None:
    """Let the next trainings take back what earlier calls set aside to be trained again.

    Raises:
        IgnetError: the folder cannot be written to.
    """
    for note in _notes(state):
        if (values := read_json(note))["again"]:
            write_json(note, {**values, "again": False})


def restore_finished(state: Path, identity: str, outputs: Sequence[Path]) -> bool:
    """Take back what a training of this identity made.

    Args:
        state: folder of the training states of this stage.
        identity: hash of all that the result depends on.
        outputs: files that the training would write, the weights first.

    Returns:
        Whether it was there; then the outputs, and the settings beside the weights, are what the training would make of
        them.

    Raises:
        IgnetError: the outputs cannot be written, or what was set aside is damaged.
    """
    folder, files = state / identity / FOLDER, _all_files(outputs)
    if not (folder / _NOTE).is_file() or read_json(folder / _NOTE)["again"]:
        return False
    if not all((folder / path.name).is_file() for path in files):
        return False
    for path in reversed(files):  # the weights last
        with atomic(path) as temporary:
            _link(folder / path.name, temporary)
    return True


def take_back(args: argparse.Namespace, identity: str, ranks: "Ranks") -> bool:
    """``restore_finished`` for the arguments of a training's script, with a line in its log; the same on all ranks."""
    restored = ranks.main and restore_finished(args.state, identity, [args.out, args.metrics, args.curves_csv])
    if restored:
        log.info("took back %s, which was trained with these settings, code and data before", args.out)
    return ranks.any(restored)


def _all_files(outputs: Sequence[Path]) -> list[Path]:
    weights = outputs[0]
    return list(dict.fromkeys([*outputs, weights.with_suffix(".settings.json"), identity_file(weights)]))


def _notes(state: Path) -> list[Path]:
    return sorted(state.glob(f"*/{FOLDER}/{_NOTE}"))


def _link(path: Path, link: Path) -> None:
    """A second name for a file, or where the file system has none a copy.

    Files of results are replaced, and never written into.
    """
    try:
        os.link(path, link)
    except OSError:
        shutil.copy2(path, link)
