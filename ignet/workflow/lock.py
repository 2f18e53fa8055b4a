"""One workflow at a time in a folder of results; what a killed one leaves locks nobody out."""

from pathlib import Path

from filelock import FileLock, Timeout

from ignet.errors import IgnetError
from ignet.files.atomic import explain_write_errors

LOCK = ".workflow.lock"
"""Name of the locked file in a folder of results."""

_held: list[FileLock] = []  # until the process ends, however it ends: the kernel frees them


def lock_results(results: Path) -> None:
    """Lock a folder of results for the rest of this process.

    Snakemake's own locks are files that a killed Snakemake leaves behind, so that the next start is refused until
    somebody unlocks.

    Raises:
        IgnetError: another process holds it, or it cannot be written to.
    """
    lock = FileLock(results / LOCK)
    try:
        with explain_write_errors(results / LOCK):
            results.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=0)
    except Timeout:
        raise IgnetError(
            f"{results}: another workflow writes there; wait until it ends, or end it, or set results to another folder"
        ) from None
    _held.append(lock)
