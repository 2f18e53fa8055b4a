"""Every sequence that a job reads is checked before it, whatever target was named, and no result depends on the check."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_state import CONFIG, ROOT, names

from ignet.workflow.dag import Plan, make_plan

TEST_PREDICTIONS = "predictions/full/seed0/sequences/11/predictions"


def plan(folder: Path, target: str, *arguments: str) -> Plan:
    return make_plan([target, "--configfile", str(CONFIG), *arguments], ROOT / "Snakefile", folder)


@pytest.fixture
def data(make_tree: Callable[..., Path]) -> tuple[str, ...]:
    """Arguments for a user's dataset with a test sequence, 11, that has scans alone."""
    root = make_tree("data", ("00", "01", "08", "11"))
    for name in ("labels", "scribbles", "image_2"):
        for path in (root / "sequences/11" / name).iterdir():
            path.unlink()
        (root / "sequences/11" / name).rmdir()
    return "--config", f"dataset={{root: {root}, train_sequences: ['00', '01'], val_sequences: ['08']}}"


def checked(found: set[str]) -> set[str]:
    return {name.split()[1] for name in found if name.startswith("check_sequence")}


def test_a_named_target_brings_the_checks_of_what_its_jobs_read(tmp_path: Path, data: tuple[str, ...]) -> None:
    for target, expected in (
        (f"results/tiny/{TEST_PREDICTIONS}", {"00", "01", "11"}),
        ("results/tiny/projection/08.h5", {"08"}),
        ("results/tiny/train_3d/full/seed0/model.safetensors", {"00", "01"}),
        ("results/tiny/pretrain_2d/model.safetensors", set()),
        ("results/tiny/evaluate/full/seed0/metrics.json", {"00", "01", "08"}),
    ):
        found = plan(tmp_path, target, *data)
        assert checked(names(found)) == expected, target
        order = [job.name for job in found.jobs]
        for number, job in enumerate(found.jobs):
            read = {job.wildcards["sequence"]} if "sequence" in job.wildcards and job.rule != "check_sequence" else set()
            assert all(order.index(f"check_sequence sequence={sequence}") < number for sequence in read), job.name


def test_what_is_checked_is_not_checked_again(tiny_finished: Path) -> None:
    target = "results/tiny/train_3d/full/seed0/model.safetensors"
    assert plan(tiny_finished, target).jobs == []
    found = plan(tiny_finished, target, "--config", "runs={full: {steps: 5}}")
    assert names(found) == {"train_3d full 0"}


def test_a_change_of_the_check_reruns_the_check_alone(tiny_finished: Path) -> None:
    target = "results/tiny/train_3d/full/seed0/model.safetensors"
    stricter = ("--config", "dataset={complete: true}")
    assert plan(tiny_finished, target, *stricter).jobs == []
    found = plan(tiny_finished, target, *stricter, "runs={full: {steps: 5}}")
    assert names(found) == {"train_3d full 0", "check_sequence 00", "check_sequence 01"}
    # no overlooked change of what comes after a job that waits for a check
    everything = names(plan(tiny_finished, "all", *stricter, "compare={baseline: full}"))
    assert {"compare", "check_sequence 08"} <= everything and not {name for name in everything if name.startswith("train_3d")}


def test_nothing_that_waits_for_a_failed_check_runs(tmp_path: Path, data: tuple[str, ...], make_tree: Callable[..., Path]) -> None:
    os.truncate(tmp_path / "data/sequences/08/labels/000001.label", 7)
    command = [sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile", "--directory", tmp_path, "--configfile", CONFIG]
    command += ["--cores", "2", "--keep-going", *data, "--", "results/tiny/projection/08.h5", "results/tiny/projection/00.h5"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 1 and "000001.label" in (tmp_path / "results/tiny/logs/check_sequence/08.log").read_text(), done.stderr
    assert {path.name for path in (tmp_path / "results/tiny/projection").glob("*.h5")} == {"00.h5"}


def test_every_rule_that_reads_the_dataset_says_which_sequences() -> None:
    rules = "\n".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "workflow" / "rules").glob("*.smk")))
    readers = {name: body for name, body in re.findall(r"^rule (\w+):\n(.*?)(?=^\S|\Z)", rules, re.M | re.S) if "$IGNET_TARGET" in body}
    assert len(readers) > 10
    for name, body in readers.items():
        assert "{wildcards.sequence:q}" in body or "sequences=" in body or "rules.check_data.output" in body, name
