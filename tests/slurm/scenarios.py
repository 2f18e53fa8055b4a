"""The workflow through a real SLURM, and what clusters do to it: `make test-slurm`. Not part of `make test` (20 minutes
on two idle cores).

Each failure hits a 3D training, which must go on from its state and end with the bytes of a training that nothing
happened to.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cluster import (
    HERE,
    RESULTS,
    ROOT,
    TRAINING_LOG,
    WEIGHTS,
    Workflow,
    copy,
    jobs,
    last_id,
    lose_power,
    on_this_machine,
    slurm,
    steps_done,
    through_slurm,
    trainer,
    until,
)

SHORT = 120
TRAINING = "rule_train_3d_wildcards_baseline_0"
NODE = socket.gethostname().split(".")[0]


def steps(number: int) -> str:
    return f"runs={{baseline: {{steps: {number}}}}}"


@pytest.fixture(scope="session", autouse=True)
def cluster() -> Iterator[None]:
    """SLURM; it is stopped, and all that it started is ended, however the tests end."""
    folder = tempfile.mkdtemp(prefix="ignet-slurm-")
    script = HERE / "start_slurm.sh"
    try:
        started = subprocess.run(
            [script, "start", folder], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False
        )
        if started.returncode:
            pytest.exit(started.stderr.strip().splitlines()[-1], returncode=started.returncode)
        yield
    finally:
        subprocess.run([script, "stop", folder], check=True, timeout=120)
        shutil.rmtree(folder)


@pytest.fixture
def run() -> Iterator[Callable[..., Workflow]]:
    """Starts workflows, and ends them when the test ends."""
    with ExitStack() as started:
        yield lambda how, *arguments: started.enter_context(how(*arguments))
    slurm("scancel", "--user=root")
    until("an empty queue", lambda: not slurm("squeue", "--noheader"))


@pytest.fixture(scope="session")
def local(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole workflow on this machine, without SLURM."""
    folder = tmp_path_factory.mktemp("local")
    with on_this_machine(folder) as workflow:
        workflow.finish()
    return folder


@pytest.fixture(scope="session")
def short(local: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training of SHORT steps that nothing happened to."""
    folder = copy(local, tmp_path_factory.mktemp("short") / "run")
    with on_this_machine(folder, "--config", steps(SHORT), "--", WEIGHTS) as workflow:
        workflow.finish()
    return folder


def resumed_after(folder: Path) -> int:
    """The step that the last process of the training went on from."""
    found = re.findall(r"resumed after step (\d+) of", (folder / TRAINING_LOG).read_text())
    assert found, f"the training started anew:\n{(folder / TRAINING_LOG).read_text()}"
    return int(found[-1])


def same_weights(one: Path, other: Path) -> bool:
    return (one / WEIGHTS).read_bytes() == (other / WEIGHTS).read_bytes()


def test_whole_workflow_gives_the_same_bytes_as_without_slurm(
    local: Path, tmp_path: Path, run: Callable[..., Workflow]
) -> None:
    run(through_slurm, tmp_path).finish()

    done = jobs()
    assert {job["JobState"] for job in done} == {"COMPLETED"}
    training = next(job for job in done if job["Comment"] == TRAINING)
    asked = {key: training[key] for key in ("MinMemoryNode", "TimeLimit", "TresPerJob", "NumCPUs", "Partition")}
    assert asked == {
        "MinMemoryNode": "1500M",
        "TimeLimit": "00:10:00",
        "TresPerJob": "gres:gpu:1",
        "NumCPUs": "1",
        "Partition": "main",
    }
    check = [job for job in done if job["Comment"].startswith("rule_dataset_dataset_check")]
    # three sequences in one queue entry, one after the other: the memory of one, the time of three
    assert [(job["MinMemoryNode"], job["TimeLimit"]) for job in check] == [("1500M", "03:00:00")]
    assert len([job for job in done if "projection" in job["Comment"]]) == 1

    results = tmp_path / RESULTS
    weights = sorted(path.relative_to(local / RESULTS) for path in (local / RESULTS).rglob("*.safetensors"))
    assert len(weights) > 1
    for path in (*weights, "compare/table.csv", "dataset/manifest.csv"):
        assert (results / path).read_bytes() == (local / RESULTS / path).read_bytes(), path


def test_profile_is_no_part_of_identity(local: Path, tmp_path: Path, run: Callable[..., Workflow]) -> None:
    folder = copy(local, tmp_path / "run")
    said = run(through_slurm, folder, "--dry-run").finish()
    assert "Nothing to be done" in said


def test_scancel_during_training(local: Path, short: Path, tmp_path: Path, run: Callable[..., Workflow]) -> None:
    folder, before = copy(local, tmp_path / "run"), last_id()
    workflow = run(through_slurm, folder, "--config", steps(SHORT), "--", WEIGHTS)
    until("a checkpoint", lambda: steps_done(folder))
    slurm("scancel", jobs(before, TRAINING)[0]["JobId"])
    said = workflow.finish()

    assert [job["JobState"] for job in jobs(before)] == ["CANCELLED", "COMPLETED"]
    assert "SLURM status is: 'CANCELLED'" in said
    assert 0 < resumed_after(folder) < SHORT
    assert same_weights(folder, short)


def test_training_longer_than_its_time_limit(
    local: Path, short: Path, tmp_path: Path, run: Callable[..., Workflow]
) -> None:
    folder, before = copy(local, tmp_path / "run"), last_id()
    limit = "execution={stages: {train_3d: {runtime: 3}}}"
    workflow = run(through_slurm, folder, "--config", steps(SHORT), limit, "--", WEIGHTS)
    until("a checkpoint", lambda: steps_done(folder))
    # however fast the machine is, its first job does not end: it sleeps until 20 % of its three minutes are left
    job = jobs(before)[0]
    if process := trainer(job["JobId"]):
        os.kill(process, signal.SIGSTOP)
        until(
            "the time limit to be near",
            lambda: datetime.now() - datetime.fromisoformat(job["StartTime"]) > timedelta(seconds=146),
        )
        os.kill(process, signal.SIGCONT)
    said = workflow.finish()

    assert {job["TimeLimit"] for job in jobs(before)} == {"00:03:00"}
    states = [job["JobState"] for job in jobs(before)]
    assert len(states) > 1 and states == ["FAILED"] * (len(states) - 1) + ["COMPLETED"], said[-3000:]
    assert len(re.findall(r"the time limit is near: state saved after step \d+", said)) == len(states) - 1
    assert 0 < resumed_after(folder) < SHORT
    assert same_weights(folder, short)


def test_time_limit_that_the_training_does_not_see(
    local: Path, short: Path, tmp_path: Path, run: Callable[..., Workflow]
) -> None:
    folder, before = copy(local, tmp_path / "run"), last_id()
    workflow = run(through_slurm, folder, "--config", steps(SHORT), "--", WEIGHTS)
    until("a checkpoint", lambda: steps_done(folder))
    slurm("scontrol", "update", f"JobId={jobs(before, TRAINING)[0]['JobId']}", "EndTime=now")
    said = workflow.finish()

    assert [job["JobState"] for job in jobs(before)] == ["TIMEOUT", "COMPLETED"]
    assert "SLURM status is: 'TIMEOUT'" in said
    # SLURM looks at time limits now and then: a fast machine does all its steps before, and keeps its state
    assert 0 < resumed_after(folder) <= SHORT
    assert same_weights(folder, short)


def test_memory_limit(local: Path, short: Path, tmp_path: Path, run: Callable[..., Workflow]) -> None:
    folder, before = copy(local, tmp_path / "run"), last_id()
    few = "execution={stages: {train_3d: {mem_mb: 400}}}"
    said = run(through_slurm, folder, "--config", steps(SHORT), few, "--", WEIGHTS).finish()

    done = jobs(before)
    memory = [int(job["MinMemoryNode"].rstrip("M")) for job in done]
    assert memory == [400, 600, 800][: len(memory)] and len(memory) > 1
    # SLURM calls the step out of memory, but the job only where its own script was hit
    assert {job["JobState"] for job in done[:-1]} <= {"OUT_OF_MEMORY", "FAILED"} and done[-1]["JobState"] == "COMPLETED"
    for job in done[:-1]:
        assert f"out of memory: SLURM killed job {job['JobId']} (train_3d)" in said
    assert same_weights(folder, short)


def test_experiment_that_is_edited_while_its_job_waits(
    local: Path, short: Path, tmp_path: Path, run: Callable[..., Workflow]
) -> None:
    folder, before = copy(local, tmp_path / "run"), last_id()
    experiment = folder / "experiment.yaml"
    experiment.write_text(f"runs: {{baseline: {{steps: {SHORT}}}}}\n")
    slurm("scontrol", "update", f"NodeName={NODE}", "State=DRAIN", "Reason=test")
    try:
        workflow = run(through_slurm, folder, "--", WEIGHTS)
        until("a job in the queue", lambda: jobs(before, TRAINING))
        experiment.write_text("runs: {baseline: {steps: none}}\n")
    finally:
        slurm("scontrol", "update", f"NodeName={NODE}", "State=RESUME")
    workflow.finish()
    assert same_weights(folder, short)


def test_node_is_drained_and_resumed(local: Path, short: Path, tmp_path: Path, run: Callable[..., Workflow]) -> None:
    folder, before = copy(local, tmp_path / "run"), last_id()
    slurm("scontrol", "update", f"NodeName={NODE}", "State=DRAIN", "Reason=test")
    try:
        workflow = run(through_slurm, folder, "--config", steps(SHORT), "--", WEIGHTS)
        waiting = until("a job in the queue", lambda: jobs(before, TRAINING))[0]
        assert waiting["JobState"] == "PENDING"
        until(
            "the queue's reason",
            lambda: re.match("ReqNodeNotAvail|Resources|Nodes_required", jobs(before)[0]["Reason"]),
        )
    finally:
        slurm("scontrol", "update", f"NodeName={NODE}", "State=RESUME")
    until("a checkpoint", lambda: steps_done(folder))
    # a job that runs on a node which is drained ends undisturbed
    slurm("scontrol", "update", f"NodeName={NODE}", "State=DRAIN", "Reason=test")
    try:
        workflow.finish()
    finally:
        slurm("scontrol", "update", f"NodeName={NODE}", "State=RESUME")

    assert [(job["JobState"], job["Restarts"]) for job in jobs(before)] == [("COMPLETED", "0")]
    assert same_weights(folder, short)


def test_node_fails_and_comes_back(local: Path, short: Path, tmp_path: Path, run: Callable[..., Workflow]) -> None:
    folder, before = copy(local, tmp_path / "run"), last_id()
    workflow = run(through_slurm, folder, "--config", steps(SHORT), "--", WEIGHTS)
    until("a checkpoint", lambda: steps_done(folder))
    job = jobs(before)[0]["JobId"]
    slurm("scontrol", "update", f"NodeName={NODE}", "State=DOWN", "Reason=test")
    until("the end of all its processes", lambda: lose_power(job))
    until("the job back in the queue", lambda: jobs(before)[0]["JobState"] == "PENDING")
    slurm("scontrol", "update", f"NodeName={NODE}", "State=RESUME")
    workflow.finish()

    assert [(job["JobState"], job["Restarts"]) for job in jobs(before)] == [("COMPLETED", "1")]
    assert 0 < resumed_after(folder) < SHORT
    assert same_weights(folder, short)


def test_preempted_training_goes_on_under_its_own_number(
    local: Path, short: Path, tmp_path: Path, run: Callable[..., Workflow]
) -> None:
    folder, before = copy(local, tmp_path / "run"), last_id()
    workflow = run(through_slurm, folder, "--retries", "0", "--config", steps(SHORT), "--", WEIGHTS)
    until("a checkpoint", lambda: steps_done(folder))
    # however long SLURM takes, the training is not over before it is preempted: it sleeps until SLURM wakes it to tell
    # it so
    process = until("the training's process", lambda: trainer(jobs(before, TRAINING)[0]["JobId"]))
    assert isinstance(process, int)
    os.kill(process, signal.SIGSTOP)
    slurm(
        "sbatch",
        "--partition=urgent",
        "--exclusive",
        "--mem=100",
        "--time=1",
        f"--output={tmp_path / 'urgent'}",
        "--wrap=sleep 3",
    )
    workflow.finish()

    training = jobs(before, TRAINING)
    assert [(job["JobState"], job["Restarts"]) for job in training] == [("COMPLETED", "1")]
    # a fast machine does all its steps in the seconds that it is left
    assert 0 < resumed_after(folder) <= SHORT
    assert same_weights(folder, short)


def test_nothing_is_left_of_the_workflow(run: Callable[..., Workflow]) -> None:
    assert not slurm("squeue", "--noheader")
    assert not (ROOT / "slurm_logs").exists()
