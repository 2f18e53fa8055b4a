"""The whole DAG on a tiny embedded world, and what a change invalidates."""

import importlib.util
import json
import os
import re
import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from invalidation_cases import SETTINGS
from snakemake_command import snakemake_command
from tiny_state import CONFIG, ROOT, names, plan, plans

from ignet.config.training_3d import Train3DConfig
from ignet.data.label_sets.label_set import SEMANTICKITTI
from ignet.evaluate.submission import check_submission, list_scans
from ignet.files.atomic import read_weights
from ignet.models.segmentor3d import build_network
from ignet.view.curves import as_curve, events_folder
from ignet.view.status import Status
from ignet.workflow.schedule import read_schedule


def snakemake(folder: Path, *arguments: str, config: Path = CONFIG) -> subprocess.CompletedProcess:
    command = snakemake_command(folder, "--cores", "2")
    command += ["--configfile", config, *arguments]
    return subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny DAG, run once."""
    folder = tmp_path_factory.mktemp("tiny")
    result = snakemake(folder)
    logs = "\n".join(f"{p}:\n{p.read_text()[-2000:]}" for p in folder.rglob("*.log")) if result.returncode else ""
    assert result.returncode == 0, result.stderr[-4000:] + logs
    return folder


def test_every_artifact_is_there(finished: Path) -> None:
    results = finished / "results" / "tiny"
    for run in ("full", "baseline", "ignet", "ignet_50", "self_trained"):
        metrics = json.loads((results / f"evaluate/{run}/seed0/metrics.json").read_text())
        assert 0 <= metrics["miou"] <= metrics["miou_occurring"] <= 1
    table = pd.read_csv(results / "compare/table.csv")
    assert set(table["run"]) == {"full", "baseline", "ignet", "ignet_50", "self_trained"}
    for name in ("table", "slices", "labelled_frames"):
        assert "cylinder3d as_published (ignet)" in (results / f"compare/{name}.md").read_text()
    assert "cylinder3d" not in (results / "compare/published.md").read_text()
    shares = pd.read_csv(results / "compare/labelled_frames.csv").set_index("method")
    assert (
        list(shares.loc["ignet", ["50 %", "100 %"]].notna()) == [True, True]
        and shares.loc["LaserMix++, MinkUNet, camera in training", "1 %"] == 63.2
    )
    assert "full" not in shares.index  # dense labels; the shares are of scribbles
    assert "2 of 4 scans are labelled" in (results / "logs/train_3d/ignet_50/seed0.log").read_text()
    assert "2 of 4 scans are labelled" in (results / "logs/adapt_2d/half.log").read_text()
    # learned from the other network's pseudo-labels
    _, metadata = read_weights(results / "train_3d/self_trained/seed0/model.safetensors")
    assert json.loads(metadata["backbone"])["name"] == "spvcnn"
    for name in (
        "compare/table.md",
        "compare/table.tex",
        "compare/curves.png",
        "figures/data.png",
        "report/index.html",
        "dataset/manifest.csv",
    ):
        assert (results / name).stat().st_size > 0
    assert not [p for p in finished.rglob("*.tmp*") if ".snakemake" not in p.parts]


def test_the_start_was_recorded_and_all_of_it_is_done(finished: Path) -> None:
    """What `ignet view` shows, on a workflow that was really run."""
    results = finished / "results" / "tiny"
    schedule = read_schedule(results)
    assert Path(schedule.directory) == finished and schedule.slots == 2
    rules = Counter(job.rule for job in schedule.jobs)
    assert rules["train_3d"] == 5 and rules["report"] == 1 and "all" not in rules
    assert all(other < number for number, job in enumerate(schedule.jobs) for other in job.after)
    found = Status(results)
    state = found.read()
    assert (state["alive"], state["done"], state["jobs"]) == (False, len(schedule.jobs), len(schedule.jobs))
    assert all(stage["time"] for stage in state["stages"])
    groups = {group["title"]: [run for run, _ in group["runs"]] for group in found.curves()}
    assert sorted(groups["3D networks"]) == ["baseline", "full", "ignet", "ignet_50", "self_trained"]
    assert sorted(groups["2D networks"]) == ["adapted", "half", "source"]
    # what a running training writes is found from where its table will be
    job = next(job for job in schedule.jobs if job.name == "train_3d ignet 0")
    folder = events_folder(finished / next(path for path in job.outputs if path.endswith("curves.csv")))
    assert list(folder.glob("events.out.*")) and as_curve({}) is None


def test_second_run_has_nothing_to_do(finished: Path) -> None:
    assert plan(finished).jobs == []


def test_exported_weights_hold_the_backbone_alone_and_predict_from_a_scan(finished: Path, tmp_path: Path) -> None:
    results = finished / "results" / "tiny"
    weights = results / "train_3d/ignet/seed0/model.safetensors"
    tensors, metadata = read_weights(weights)
    names, settings = set(tensors), Train3DConfig(backbone=json.loads(metadata["backbone"])).backbone
    assert names == set(build_network(settings, SEMANTICKITTI).state_dict())
    assert not [
        name for name in names if "head" in name or "guidance" in name or "projection" in name or "memory" in name
    ]

    copy = tmp_path / "alone.bin"
    scan = next((results / "world/target/sequences/08/velodyne").glob("*.bin"))
    copy.write_bytes(scan.read_bytes())
    command = [
        sys.executable,
        "-m",
        "ignet",
        "predict",
        "--weights",
        weights,
        copy,
        "--out",
        tmp_path / "alone.label",
        "--engine",
        "torch",
    ]
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert result.returncode == 0, result.stderr
    predicted = np.fromfile(tmp_path / "alone.label", np.uint32)
    workflow = np.fromfile(results / f"predict/ignet/seed0/sequences/08/predictions/{scan.stem}.label", np.uint32)
    assert (predicted == workflow).mean() > 0.999
    assert 0 not in predicted


def test_a_computed_state_reruns_what_the_marked_one_does(finished: Path, tmp_path: Path) -> None:
    """test_invalidation.py has the whole table, on a state that was not computed but marked as finished."""
    cases = ["features", "a run's weight", "projection", "a new run", "execution"]
    found = plans(tmp_path, {case: (finished, ("--config", SETTINGS[case][0])) for case in cases})
    assert {case: names(found[case]) for case in cases} == {case: SETTINGS[case][1] for case in cases}


@pytest.mark.skipif(
    not importlib.util.find_spec("snakemake_executor_plugin_slurm"),
    reason="no snakemake-executor-plugin-slurm: make setup",
)
def test_slurm_profile_is_no_part_of_identity(finished: Path) -> None:
    assert plan(finished, "--profile", str(ROOT / "workflow" / "profiles" / "slurm")).jobs == []


def test_the_launcher_is_shown_for_trainings_alone(finished: Path) -> None:
    planned = snakemake(finished, "--dry-run", "--printshellcmds", "--forceall", "--config", "execution={processes: 2}")
    commands = [line for line in (planned.stdout + planned.stderr).splitlines() if line.startswith("Shell command: ")]
    launched = [
        found[1]
        for line in commands
        if (found := re.search(r"-m ignet.train.torchrun --nproc-per-node 2 \S*/(\w+\.py) ", line))
    ]
    assert sorted(launched) == ["adapt_2d.py", "adapt_2d.py", "pretrain_2d.py", *["train_3d.py"] * 5]
    assert len(commands) > 20


def test_no_input_is_ancient() -> None:
    """While the rule behind such an input is planned, Snakemake does not compare the params of the rules that read it:
    stale results."""
    rules = [ROOT / "Snakefile", *(ROOT / "workflow" / "rules").glob("*.smk")]
    code = [line.split("#")[0] for path in rules for line in path.read_text().splitlines()]
    assert not [line for line in code if "ancient(" in line]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("colour=1", ["unknown key 'colour'"]),
        ("train_3d={steps: many}", ["train_3d.steps", "many"]),
        ("dataset={root: /nowhere/at/all}", ["/nowhere/at/all", "sequences"]),
        ("source={root: /nowhere/at/all}", ["/nowhere/at/all", "source.root"]),
    ],
)
def test_bad_configuration_is_one_line(tmp_path: Path, change: str, words: list[str]) -> None:
    result = snakemake(tmp_path, "--dry-run", "--config", change)
    assert result.returncode == 1
    lines = [line for line in result.stderr.splitlines() if not line.startswith("Using workflow specific profile")]
    assert len(lines) == 1, result.stderr
    assert all(word in lines[0] for word in ("error: ", *words))
    assert "Traceback" not in result.stdout


def test_settings_that_snakemake_would_drop_are_one_line(tmp_path: Path) -> None:
    result = snakemake(tmp_path, "--dry-run", "--config", "seeds=[1]", "--config", "results=elsewhere")
    assert result.returncode == 1
    lines = [line for line in result.stderr.splitlines() if not line.startswith("Using workflow specific profile")]
    assert len(lines) == 1 and lines[0].startswith("error: --config: found 2 times"), result.stderr


def test_report_is_one_page_that_needs_no_network(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`snakemake --report` embeds what the rules mark, with captions; with every proxy at a closed port a download
    would fail."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    page = tmp_path / "report.html"
    result = snakemake(finished, "--report", str(page))
    assert result.returncode == 0, result.stderr
    assert "downloading" not in result.stderr
    html = page.read_text()
    for name in (
        "table.csv",
        "networks_2d.csv",
        "gains.csv",
        "curves.png",
        "summary.txt",
        "data.png",
        "_above.png",
        "report/index.html",
    ):
        assert name in html, name
    for words in (
        "All runs side by side",
        "Training curves of all runs",
        "A frame of a validation sequence",
        "results/tiny",
    ):
        assert words in html, words
    assert not re.findall(r"""(?:src|href)=["'](?:https?:)?//[^"']+\.(?:js|css)""", html)
    assert plan(finished).jobs == []


def test_the_test_sequences_are_packed_for_a_benchmark(finished: Path) -> None:
    """Scans without labels are checked, predicted by one network and packed; nothing evaluates them."""
    hidden = ("--config", 'dataset={test_sequences: ["09"], hidden_test_labels: true}', "submission={run: full}")
    planned = snakemake(finished, *hidden, "--dry-run", "--quiet", "host", "--", "submission")
    jobs = {line.split()[0] for line in planned.stdout.splitlines() if len(line.split()) == 2}
    assert {"world_target", "dataset_check", "predict", "submission"} <= jobs
    assert not jobs & {"evaluate_test", "projection", "figures_projection", "train_3d"}
    snakemake(finished, *hidden, "--", "submission")
    file = finished / "results/tiny/submission/submission.zip"
    world = finished / "results/tiny/world/target"
    assert check_submission(file, list_scans(world, ["09"]), SEMANTICKITTI) == []
    with zipfile.ZipFile(file) as packed:
        (entry,) = [name for name in packed.namelist() if name.endswith("000001.label")]
        predicted = finished / "results/tiny/predict/full/seed0" / entry
        assert packed.read(entry) == predicted.read_bytes()
    assert json.loads((finished / "results/tiny/dataset/09.json").read_text())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("seeds=[0]", ["dataset.test_sequences is empty", "hidden_test_labels"]),
        ('dataset={test_sequences: ["09"]} submission={run: nobody}', ["submission.run: found no run 'nobody'"]),
        ('dataset={test_sequences: ["09"]} submission={seed: 7}', ["submission.seed: found 7", "seeds of 'ignet'"]),
    ],
)
def test_a_submission_of_nothing_is_one_line(tmp_path: Path, change: str, words: list[str]) -> None:
    parts = change.replace("} ", "}|").split("|")
    command = snakemake_command(tmp_path, "--configfile", CONFIG, "--dry-run", "--config", *parts, "--", "submission")
    done = subprocess.run(command, capture_output=True, text=True)
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error")]
    assert done.returncode == 1 and all(word in line for word in words), done.stderr
