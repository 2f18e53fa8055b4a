"""Files that are either complete or not there."""

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ignet.errors import IgnetError

METADATA = "ignet"
"""The one metadata key of our weight files."""


@contextmanager
def atomic(path: Path | str) -> Iterator[Path]:
    """Give a temporary path beside ``path``; rename it to ``path`` when the block ends without an error.

    The block may create a file or a folder there. After an error nothing of it remains and an older ``path`` is untouched.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # the suffix stays last, because many writers choose the format by it
    temporary = path.with_name(f".{path.stem}.{uuid.uuid4().hex[:8]}.tmp{path.suffix}")
    try:
        yield temporary
        if temporary.is_dir() and path.is_dir():
            shutil.rmtree(path)
        os.replace(temporary, path)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary)
        else:
            temporary.unlink(missing_ok=True)


def write_json(path: Path | str, value: Any) -> None:
    """Write ``value`` as indented JSON with sorted keys, atomically; numpy scalars and arrays become numbers and lists."""
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, sort_keys=True, default=_plain, allow_nan=False) + "\n")


def read_json(path: Path | str) -> Any:
    """Read a JSON file.

    Raises:
        IgnetError: the file is missing or is not JSON.
    """
    try:
        return json.loads(Path(path).read_text())
    except (OSError, ValueError) as error:
        raise IgnetError(f"{path}: cannot be read as JSON ({error})") from error


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def file_hash(path: Path | str) -> str:
    """SHA-256 of a file's content, in hexadecimal digits; read piece by piece, because feature stores outgrow the memory."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_weights(path: Path | str, tensors: dict[str, Any], metadata: dict[str, str] | None = None) -> None:
    """Write a state dict of torch tensors as safetensors, atomically; equal content gives equal bytes."""
    from safetensors.torch import save_file

    # the format writes several metadata keys in random order, so all of ours stand as JSON under one
    packed = {METADATA: json.dumps(metadata or {}, sort_keys=True)}
    with atomic(path) as temporary:
        save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, temporary, metadata=packed)


def read_weights(path: Path | str) -> tuple[dict[str, Any], dict[str, str]]:
    """Read a safetensors file; returns (state dict on the CPU, metadata).

    Raises:
        IgnetError: the file is missing or is not safetensors.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = json.loads((file.metadata() or {}).get(METADATA, "{}"))
            return {key: file.get_tensor(key) for key in file.keys()}, metadata  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise IgnetError(f"{path}: not a readable safetensors file ({error}); weights are never read from pickles") from error
