"""The page's template, styles and scripts, which come with the package, and their identity."""

import hashlib
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

_KINDS = (".j2", ".css", ".js")


def asset(name: str) -> str:
    """Text of one file of the page."""
    return _folder().joinpath(name).read_text(encoding="utf-8")


@cache
def assets_hash() -> str:
    """Hash of all of them, 16 hexadecimal digits.

    A part of the report's identity, as the hash of Python's code does not see them.
    """
    digest = hashlib.sha256()
    for name in sorted(part.name for part in _folder().iterdir() if part.name.endswith(_KINDS)):
        digest.update(f"{name}\n{asset(name)}\n".encode())
    return digest.hexdigest()[:16]


def _folder() -> Traversable:
    return files("ignet.report.html").joinpath("assets")
