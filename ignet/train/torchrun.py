"""``python -m ignet.train.torchrun --nproc-per-node N SCRIPT ARGUMENTS``: torchrun with the script's exit code.

torchrun itself ends with 1 whatever its processes end with, so that one cannot tell a training that failed from one
that saved its state because it was asked to stop.
"""

import os
import signal
import sys
import time
from pathlib import Path

from torch.distributed.elastic.multiprocessing import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.run import parse_args, run

from ignet.stage.gpus import take_gpus

EXIT_PREEMPTED = 75
"""As in ``ignet.train.interruption``, whose package would cost the launcher its imports."""

STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""Signals after which a training saves its state."""

GRACE_S = 60
"""Seconds for a step and a checkpoint before processes that do not end are killed."""

HURRY_S = 10
"""The same after a second signal."""


def main(arguments: list[str]) -> int:
    """Start the processes, pass signals on to them, and wait; returns the exit code.

    After SIGTERM, SIGINT and SIGHUP it is ``EXIT_PREEMPTED``, as that of a training in one process; after another
    signal n 128 + n; else that of the process that failed first (128 + n where signal n ended it), or 0. A second
    signal ends the waiting soon.
    """
    options = parse_args(["--standalone", *arguments])
    take_gpus(int(options.nproc_per_node))
    # torchrun would say at length that it sets this
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", str(GRACE_S))
    # torchrun would take over what it was started to ignore (nohup), too
    heard = [number.name for number in (*STOPPING, signal.SIGQUIT) if signal.getsignal(number) != signal.SIG_IGN]
    os.environ.setdefault("TORCHELASTIC_SIGNALS_TO_HANDLE", ",".join(heard))
    try:
        run(options)
    except SignalException as ended:
        for number in STOPPING:
            signal.signal(number, signal.SIG_IGN)
        _end_processes()  # a second signal has torchrun leave while they still run
        print(f"torchrun: ended by {ended.sigval.name}", file=sys.stderr)
        return EXIT_PREEMPTED if ended.sigval in STOPPING else 128 + ended.sigval
    except ChildFailedError as error:
        codes = {rank: failure.exitcode for rank, failure in error.failures.items()}
        rank, first = error.get_first_failure()
        print(f"torchrun: process {rank} ended first, exit codes by process: {codes}", file=sys.stderr)
        code = EXIT_PREEMPTED if EXIT_PREEMPTED in codes.values() else first.exitcode
        return code if code >= 0 else 128 - code
    return 0


def _end_processes() -> None:
    """Ask the processes that are left to stop, and kill those that have not ended soon."""
    for number, patience in ((signal.SIGTERM, HURRY_S), (signal.SIGKILL, HURRY_S)):
        left = _children()
        for pid in left:
            os.kill(pid, number)
        until = time.monotonic() + patience
        while _children() and time.monotonic() < until:
            time.sleep(0.05)


def _children() -> list[int]:
    """Processes of this one that have not ended."""
    while True:  # collect those that have
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                break
        except ChildProcessError:
            return []
    return [
        int(pid)
        for path in Path("/proc/self/task").glob("*/children")
        for pid in path.read_text(encoding="ascii").split()
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
