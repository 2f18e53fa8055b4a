"""Every sequence that a job reads is checked before it, whatever target was named, and no result depends on the
check."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from snakemake_command import rule_commands, rule_texts, snakemake_command
from tiny_state import CONFIG, names, plans

TEST_PREDICTIONS = "predict/full/seed0/sequences/11/predictions"


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
    return {name.split()[1] for name in found if name.startswith("dataset_check")}


def test_a_named_target_brings_the_checks_of_what_its_jobs_read(tmp_path: Path, data: tuple[str, ...]) -> None:
    expected = {
        TEST_PREDICTIONS: {"00", "01", "11"},
        "projection/08.h5": {"08"},
        "train_3d/full/seed0/model.safetensors": {"00", "01"},
        "pretrain_2d/model.safetensors": set(),
        "evaluate/full/seed0/metrics.json": {"00", "01", "08"},
    }
    found = plans(
        tmp_path, {target: (tmp_path, (*data, "--cores", "1", f"results/tiny/{target}")) for target in expected}
    )
    assert {target: checked(names(plan)) for target, plan in found.items()} == expected
    for plan in found.values():
        order = [job.name for job in plan.jobs]
        for number, job in enumerate(plan.jobs):
            read = {job.wildcards["sequence"]} if "sequence" in job.wildcards and job.rule != "dataset_check" else set()
            assert all(order.index(f"dataset_check sequence={sequence}") < number for sequence in read), job.name


def test_a_check_that_is_done_or_changed_reruns_nothing(tiny_finished: Path, tmp_path: Path) -> None:
    target = ("--cores", "1", "results/tiny/train_3d/full/seed0/model.safetensors")
    steps, stricter = "runs={full: {steps: 5}}", "dataset={require_all_scans: true}"
    wanted = {
        "done": ("--config", steps, *target),
        "changed, nothing to run": ("--config", stricter, *target),
        "changed": ("--config", stricter, steps, *target),
        "changed, everything": ("--config", stricter, "compare={baseline: full}"),
    }
    found = {
        name: names(plan)
        for name, plan in plans(tmp_path, {name: (tiny_finished, more) for name, more in wanted.items()}).items()
    }
    assert found["done"] == {"train_3d full 0"} and found["changed, nothing to run"] == set()
    assert found["changed"] == {"train_3d full 0", "dataset_check 00", "dataset_check 01"}
    # no change of what comes after a job that waits for a check is overlooked
    assert {"compare", "dataset_check 08"} <= found["changed, everything"]
    assert not {name for name in found["changed, everything"] if name.startswith(("train_3d", "projection", "predict"))}


def test_nothing_that_waits_for_a_failed_check_runs(
    tmp_path: Path, data: tuple[str, ...], make_tree: Callable[..., Path]
) -> None:
    os.truncate(tmp_path / "data/sequences/08/labels/000001.label", 7)
    command = snakemake_command(tmp_path, "--configfile", CONFIG)
    command += [
        "--cores",
        "2",
        "--keep-going",
        *data,
        "--",
        "results/tiny/projection/08.h5",
        "results/tiny/projection/00.h5",
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, env=environment, check=False)
    assert (
        done.returncode == 1 and "000001.label" in (tmp_path / "results/tiny/logs/dataset_check/08.log").read_text()
    ), done.stderr
    assert {path.name for path in (tmp_path / "results/tiny/projection").glob("*.h5")} == {"00.h5"}


def test_every_rule_that_reads_the_dataset_says_which_sequences() -> None:
    commands, texts = rule_commands(), rule_texts()
    readers = [name for name, command in commands.items() if "[IGNET_TARGET]" in command]
    assert len(readers) > 10
    for name in readers:
        own = "{wildcards.sequence:q}" in commands[name]
        assert own or "sequences=" in texts[name] or "rules.dataset_manifest.output" in texts[name], name
