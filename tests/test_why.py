"""`ignet why`: what changed, in words that name it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from snakemake_command import rule_commands, rule_texts
from tiny_state import CONFIG, ROOT

from ignet.cli.why import versions_note
from ignet.files.atomic import write_json
from ignet.stage.fingerprint import sequence_fingerprint
from ignet.stage.identity import code_hash, code_parts
from ignet.workflow.dag import Job
from ignet.workflow.records import Records, record_code, record_data
from ignet.workflow.why import as_text, as_values, explain, section_name, setting_changes

OLD, NEW = "0123456789abcdef", "fedcba9876543210"
OLD_DATA, NEW_DATA = "00112233445566aa", "00112233445566bb"


def job(
    rule: str = "train_3d", old: dict[str, object] | None = None, new: dict[str, object] | None = None, **more: object
) -> Job:
    """A job whose output was made with the params ``old`` and would be made with ``new``."""
    values = {
        "recorded_params": None if old is None else sorted({repr(value) for value in old.values()}),
        "recorded_command": f"exec python x.py --code {(old or {}).get('code')} --out y",
        **more,
    }
    wildcards = {"run": "ignet", "seed": "0"}
    return Job(
        rule, wildcards, [], [f"results/{rule}"], {name: repr(value) for name, value in (new or {}).items()}, **values
    )


def causes(one: Job, code: list[str] | None = None, data: list[str] | None = None) -> list[str]:
    return explain([one], lambda then, now: code or [], lambda then, since: data or [])[0].causes


def test_settings_are_named_with_both_values() -> None:
    old = {"settings": json.dumps({"contrastive": {"weight": 0.05, "ramp": 0}, "steps": 4}), "code": OLD}
    new = {"settings": json.dumps({"contrastive": {"weight": 0.1, "ramp": 0}, "batch": 2}), "code": OLD}
    assert causes(job(old=old, new=new)) == [
        "train_3d.batch: (not there) -> 2",
        "train_3d.contrastive.weight: 0.05 -> 0.1",
        "train_3d.steps: 4 -> (not there)",
    ]
    assert list(setting_changes("x", {"a": [1, 2], "b": None}, {"a": [1, 2], "b": False})) == ["x.b: null -> false"]


def test_code_and_data_are_told_apart_though_both_are_hashes() -> None:
    old = {"code": OLD, "data": OLD_DATA, "sequences": ("00",)}
    new = {"code": NEW, "data": NEW_DATA, "sequences": ("00", "01")}
    found = causes(job(old=old, new=new), ["ignet/losses/contrastive.py"], ["scans of sequence 00: 000000.bin"])
    assert found == ["code: ignet/losses/contrastive.py", "scans of sequence 00: 000000.bin", "sequences: + 01"]
    assert causes(job(old=old, new=old | {"code": NEW})) == [f"code: {OLD} -> {NEW} (which module was not recorded)"]
    world = {"code": OLD, "data": "embedded world", "source": "embedded world"}
    assert causes(job(old=world, new=world | {"data": NEW_DATA})) == [
        "the dataset: embedded world -> files of your own"
    ]


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (job(missing=["results/train_3d"]), "never made yet"),
        (job(old={}, missing=["results/train_3d"]), "its output is gone: results/train_3d"),
        (job(old={}, updated_inputs=["a.h5"]), "newer than the result: a.h5"),
        (job(old={}, reasons=["command"]), "the rule's command changed (workflow/rules)"),
        (job(old={}, reasons=["forced"]), "asked for by --force, --forcerun or --forceall"),
        (job(old={}, recorded_inputs=["a.h5"]), "other input files: - a.h5"),
    ],
)
def test_other_reasons(one: Job, words: str) -> None:
    assert causes(one) == [words]


def test_jobs_that_only_follow_are_counted() -> None:
    old, new = ({"settings": json.dumps({"dtype": kind})} for kind in ("int8", "float16"))
    first = [
        Job("features", {"sequence": s}, [], [f"{s}.h5"], {"settings": repr(new["settings"])}, [repr(old["settings"])])
        for s in "12"
    ]
    followers = [
        Job("predict", {"run": str(n)}, ["1.h5"], [str(n)], {}, [], ["1.h5"], made_inputs=["1.h5"]) for n in range(18)
    ]
    explained = explain([*first, *followers], lambda then, now: [], lambda then, since: [])
    text = as_text(explained)
    assert text.splitlines() == [
        "20 jobs would run.",
        "",
        "features.dtype: int8 -> float16",
        "    features (2 jobs): sequence=1, sequence=2",
        "",
        "only because of those",
        "    predict (18 jobs)",
    ]
    assert as_values(explained)[-1] == {
        "rule": "predict",
        "wildcards": {"run": "17"},
        "causes": [],
        "follows": ["features sequence=1"],
    }
    assert as_text([]).startswith("Nothing to do")


def test_records_name_modules_and_files(tmp_path: Path) -> None:
    script = ROOT / "workflow" / "scripts" / "train_3d.py"
    record_code(tmp_path, [script])
    now = code_parts(script)
    changed = {**now, "ignet/losses/contrastive.py": "other", "ignet/losses/new.py": "new"}
    del changed["ignet/losses/lovasz.py"]
    records = Records(tmp_path, {NEW: changed}, tmp_path / "data")
    assert records.changed_code(code_hash(script), NEW) == [
        "ignet/losses/contrastive.py",
        "ignet/losses/lovasz.py (gone)",
        "ignet/losses/new.py (new here)",
    ]
    assert records.changed_code(OLD, NEW) == []

    folder = tmp_path / "data" / "sequences" / "00" / "velodyne"
    folder.mkdir(parents=True)
    scan = folder / "000000.bin"
    scan.write_text("some")
    fingerprint = sequence_fingerprint(tmp_path / "data", ("00",), ("scans", "images"))
    record_data(tmp_path, tmp_path / "data", {fingerprint: (("scans", "images"), ("00",))})
    assert records.changed_data(fingerprint, 0) == []
    scan.write_text("other")
    assert records.changed_data(fingerprint, 0) == [f"scans of sequence 00: {scan}"]
    assert records.changed_data(fingerprint, scan.stat().st_mtime) == [
        f"scans of sequence 00: files added, removed or replaced in {folder}"
    ]


def test_another_torch_is_a_note(tmp_path: Path) -> None:
    assert versions_note(tmp_path) == ""
    write_json(tmp_path / "train_3d" / "ignet" / "model.settings.json", {"versions": {"torch": "1.0.0"}})
    assert "1 with torch 1.0.0" in versions_note(tmp_path)


def test_a_rule_a_script_and_a_section_have_one_name() -> None:
    """Each script says which section it reads."""
    commands = rule_commands()
    for rule, text in rule_texts().items():
        script = text.split('code("')[1].split('"')[0]
        section = (ROOT / "workflow" / "scripts" / script).read_text().split('Stage("')[1].split('"')[0]
        assert section == section_name(rule) and script == f"{rule}.py", rule
        assert f"/{script} " in commands[rule], "another script than the code identity's"


def ignet_why(folder: Path, *arguments: str, project: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-m",
        "ignet",
        "why",
        "--directory",
        str(folder),
        "--configfile",
        str(CONFIG),
        *arguments,
    ]
    environment = {**os.environ, "PYTHONPATH": str(project), "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=project, env=environment)


def test_the_command_says_nothing_to_do(tiny_finished: Path) -> None:
    done = ignet_why(tiny_finished)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Nothing to do")


def test_the_command_names_the_key_and_the_module(tiny_finished: Path, tmp_path: Path) -> None:
    for folder in ("ignet", "workflow", "envs"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy2(ROOT / "Snakefile", tmp_path)
    loss = tmp_path / "ignet" / "losses" / "contrastive.py"
    loss.write_text(loss.read_text() + "\n_CHANGED = True\n")
    done = ignet_why(tiny_finished, "--config", "runs={ignet: {contrastive: {weight: 0.2}}}", project=tmp_path)
    assert done.returncode == 0, done.stderr
    parts = done.stdout.split("\n\n")
    assert (
        "train_3d.contrastive.weight: 0.1 -> 0.2\ncode: ignet/losses/contrastive.py\n    train_3d (1 job): "
        "run=ignet seed=0" in parts
    )
    others = ", ".join(f"run={run} seed=0" for run in ("baseline", "full", "ignet_50", "self_trained"))
    assert f"code: ignet/losses/contrastive.py\n    train_3d (4 jobs): {others}" in parts
    assert parts[-1].startswith("only because of those\n    predict (5 jobs)")


def test_a_wrong_key_is_one_line(tmp_path: Path) -> None:
    done = ignet_why(tmp_path, "--config", "colour=1")
    assert done.returncode == 1
    assert done.stderr.startswith("error: ") and "unknown key 'colour'" in done.stderr and done.stderr.count("\n") == 1
