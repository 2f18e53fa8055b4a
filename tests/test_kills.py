"""Every training stage, and the workflow, killed and started again: the same bytes in the end. The long version: ``make
test-kills``."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import torch
import yaml
from filelock import FileLock
from kills import (
    MOMENTS,
    ROOT,
    SIGNALS,
    Kill,
    Quoted,
    Workflow,
    artifacts,
    attempt,
    checkpoints,
    differences,
    draw,
    end_group,
    hear_signals,
    temporaries,
    write_config,
)
from script import run_here
from training_files import training_files

from ignet.train.interruption import EXIT_PREEMPTED
from ignet.train.outputs import NOTE
from ignet.workflow.signals import ENDING, FIRST

STAGES = ("pretrain_2d", "adapt_2d", "train_3d")


class Stages:
    """Command lines of the stages on a tiny world below ``root``, which they share; results lie in a folder for each
    way to run them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.config = write_config(root / "experiment.yaml", workers=0)
        values = yaml.safe_load(self.config.read_text())
        values["runs"]["unguided"] = {"contrastive": {"weight": 0.1}, "mixing": {"fovmix": {"probability": 0.5}}}
        self.config.write_text(yaml.dump(values, Dumper=Quoted))

    def command(self, name: str, *arguments: object) -> list[str]:
        script = ROOT / "workflow" / "scripts" / f"{name}.py"
        return [str(part) for part in (script, "--config", self.config, "--device", "cpu", "--threads", 1, *arguments)]

    def training(self, name: str, results: Path, *arguments: object) -> list[str]:
        """Command line of a training that writes to ``results/NAME`` and keeps its state in ``results/state/NAME``."""
        source, target = self.root / "world/source", self.root / "world/target"
        inputs = {
            "pretrain_2d": ("--source", source),
            "adapt_2d": (
                "--source",
                source,
                "--dataset",
                target,
                "--sequences",
                "00",
                "--pretrained",
                self.root / "whole/pretrain_2d/model.safetensors",
            ),
            "train_3d": (
                "--name",
                "unguided",
                "--dataset",
                target,
                "--sequences",
                "00",
                "--labels",
                target,
                "--seed",
                3,
            ),
        }[name]
        out = results / name
        outputs = training_files(out)
        state = ("--state", results / "state" / name, "--checkpoint-every", 0)
        projection = ("--projection", self.root / "projection") if name != "pretrain_2d" else ()
        return self.command(name, *inputs, *projection, *outputs, *state, *arguments)


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stages]:
    """The tiny world, and below ``whole`` what uninterrupted trainings make of it."""
    threads = torch.get_num_threads()
    stages = Stages(tmp_path_factory.mktemp("kills"))
    target = stages.root / "world/target"
    run_here(stages.command("world_source", "--out", stages.root / "world/source"))
    run_here(stages.command("world_target", "--sequence", "00", "--out", target / "sequences/00"))
    projection = ("--out", stages.root / "projection/00.h5")
    run_here(stages.command("projection", "--dataset", target, "--sequence", "00", "--scribbles", target, *projection))
    for name in STAGES:
        run_here(stages.training(name, stages.root / "whole"))
    yield stages
    torch.set_num_threads(threads)


def started(command: list[str], log: Path) -> subprocess.Popen:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    with log.open("w") as file:
        return subprocess.Popen(
            [sys.executable, *command], stderr=file, start_new_session=True, env=environment, preexec_fn=hear_signals
        )


def wait_for(process: subprocess.Popen, condition: Callable[[], bool]) -> None:
    while process.poll() is None and not condition():
        time.sleep(0.002)


@pytest.mark.parametrize(("name", "asked"), [*zip(STAGES, SIGNALS[-3:], strict=True)])
def test_killed_training_ends_byte_identical(stages: Stages, tmp_path: Path, name: str, asked: str) -> None:
    """SIGKILL while a later checkpoint is written, another signal to all processes of the second start; the third
    finishes."""
    log, results = tmp_path / "log.txt", tmp_path / "killed"
    whole = {key: value for key, value in artifacts(stages.root / "whole").items() if key.startswith(name)}
    assert len(whole) == 4

    process = started(stages.training(name, results), log)
    wait_for(process, lambda: bool(checkpoints(results)) and any("checkpoint" in path for path in temporaries(results)))
    end_group(process, signal.SIGKILL)
    assert not differences(artifacts(results), whole)

    old = checkpoints(results)
    process = started(stages.training(name, results, "--workers", 1), log)
    wait_for(process, lambda: bool(checkpoints(results) - old))
    end_group(process, signal.Signals[asked])
    assert process.wait() in (EXIT_PREEMPTED, 0), log.read_text()  # 0: it came when all was written
    assert "Traceback" not in log.read_text()
    assert not differences(artifacts(results), whole)

    run_here(stages.training(name, results))
    assert artifacts(results) == whole
    assert not temporaries(results)
    assert len(list((results / "state" / name).glob(f"*/{NOTE}"))) == 1  # no workflow has recorded the results


def made(results: Path) -> dict[str, str]:
    """The artifacts, without what a start of the workflow notes for `ignet why`: trainings by hand have no such
    notes."""
    return {key: value for key, value in artifacts(results).items() if not key.startswith("identity/")}


def test_killed_workflow_goes_on_without_help(stages: Stages, tmp_path: Path) -> None:
    """Nobody unlocks, removes or repeats anything by hand: the same command again."""
    results, training = tmp_path / "results/tiny", "2D network from source images"
    target, kill = "results/tiny/pretrain_2d/model.safetensors", Kill(training, "checkpoint", 0.0, "SIGKILL")
    first, _ = attempt(tmp_path, stages.config, results, lambda job: kill if job == training else None, target)
    whole = {key: value for key, value in artifacts(stages.root / "whole").items() if key.startswith("pretrain_2d")}
    world = {f"world/source/{key}": value for key, value in artifacts(stages.root / "world/source").items()}
    found = made(results)
    assert not differences(
        {key: value for key, value in found.items() if not key.endswith("source.settings.json")}, whole | world
    )

    second = Workflow(tmp_path, stages.config, target)
    second.finish()
    found = made(results)
    del found["world/source.settings.json"]
    assert found == whole | world
    assert sorted(first.jobs(finished=True) + second.jobs(finished=True)) == sorted(
        {"Embedded world: source images", training}
    )
    assert not temporaries(results)
    assert os.listdir(results / "state/pretrain_2d") == []


TARGET = "results/tiny/pretrain_2d/model.safetensors"


def test_a_training_that_outlives_its_workflow_is_taken_by_the_next_start(stages: Stages, tmp_path: Path) -> None:
    """Snakemake alone dies, the training ends well, and nobody has recorded it: no step is done again."""
    results = tmp_path / "results/tiny"
    first = Workflow(tmp_path, stages.config, TARGET)
    assert first.wait_for(lambda: bool(checkpoints(results)))
    first.process.kill()
    first.process.wait()
    with suppress(ProcessLookupError):
        while True:  # as long as the training lives
            os.killpg(first.process.pid, 0)
            time.sleep(0.01)
    whole = {key: value for key, value in artifacts(stages.root / "whole").items() if key.startswith("pretrain_2d")}
    assert {key: value for key, value in artifacts(results).items() if key.startswith("pretrain_2d")} == whole
    (state,) = (results / "state/pretrain_2d").iterdir()

    second = Workflow(tmp_path, stages.config, TARGET)
    second.finish()
    assert second.jobs(finished=True) == ["2D network from source images"]
    log = (results / "logs/pretrain_2d.log").read_text()
    assert "resumed after step 12 of 12" in log and "step of 12" not in log
    assert {key: value for key, value in artifacts(results).items() if key.startswith("pretrain_2d")} == whole
    assert not state.exists()


def test_signals_end_the_workflow_with_the_training_saved(stages: Stages, tmp_path: Path) -> None:
    """SIGTERM twice and SIGINT to Snakemake alone; Ctrl-C and a terminal that is closed reach all its processes."""
    results, done = tmp_path / "results/tiny", 0
    long = ("--config", "pretrain_2d={steps: 1000000}", "--", TARGET)
    for send, names in (
        (os.kill, ["SIGTERM", "SIGTERM"]),
        (os.kill, ["SIGINT"]),
        (os.killpg, ["SIGINT"]),
        (os.killpg, ["SIGHUP"]),
    ):
        old = checkpoints(results)
        workflow = Workflow(tmp_path, stages.config, *long)
        assert workflow.wait_for(lambda old=old: bool(checkpoints(results) - old))
        for name in names:
            send(workflow.process.pid, signal.Signals[name])
            workflow.wait_for(lambda log=workflow.log: FIRST in log.read_text() or ENDING in log.read_text())
        assert workflow.process.wait(300) == 1
        steps = [int(step) for step in re.findall(r"state saved after step (\d+)", workflow.text)]
        assert len(set(steps)) == 1 and steps[0] > done, workflow.text
        assert "Traceback" not in workflow.text
        done = steps[0]


def test_second_workflow_in_the_same_results_is_refused_in_one_line(stages: Stages, tmp_path: Path) -> None:
    lock = FileLock(tmp_path / "results/tiny/.workflow.lock")
    (tmp_path / "results/tiny").mkdir(parents=True)
    with lock:
        second = Workflow(tmp_path, stages.config, "results/tiny/world/source")
        assert second.process.wait() == 1
    errors = [line for line in second.text.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and "another workflow writes there" in errors[0] and "Traceback" not in second.text
    assert second.jobs(finished=False) == []


def test_a_seed_repeats_its_kills() -> None:
    jobs = ["2D network from source images", "Checking sequence 08", "3D network: run 'full', seed 0"]
    drawn = [draw(5, job, number) for job in jobs for number in range(20)]
    assert drawn == [draw(5, job, number) for job in jobs for number in range(20)]
    assert drawn != [draw(6, job, number) for job in jobs for number in range(20)]
    assert {kill.signal for kill in drawn} == set(SIGNALS)
    assert {kill.moment for kill in drawn} == set(MOMENTS)
