"""The records of how outputs were made travel with the results, however these are named and wherever they are worked
on."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import snakemake.api  # before the modules below, which cannot be loaded without it
from snakemake.io import IOFile
from snakemake.persistence import MetadataRecord
from snakemake.persistence.file import FilePersistence
from snakemake_command import snakemake_command
from tiny_state import CONFIG, ROOT, names, plans

from ignet.config.folder import one_spelling
from ignet.errors import IgnetError
from ignet.workflow.persistence import BesideResults, Roots
from ignet.workflow.records import refuse_without_record

RATE = "train_3d={learning_rate: 0.5}"
OUTPUT = "results/a/train_3d/full/seed0/model.safetensors"


@pytest.fixture
def backend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Factory of the backend as Snakemake makes it: in a working directory, for folders of outputs."""
    monkeypatch.chdir(tmp_path)

    def make(directory: str = ".", results: str = "results/a", main: bool = True, **more: str) -> Any:
        workflow = SimpleNamespace(is_main_process=main, dag_settings=SimpleNamespace(max_checksum_file_size=0))
        kind = type("Backend", (BesideResults, FilePersistence), {"roots": Roots({"results": results, **more})})
        return kind(dag=SimpleNamespace(workflow=workflow), path=Path(directory, ".snakemake"))

    return make


def record() -> MetadataRecord:
    return MetadataRecord(
        rule="compare",
        input=["results/a/b.h5", "results/shared/c.h5", "z.txt"],
        params=["'other_results/a/b.h5'", "'{\"seed\": 0}'", "['full:0=results/a/b.h5']"],
        shellcmd="python x.py --out results/a/y",
        input_checksums={"results/a/b.h5": "sha256:1"},
        starttime=1.0,
        endtime=2.0,
    )


def test_a_record_is_about_the_results_wherever_they_lie(backend: Callable[..., Any], tmp_path: Path) -> None:
    one = backend(shared="results/shared")
    one._write_record(OUTPUT, record())
    same = {key: value for key, value in one._read_record(OUTPUT).items() if key != "incomplete"}
    assert same == {key: value for key, value in record().items() if key != "incomplete"}
    text = (tmp_path / "results/a/records/train_3d/full/seed0/model.safetensors.json").read_text()
    assert "<results>/b.h5" in text and "<shared>/c.h5" in text and "'other_results/a/b.h5'" in text

    (tmp_path / "results" / "a").rename(tmp_path / "moved")
    moved = str(tmp_path / "moved")
    other = backend("elsewhere", results=moved, shared="/shared")
    found = other._read_record(f"{moved}/train_3d/full/seed0/model.safetensors")
    assert found.input == sorted([f"{moved}/b.h5", "/shared/c.h5", "z.txt"])
    assert f"['full:0={moved}/b.h5']" in found.params and "'other_results/a/b.h5'" in found.params
    assert found.input_checksums == {f"{moved}/b.h5": "sha256:1"}


def test_the_innermost_folder_holds_the_record() -> None:
    roots = Roots({"results": "out", "shared": "out/shared"})
    assert roots.record_path("out/shared/x/y.h5") == Path("out/shared/records/x/y.h5.json")
    assert roots.record_path("out/x/y.h5") == Path("out/records/x/y.h5.json")
    assert roots.record_path("outer/x") is None
    assert roots.to_names("out/shared/x") == "<shared>/x"


def test_of_two_working_directories_neither_believes_its_own_old_records(backend: Callable[..., Any]) -> None:
    FilePersistence(path=Path("a", ".snakemake"))._write_record(OUTPUT, record())
    assert backend("a")._read_record(OUTPUT).rule == "compare", "a result of an older version of the project"
    backend("b")._write_record(OUTPUT, MetadataRecord(rule="newer", starttime=3.0))
    assert backend("a")._read_record(OUTPUT).rule == "newer"
    assert not backend("a")._filter_incomplete_keys([OUTPUT])


def test_an_interrupted_job_is_known_in_every_working_directory(backend: Callable[..., Any]) -> None:
    backend("a")._write_record(OUTPUT, record())
    backend("b")._mark_incomplete(OUTPUT, "job 7")
    a = backend("a")
    assert a._read_record(OUTPUT) is None and a._filter_incomplete_keys([OUTPUT, "else"]) == {OUTPUT}
    assert a._get_external_jobids([OUTPUT]) == {"job 7"}
    # the Snakemake in a scheduler's job books nothing
    backend("a", main=False)._unmark_incomplete(OUTPUT)
    assert backend("a")._filter_incomplete_keys([OUTPUT]) == {OUTPUT}
    a.cleanup_metadata(IOFile(OUTPUT))
    assert not backend("b")._filter_incomplete_keys([OUTPUT])


def test_a_full_working_directory_costs_no_record(backend: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    one = backend()
    monkeypatch.setattr(FilePersistence, "_io_write", full)
    one._mark_incomplete(OUTPUT, None)
    one._write_record(OUTPUT, record())
    one._unmark_incomplete(OUTPUT)
    assert one._read_record(OUTPUT) is not None and not one._filter_incomplete_keys([OUTPUT])


@pytest.mark.parametrize("text", ["", "{", "[1]", "{}", '{"incomplete": false}'])
def test_a_damaged_record_is_none(backend: Callable[..., Any], text: str) -> None:
    one = backend()
    one._write_record(OUTPUT, record())
    path = one.roots.record_path(OUTPUT)
    path.write_text(text)
    one._clear_cache()
    assert one._read_record(OUTPUT) is None


def test_the_refusal_names_an_output_and_the_remedies() -> None:
    refuse_without_record([])
    with pytest.raises(
        IgnetError, match=r"^results/a/x\.h5 and 2 more: found no record .*'records'.*--forcerun.*--touch"
    ):
        refuse_without_record(["results/a/x.h5", "b", "c"])


def test_every_spelling_and_place_gives_the_same_plan(tiny_finished: Path, tmp_path: Path) -> None:
    """With the records of the working directory gone, too."""
    shutil.copytree(tiny_finished, tmp_path / "w")
    shutil.rmtree(tmp_path / "w" / ".snakemake")
    shutil.copytree(tiny_finished / "results" / "tiny", tmp_path / "moved")
    (tmp_path / "w" / "link").symlink_to("results/tiny")
    spelled = [
        "results/tiny",
        "./results//tiny/",
        "../w/results/tiny",
        "link",
        str(tiny_finished / "results/tiny"),
        "../moved",
    ]
    changed = {spelling: ("--config", f"results={spelling}", RATE) for spelling in spelled}
    same = {f"{spelling} as it was": ("--config", f"results={spelling}") for spelling in spelled[-2:]}
    found = plans(tmp_path, {name: (tmp_path / "w", given) for name, given in {**changed, **same}.items()})
    expected = names(found["results/tiny"])
    assert {name.split()[0] for name in expected} == {
        "train_3d",
        "predict",
        "pseudo_label",
        "evaluate",
        "compare",
        "figures_predictions",
        "report",
    }
    for name, plan in found.items():
        assert names(plan) == (expected if name in changed else set()), name
        assert plan.without_record == []


def snakemake(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = snakemake_command(folder, "--configfile", CONFIG)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*map(str, command), *arguments], capture_output=True, text=True, check=False, env=environment
    )


def test_an_output_without_a_record_is_refused_until_it_is_accepted(tiny_finished: Path, tmp_path: Path) -> None:
    folder = tmp_path / "w"
    shutil.copytree(tiny_finished, folder)
    records = folder / "results" / "tiny" / "records"
    (records / "dataset" / "00.json.json").write_text("{")
    shutil.rmtree(records / "pretrain_2d")
    done = snakemake(folder, "--dry-run")
    assert done.returncode == 1 and "Nothing to be done" not in done.stdout
    assert [
        line
        for line in done.stderr.splitlines()
        if line.startswith("error: results/tiny/dataset/00.json and 4 more: found no record")
    ]
    # what runs anyway needs no record
    assert snakemake(folder, "--dry-run", "--forcerun", "pretrain_2d", "dataset_check").returncode == 0

    why = [sys.executable, "-m", "ignet", "why", "--directory", str(folder), "--configfile", str(CONFIG), "--json"]
    told = json.loads(subprocess.run(why, capture_output=True, text=True, check=True, cwd=ROOT).stdout)
    assert (
        len(told["without_record"]) == 5
        and "there is no record of how it was made" in told["notes"][0]
        and not told["jobs"]
    )

    assert snakemake(folder, "--cores", "1", "--touch").returncode == 0
    assert "Nothing to be done" in snakemake(folder, "--dry-run").stdout


def test_a_folder_of_outputs_has_one_spelling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("HOME", str(tmp_path / "work"))
    inside = ["a/b", "./a/b", "a//b/", "a/x/../b", f"{tmp_path}/work/a/b", "../work/a/b", "~/a/b"]
    assert {one_spelling(text) for text in inside} == {"a/b"}
    outside = [f"{tmp_path}/else/", "../else", "~/../else"]
    assert {one_spelling(text) for text in outside} == {f"{tmp_path}/else"}
    assert one_spelling("../workshop") == f"{tmp_path}/workshop"
    assert one_spelling(".") == f"{tmp_path}/work"
    with pytest.raises(ValueError, match="braces"):
        one_spelling("a/{b}")
