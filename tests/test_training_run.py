"""The training loop: resumes bit-identically, survives cut checkpoints, refuses a second trainer."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from test_checkpoint import load_newest
from torch import nn

from ignet.devices import step_generator
from ignet.errors import IgnetError
from ignet.train.checkpoint import NEWEST, PREVIOUS
from ignet.train.distributed import Ranks
from ignet.train.ema import update_ema
from ignet.train.interruption import EXIT_PREEMPTED
from ignet.train.outputs import NOTE
from ignet.train.readings import Readings
from ignet.train.run import TrainingRun, write_curves


class Killed(Exception):
    """Stands for a process that ends in the middle of a step."""


def train(
    state: Path,
    steps: int = 12,
    stop_in: int | None = None,
    identity: str = "a",
    signals: dict[int, signal.Signals] | None = None,
    deadline: float | None = None,
    checkpoint_every: float = 0.0,
    write: Path | None = None,
) -> tuple[nn.Module, TrainingRun]:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.3), nn.Linear(4, 1))
    optimizer = torch.optim.AdamW(network.parameters(), 0.1)
    parts = {"network": network, "optimizer": optimizer}
    run = TrainingRun(state, identity, steps=steps, parts=parts, checkpoint_every=checkpoint_every, deadline=deadline)
    with run:
        for step in run:
            x = torch.from_numpy(step_generator(0, step).random((8, 3))).float()
            loss = (network(x) - x.sum(1, keepdim=True)).square().mean()
            optimizer.zero_grad()
            loss.backward()
            if step == stop_in:
                raise Killed
            if step in (signals or {}):
                os.kill(os.getpid(), signals[step])
            optimizer.step()
            run.log(loss=loss)
        if write:
            if -1 in (signals or {}):
                os.kill(os.getpid(), signals[-1])
            write.write_text(str(network.state_dict()))
            run.finish(write)
    return network, run


def same(one: nn.Module, other: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


@pytest.mark.parametrize("stop_in", [0, 1, 7, 11])
def test_resumed_run_is_bit_identical(tmp_path: Path, stop_in: int) -> None:
    whole, run = train(tmp_path / "whole")
    with pytest.raises(Killed):
        train(tmp_path / "cut", stop_in=stop_in)
    resumed, run2 = train(tmp_path / "cut")
    assert same(whole, resumed)
    assert run.history == run2.history


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_saves_and_exits(tmp_path: Path, number: signal.Signals) -> None:
    before = signal.getsignal(number)
    for step in (5, 11):
        with pytest.raises(SystemExit) as stop:
            train(tmp_path / "cut", signals={step: number})
        assert stop.value.code == EXIT_PREEMPTED
        assert load_newest(tmp_path / "cut/a", "a")["step"] == step + 1  # type: ignore[index]
        assert signal.getsignal(number) == before
    resumed, run = train(tmp_path / "cut")
    assert same(resumed, train(tmp_path / "whole")[0])
    assert len(run.history) == 12


def test_an_ignored_signal_stays_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert len(train(tmp_path, signals={3: signal.SIGHUP})[1].history) == 12
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_second_signal_waits_for_no_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same request twice (Ctrl-C, and Snakemake's SIGTERM) lets the step end; a later one does not."""
    run = TrainingRun(tmp_path, "a", steps=3, parts={"network": nn.Linear(1, 1)}, checkpoint_every=0)
    steps_begun = []
    with pytest.raises(SystemExit) as stop, run:
        for step in run:
            steps_begun.append(step)
            if step == 1:
                os.kill(os.getpid(), signal.SIGINT)
                os.kill(os.getpid(), signal.SIGTERM)
                monkeypatch.setattr("ignet.train.interruption.PATIENCE_S", 0.0)
                os.kill(os.getpid(), signal.SIGTERM)
                pytest.fail("the step went on")
    assert stop.value.code == EXIT_PREEMPTED
    assert load_newest(tmp_path / "a", "a")["step"] == 1  # type: ignore[index]


ON_THE_WAY_OUT = """
import atexit, os, signal
from ignet.train.interruption import Interruption

def again():
    os.kill(os.getpid(), signal.SIGINT)
    print("went on")

atexit.register(again)
interruption = Interruption()
interruption.listen()
try:
    interruption.leave()
finally:
    again()
    interruption.restore()
"""


def test_a_signal_on_the_way_out_changes_nothing_and_prints_nothing() -> None:
    done = subprocess.run([sys.executable, "-c", ON_THE_WAY_OUT], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (EXIT_PREEMPTED, "went on\n" * 2, "")


def test_until_its_files_are_closed_a_run_that_was_asked_to_stop_hears_no_more_signals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[int] = []
    monkeypatch.setattr(
        "ignet.train.run.end_loader_processes", lambda: closed.append(os.kill(os.getpid(), signal.SIGINT) or 1)
    )
    with pytest.raises(SystemExit):
        train(tmp_path, signals={5: signal.SIGTERM})
    assert closed == [1]


def test_once_all_steps_are_saved_a_signal_ends_the_writing(tmp_path: Path) -> None:
    out = tmp_path / "model"
    with pytest.raises(SystemExit) as stop:
        train(tmp_path / "state", signals={-1: signal.SIGTERM}, write=out)
    assert stop.value.code == EXIT_PREEMPTED and not out.exists()
    train(tmp_path / "state", write=out, stop_in=0)  # no step is left that it could stop in
    train(tmp_path / "whole", write=tmp_path / "expected")
    assert out.read_bytes() == (tmp_path / "expected").read_bytes()


def test_at_its_deadline_a_run_saves_and_exits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([10.0, 99.0, 100.0])
    with monkeypatch.context() as patch:
        patch.setattr("ignet.train.run.time", SimpleNamespace(time=lambda: next(clock), monotonic=time.monotonic))
        with pytest.raises(SystemExit) as stop:
            train(tmp_path / "cut", deadline=100.0)
    assert stop.value.code == EXIT_PREEMPTED
    assert torch.load(tmp_path / "cut" / "a" / NEWEST, weights_only=True)["step"] == 3
    resumed, run = train(tmp_path / "cut")
    assert [row["step"] for row in run.history] == list(range(12))
    assert same(resumed, train(tmp_path / "whole")[0])


def test_every_job_does_a_step_however_late_it_is_and_the_last_one_ends(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(SystemExit):
            train(tmp_path, steps=3, deadline=0.0)
    assert len(train(tmp_path, steps=3, deadline=0.0)[1].history) == 3


def test_in_a_schedulers_job_sigterm_saves_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved = []
    save = TrainingRun.save
    monkeypatch.setattr(TrainingRun, "save", lambda run: (saved.append(run.step), save(run)))
    _, run = train(tmp_path, signals={5: signal.SIGTERM, 7: signal.SIGTERM}, deadline=1e12, checkpoint_every=1e6)
    assert saved == [6, 8, 12] and len(run.history) == 12


@pytest.mark.parametrize("signals", [{}, {5: signal.SIGTERM}, {11: signal.SIGTERM}, {-1: signal.SIGTERM}])
def test_state_stays_and_a_finished_training_only_writes_again(
    tmp_path: Path, signals: dict[int, signal.Signals]
) -> None:
    """Also in a scheduler's job that is told to end and still comes to its end: what it wrote will not count."""
    out = tmp_path / "model"
    _, run = train(tmp_path / "state", signals=signals, deadline=1e12, write=out)
    written, checkpoint = out.read_bytes(), tmp_path / "state/a" / NEWEST
    inode = checkpoint.stat().st_ino
    out.unlink()
    _, again = train(tmp_path / "state", write=out, stop_in=0)
    assert out.read_bytes() == written
    assert again.history == run.history and again.processes == run.processes
    assert checkpoint.stat().st_ino == inode  # nothing new to save
    assert sorted(os.listdir(tmp_path / "state/a")) == [NEWEST, "lock", NOTE]


def test_in_a_schedulers_job_ctrl_c_ends_the_training(tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as stop:
        train(tmp_path, signals={5: signal.SIGINT}, deadline=1e12)
    assert stop.value.code == EXIT_PREEMPTED


@pytest.mark.parametrize("damage", ["cut", "empty", "foreign"])
def test_bad_checkpoint_is_passed_over_for_the_previous(tmp_path: Path, damage: str) -> None:
    with pytest.raises(Killed):
        train(tmp_path, stop_in=6)
    newest = tmp_path / "a" / NEWEST
    if damage == "foreign":
        torch.save({**torch.load(newest, weights_only=True), "identity": "b"}, newest)
    else:
        newest.write_bytes(newest.read_bytes()[: 100 if damage == "cut" else 0])
    assert (tmp_path / "a" / PREVIOUS).exists()
    assert same(train(tmp_path)[0], train(tmp_path / "whole")[0])


def test_other_identity_starts_anew(tmp_path: Path) -> None:
    train(tmp_path, identity="a")
    _, run = train(tmp_path, steps=3, identity="b")
    assert [row["step"] for row in run.history] == [0, 1, 2]


def test_second_trainer_is_refused(tmp_path: Path) -> None:
    parts = {"network": nn.Linear(1, 1)}
    with TrainingRun(tmp_path, "a", steps=1, parts=parts), pytest.raises(IgnetError, match="another process"):
        TrainingRun(tmp_path, "a", steps=1, parts=parts).__enter__()


def test_a_note_that_cannot_be_written_costs_no_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise IgnetError("no space")

    monkeypatch.setattr("ignet.train.run.note_outputs", full)
    train(tmp_path / "state", steps=1, write=tmp_path / "model")
    assert (tmp_path / "state/a" / NEWEST).exists() and (tmp_path / "model").exists()


def test_infinite_loss_is_an_error(tmp_path: Path) -> None:
    run = TrainingRun(tmp_path, "a", steps=2, parts={"network": nn.Linear(1, 1)})
    with pytest.raises(IgnetError, match="step 0"), run:
        for _ in run:
            run.log(loss=float("nan"))


def test_curves(tmp_path: Path) -> None:
    write_curves(tmp_path / "c.csv", [{"step": 0.0, "loss": 1.5}, {"step": 1.0, "loss": 0.25, "miou": 0.5}])
    assert (tmp_path / "c.csv").read_text().split() == ["step,loss,miou", "0,1.5,", "1,0.25,0.5"]


def teacher_and_student() -> tuple[nn.BatchNorm1d, nn.BatchNorm1d]:
    """A fresh norm, and one with a weight of 3, a running mean of 8 and 5 batches behind it."""
    teacher, student = nn.BatchNorm1d(1), nn.BatchNorm1d(1)
    with torch.no_grad():
        student.weight.fill_(3.0)
        student.running_mean.fill_(8.0)
        student.num_batches_tracked.fill_(5)
    return teacher, student


def test_ema_by_hand() -> None:
    teacher, student = teacher_and_student()
    update_ema(teacher, student, 0, 0.99)
    assert (teacher.weight.item(), teacher.running_mean.item(), teacher.num_batches_tracked.item()) == (3.0, 8.0, 5)
    with torch.no_grad():
        student.weight.fill_(7.0)
    update_ema(teacher, student, 1, 0.99)  # a = 1 - 1/2
    assert teacher.weight.item() == 5.0
    update_ema(teacher, student, 1000, 0.9)  # a = 0.9: 0.9 * 5 + 0.1 * 7
    assert teacher.weight.item() == pytest.approx(5.2)


def test_ema_of_the_weights_alone() -> None:
    teacher, student = teacher_and_student()
    update_ema(teacher, student, 1, 0.99, buffers=False)
    assert (teacher.weight.item(), teacher.running_mean.item(), teacher.num_batches_tracked.item()) == (2.0, 0.0, 0)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_cuda_generators_are_kept_only_where_the_training_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    """To ask for the state of a GPU that is not used makes a context there, with hundreds of MB."""
    asked, restored = [], []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda device: asked.append(device) or torch.tensor([7]))
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda state, device: restored.append((int(state), device)))
    monkeypatch.setattr(torch.cuda, "get_rng_state_all", lambda: pytest.fail("asked every GPU"))
    ranks = Ranks(device=torch.device(device))
    for steps in (1, 2):
        with TrainingRun(tmp_path, "a", steps=steps, parts={}, ranks=ranks) as run:
            list(run)
    assert asked == ([] if device == "cpu" else [ranks.device] * 2)
    assert restored == ([] if device == "cpu" else [(7, ranks.device)])


def test_readings_come_once_in_order_and_as_late_as_asked() -> None:
    readings = Readings()
    readings.add(3, {"loss": torch.tensor(0.1), "rate": 0.5})
    readings.add(4, {"rate": 0.25, "loss": torch.tensor(2, dtype=torch.float64)})
    readings.add(5, {})
    assert list(readings.take(3)) == []
    assert list(readings.take(1)) == [
        {"step": 3, "loss": float(torch.tensor(0.1)), "rate": 0.5},
        {"step": 4, "rate": 0.25, "loss": 2},
    ]
    assert list(readings.take(0)) == [{"step": 5}] and list(readings.take(0)) == []


def test_on_a_gpu_figures_are_late_and_a_checkpoint_has_all_of_its_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other than the figures nothing here is on the device."""
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda device: torch.zeros(1, dtype=torch.uint8))
    ranks = Ranks(device=torch.device("cuda"))
    known = []
    with TrainingRun(
        tmp_path, "a", steps=3, parts={"network": nn.Linear(1, 1)}, checkpoint_every=1e9, ranks=ranks
    ) as run:
        for step in run:
            known.append(len(run.history))
            run.log(loss=torch.tensor(step))
    assert known == [0, 0, 1]
    assert [row["step"] for row in load_newest(tmp_path / "a", "a")["history"]] == [0, 1, 2]  # type: ignore[index]
    bad = TrainingRun(tmp_path, "b", steps=3, parts={"network": nn.Linear(1, 1)}, checkpoint_every=0, ranks=ranks)
    with pytest.raises(IgnetError, match="step 1 gave.*nan"), bad:
        for step in bad:
            bad.log(loss=torch.tensor(float("nan") if step == 1 else 0.0))
    assert load_newest(tmp_path / "b", "b")["step"] == 1  # type: ignore[index]
