"""Arguments that give names to files."""

from collections.abc import Sequence
from pathlib import Path

from ignet.errors import IgnetError


def name_and_path(text: str) -> tuple[str, Path]:
    """Split ``NAME=PATH``.

    Raises:
        IgnetError: the text has another form.
    """
    name, _, path = text.partition("=")
    if not (name and path):
        raise IgnetError(f"'{text}': expected NAME=PATH")
    return name, Path(path)


def name_and_number(text: str) -> tuple[str, int]:
    """Split ``NAME=NUMBER``.

    Raises:
        IgnetError: the text has another form.
    """
    name, _, number = text.partition("=")
    if not (name and number.isdecimal()):
        raise IgnetError(f"'{text}': expected NAME=NUMBER, a whole number")
    return name, int(number)


def by_run(texts: Sequence[str]) -> dict[str, dict[int, Path]]:
    """Files by run and seed, of arguments ``RUN:SEED=FILE``.

    Raises:
        IgnetError: a text has another form, or a seed of a run is given twice.
    """
    files: dict[str, dict[int, Path]] = {}
    for text in texts:
        _, path = name_and_path(text)
        run, seed = run_and_seed(text)
        if seed in files.setdefault(run, {}):
            raise IgnetError(f"'{text}': seed {seed} of run {run} is given twice; give each file once")
        files[run][seed] = path
    return files


def run_and_seed(text: str) -> tuple[str, int]:
    """Run and seed of ``RUN:SEED`` or ``RUN:SEED=FILE``.

    Raises:
        IgnetError: the text has another form.
    """
    name, equals, _ = text.partition("=")
    run, _, seed = name.rpartition(":")
    if not (run and seed.isdecimal()):
        raise IgnetError(f"'{text}': expected RUN:SEED{'=FILE' if equals else ''}, where SEED is a number")
    return run, int(seed)
