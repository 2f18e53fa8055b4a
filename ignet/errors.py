"""Errors that a user can mend."""


class IgnetError(Exception):
    """Something outside the program is wrong: a file, a setting, a missing tool.

    The message is one line that names the file, what was found, what was expected and what to do.
    Command lines print it without a traceback and exit with code 1.
    """
