"""Files that are either complete or not there."""

import errno
import hashlib
import json
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from ignet.errors import IgnetError, writing_remedy
from ignet.files.scratch import LOCK, private_folder

METADATA = "ignet"
"""The one metadata key of our weight files."""


@contextmanager
def atomic(path: Path | str) -> Iterator[Path]:
    """Give a temporary path of the same name; move it to ``path`` when the block ends without an error.

    The block may create a file or a folder there. After an error nothing of it remains and an older ``path`` is
    untouched. The temporary's parent is a folder of this writer alone, for whatever else the block needs on disk; it
    goes with it. A file gets the mode that the umask asks for, whatever the block's library gave it. What a killed
    writer of ``path`` left is removed here by the next one; what a living one writes is not touched.

    Raises:
        IgnetError: the disk is full, the folder is read-only, and what else keeps files from being written.
    """
    path = Path(path)
    with explain_write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with private_folder(path) as private:
            temporary = private / path.name
            yield temporary
            if not temporary.is_dir():
                _set_mode(temporary, private / LOCK)
                _to_disk(temporary)
            _swap(temporary, path, private / "old")


def _swap(temporary: Path, path: Path, old: Path) -> None:
    """Move ``temporary`` to ``path``; a file is replaced at once, a folder can only be set aside before."""
    if not (temporary.is_dir() and path.is_dir()):
        temporary.replace(path)
        return
    path.replace(old)  # not removed in place, so that a kill never leaves a part of it under its name
    try:
        temporary.replace(path)
    except OSError:
        old.replace(path)
        raise


def _set_mode(file: Path, plain: Path) -> None:
    """Give a file the mode of a ``plain`` one beside it, which follows the umask.

    Some libraries write theirs for the owner alone.
    """
    wanted, found = (stat.S_IMODE(path.stat().st_mode) for path in (plain, file))
    if found != wanted:
        with suppress(PermissionError):  # a file system whose modes are fixed
            file.chmod(wanted)


def _to_disk(file: Path) -> None:
    """Have the system write a file out, or a power loss could leave the new name without its content.

    Not done for the files of a folder: there may be thousands of them, at milliseconds to tenths of a second each.
    """
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system that cannot
            raise
    finally:
        os.close(descriptor)


@contextmanager
def explain_write_errors(path: Path) -> Iterator[None]:
    """Turn an error of writing ``path`` into one line with the remedy; every other error passes as it is.

    Raises:
        IgnetError: the disk is full, the folder is read-only, and what else keeps files from being written.
    """
    try:
        yield
    except IgnetError:
        raise
    except Exception as error:
        number = write_error(error, path)
        if number is None:
            raise
        remedy = writing_remedy(number, path.parent)
        raise IgnetError(
            f"{path}: cannot be written ({os.strerror(number)}); {remedy}, then start again: finished files stay"
        ) from error


_ONLY_WRITING = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.ENOLCK, errno.EOPNOTSUPP}
"""Errors that reading does not meet."""


def write_error(error: BaseException | None, path: Path) -> int | None:
    """Number of the system's error behind a failed writing of ``path``; none where the error is another.

    Libraries wrap it: the chain of causes is followed, and numbers in their texts are read.
    """
    while error is not None:
        number = getattr(error, "errno", None) if isinstance(error, OSError) else _number_in(str(error))
        named = getattr(error, "filename", None)
        if number in _ONLY_WRITING or (
            number is not None and isinstance(named, str | Path) and _concerns(Path(named), path)
        ):
            return number
        error = error.__cause__ or error.__context__
    return None


def _number_in(text: str) -> int | None:
    match = re.search(r"(?:errno = |os error )(\d+)", text)
    return int(match[1]) if match else None


def _concerns(named: Path, path: Path) -> bool:
    """Whether it is the path itself, a folder above it, or in one of its private folders."""
    return path.is_relative_to(named) or any(part.startswith(f".{path.name}.") for part in named.parts)


def write_text(path: Path | str, text: str) -> None:
    """Write a text as UTF-8, atomically."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path | str, value: Any) -> None:
    """Write ``value`` as indented, sorted JSON, atomically; numpy values become numbers and lists."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, default=_plain, allow_nan=False) + "\n")


def read_json(path: Path | str) -> Any:
    """Read a JSON file.

    Raises:
        IgnetError: the file is missing or is not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
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


def write_array(path: Path | str, array: np.ndarray) -> None:
    """Write the bytes of an array, C order, and nothing else.

    ``numpy.tofile`` says nothing when a full disk cuts the last 4 KB off.
    """
    Path(path).write_bytes(np.ascontiguousarray(array).data)


def write_png(path: Path | str, image: np.ndarray) -> None:
    """Write an image, uint8 (H, W, 3) RGB, as PNG.

    ``cv2.imwrite`` says nothing when a full disk cuts the last 4 KB off.
    """
    import cv2

    done, encoded = cv2.imencode(".png", np.ascontiguousarray(image[:, :, ::-1]))
    if not done:
        raise ValueError(f"{path}: an image of shape {image.shape} and type {image.dtype}, expected uint8 (H, W, 3)")
    write_array(path, encoded)


def file_hash(path: Path | str) -> str:
    """SHA-256 of a file's content, in hexadecimal digits.

    Read piece by piece, because feature stores outgrow the memory.
    """
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
        raise IgnetError(
            f"{path}: not a readable safetensors file ({error}); weights are never read from pickles"
        ) from error
