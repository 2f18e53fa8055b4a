"""Errors that a user can mend."""

import os


class IgnetError(Exception):
    """Something outside the program is wrong: a file, a setting, a missing tool.

    The message is one line that names the file, what was found, what was expected and what to do.
    Command lines print it without a traceback and exit with code 1.
    """


def reason_of(error: Exception) -> str:
    """Why a file could not be read or written, without its path: the system's words where the error has some, else its own."""
    number = getattr(error, "errno", None)
    return os.strerror(number) if number else str(error)
