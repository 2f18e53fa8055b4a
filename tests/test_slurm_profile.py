"""The SLURM profile and what jobs ask for, without a SLURM; with a real one: `make test-slurm`."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from snakemake_command import rule_commands, rule_texts, snakemake_command

from ignet.config.base import validate
from ignet.config.execution import (
    ASKED,
    GPU_STAGES,
    TRAININGS,
    ExecutionConfig,
    job_gpus,
    job_memory,
    job_runtime,
    job_workers,
)
from ignet.errors import IgnetError
from ignet.stage.scheduler import deadline, out_of_memory

ROOT = Path(__file__).parents[1]
PROFILE = ROOT / "workflow" / "profiles" / "slurm"
SETTINGS = yaml.safe_load((PROFILE / "config.yaml").read_text())
RULES = rule_texts()
INSTALLED = importlib.util.find_spec("snakemake_executor_plugin_slurm")
LIMIT = '${{IGNET_JOB_START:+--max-minutes {resources.runtime:q} --job-start "$IGNET_JOB_START"}}'


def dry_run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = snakemake_command(folder, "--dry-run", "--printshellcmds")
    command += ["--configfile", ROOT / "config" / "tiny.yaml", "--profile", PROFILE, *arguments]
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)


def test_profile_names_rules_that_exist() -> None:
    named = {*SETTINGS["groups"], *SETTINGS["set-resources"]}
    assert {"projection", "features", "predict", "dataset_check", "world_target"} <= named
    assert named <= set(RULES)
    assert set(SETTINGS["group-components"]) == set(SETTINGS["groups"].values())


def uncommented() -> dict:
    """The profile's `set-resources` as it reads when every line that it suggests there is taken."""
    lines = (PROFILE / "config.yaml").read_text().splitlines()
    return yaml.safe_load("\n".join(re.sub(r"^(\s+)# (?=\w+: )", r"\1", line) for line in lines))["set-resources"]


def test_suggested_lines_name_every_stage_that_uses_a_gpu_and_hold() -> None:
    suggested = uncommented()
    partitions = {rule for rule, asked in suggested.items() if "slurm_partition" in asked}
    assert partitions == set(GPU_STAGES)
    for rule, asked in SETTINGS["set-resources"].items():
        assert asked.items() <= suggested[rule].items(), "lost when the suggestion is taken"
    section = (PROFILE / "config.yaml").read_text().partition("set-resources:")[2].partition("# ---")[0]
    keys = re.findall(r"^  (?:# )?(\w+):", section, re.M)
    assert all(keys.count(rule) == 1 for rule in GPU_STAGES), "of two lines of one rule the lower one holds"


@pytest.mark.parametrize("rule", TRAININGS)
def test_the_gpus_of_a_training_are_on_one_node(rule: str) -> None:
    """SLURM may spread them otherwise, and the launcher starts processes on one node only."""
    text = (ROOT / "workflow" / "rules" / "inputs.smk").read_text(encoding="utf-8")
    found = re.search(r"^def asked_by_training\(.*?(?=^\S)", text, re.M | re.S)
    assert found
    scope = {"EXECUTION": ExecutionConfig(gpus=4), "asked": lambda stage: {}, "launcher": lambda stage: ""}
    scope |= {"gpus": lambda stage: 4, "job_workers": job_workers}
    exec(found.group(), scope)
    assert scope["asked_by_training"](rule)["nodes"] == 1
    assert "asked_by_training" in RULES[rule]


def test_no_training_is_grouped() -> None:
    """A group is cut off at its time limit as a whole, and its jobs would wait for each other."""
    assert not set(TRAININGS) & set(SETTINGS["groups"])


@pytest.mark.parametrize("rule", sorted(RULES))
def test_every_rule_asks_for_resources_of_its_own(rule: str) -> None:
    assert rule in (*TRAININGS, *ASKED), f"add '{rule}' to ASKED in ignet/config/execution.py"
    assert f'("{rule}"),' in RULES[rule].split("    resources:")[1].split("    params:")[0], "asked, of another rule"


def test_memory_follows_processes_and_their_loaders() -> None:
    nothing = ExecutionConfig()
    assert (job_workers(nothing, 0), job_workers(nothing, 1)) == (0, 4)
    assert job_memory(nothing, "train_3d") == 4000
    assert job_memory(nothing, "train_3d", gpus=1) == 4000 + 4 * 2000, "a GPU of this machine"
    four = ExecutionConfig(device="cuda", gpus=4)
    assert job_memory(four, "train_3d") == 4 * (4000 + 4 * 2000)
    few = ExecutionConfig(device="cuda", gpus=4, workers=1)
    assert job_workers(few, 4) == 1 and job_memory(few, "train_3d") == 4 * (4000 + 2000)
    assert ExecutionConfig(workers=0).workers == 0 == job_workers(ExecutionConfig(workers=0), 4)
    assert job_memory(four, "features") == ASKED["features"][0], "a stage without loaders"


@pytest.mark.parametrize("rule", TRAININGS)
def test_trainings_are_told_their_time_limit(rule: str) -> None:
    assert LIMIT in rule_commands()[rule]


def test_what_jobs_ask_for() -> None:
    execution = ExecutionConfig.model_validate(
        {
            "mem_mb": 8000,
            "runtime": 600,
            "gpus": 4,
            "stages": {"features": {"mem_mb": 9001, "runtime": 30}, "adapt_2d": {"gpus": 1}},
        }
    )
    assert [job_memory(execution, "train_3d", attempt) for attempt in (1, 2, 3, 4)] == [8000, 12000, 16000, 16000]
    assert [job_memory(execution, "features", attempt) for attempt in (1, 2)] == [9001, 13501]
    assert [job_runtime(execution, "train_3d", attempt) for attempt in (1, 5)] == [600, 600]
    assert [job_runtime(execution, "features", attempt) for attempt in (1, 2, 3)] == [30, 60, 60]
    asked = {
        stage: job_gpus(execution, stage)
        for stage in ("train_3d", "adapt_2d", "features", "predict", "projection", "compare")
    }
    assert asked == {"train_3d": 4, "adapt_2d": 1, "features": 1, "predict": 1, "projection": 0, "compare": 0}
    assert {job_gpus(ExecutionConfig(), stage) for stage in (*TRAININGS, *ASKED)} == {0}


@pytest.mark.parametrize(
    ("stages", "words"),
    [
        ({"train": {"mem_mb": 4000}}, ["'train'", "train_3d"]),
        ({"train_3d": {"memory": 4000}}, ["memory"]),
        ({"train_3d": {"runtime": 0}}, ["runtime"]),
    ],
)
def test_wrong_stages_are_one_line(stages: dict, words: list[str]) -> None:
    with pytest.raises(IgnetError) as error:
        validate(ExecutionConfig, {"stages": stages}, "execution")
    assert all(word in str(error.value) for word in words) and "\n" not in str(error.value)


def test_deadline() -> None:
    assert deadline(None) is None
    assert deadline(10, 1000.0) == 1000 + 8 * 60  # a fifth before
    assert deadline(240, 1000.0) == 1000 + 235 * 60  # five minutes before


def test_without_a_job_the_deadline_counts_from_the_start_of_the_process() -> None:
    code = (
        "import time; time.sleep(0.5); from ignet.stage.scheduler import *; print(time.time() - process_start(), "
        "deadline(10) - process_start())"
    )
    age, left = map(
        float, subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    )
    assert 0.5 <= age < 600
    assert left == pytest.approx(8 * 60 - age, abs=1)


def test_jobs_that_slurm_killed_for_want_of_memory_are_named(tmp_path: Path) -> None:
    logs = {
        "rule_train_3d/baseline_0/5.log": "slurmstepd: error: Detected 1 oom-kill event(s) in StepId=5.0.",
        "group_extract_extract/6.log": "slurmstepd: error: Exceeded job memory limit",
        "rule_compare/7.log": "Error in rule compare: memory of the past",
        "rule_train_3d/ignet_0/4.log": "srun: error: n: task 0: Out Of Memory",
    }
    for number, (name, text) in enumerate(logs.items()):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        written = 10 if path.stem == "4" else 100 + number
        os.utime(path, (written, written))
    lines = out_of_memory(tmp_path, since=50)
    assert len(lines) == 2
    assert "job 5 (train_3d)" in lines[0] and "execution.stages.train_3d.mem_mb" in lines[0]
    assert "job 6 (extract)" in lines[1] and "execution.stages.extract.mem_mb" in lines[1]
    assert out_of_memory(tmp_path / "none") == []


@pytest.mark.skipif(not INSTALLED, reason="no snakemake-executor-plugin-slurm: make setup")
def test_dry_run_with_the_profile(tmp_path: Path) -> None:
    answer = dry_run(tmp_path, "--config", "execution={stages: {train_3d: {runtime: 77}}, runtime: 33}")
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.count("--max-minutes 77") == 5  # the five runs of config/tiny.yaml
    assert answer.stdout.count("--max-minutes 33") == 3  # pretrain_2d and two adaptations


@pytest.mark.parametrize(
    ("started", "expected"), [("", "train end"), ("170", "train --max-minutes 5 --job-start 170 end")]
)
def test_without_a_scheduler_no_time_limit_reaches_the_training(started: str, expected: str) -> None:
    line = LIMIT.replace(":q}", "}").format(resources=SimpleNamespace(runtime=5))  # :q is Snakemake's own
    environment = {**os.environ, "IGNET_JOB_START": started}
    answer = subprocess.run(
        ["bash", "-c", f"echo train {line} end"], capture_output=True, text=True, env=environment, check=True
    )
    assert answer.stdout.strip() == expected
