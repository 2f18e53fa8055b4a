"""Loader processes: they prepare batches ahead of a training, and hand them over in shared memory."""

import multiprocessing
import os
import re
import shutil
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_convert

from ignet.errors import IgnetError

SHARED_MEMORY = Path("/dev/shm")

SILENCE_S = 900.0
"""Seconds without a batch after which one is given up, if it does not come in as many again."""

ENDING_S = 5.0
"""Seconds for the system to say how a process ended."""

AMPLE = 1 << 30
"""Bytes of shared memory for each batch on its way that need no look at the batches: none is so large."""

_REMEDY = "set execution.workers to 0 or lower it, or give more (containers: --shm-size=2g)"
_KILLED_BY = "killed by signal"
_FULL = re.compile(rf"</torch_|\(shm\)|{_KILLED_BY}: Bus error")
_KILLED = f"{_KILLED_BY}: Killed"


def read_ahead(samples: Dataset, steps: range, workers: int, pin: bool = False) -> Iterator[Any]:
    """The samples of the given steps in their order, prepared by ``workers`` processes (0: by this one).

    The result is the same.

    Args:
        samples: what to read; arrays become tensors.
        steps: indices into it.
        workers: number of processes.
        pin: whether a GPU is to copy the batches by itself, see `torch.Tensor.pin_memory`.

    Raises:
        IgnetError: the shared memory does not hold the batches that are on their way; nothing is started then.
    """
    # a loader draws a number when it starts: from the global generator it would shift the dropout of a resumed training
    generator = torch.Generator()
    if not workers:
        return iter(DataLoader(samples, batch_size=None, sampler=steps, pin_memory=pin, generator=generator))
    check_shared_memory(samples, steps, workers)
    loader: DataLoader = DataLoader(
        samples,
        batch_size=None,
        sampler=steps,
        num_workers=workers,
        collate_fn=_into_shared_memory,
        worker_init_fn=_ignore_termination_signals,
        timeout=SILENCE_S,
        pin_memory=pin,
        generator=generator,
    )
    others = multiprocessing.active_children()
    batches = iter(loader)
    processes = [process for process in multiprocessing.active_children() if process not in others]
    return _patiently(batches, len(steps), processes)


def check_shared_memory(samples: Dataset, steps: range, workers: int) -> None:
    """Refuse to start loader processes whose batches have no room in the shared memory.

    Raises:
        IgnetError: it has too little room for the batches that are on their way, by the size of the first one.
    """
    if not steps or not SHARED_MEMORY.is_dir():
        return
    # each process prepares two ahead, and one is in use; torchrun's processes share the memory
    batches = (2 * workers + 1) * int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    free = shutil.disk_usage(SHARED_MEMORY).free
    if free >= batches * AMPLE:
        return
    size = _byte_size(samples[steps[0]])
    if free < batches * size:
        raise IgnetError(
            f"{SHARED_MEMORY}: found {free:,} bytes free, expected {batches * size:,} for {batches} batches of "
            f"{size:,} bytes on their way from {workers} loader processes; {_REMEDY}"
        )


def explain(error: BaseException) -> str | None:
    """One line with the remedy for an error of the loader processes; none for any other error."""
    # torch may find that a process is gone before it is told why, and names the signal in the cause alone
    text = " ".join(str(one) for one in _chain(error) if isinstance(one, RuntimeError))
    if _FULL.search(text):
        free = f"{shutil.disk_usage(SHARED_MEMORY).free:,}" if SHARED_MEMORY.is_dir() else "no"
        return (
            f"{SHARED_MEMORY}: too small for the batches of the loader processes (found {free} bytes free); {_REMEDY}"
        )
    if "DataLoader timed out" in text:
        return (
            f"loader processes: no batch came for {2 * SILENCE_S:.0f} s; look at the disk of the data, or set "
            "execution.workers to 0"
        )
    if _KILLED in text:
        return (
            "a loader process was killed, as a rule for want of memory; raise execution.mem_mb or lower "
            "execution.workers"
        )
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error and those that it came of."""
    one: BaseException | None = error
    while one is not None:
        yield one
        one = one.__cause__ or one.__context__


def end_loader_processes() -> None:
    """Kill them: they ignore SIGTERM, and one that hangs would keep this process waiting."""
    # torch's handler would take their end for a fault and raise an error here
    before = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for process in multiprocessing.active_children():
        process.kill()
        process.join()
    signal.signal(signal.SIGCHLD, before)


def _patiently(batches: Iterator[Any], count: int, processes: Sequence[BaseProcess] = ()) -> Iterator[Any]:
    """Pass batches of some processes on; one that is late gets a second chance.

    A job that was suspended finds its time over when it wakes.
    """
    for _ in range(count):
        try:
            batch = next(batches)
        except (RuntimeError, OSError, EOFError) as error:
            if "DataLoader timed out" not in str(error):
                _name_signal(error, processes)
                raise
            batch = next(batches)
        yield batch
        del batch  # or its memory would wait for the next one


def _name_signal(error: Exception, processes: Sequence[BaseProcess]) -> None:
    """Raise the signal that ended one of the processes, where an error is their end without its signal.

    Torch's handler of SIGCHLD names it, but torch may see the end before its handler does, a process may end while it
    hands a batch over, and Python drops what a handler raises in a finalizer.
    """
    if isinstance(error, RuntimeError) and "exited unexpectedly" not in str(error):
        return
    deadline = time.monotonic() + ENDING_S
    while True:
        codes = [process.exitcode or 0 for process in processes]
        if signals := [-code for code in codes if code < 0]:
            raise RuntimeError(f"{_KILLED_BY}: {signal.strsignal(signals[0])}") from error
        if time.monotonic() >= deadline:
            return
        time.sleep(0.01)


def _ignore_termination_signals(worker: int) -> None:
    """Ignore the signals that schedulers and terminals send to all processes of a job.

    A training that has lost a loader process cannot save.
    """
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def _into_shared_memory(sample: Any) -> Any:
    """Convert arrays, and move all tensors to the shared memory here, where an error reaches the training.

    The queue would do it in a thread of its own: when the memory is full, it drops the batch there, and the training
    waits for ever.
    """
    converted = default_convert(sample)
    for tensor in _tensors(converted):
        tensor.share_memory_()
    return converted


def _byte_size(sample: Any) -> int:
    """Bytes of all tensors of a sample in shared memory, each in pages of its own."""
    page = os.sysconf("SC_PAGE_SIZE")
    return sum(-(-tensor.untyped_storage().nbytes() // page) * page for tensor in _tensors(default_convert(sample)))


def _tensors(value: Any) -> Iterator[Tensor]:
    """All tensors in a value of dataclasses, mappings, tuples and lists."""
    if isinstance(value, Tensor):
        yield value
    elif is_dataclass(value):
        for field in fields(value):
            yield from _tensors(getattr(value, field.name))
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _tensors(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _tensors(part)
