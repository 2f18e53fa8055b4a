"""Log lines and progress: a bar on a terminal, plain lines elsewhere."""

import io
import logging
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TextIO, TypeVar

T = TypeVar("T")
log = logging.getLogger("ignet")


class _ToStandardError(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes to the current standard error: a later redirection gets the lines, a closed stream gets none."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        return sys.stderr


def start_logging(level: int = logging.INFO) -> None:
    """Send the package's log to standard error, with the time of each line."""
    if not log.handlers:
        handler = _ToStandardError()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S"))
        log.addHandler(handler)
    log.setLevel(level)
    log.propagate = False


def speak_any_locale() -> None:
    """Print what the locale has no letter for as an escape, instead of ending in the middle of a table."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def progress(
    items: Iterable[T], description: str, total: int | None = None, initial: int = 0, every_s: float = 10.0
) -> Iterator[T]:
    """Pass ``items`` on, and show how far along they are, unless the log is for warnings alone.

    Args:
        items: what to iterate over.
        description: a short name of the work.
        total: number of items, where ``len(items)`` does not tell; counts those before ``initial`` too.
        initial: how many were done before (a resumed training).
        every_s: seconds between two log lines where standard error is no terminal.
    """
    if log.level > logging.INFO:
        yield from items
        return
    if total is None:
        total = len(items)  # type: ignore[arg-type]
    if sys.stderr.isatty():
        from tqdm import tqdm

        yield from tqdm(items, desc=description, total=total, initial=initial)
        return
    start = last = time.monotonic()
    done = initial
    for item in items:
        yield item
        done += 1
        now = time.monotonic()
        if now - last >= every_s or done == total:
            left = (now - start) / max(done - initial, 1) * (total - done)
            log.info("%s %d/%d, about %.0f s left", description, done, total, left)
            last = now
