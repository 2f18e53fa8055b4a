"""GPUs of one machine, shared out among jobs where no scheduler does it."""

import os
import re
import tempfile
import time
from pathlib import Path

from filelock import FileLock, Timeout

from ignet.log import log

SHARED = "IGNET_GPUS"
"""Variable with the GPUs that the workflow's jobs share, as CUDA_VISIBLE_DEVICES names them."""

VISIBLE = "CUDA_VISIBLE_DEVICES"
DRIVER = Path("/proc/driver/nvidia/gpus")
LOCKS = Path(tempfile.gettempdir(), f"ignet-gpus-{os.getuid()}")
EVERY_S = 0.5

_held: list[FileLock] = []  # until the process ends, however it ends: the kernel frees them


def visible_gpus() -> list[str]:
    """Names of the GPUs that this process may use: those of CUDA_VISIBLE_DEVICES, else all that the driver knows."""
    named = os.environ.get(VISIBLE)
    if named is None:
        return [str(number) for number, _ in enumerate(DRIVER.glob("*"))]
    names = [name.strip() for name in named.split(",")]
    hidden = next((number for number, name in enumerate(names) if name in ("", "-1", "NoDevFiles")), len(names))
    return names[:hidden]


def take_gpus(count: int) -> None:
    """Take ``count`` of the shared GPUs for the rest of this process and for those that it starts.

    Waits until so many are free: another workflow of this user may hold them. Does nothing where none are shared out,
    under a scheduler for instance.
    """
    names = [name for name in os.environ.pop(SHARED, "").split(",") if name]
    if not names:
        return
    LOCKS.mkdir(exist_ok=True)
    waited = False
    while len(taken := _free(names, min(count, len(names)))) < min(count, len(names)):
        if not waited:
            log.info("waiting for %d of the GPUs %s, which other jobs use", count, ", ".join(names))
        waited = True
        for lock in taken.values():
            lock.release()
        time.sleep(EVERY_S)
    _held.extend(taken.values())
    os.environ[VISIBLE] = ",".join(taken)


def _free(names: list[str], count: int) -> dict[str, FileLock]:
    """Up to ``count`` GPUs that nobody holds, locked."""
    taken: dict[str, FileLock] = {}
    for name in names:
        lock = FileLock(LOCKS / f"{re.sub(r'[^0-9A-Za-z-]', '_', name)}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            continue
        taken[name] = lock
        if len(taken) == count:
            break
    return taken
