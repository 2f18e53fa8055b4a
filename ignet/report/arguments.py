"""Arguments that give names to files."""

from collections.abc import Sequence
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


def name_and_number(text: str) -> tuple[str, int]:
    """Split ``NAME=NUMBER``.

    Raises:
        IgnetError: the text has another form.
    """
    name, equals, number = text.partition("=")
    if not (name and equals and number.isdecimal()):
        raise IgnetError(f"'{text}': expected NAME=NUMBER, a whole number")
    return name, int(number)


def by_run(texts: Sequence[str]) -> dict[str, dict[int, Path]]:
    """Files by run and seed, of arguments ``RUN:SEED=FILE``.

    Raises:
        IgnetError: a text has another form, or a seed of a run is given twice.
    """
    files: dict[str, dict[int, Path]] = {}
    for text in texts:
        name, path = name_and_path(text)
        run, colon, seed = name.rpartition(":")
        if not (run and colon and seed.isdecimal()):
            raise IgnetError(f"'{text}': expected RUN:SEED=FILE, where SEED is a number")
        if int(seed) in files.setdefault(run, {}):
            raise IgnetError(f"'{text}': seed {seed} of run {run} is given twice; give each file once")
        files[run][int(seed)] = path
    return files
