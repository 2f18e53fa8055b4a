"""Errors that a user can fix."""

import errno
import os
from pathlib import Path

_MAKE_ROOM = "make room on the disk of {folder}, or set results to a folder on another one"
_OPEN_UP = "make {folder} writable, or set results to a folder that is"
_NO_LOCKS = (
    "the file system of {folder} has no locks, without which two workflows would write into each other's files; "
    "mount it with locks (Lustre: flock, NFS: without nolock), or set results to a folder on another one"
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

    The message is one line, ``path: found, expected expected; remedy``, without the parts that are not given.
    Command lines print it without a traceback and exit with code 1.

    Attributes:
        path: the file or folder that is wrong; None where the message names it, or where there is none.
        found: what was found there, or the whole message.
        expected: what should be there.
        remedy: what to do.
    """

    def __init__(
        self, found: str, expected: str | None = None, remedy: str | None = None, *, path: Path | str | None = None
    ) -> None:
        self.path, self.found, self.expected, self.remedy = path, found, expected, remedy
        super().__init__(error_text(found, expected, remedy, path))

    def at(self, path: Path | str) -> "IgnetError":
        """The same error of a file that the check did not know."""
        return IgnetError(self.found, self.expected, self.remedy, path=path)


def error_text(found: str, expected: str | None = None, remedy: str | None = None, where: object = None) -> str:
    """The line that tells of an error, from the fields of `IgnetError`."""
    text = found if where is None else f"{where}: {found}"
    return text + (f", expected {expected}" if expected else "") + (f"; {remedy}" if remedy else "")


def reason_of(error: Exception) -> str:
    """Why a file could not be read or written, without its path, in the system's words where it has some."""
    number = getattr(error, "errno", None)
    return os.strerror(number) if number else str(error)


def writing_remedy(number: int, folder: Path) -> str:
    """What to do where the system's error ``number`` keeps a file from being written to ``folder``."""
    return _REMEDIES.get(number, "look at the disk").format(folder=folder)
