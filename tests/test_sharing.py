"""Two experiments over one folder of shared results, and Snakemake's cache between two working directories."""

import os
import re
import shutil
import subprocess
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from snakemake_command import rule_texts, snakemake_command
from tiny_state import plans

ROOT = Path(__file__).parents[1]
SHARED = "shared=results/shared"
TARGET = "results/{}/evaluate/ignet/seed0/metrics.json"
NEW_RUN = {"dataset_check": 3, "train_3d": 1, "predict": 1, "evaluate": 1}
"""Of an experiment that shares all else: it checks for itself what its jobs read."""


def snakemake(folder: Path, *arguments: str, root: Path = ROOT, cache: Path | None = None) -> str:
    """Run the workflow of ``root`` in ``folder``; returns all that it says."""
    command = snakemake_command(folder, "--cores", "2", project=root)
    command += ["--configfile", root / "config" / "tiny.yaml", *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(root)}
    environment.pop("SNAKEMAKE_OUTPUT_CACHE", None)
    if cache:
        environment["SNAKEMAKE_OUTPUT_CACHE"] = str(cache)
    result = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, env=environment, check=False
    )
    logs = "\n".join(f"{p}:\n{p.read_text()[-2000:]}" for p in folder.rglob("*.log")) if result.returncode else ""
    assert result.returncode == 0, result.stdout + result.stderr + logs
    return result.stdout + result.stderr


def planned(folder: Path, name: str, *changes: tuple[str, ...]) -> list[dict[str, int]]:
    """Jobs that the experiment ``name`` would run for one 3D network, by rule, for each of the changes."""
    scratch = Path(tempfile.mkdtemp(dir=folder))
    more = ("--cores", "2", TARGET.format(name))
    wanted = {
        str(settings): (folder, ("--config", f"results=results/{name}", SHARED, *settings, *more))
        for settings in changes
    }
    return [Counter(job.rule for job in plan.jobs) for plan in plans(scratch, wanted).values()]


DIFFERENCES: dict[tuple[str, ...], dict[str, int]] = {
    ("train_3d={steps: 5}",): NEW_RUN,
    ("adaptations={mine: {}}", "runs={ignet: {features: mine}}"): NEW_RUN,
    ("features={dtype: float16}",): {"features": 2, **NEW_RUN},
    ("pretrain_2d={steps: 5}",): {"pretrain_2d": 1, "adapt_2d": 1, "features": 2, **NEW_RUN},
    ("world={preset: avenue}",): {"world_target": 3, "projection": 3, "adapt_2d": 1, "features": 2, **NEW_RUN},
    # sequence 08 is projected without scribbles so far, 01 with
    ("dataset={train_sequences: ['00', '08'], val_sequences: ['01']}",): {
        "projection": 2,
        "adapt_2d": 1,
        "features": 2,
        **NEW_RUN,
    },
    ("adapt_2d={confidence: 0.9}",): {"adapt_2d": 1, "features": 2, **NEW_RUN},
}
"""Settings of a second experiment, and its jobs."""


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One 3D network of experiment `a`, and all that it needs."""
    folder = tmp_path_factory.mktemp("sharing")
    snakemake(folder, "--config", "results=results/a", SHARED, "--", TARGET.format("a"))
    return folder


def test_own_results_and_shared_ones_lie_apart(first: Path) -> None:
    stages = {path.name for path in (first / "results" / "a").iterdir()}
    assert {"train_3d", "predict", "evaluate", "shared"} <= stages
    assert not {"world", "projection", "pretrain_2d", "adapt_2d", "features", "evaluate_2d"} & stages
    weights = first / "results" / "a" / "shared" / "adapt_2d" / "adapted" / "model.safetensors"
    assert weights.is_file() and weights.resolve().is_relative_to(first / "results" / "shared" / "adapt_2d")


def test_a_new_name_of_an_adaptation_trains_nothing_and_a_second_experiment_makes_what_differs(first: Path) -> None:
    renamed = ("adaptations={adapted: null, mine: {}}", "runs={ignet: {features: mine}}")
    assert planned(first, "a", (), renamed) == [{}, {}]
    assert dict(zip(DIFFERENCES, planned(first, "b", *DIFFERENCES), strict=True)) == DIFFERENCES


def test_another_adaptation_lies_beside_the_first(first: Path) -> None:
    shared = first / "results" / "shared"
    before = {path: path.read_bytes() for path in shared.glob("adapt_2d/*/model.safetensors")}
    other = "adapt_2d={confidence: 0.9}"
    snakemake(first, "--config", "results=results/b", SHARED, other, "--until", "adapt_2d", "--", TARGET.format("b"))
    after = {path: path.read_bytes() for path in shared.glob("adapt_2d/*/model.safetensors")}
    assert len(before) == 1 and len(after) == 2 and before.items() <= after.items()
    assert planned(first, "a", ()) == [{}]
    # all that is read was checked before the adaptation
    assert planned(first, "b", (other,)) == [{"features": 2, "train_3d": 1, "predict": 1, "evaluate": 1}]
    links = [first / "results" / name / "shared" / "adapt_2d" / "adapted" for name in "ab"]
    assert {link.resolve() for link in links} == {path.parent for path in after}


def trained(text: str) -> bool:
    """The network was trained and stored; else it was taken from the cache. Either way its place holds links into the
    cache."""
    assert "model.safetensors from cache" in text
    return "model.safetensors to cache" in text


def test_networks_come_from_the_cache_until_their_code_changes(tmp_path: Path) -> None:
    project, cache = tmp_path / "project", tmp_path / "cache"
    cache.mkdir()
    for name in ("ignet", "workflow", "config", "envs"):
        shutil.copytree(ROOT / name, project / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "Snakefile", project)
    target = "results/tiny/pretrain_2d/model.safetensors"

    def run(folder: str, *settings: str) -> str:
        arguments = ("--config", *settings) if settings else ()
        return snakemake(tmp_path / folder, *arguments, "--cache", "--", target, root=project, cache=cache)

    assert trained(run("first"))
    assert not trained(run("second"))
    first, second = (tmp_path / folder / target for folder in ("first", "second"))
    assert first.read_bytes() == second.read_bytes()
    assert second.with_name("model.settings.json").is_file() and second.with_name("metrics.json").is_file()
    assert "Nothing to be done" in run("second")

    script = project / "workflow" / "scripts" / "pretrain_2d.py"
    script.write_text(script.read_text().replace("HOLD_OUT_EVERY = 10", "HOLD_OUT_EVERY = 5"))
    assert trained(run("second"))
    assert trained(run("third", "pretrain_2d={seed: 1}"))


def test_the_cache_needs_its_folder_and_no_names(tmp_path: Path) -> None:
    with pytest.raises(
        AssertionError, match="error: --cache: found no SNAKEMAKE_OUTPUT_CACHE in the environment, expected the path"
    ):
        snakemake(tmp_path, "--dry-run", "--cache")
    with pytest.raises(AssertionError, match="error: --cache: found 'pretrain_2d' after it, expected nothing"):
        snakemake(tmp_path, "--dry-run", "--cache", "pretrain_2d", cache=tmp_path)


def test_the_cache_tells_jobs_apart_by_their_params() -> None:
    """Snakemake's cache overlooks wildcards; what a network's wildcard stands for enters by the job that makes the
    network."""
    cached = {name: rule for name, rule in rule_texts().items() if "cache: CACHED" in rule}
    assert list(cached) == ["pretrain_2d", "adapt_2d", "features"]
    for rule in cached.values():
        outputs, params = rule.split("output:")[1].split("log:")[0], rule.split("params:")[1].split("message:")[0]
        for wildcard in set(re.findall(r"\{\{(\w+)\}\}", outputs)) - {"network"}:
            assert f"{wildcard}=lambda w: w.{wildcard}," in params
