"""Finished trainings are set aside before they are made again, and taken back where their settings, code and data
return."""

import os
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ignet.files.atomic import read_json
from ignet.log import log
from ignet.train.finished import (
    FOLDER,
    KEPT,
    allow_restoring,
    note_identity,
    read_identity,
    restore_finished,
    set_aside,
    take_back,
)
from ignet.workflow.states import set_trainings_aside

SCRIPTS = Path(__file__).parents[1] / "workflow" / "scripts"
NAMES = ("model.safetensors", "metrics.json", "curves.csv", "model.settings.json")


def train(folder: Path, identity: str) -> list[Path]:
    """What a training of that identity leaves, and its outputs."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in NAMES:
        (folder / name).unlink(missing_ok=True)
        (folder / name).write_text(f"{name} of {identity}")
    note_identity(folder / NAMES[0], identity)
    return [folder / name for name in NAMES[:3]]


def remove(outputs: list[Path]) -> None:
    """As Snakemake does before a job."""
    for path in outputs:
        path.unlink()


def test_what_was_set_aside_comes_back_for_its_identity_alone(tmp_path: Path) -> None:
    state = tmp_path / "state"
    outputs = train(tmp_path / "run", "good")
    assert set_aside(state, outputs) == state / "good" / FOLDER
    assert all(path.is_file() for path in outputs)
    remove(outputs)
    assert not restore_finished(state, "slip", outputs)
    train(tmp_path / "run", "slip")
    remove(outputs)
    assert restore_finished(state, "good", outputs)
    assert [(tmp_path / "run" / name).read_text() for name in NAMES] == [f"{name} of good" for name in NAMES]
    assert read_identity(outputs[0]) == "good"
    assert not list(tmp_path.rglob("*.tmp"))


def test_a_copy_serves_where_there_are_no_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "link", lambda *paths: (_ for _ in ()).throw(OSError(1, "Operation not permitted")))
    outputs = train(tmp_path / "run", "good")
    set_aside(tmp_path / "state", outputs)
    remove(outputs)
    assert (
        restore_finished(tmp_path / "state", "good", outputs) and outputs[0].read_text() == "model.safetensors of good"
    )


@pytest.mark.parametrize("damage", ["metrics.json", "model.settings.json", ".identity"])
def test_an_unfinished_training_is_not_set_aside(tmp_path: Path, damage: str) -> None:
    outputs = train(tmp_path / "run", "good")
    (tmp_path / "run" / damage).unlink()
    assert set_aside(tmp_path / "state", outputs) is None and not (tmp_path / "state").exists()


def test_the_weights_say_which_training_it_was_wherever_the_other_outputs_lie(tmp_path: Path) -> None:
    state, outputs = tmp_path / "state", train(tmp_path / "run", "good")
    (tmp_path / "tables").mkdir()
    elsewhere = [outputs[0], *(path.rename(tmp_path / "tables" / path.name) for path in outputs[1:])]
    folder = set_aside(state, elsewhere)
    assert folder is not None and read_json(folder / "set_aside.json")["output"] == "../run/model.safetensors"
    remove(elsewhere)
    assert restore_finished(state, "good", elsewhere) and all(path.is_file() for path in elsewhere)


def test_one_that_cannot_be_removed_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = tmp_path / "state"
    for number in range(KEPT):
        folder = set_aside(state, train(tmp_path / "run", f"id{number}"))
        assert folder is not None
        os.utime(folder / "set_aside.json", (number, number))
    rmdir, refused = os.rmdir, []

    def refuse(path: Any, **options: Any) -> None:
        if Path(path).name == FOLDER:
            refused.append(path)
            raise PermissionError(13, "Permission denied", path)
        rmdir(path, **options)

    monkeypatch.setattr(os, "rmdir", refuse)
    assert set_aside(state, train(tmp_path / "run", "last")) == state / "last" / FOLDER and refused


@pytest.mark.parametrize("main", [True, False])
def test_the_main_process_alone_takes_back_and_all_know_it(
    tmp_path: Path, main: bool, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "propagate", True)
    caplog.set_level("INFO")
    outputs = train(tmp_path / "run", "good")
    set_aside(tmp_path / "state", outputs)
    remove(outputs)
    args: Any = SimpleNamespace(state=tmp_path / "state", out=outputs[0], metrics=outputs[1], curves_csv=outputs[2])
    ranks: Any = SimpleNamespace(main=main, any=lambda own: (own, "of any"))
    assert take_back(args, "good", ranks) == (main, "of any")
    assert outputs[0].exists() == main and (f"took back {outputs[0]}" in caplog.text) == main


def test_an_incomplete_folder_is_not_taken_back(tmp_path: Path) -> None:
    outputs = train(tmp_path / "run", "good")
    (tmp_path / "state" / "good" / FOLDER).mkdir(parents=True)
    assert not restore_finished(tmp_path / "state", "good", outputs)
    folder = set_aside(tmp_path / "state", outputs)
    assert folder is not None
    (folder / "curves.csv").unlink()
    assert not restore_finished(tmp_path / "state", "good", outputs)


def test_the_newest_of_each_training_are_kept(tmp_path: Path) -> None:
    state = tmp_path / "state"
    other = set_aside(state, train(tmp_path / "other", "other"))
    found = []
    for number in range(KEPT + 2):
        found.append(set_aside(state, train(tmp_path / "run", f"id{number}")))
        os.utime(found[-1] / "set_aside.json", (number, number))
    (state / "id1").mkdir(exist_ok=True)
    found.append(set_aside(state, train(tmp_path / "run", "last")))
    assert [folder.exists() for folder in found] == [False] * 3 + [True] * 3
    assert other is not None and other.exists()
    assert sorted(path.name for path in state.iterdir()) == ["id1", "id3", "id4", "last", "other"], (
        "only empty folders go"
    )


def job(folder: Path, rule: str = "train_3d", **wildcards: str) -> SimpleNamespace:
    outputs = [str(folder / name) for name in NAMES[:3]]

    class Output(list):
        model, metrics, curves = outputs

    return SimpleNamespace(rule=SimpleNamespace(name=rule), output=Output(outputs), wildcards_dict=wildcards)


def dag(jobs: list[Any], forced: bool = False, known: bool = True) -> Any:
    persistence = SimpleNamespace(metadata=lambda output: {} if known else None)
    needed = SimpleNamespace(needrun_jobs=lambda: jobs, reason=lambda job: SimpleNamespace(forced=forced))
    needed.workflow = SimpleNamespace(persistence=persistence)
    return needed


def test_trainings_that_will_run_are_set_aside_and_no_other_jobs(tmp_path: Path) -> None:
    states = {"train_3d": tmp_path / "state"}
    outputs = train(tmp_path / "run", "good")
    jobs = [
        job(tmp_path / "run", run="full", seed="0"),
        job(tmp_path / "run", "evaluate"),
        job(tmp_path / "never", run="ignet", seed="0"),
    ]
    assert set_trainings_aside(dag(jobs, known=False), states) == [], "it was interrupted"
    assert set_trainings_aside(dag(jobs), states) == ["train_3d run=full seed=0"]
    assert restore_finished(states["train_3d"], "good", outputs)


def test_a_forced_training_is_done_and_loses_nothing(tmp_path: Path) -> None:
    states, outputs = {"train_3d": tmp_path / "state"}, train(tmp_path / "run", "good")
    assert set_trainings_aside(dag([job(tmp_path / "run")], forced=True), states)
    assert not restore_finished(states["train_3d"], "good", outputs)
    assert set_trainings_aside(dag([]), states) == []
    assert restore_finished(states["train_3d"], "good", outputs)
    allow_restoring(tmp_path / "nothing")


def test_every_training_looks_for_its_finished_result() -> None:
    trainings = [
        path.read_text(encoding="utf-8")
        for path in SCRIPTS.glob("*.py")
        if "add_training(" in path.read_text(encoding="utf-8")
    ]
    assert len(trainings) == 3
    for text in trainings:
        asked = r"identity = stage\.identity\(.*\n    if take_back\(args, identity, ranks\):\n        return\n"
        assert re.search(asked, text)
        # before any data are opened
        before = text[text.index("def main") : text.index("take_back(args")]
        assert not re.search(r"(SourceDataset|LidarDataset|open_target)\(", before)
        assert "training.export(" in text
