"""Loader processes: too little shared memory, a killed process and silence each end a training in one line."""

import os
import resource
import signal
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import Dataset

from ignet.errors import IgnetError
from ignet.train import loader as workers
from ignet.train.loader import SHARED_MEMORY, check_shared_memory, read_ahead
from ignet.train.run import TrainingRun


class Samples(Dataset):
    """Two tensors and an array a sample; a loader process may do something to itself before its third one."""

    def __init__(self, trouble: str = "") -> None:
        self.trouble = trouble

    def __getitem__(self, step: int) -> dict:
        if step == 2 and self.trouble == "full":
            resource.setrlimit(
                resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY)
            )  # no file in /dev/shm can be larger
        elif step == 2 and self.trouble:
            os.kill(os.getpid(), signal.Signals[self.trouble])
        return {"a": torch.full((3000,), step), "b": [torch.ones(1), np.arange(5)]}


def train(state: Path, trouble: str) -> list[int]:
    seen = []
    with TrainingRun(state, "a", steps=6, parts={"network": nn.Linear(1, 1)}) as run:
        for step, batch in zip(run, read_ahead(Samples(trouble), range(6), 1), strict=True):
            assert int(batch["a"][0]) == step and isinstance(batch["b"][1], torch.Tensor)
            seen.append(step)
    return seen


@pytest.mark.parametrize("processes", [0, 1])
def test_reading_leaves_the_random_numbers_of_the_training_alone(processes: int) -> None:
    before = torch.get_rng_state()
    list(read_ahead(Samples(), range(2), processes))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("trouble", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_loader_processes_ignore_termination_signals(tmp_path: Path, trouble: str) -> None:
    assert train(tmp_path, trouble) == [*range(6)]


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        ("full", "/dev/shm: too small .*execution.workers"),
        ("SIGBUS", "/dev/shm: too small"),
        ("SIGKILL", "killed, .*execution.mem_mb"),
    ],
)
def test_a_loader_process_in_trouble_ends_the_training_in_one_line(tmp_path: Path, trouble: str, words: str) -> None:
    with pytest.raises(IgnetError, match=words) as error:
        train(tmp_path, trouble)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("signal_name", "words"), [("Bus error", "too small"), ("Killed", "was killed")])
def test_the_signal_counts_where_only_the_cause_names_it(signal_name: str, words: str) -> None:
    """As torch raises it when it sees that a process is gone before the system has told it how."""
    with pytest.raises(RuntimeError) as late:
        try:
            raise RuntimeError(f"DataLoader worker (pid 1) is killed by signal: {signal_name}.")
        except RuntimeError as cause:
            raise RuntimeError("DataLoader worker (pid(s) 1) exited unexpectedly") from cause
    assert words in str(workers.explain(late.value))
    assert workers.explain(RuntimeError("DataLoader worker (pid(s) 1) exited unexpectedly")) is None


def failing(error: Exception) -> Iterator[object]:
    raise error
    yield


@pytest.mark.parametrize("error", [RuntimeError("DataLoader worker (pid(s) 1) exited unexpectedly"), EOFError()])
@pytest.mark.parametrize(("code", "words"), [(-9, "was killed"), (-7, "too small"), (0, None), (None, None)])
def test_the_exit_code_counts_where_no_error_names_the_signal(
    code: int | None, words: str | None, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when torch has reaped the process itself, so that its handler cannot, or the handler's error was dropped."""
    monkeypatch.setattr(workers, "ENDING_S", 0.05)
    process = SimpleNamespace(exitcode=code)
    with pytest.raises((RuntimeError, EOFError)) as raised:
        list(workers._patiently(failing(error), 1, [SimpleNamespace(exitcode=None), process]))
    assert (words in str(workers.explain(raised.value))) if words else raised.value is error


class EndsLater:
    """A process whose end the system tells the third time that it is asked."""

    asked = 0

    @property
    def exitcode(self) -> int | None:
        self.asked += 1
        return -7 if self.asked > 2 else None


def test_the_end_of_a_process_may_be_known_later_than_its_closed_connection() -> None:
    with pytest.raises(RuntimeError, match="killed by signal: Bus error") as raised:
        list(workers._patiently(failing(ConnectionResetError()), 1, [EndsLater()]))
    assert isinstance(raised.value.__cause__, ConnectionResetError)


@pytest.mark.parametrize("error", [RuntimeError("shape '[2]' is invalid"), OSError(28, "No space left on device")])
def test_other_errors_pass_as_they_are(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "ENDING_S", 0.0)
    with pytest.raises(type(error)) as raised:
        list(workers._patiently(failing(error), 1, [SimpleNamespace(exitcode=None)]))
    assert raised.value is error


def test_too_little_shared_memory_is_found_before_processes_are_started(monkeypatch: pytest.MonkeyPatch) -> None:
    usage, page = namedtuple("usage", "free"), os.sysconf("SC_PAGE_SIZE")
    size = -(-3000 * 8 // page) * page + 2 * page
    for workers_, processes in ((1, 1), (4, 2)):
        monkeypatch.setenv("LOCAL_WORLD_SIZE", str(processes))
        batches = (2 * workers_ + 1) * processes
        monkeypatch.setattr("shutil.disk_usage", lambda path, free=batches * size: usage(free))
        check_shared_memory(Samples(), range(3), workers_)
        monkeypatch.setattr("shutil.disk_usage", lambda path, free=batches * size - 1: usage(free))
        with pytest.raises(
            IgnetError,
            match=f"{SHARED_MEMORY}: found {batches * size - 1:,} bytes free, expected {batches * size:,} for",
        ):
            read_ahead(Samples(), range(3), workers_)
    assert len(list(read_ahead(Samples(), range(3), 0))) == 3  # needs none


def test_nothing_is_read_to_check_an_ample_shared_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: namedtuple("usage", "free")(3 * workers.AMPLE))
    check_shared_memory([], range(3), 1)  # type: ignore[arg-type]


class Late:
    """Batches of which each is late a number of times."""

    def __init__(self, times: int) -> None:
        self.times = self.left = times

    def __next__(self) -> int:
        if self.left:
            self.left -= 1
            raise RuntimeError("DataLoader timed out after 900 seconds")
        self.left = self.times
        return 1


def test_a_late_batch_gets_a_second_chance_and_no_third(tmp_path: Path) -> None:
    assert list(workers._patiently(Late(1), 3)) == [1, 1, 1]
    run = TrainingRun(tmp_path, "a", steps=3, parts={"network": nn.Linear(1, 1)})
    with pytest.raises(IgnetError, match="no batch came for 1800 s"), run:
        list(zip(run, workers._patiently(Late(2), 3), strict=True))
