"""A job that waits in a scheduler's queue does what was planned, or refuses: whatever is edited meanwhile."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from snakemake_command import ROOT, snakemake_command
from tiny_state import CONFIG, plans

from ignet.errors import IgnetError
from ignet.workflow.experiment import load_experiment
from ignet.workflow.planned import KEPT, Planned, refuse_unplanned, take_plan, write_plan

TARGET = "results/queued/dataset/08.json"


def job(**changes: object) -> SimpleNamespace:
    """What is read of one of Snakemake's jobs."""
    values = {"params": {"settings": "{}", "code": "0123", "data": "abcd"}, "input": ["x.h5"], "log": [], **changes}
    rule = SimpleNamespace(name="projection", shellcmd=values.pop("command", "python {params.code}"))
    return SimpleNamespace(rule=rule, wildcards_dict={"sequence": "08"}, **values)


def test_a_plan_is_read_as_it_was_written(tmp_path: Path) -> None:
    given = {file.name: yaml.safe_load(file.read_text(encoding="utf-8")) for file in (ROOT / "config").glob("*.yaml")}
    whole = {name: values for name, values in given.items() if {"results", "runs"} <= values.keys()}
    assert len(whole) > 3
    for name, values in whole.items():
        values.setdefault("dataset", {})["root"] = str(tmp_path)  # some are for data of one's own
        experiment = load_experiment(values, name)
        path = write_plan(tmp_path, experiment.model_dump(mode="json"), {"projection.py": "0123"}, [job()])
        read = json.loads(path.read_text(encoding="utf-8"))
        planned = take_plan(read)
        assert planned is not None and planned.code == {"projection.py": "0123"}
        refuse_unplanned(planned, [job()])
        again = load_experiment(read, "plan")
        assert again == experiment and list(again.runs) == list(experiment.runs), name
        assert [again.run(run) for run in again.runs] == [experiment.run(run) for run in experiment.runs], name
    assert take_plan({"results": "x"}) is None


def test_jobs_of_a_plan_are_those_of_the_experiment(tmp_path: Path) -> None:
    """By Snakemake's graph: no job may find that it has changed where nothing has."""
    experiment = load_experiment(yaml.safe_load(CONFIG.read_text(encoding="utf-8")), "tiny")
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(experiment.model_dump(mode="json")), encoding="utf-8")
    given, planned = plans(
        tmp_path, {"given": (tmp_path, ()), "planned": (tmp_path, ("--configfile", str(path)))}
    ).values()
    assert len(given.jobs) > 40 and planned.jobs == given.jobs


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (job(params={"settings": '{"a": 1}', "code": "0123", "data": "abcd"}), "its settings"),
        (job(params={"settings": "{}", "code": "0123", "data": "abce"}), "files of the dataset"),
        (job(params={"settings": "{}", "code": "0123"}), "files of the dataset"),
        (job(params={"settings": "{}", "code": "0123", "data": "abcd", "places": "x"}), "places"),
        (job(input=["x.h5", "y.h5"]), "the list of its input files"),
        (job(command="python --more {params.code}"), "the rule's command"),
    ],
)
def test_what_has_changed_is_named_also_in_the_log(tmp_path: Path, changed: SimpleNamespace, words: str) -> None:
    planned = take_plan(json.loads(write_plan(tmp_path, {}, {}, [job()]).read_text()))
    assert planned is not None
    changed.log = [tmp_path / "logs" / "08.log"]
    with pytest.raises(IgnetError) as caught:
        refuse_unplanned(planned, [changed])
    assert (
        str(caught.value)
        == f"projection sequence=08: {words} changed since this job was planned; start the workflow again"
    )
    assert changed.log[0].read_text() == f"error: {caught.value}\n"
    with pytest.raises(IgnetError, match="the workflow changed"):
        refuse_unplanned(Planned({}, {}), [changed])


def test_old_plans_go(tmp_path: Path) -> None:
    paths = []
    for number in range(KEPT + 3):
        paths.append(write_plan(tmp_path, {"number": number}, {}, []))
        os.utime(paths[-1], (number, number))
    write_plan(tmp_path, {"number": 2}, {}, [])  # planned again: the newest now
    write_plan(tmp_path, {"number": "last"}, {}, [])
    assert [path.exists() for path in paths[:6]] == [False, False, True, False, False, True]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project that a test may edit."""
    copy = tmp_path_factory.mktemp("project")
    for folder in ("ignet", "workflow", "config", "envs"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy2(ROOT / "Snakefile", copy)
    return copy


def test_queued_jobs_do_what_was_planned_or_refuse(
    project: Path, make_tree: Callable[..., Path], tmp_path: Path
) -> None:
    root = make_tree(frames=1)
    tiny = yaml.safe_load((ROOT / "config" / "tiny.yaml").read_text())
    dataset = {"root": str(root), "train_sequences": ["00"], "val_sequences": ["08"], "require_all_scans": False}
    experiment = tmp_path / "experiment.yaml"
    right = json.dumps({**tiny, "results": "results/queued", "dataset": dataset})
    experiment.write_text(right)
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, (project, ROOT / "tests" / "queue"))),
        "OMP_NUM_THREADS": "1",
    }

    settings = ("--configfile", experiment)

    def start(meanwhile: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        options = ("--executor", "queued", "--jobs", 1, "--latency-wait", 5, "--seconds-between-status-checks", 0)
        words = snakemake_command(tmp_path, *settings, *options, *arguments, "--", TARGET, project=project)
        more = {**environment, "QUEUED_MEANWHILE": meanwhile}
        return subprocess.run(words, cwd=tmp_path, env=more, capture_output=True, text=True, check=False)

    log = tmp_path / "results" / "queued" / "logs" / "dataset_check" / "08.log"
    module, rules, scan = (
        project / "ignet/data/check/sequence.py",
        project / "workflow/rules/data.smk",
        root / "sequences/08/velodyne/000000.bin",
    )

    done = start(f"printf '\\n_CHANGED = True\\n' >> {module}")
    assert (
        done.returncode == 1 and "the code is" in log.read_text() and "this job was planned with" in log.read_text()
    ), done.stderr
    done = start(f"touch {scan}")
    assert done.returncode == 1 and log.read_text().startswith(
        "error: dataset_check sequence=08: files of the dataset changed"
    )

    # an experiment file that is edited, even spoilt, does no harm to jobs that were planned before; nor do rules, of
    # which Snakemake's main process keeps a copy for its jobs
    spoil = f"sed -i 's/require_all_scans/unknown/' {experiment}; sed -i 's/--role/--rule/' {rules}"
    done = start(spoil, "--config", "seeds=[0, 1]")
    assert done.returncode == 0, done.stderr
    experiment.write_text(right)
    rules.write_text((ROOT / "workflow/rules/data.smk").read_text())
    dry = snakemake_command(tmp_path, *settings, "--dry-run", "--", TARGET, project=project)
    assert (
        "Nothing to be done"
        in subprocess.run(dry, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True).stdout
    )
