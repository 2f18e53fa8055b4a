"""Signals that ask a training to stop: SIGTERM of schedulers and ``kill``, SIGINT of Ctrl-C, SIGHUP."""

import atexit
import signal
import sys
import time
from types import FrameType
from typing import Any, NoReturn

EXIT_PREEMPTED = 75
"""Exit code of a training that saved its state because it was asked to stop; the next start resumes from there."""

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

PATIENCE_S = 5.0
"""Signals that come so soon after the first are the same request: Ctrl-C reaches a training as SIGINT, and Snakemake
then sends SIGTERM."""


class Interruption:
    """Notices the signals, so that a training can save its state between two steps.

    A signal that comes ``PATIENCE_S`` after the first one, or when the state is saved already, ends the process at
    once.

    Args:
        scheduled: a scheduler started this job. SIGTERM then never ends it: one that preempts a job kills it soon after
            and queues it again, but takes a job that ends by itself for a failed one.

    Attributes:
        asked: a signal came since ``clear`` was called.
        firm: the training has to end; where it does not, it only has to save.
        saved: nothing is lost when the process ends now. The training sets it.
        at_once: the process was ended in the middle of a step.
    """

    def __init__(self, scheduled: bool = False) -> None:
        self.scheduled = scheduled
        self.asked = self.firm = self.saved = self.at_once = False
        self._first: float | None = None
        self._before: dict[signal.Signals, Any] = {}

    def listen(self) -> None:
        """Take the signals over; those that the process was started to ignore (``nohup``) stay ignored."""
        for number in SIGNALS:
            before = signal.getsignal(number)
            if before not in (signal.SIG_IGN, None):
                self._before[number] = before
                signal.signal(number, self._on_signal)

    def restore(self) -> None:
        """Give the signals back."""
        for number, before in self._before.items():
            signal.signal(number, before)
        self._before = {}

    def clear(self) -> None:
        """The training has saved its state and continues."""
        self.asked = False

    def leave(self) -> NoReturn:
        """End the process; another signal meanwhile, as of a second Ctrl-C, changes nothing and prints nothing."""
        _hear_nothing()
        # `restore` gives the signals back, and what Python does on its way out would then print a traceback
        atexit.register(_hear_nothing)
        sys.exit(EXIT_PREEMPTED)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        self._first = now if self._first is None else self._first
        self.asked = True
        if self.scheduled and number == signal.SIGTERM:
            return
        self.firm = True
        if self.saved or now - self._first >= PATIENCE_S:
            self.at_once = not self.saved
            self.leave()


def _hear_nothing() -> None:
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
