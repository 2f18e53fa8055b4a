"""End a local workflow by signals: running jobs end in seconds, and trainings save their state."""

import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
EVERY_S = 0.5

FIRST = (
    "SIGTERM: no other job will start; once more ends the running ones (trainings save their state, and go on "
    "from there)"
)
ENDING = "ending the running jobs; trainings save their state, and the same command resumes"


class Ending:
    """Handles the signals in Snakemake's process; call ``listen`` in its main thread, when its scheduler is there.

    Snakemake itself waits for the running jobs after any number of SIGTERM, and after SIGINT; SIGHUP ends it alone.

    Args:
        start_no_more: lets Snakemake end when the running jobs have ended.
        end_jobs: sends SIGTERM to the running jobs; called again and again, for those that were just starting.
    """

    def __init__(self, start_no_more: Callable[[], object], end_jobs: Callable[[], object]) -> None:
        self.start_no_more, self.end_jobs = start_no_more, end_jobs
        self._asked, self._now = threading.Event(), False

    def listen(self) -> None:
        """Take the signals over, but for those that the process was started to ignore (``nohup``)."""
        for number in SIGNALS:
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._on_signal)
        threading.Thread(target=self._end, daemon=True).start()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        again, now = self._asked.is_set(), self._now
        self._now = now or again or number != signal.SIGTERM
        if self._now != now or not again:
            _say(ENDING if self._now else FIRST)
        self._asked.set()

    def _end(self) -> None:
        # not in the handler: it may have interrupted a holder of the locks that these need
        self._asked.wait()
        self.start_no_more()
        while True:
            if self._now:
                self.end_jobs()
            time.sleep(EVERY_S)


def _say(words: str) -> None:
    """Write a line even from within a signal's handler, and to a terminal that may be gone."""
    with suppress(OSError):
        os.write(2, f"{words}\n".encode())
