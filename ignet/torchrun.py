"""``python -m ignet.torchrun --nproc-per-node N SCRIPT ARGUMENTS``: torchrun on one machine, with the exit code of the script's processes.

torchrun itself ends with 1 whatever its processes end with, so that one cannot tell a training that failed from one that saved its state
because it was asked to stop.
"""

import os
import signal
import sys

from torch.distributed.elastic.multiprocessing import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.run import parse_args, run

EXIT_UNFINISHED = 75
"""As in ``ignet.train.run``, which would cost the launcher its imports."""

GRACE_S = 60
"""Seconds for a step and a checkpoint before processes that do not end are killed."""


def main(arguments: list[str]) -> int:
    """Start the processes, pass signals on to them, and wait; returns the exit code.

    After SIGTERM it is ``EXIT_UNFINISHED``, as that of a training in one process; after another signal n 128 + n; else that of the process
    that failed first (128 + n where signal n ended it), or 0.
    """
    # torchrun would say at length that it sets this
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", str(GRACE_S))
    try:
        run(parse_args(["--standalone", *arguments]))
    except SignalException as ended:
        print(f"torchrun: ended by {ended.sigval.name}", file=sys.stderr)
        return EXIT_UNFINISHED if ended.sigval == signal.SIGTERM else 128 + ended.sigval
    except ChildFailedError as error:
        codes = {rank: failure.exitcode for rank, failure in error.failures.items()}
        rank, first = error.get_first_failure()
        print(f"torchrun: process {rank} ended first, exit codes by process: {codes}", file=sys.stderr)
        code = EXIT_UNFINISHED if EXIT_UNFINISHED in codes.values() else first.exitcode
        return code if code >= 0 else 128 - code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
