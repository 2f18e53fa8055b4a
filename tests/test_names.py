"""Names of sequences, scans and runs: one rule, and every part of the project takes what it allows."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ignet.data.check.dataset import check_dataset, describe
from ignet.data.check.tree_names import sort_names, spellings
from ignet.data.check.wanted import wanted_at
from ignet.data.formats import kitti
from ignet.data.formats.splits import labelled_scans
from ignet.data.importers.kitti_object import kitti_object
from ignet.data.label_sets.label_set import SEMANTICKITTI
from ignet.data.projection.correspondence import Correspondence
from ignet.errors import IgnetError
from ignet.evaluate.predictions import foreign_ids
from ignet.evaluate.submission import list_scans
from ignet.files.names import in_order, is_name, is_run, scan_name
from ignet.workflow.experiment import load_experiment
from ignet.world.files import number_of

SEQUENCES = ("drive_A", "2013_05_28_drive_0002_sync")
FRAMES = ("1623230394502471", "1623230394602471")


@pytest.fixture
def stamped(make_tree: Callable[..., Path]) -> Path:
    """Sequences with letters and dates, scans named by time stamps."""
    root = make_tree("stamped", SEQUENCES, 2)
    for number, name in enumerate(FRAMES):
        for path in list(root.rglob(f"{number:06d}.*")):
            path.rename(path.with_name(name + path.suffix))
    return root


def test_what_is_a_name() -> None:
    assert all(map(is_name, ("00", "drive_A", "2013_05_28_drive_0002_sync", "a.b", "_x", "X-1", *FRAMES)))
    assert not any(
        map(is_name, ("", ".", "..", ".a", "-a", "a b", "a/b", "ä", "a\n", "000000 (1)", "a=b", "a{b}", "08.settings"))
    )
    assert is_run("ignet_50") and not any(map(is_run, ("bäse", "-a", "a.b", "", "a b")))
    assert (
        scan_name("7.bin", ".bin"),
        scan_name("._7.bin", ".bin"),
        scan_name("7 (1).bin", ".bin"),
        scan_name("7.BIN", ".bin"),
    ) == (
        "7",
        None,
        None,
        None,
    )


def test_names_are_sorted_as_people_count() -> None:
    names = ["drive_10", "drive_2", "10", "9", "09", "000011", "drive_2"]
    assert in_order(names) == ["09", "9", "10", "000011", "drive_2", "drive_10"]
    frames = {"drive_10": ["10", "9"], "drive_2": ["1"]}
    split = labelled_scans(frames, 50)
    assert split and labelled_scans({name: frames[name][::-1] for name in reversed(frames)}, 50) == split
    assert len({number_of(name) for name in ("0", "1", "drive_A", "drive_B", "drive_10")}) == 5 and number_of("08") == 8


@pytest.mark.parametrize(
    ("sequences", "said"),
    [
        ([0, "08"], "names in quotes"),
        ([9], "names in quotes"),
        (["00", "00"], "stands there 2 times"),
        (["a b"], "'a b'"),
        (["x.settings"], "x.settings"),
    ],
)
@pytest.mark.parametrize("key", ["train_sequences", "val_sequences", "test_sequences"])
def test_sequences_of_an_experiment(key: str, sequences: list[Any], said: str) -> None:
    values = {
        "results": "r",
        "runs": {"a": {}},
        "dataset": {"train_sequences": ["x"], "val_sequences": ["y"], key: sequences},
    }
    with pytest.raises(IgnetError, match=said) as error:
        load_experiment(values, "experiment.yaml")
    assert f"dataset.{key}" in str(error.value) and "\n" not in str(error.value)


def test_a_run_that_no_folder_can_be_called(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("bäse", "-x", "a.b"):
        for key in ("runs", "adaptations"):
            with pytest.raises(IgnetError, match=f"'{name}' names a folder"):
                load_experiment({"results": "r", "runs": {"a": {}}, key: {name: {}}}, "experiment.yaml")


def test_letters_and_time_stamps_work(stamped: Path, run_script: Callable[..., Any], tmp_path: Path) -> None:
    report = check_dataset(stamped, wanted_at(stamped, part=True), deep=True, label_set=SEMANTICKITTI)
    assert [one.sequence for one in report.sequences] == in_order(SEQUENCES)
    assert not [fault for fault in report.faults if fault.kind != "calibration-view"] and not report.notes
    assert kitti.frame_ids(stamped, "drive_A") == list(FRAMES)
    done = run_script("projection.py", "--dataset", stamped, "--sequence", "drive_A", "--out", tmp_path / "drive_A.h5")
    assert done.returncode == 0, done.stderr
    assert Correspondence(tmp_path / "drive_A.h5").frames == list(FRAMES)
    assert {name: list(scans) for name, scans in list_scans(stamped, list(SEQUENCES)).items()} == {
        key: list(FRAMES) for key in SEQUENCES
    }


def test_stray_files_are_ignored_by_all_and_said_once(tiny_tree: Path) -> None:
    folder = tiny_tree / "sequences/00"
    shutil.copy(folder / "velodyne/000000.bin", folder / "velodyne/000000 (1).bin")
    shutil.copy(folder / "velodyne/000000.bin", folder / "velodyne/._000000.bin")
    for name in (
        "image_2/000000.json",
        "image_2/000000.jpg",
        "image_2/overview.png",
        "labels/.DS_Store",
        "labels/Thumbs.db",
    ):
        (folder / name).write_bytes(b"{}")
    report = check_dataset(tiny_tree, wanted_at(tiny_tree, part=True), deep=True, label_set=SEMANTICKITTI)
    assert not [fault for fault in report.faults if fault.kind != "calibration-view"]
    notes = "\n".join(report.notes)
    assert len(report.notes) == 2 and "000000 (1).bin" in notes and "DS_Store" not in notes and "Thumbs" not in notes
    assert "000000.jpg, 000000.json, overview.png" in notes and report.notes[0] in describe(report)
    assert kitti.frame_ids(tiny_tree, "00") == ["000000", "000001"]
    (folder / "image_2/000007.png").write_bytes(b"")  # as the scans are called: one of them is missing
    assert "orphan" in {
        fault.kind
        for fault in check_dataset(tiny_tree, wanted_at(tiny_tree, part=True), label_set=SEMANTICKITTI).faults
    }


def test_an_import_takes_the_scans_that_the_workflow_takes(tmp_path: Path) -> None:
    folder = tmp_path / "training/velodyne"
    folder.mkdir(parents=True)
    (folder / "._000000.bin").write_bytes(b"")
    with pytest.raises(IgnetError, match=r"found no \.bin file"):
        list(kitti_object(tmp_path))


def test_files_by_their_names() -> None:
    found = sort_names(
        ["7.png", "8.PNG", "9.jpg", "7.json", "7.png.part", "a.jpg", "b.c.jpg", "notes.txt", ".x"],
        ".png",
        ("7", "a", "b.c"),
    )
    assert found.scans == ["7"] and found.ignored == ["7.json", "notes.txt"]
    assert {way: dict(files) for way, files in found.wrong.items()} == {
        "case": {"8.PNG": "8"},
        "format": {"9.jpg": "9", "a.jpg": "a", "b.c.jpg": "b.c"},
        "leftover": {"7.png.part": "7"},
    }
    assert spellings({"scans": ["7", "8"], "images": ["000007", "8"], "labels": ["000007"]}, None) == {
        "scans": {"7": "000007"},
        "images": {},
        "labels": {},
    }
    assert spellings({"scans": ["7"], "images": ["7"]}, 8)["images"] == {"7": "000007"}
    assert spellings({"scans": ["7", "07"], "images": ["7", "07"]}, None) == {"scans": {}, "images": {}}


def test_no_sequence_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "sequences/notes").mkdir(parents=True)
    (fault,) = check_dataset(tmp_path, wanted_at(tmp_path, part=True), label_set=SEMANTICKITTI).faults
    assert fault.kind == "no-sequence"


def test_what_predictions_hold_instead_of_raw_ids() -> None:
    raw = np.array([0, 10, 40, 252, 10 | 3 << 16], np.uint32)
    assert foreign_ids(raw, SEMANTICKITTI) is None and foreign_ids(np.zeros(4, np.uint32), SEMANTICKITTI) is None
    assert "float32 numbers, 0 to 252" in str(foreign_ids((raw & 0xFFFF).astype("<f4").view(np.uint32), SEMANTICKITTI))
    assert "train ids" in str(foreign_ids(np.arange(19, dtype=np.uint32), SEMANTICKITTI))
    assert (
        foreign_ids(np.array([10, 12345], np.uint32), SEMANTICKITTI) is None
    )  # a class that SemanticKITTI does not know: other words
