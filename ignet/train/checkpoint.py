"""Checkpoints: one dict, two generations, never a pickle that runs code."""

from pathlib import Path
from typing import Any

import torch

from ignet.console import log
from ignet.files import atomic

NEWEST, PREVIOUS = "checkpoint.pt", "checkpoint.previous.pt"


def save_checkpoint(folder: Path, state: dict[str, Any]) -> None:
    """Write ``state`` (tensors, numbers, strings, lists and dicts of them) as the newest checkpoint; the one before is kept."""
    newest = folder / NEWEST
    with atomic(newest) as temporary:
        torch.save(state, temporary)
        if newest.exists():
            newest.replace(folder / PREVIOUS)


def load_newest(folder: Path, identity: str) -> dict[str, Any] | None:
    """Read the newest checkpoint of ``identity`` that is whole; a cut or foreign one is named in the log and passed over.

    Returns:
        The state, its tensors on the CPU, or none where there is no good checkpoint.
    """
    for name in (NEWEST, PREVIOUS):
        path = folder / name
        if not path.exists():
            continue
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:
            log.warning("%s: not a whole checkpoint (%s); it is not used", path, " ".join(str(error).split())[:200])
            continue
        if not isinstance(state, dict) or state.get("identity") != identity:
            log.warning("%s: a checkpoint of other settings; it is not used", path)
            continue
        return state
    return None
