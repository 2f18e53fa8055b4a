"""Checkpoints: a kill at any moment of a save costs nothing, damaged ones are refused, and a full disk leaves the older
ones."""

import errno
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from ignet.errors import IgnetError
from ignet.log import log
from ignet.train.checkpoint import NEWEST, PREVIOUS, REFUSED, restore_newest, save_checkpoint
from ignet.train.run import TrainingRun


def load_newest(folder: Path, identity: str) -> dict[str, Any] | None:
    """The newest good checkpoint."""
    states: list[dict[str, Any]] = []
    restore_newest(folder, identity, {}, states.append)
    return states[0] if states else None


@pytest.fixture(autouse=True)
def _log_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "propagate", True)


def save(folder: Path, *steps: int) -> None:
    for step in steps:
        save_checkpoint(folder, {"identity": "a", "step": step, "x": torch.full((20000,), float(step))})


def damage(path: Path, kind: str) -> None:
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    if kind == "zeroed block":
        content[middle : middle + 4096] = bytes(4096)
    elif kind == "one bit":
        content[middle] ^= 1
    elif kind == "cut":
        del content[middle:]
    elif kind == "without its last byte":
        del content[-1:]
    elif kind == "text":
        content = bytearray(b"not a checkpoint\n")
    else:
        content.clear()
    path.write_bytes(content)


DAMAGES = ["zeroed block", "one bit", "cut", "without its last byte", "text", "empty"]


@pytest.mark.parametrize("kind", DAMAGES)
def test_damaged_newest_is_named_and_the_previous_is_used(
    tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    save(tmp_path, 1, 2)
    damage(tmp_path / NEWEST, kind)
    state = load_newest(tmp_path, "a")
    assert state is not None and state["step"] == 1 and torch.equal(state["x"], torch.ones(20000))
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert f"{tmp_path / NEWEST}: not a whole checkpoint" in caplog.text


def test_whether_one_was_restored_is_said(tmp_path: Path) -> None:
    assert restore_newest(tmp_path, "a", {}, lambda _: None) is False
    save(tmp_path, 1)
    assert restore_newest(tmp_path, "a", {}, lambda _: None) is True


def test_one_of_another_training_is_not_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    save(tmp_path, 1)
    assert load_newest(tmp_path, "b") is None
    assert f"{tmp_path / NEWEST}: a checkpoint of other settings" in caplog.text


class Marker:
    """Leaves a file where something unpickles it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_a_pickle_that_runs_code_is_refused_and_does_not_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    torch.save({"identity": "a", "step": 1, "x": Marker(tmp_path / "ran")}, tmp_path / NEWEST)
    assert load_newest(tmp_path, "a") is None
    assert f"{tmp_path / NEWEST}: not a whole checkpoint" in caplog.text
    assert not (tmp_path / "ran").exists()


def test_two_damaged_ones_are_none(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    save(tmp_path, 1, 2)
    damage(tmp_path / NEWEST, "cut")
    damage(tmp_path / PREVIOUS, "one bit")
    assert load_newest(tmp_path, "a") is None
    assert len(caplog.records) == 2


def test_a_save_after_a_refused_newest_never_costs_the_good_previous(tmp_path: Path) -> None:
    save(tmp_path, 1, 2)
    damage(tmp_path / NEWEST, "cut")
    assert load_newest(tmp_path, "a")["step"] == 1  # type: ignore[index]
    for operation in range(20):  # the next save is killed at each of its operations
        if not killed_save(tmp_path, 3, operation):
            break
        assert load_newest(tmp_path, "a")["step"] in (1, 3)  # type: ignore[index]
    assert (tmp_path / REFUSED).exists()


def killed_save(folder: Path, step: int, operation: int) -> bool:
    """Save in a process that dies, as by SIGKILL, before its given file operation; whether it came to that."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    try:
        count = iter(range(1000))
        for name in ("open", "mkdir", "link", "replace", "rename", "fsync", "unlink", "rmdir", "close"):
            _die_before(name, operation, count)
        save(folder, step)
    finally:
        os._exit(0)


def _die_before(name: str, operation: int, count: Iterator[int]) -> None:
    function = getattr(os, name)

    def call(*arguments, **options):  # type: ignore[no-untyped-def]
        if next(count) == operation:
            os._exit(9)
        return function(*arguments, **options)

    setattr(os, name, call)


def test_kill_at_any_operation_of_a_save_leaves_a_newest(tmp_path: Path) -> None:
    save(tmp_path, 1, 2)
    killed = 0
    while killed_save(tmp_path, 3, killed):
        assert load_newest(tmp_path, "a")["step"] in (2, 3)  # type: ignore[index]
        assert (tmp_path / NEWEST).exists()
        assert not (tmp_path / REFUSED).exists()
        killed += 1
    assert killed > 5
    save(tmp_path, 4)
    assert sorted(os.listdir(tmp_path)) == sorted([NEWEST, PREVIOUS])


@pytest.mark.parametrize("fault", ["other shapes", "a part less", "no step"])
def test_a_state_that_does_not_fit_is_passed_over_and_leaves_no_trace(
    tmp_path: Path, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    def parts(width: int = 3) -> dict[str, nn.Module]:
        torch.manual_seed(width)
        return {"first": nn.Linear(2, 2), "second": nn.Linear(width, 1)}

    torch.manual_seed(9)
    good, bad = parts(), parts(4 if fault == "other shapes" else 3)
    common = {
        "identity": "a",
        "processes": [1],
        "history": [{"step": 0.0}],
        "rng": torch.get_rng_state(),
        "cuda_rng": None,
    }
    folder = tmp_path / "a"
    save_checkpoint(folder, {**common, "step": 1, "parts": {name: part.state_dict() for name, part in good.items()}})
    torch.rand(7)
    state = {
        **common,
        "rng": torch.get_rng_state(),
        "step": 2,
        "parts": {name: part.state_dict() for name, part in bad.items()},
    }
    if fault == "a part less":
        del state["parts"]["second"]
    if fault == "no step":
        del state["step"]
    save_checkpoint(folder, state)

    torch.manual_seed(5)
    fresh = {"first": nn.Linear(2, 2), "second": nn.Linear(3, 1)}
    with TrainingRun(tmp_path, "a", steps=3, parts=fresh) as run:
        assert run.step == 1
        assert torch.equal(torch.get_rng_state(), common["rng"])
    for name, part in fresh.items():
        assert all(torch.equal(value, good[name].state_dict()[key]) for key, value in part.state_dict().items())
    assert f"{folder / NEWEST}: " in caplog.text


def test_where_no_checkpoint_fits_the_training_starts_as_if_there_were_none(tmp_path: Path) -> None:
    part = nn.Linear(2, 2)
    before = {key: value.clone() for key, value in part.state_dict().items()}
    save(tmp_path, 1, 2)

    def restore(state: dict) -> None:
        part.load_state_dict({"weight": torch.zeros(2, 2), "bias": torch.zeros(2)})
        torch.rand(3)
        raise KeyError("parts")

    generators = torch.get_rng_state()
    assert not restore_newest(tmp_path, "a", {"part": part}, restore)
    assert torch.equal(torch.get_rng_state(), generators)
    assert all(torch.equal(value, before[key]) for key, value in part.state_dict().items())


def test_full_disk_ends_the_training_in_one_line_and_keeps_the_checkpoints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    run = TrainingRun(tmp_path, "a", steps=5, parts={"network": nn.Linear(1, 1)}, checkpoint_every=0.0)
    with pytest.raises(IgnetError, match=f"{NEWEST}: cannot be written .No space left on device.*make room"), run:
        for step in run:
            if step == 2:
                monkeypatch.setattr(os, "fsync", full)
    monkeypatch.undo()
    assert sorted(os.listdir(tmp_path / "a")) == sorted([NEWEST, PREVIOUS, "lock"])
    with TrainingRun(tmp_path, "a", steps=5, parts={"network": nn.Linear(1, 1)}) as run:
        assert run.step == 2


@pytest.mark.parametrize("method", ["__init__", "add_scalar", "close"])
def test_tensorboard_that_cannot_write_costs_no_training(
    tmp_path: Path, method: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from torch.utils.tensorboard import SummaryWriter

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(SummaryWriter, method, full)
    with TrainingRun(tmp_path, "a", steps=3, parts={"network": nn.Linear(1, 1)}, curves=tmp_path / "curves") as run:
        for _ in run:
            run.log(loss=1.0)
    assert [row["loss"] for row in run.history] == [1.0, 1.0, 1.0]
    assert caplog.text.count("TensorBoard's files cannot be written") == 1
