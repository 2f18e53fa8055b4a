"""What signals to Snakemake's process do to the running jobs. With a real Snakemake: test_kills.py."""

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from ignet.workflow import signals
from ignet.workflow.signals import SIGNALS, Ending


class Workflow:
    """Notes what it is asked to do."""

    def __init__(self) -> None:
        self.no_more, self.ended = threading.Event(), threading.Event()
        Ending(self.no_more.set, self.ended.set).listen()


@pytest.fixture(autouse=True)
def _signals_as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(signals, "EVERY_S", 0.01)
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_the_first_sigterm_lets_the_jobs_run_and_the_second_ends_them(capfd: pytest.CaptureFixture[str]) -> None:
    workflow = Workflow()
    os.kill(os.getpid(), signal.SIGTERM)
    assert workflow.no_more.wait(60)
    assert not workflow.ended.wait(0.2)
    os.kill(os.getpid(), signal.SIGTERM)
    assert workflow.ended.wait(60)
    workflow.ended.clear()
    assert workflow.ended.wait(60)  # again, for jobs that were just starting
    os.kill(os.getpid(), signal.SIGTERM)
    assert capfd.readouterr().err.splitlines() == [signals.FIRST, signals.ENDING]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_ctrl_c_and_a_closed_terminal_end_the_jobs(number: signal.Signals) -> None:
    workflow = Workflow()
    os.kill(os.getpid(), number)
    assert workflow.no_more.wait(60) and workflow.ended.wait(60)


def test_what_nohup_ignores_stays_ignored() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    workflow = Workflow()
    os.kill(os.getpid(), signal.SIGHUP)
    assert not workflow.no_more.wait(0.2)
