"""Errors that a user can mend."""

import errno
import os
from pathlib import Path

_MAKE_ROOM = "make room on the disk of {folder}, or set results to a folder on another one"
_OPEN_UP = "make {folder} writable, or set results to a folder that is"
_NO_LOCKS = (
    "the file system of {folder} has no locks, without which two workflows would write into each other's files; "
    "mount it with locks "
    "(Lustre: flock, NFS: without nolock), or set results to a folder on another one"
)
_REMEDIES = {
    errno.ENOSPC: _MAKE_ROOM,
    errno.EDQUOT: _MAKE_ROOM,
    errno.EFBIG: "raise the limit of a file's size (ulimit -f)",
    errno.EROFS: _OPEN_UP,
    errno.EACCES: _OPEN_UP,
    errno.EPERM: _OPEN_UP,
    errno.ENOTDIR: "make {folder} a folder",
    errno.EEXIST: "make {folder} a folder",
    errno.ENOLCK: _NO_LOCKS,
    errno.EOPNOTSUPP: _NO_LOCKS,
}


class IgnetError(Exception):
    """Something outside the program is wrong: a file, a setting, a missing tool.

    The message is one line that names the file, what was found, what was expected and what to do.
    Command lines print it without a traceback and exit with code 1.
    """


def reason_of(error: Exception) -> str:
    """Why a file could not be read or written, without its path, in the system's words where it has some."""
    number = getattr(error, "errno", None)
    return os.strerror(number) if number else str(error)


def writing_remedy(number: int, folder: Path) -> str:
    """What to do where the system's error ``number`` keeps a file from being written to ``folder``."""
    return _REMEDIES.get(number, "look at the disk").format(folder=folder)
