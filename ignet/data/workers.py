"""What every loader process does first."""

import signal


def leave_sigterm_to_the_training(worker: int) -> None:
    """Ignore SIGTERM in a loader process: schedulers send it to all processes of a job, and a training that has lost one cannot save."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
