"""Arguments that give names to files."""

from pathlib import Path

from ignet.errors import IgnetError


def name_and_path(text: str) -> tuple[str, Path]:
    """Split ``NAME=PATH``.

    Raises:
        IgnetError: the text has another form.
    """
    name, equals, path = text.partition("=")
    if not (name and equals and path):
        raise IgnetError(f"'{text}': expected NAME=PATH")
    return name, Path(path)
