"""Checkpoints: one dict, two generations, never a pickle that runs code."""

import copy
import os
import zipfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from ignet.files.atomic import atomic
from ignet.log import log

NEWEST, PREVIOUS = "checkpoint.pt", "checkpoint.previous.pt"
REFUSED = "checkpoint.refused.pt"


def save_checkpoint(folder: Path, state: dict[str, Any]) -> None:
    """Write ``state`` (tensors, numbers, strings, lists and dicts of them) as the newest checkpoint.

    The one before is kept.

    Raises:
        IgnetError: the disk is full, the folder is read-only and the like; both older checkpoints are untouched.
    """
    newest = folder / NEWEST
    with atomic(newest) as temporary:
        # through Python's file, because torch's own says nothing of the reason when a write fails
        with temporary.open("wb") as file:
            torch.save(state, file)
        if newest.exists():
            _keep(newest, temporary.with_name(PREVIOUS))


def _keep(newest: Path, link: Path) -> None:
    """Make the newest checkpoint the previous one too: at no moment is there none under its name."""
    try:
        os.link(newest, link)
    except OSError:  # a file system without hard links: for a moment only the previous one is there
        link = newest
    link.replace(newest.with_name(PREVIOUS))


def restore_newest(
    folder: Path, identity: str, parts: Mapping[str, Any], restore: Callable[[dict[str, Any]], None]
) -> bool:
    """Hand the newest good checkpoint to ``restore``; one that it cannot take is named in the log and passed over.

    Args:
        folder: folder of the checkpoints.
        identity: what they have to be of.
        parts: what ``restore`` changes, each with ``state_dict`` and ``load_state_dict``; put back where ``restore``
            raises an error.
        restore: loads a state.

    Returns:
        Whether one was restored.
    """
    if not any((folder / name).exists() for name in (NEWEST, PREVIOUS)):
        return False
    fresh = {name: copy.deepcopy(part.state_dict()) for name, part in parts.items()}
    generators = torch.get_rng_state()

    def attempt(state: dict[str, Any]) -> None:
        try:
            restore(state)
        except Exception:
            for name, part in parts.items():
                part.load_state_dict(copy.deepcopy(fresh[name]))
            torch.set_rng_state(generators)
            raise

    for name in (NEWEST, PREVIOUS):
        path = folder / name
        if not path.exists():
            continue
        try:
            attempt(_read(path, identity))
        except Exception as error:
            log.warning("%s: %s; it is not used", path, " ".join(str(error).split())[:200] or type(error).__name__)
            if name == NEWEST:
                # out of the way, or the next save would put it over the previous one, which may be good
                with suppress(OSError):
                    path.replace(folder / REFUSED)
            continue
        return True
    return False


def _read(path: Path, identity: str) -> dict[str, Any]:
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()  # torch.load takes damaged numbers without a word
        if damaged:
            raise ValueError(f"the checksum of {damaged} is wrong")
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ValueError(f"not a whole checkpoint ({error})") from error
    if not isinstance(state, dict) or state.get("identity") != identity:
        raise ValueError("a checkpoint of other settings")
    return state
