"""The check of a dataset: every fault is found, and named."""

import csv
import shutil
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import cv2
import numpy as np
import pytest

from ignet.data.check.manifest import write_manifest
from ignet.data.check.sequence import SequenceReport, check_sequence
from ignet.data.formats import kitti
from ignet.data.label_sets.label_set import SEMANTICKITTI
from ignet.errors import IgnetError
from ignet.files.atomic import read_json, write_json


def check(
    root: Path, sequence: str = "00", wanted: tuple[str, ...] = ("scans", "images", "labels", "scribbles")
) -> SequenceReport:
    report = check_sequence(root, sequence, wanted, label_set=SEMANTICKITTI)
    assert not any("\n" in str(fault) for fault in report.faults)
    return report


def test_whole_sequence(tiny_tree: Path) -> None:
    report = check(tiny_tree)
    assert report.faults == []
    assert [facts.frame for facts in report.frames] == ["000000", "000001"]
    facts = report.frames[1]
    raw = kitti.read_labels(kitti.label_path(tiny_tree, "00", "000001")) & 0xFFFF
    assert (facts.points, facts.sizes) == (400, ((64, 32),))
    assert facts.labelled == int((raw != 0).sum()) == sum(facts.class_counts)
    assert facts.class_counts[0] == int(((raw == 10) | (raw == 252)).sum())
    assert facts.scribbled == int((raw[::10] != 0).sum())
    assert facts.scribble_share == facts.scribbled / 400


def test_all_faults_are_collected(make_tree: Callable[..., Path]) -> None:
    root = make_tree(frames=8)
    sequence = root / "sequences/00"
    (sequence / "calib.txt").write_text(f"P2: {'1 ' * 12}\n")
    scan = sequence / "velodyne/000000.bin"
    scan.write_bytes(scan.read_bytes()[:-3])
    points = kitti.read_scan(sequence / "velodyne/000001.bin")
    points[5, 1] = np.nan
    points.tofile(sequence / "velodyne/000001.bin")
    label = sequence / "labels/000002.label"
    label.write_bytes(label.read_bytes()[:-4])
    np.full(400, 77, "<u4").tofile(sequence / "labels/000003.label")
    (sequence / "image_2/000004.png").unlink()
    image = sequence / "image_2/000005.png"
    image.write_bytes(image.read_bytes()[:200])
    (sequence / "scribbles/000006.label").unlink()
    bright = kitti.read_scan(sequence / "velodyne/000007.bin")
    bright[0, 3] = 255
    bright.tofile(sequence / "velodyne/000007.bin")
    faults = [str(fault) for fault in check(root).faults]
    expected = (
        ("calib.txt", "expected a line 'Tr:'", "data_odometry_calib"),
        ("velodyne/000000.bin", "found 6397 bytes", "unpack it again"),
        ("velodyne/000001.bin", "found 1 points that are not finite", "restore it"),
        ("labels/000002.label", "found 399 labels, expected 400", "unpack the label files"),
        ("labels/000003.label", "found raw class 77 on 400 points", "convert"),
        ("image_2/000004.png", "no such file", "data_odometry_color"),
        ("image_2/000005.png", "found 200 bytes", "unpack it again"),
        ("scribbles/000006.label", "no such file", "unpack"),
        ("velodyne/000007.bin", "expected 0 to 1", "remission_scale"),
    )
    assert len(faults) == len(expected)
    for file, found, remedy in expected:
        (fault,) = [fault for fault in faults if fault.startswith(f"{sequence / file}: ")]
        assert found in fault
        assert remedy in fault
    assert check(root, "08").faults == []


@pytest.mark.parametrize(
    ("folder", "archive"), [("image_2", "data_odometry_color"), ("labels", "labels"), ("scribbles", "scribblekitti")]
)
def test_a_missing_folder_is_one_fault(tiny_tree: Path, folder: str, archive: str) -> None:
    shutil.rmtree(tiny_tree / "sequences/00" / folder)
    faults = [str(fault) for fault in check(tiny_tree).faults]
    assert len(faults) == 1
    assert faults[0].startswith(f"{tiny_tree}/sequences/00/{folder}: no such folder")
    assert archive in faults[0]


def test_what_is_not_needed_may_lack(tiny_tree: Path) -> None:
    shutil.rmtree(tiny_tree / "sequences/00/labels")
    shutil.rmtree(tiny_tree / "sequences/00/scribbles")
    report = check(tiny_tree, wanted=("scans", "images"))
    assert report.faults == []
    assert [facts.labelled for facts in report.frames] == [0, 0]
    label = kitti.label_path(tiny_tree, "08", "000000")
    label.write_bytes(b"")
    assert len(check(tiny_tree, "08", ("scans", "images")).faults) == 1  # labels that are there are looked at


def test_missing_sequence(tiny_tree: Path) -> None:
    report = check(tiny_tree, "05")
    assert report.frames == []
    (fault,) = report.faults
    assert str(fault).startswith(f"{tiny_tree}/sequences/05: no such folder")


def test_fingerprint_follows_content(tiny_tree: Path) -> None:
    before = check(tiny_tree).fingerprint
    assert check(tiny_tree).fingerprint == before
    assert len(before) == 64
    for path in ("velodyne/000001.bin", "labels/000000.label", "scribbles/000000.label", "image_2/000001.png"):
        file = tiny_tree / "sequences/00" / path
        whole = file.read_bytes()
        if file.suffix == ".png":
            cv2.imwrite(str(file), np.zeros((32, 64, 3), np.uint8))
        else:
            file.write_bytes(whole[16:] + whole[:16])
        assert check(tiny_tree).fingerprint != before
        file.write_bytes(whole)
    assert check(tiny_tree).fingerprint == before


def test_manifest_has_a_row_for_each_frame(tiny_tree: Path, tmp_path: Path) -> None:
    for sequence, role in (("08", "val"), ("00", "train")):
        write_json(tmp_path / f"{sequence}.json", {"role": role, **check(tiny_tree, sequence).as_json()})
    write_manifest(tmp_path / "manifest.csv", [tmp_path / "08.json", tmp_path / "00.json"], label_set=SEMANTICKITTI)
    with (tmp_path / "manifest.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["sequence"], row["frame"], row["role"]) for row in rows] == [
        ("00", "000000", "train"),
        ("00", "000001", "train"),
        ("08", "000000", "val"),
        ("08", "000001", "val"),
    ]
    facts = check(tiny_tree, "08").frames[1]
    assert [int(rows[3][name]) for name in ("points", "width", "height", "car", "road")] == [
        400,
        64,
        32,
        facts.class_counts[0],
        facts.class_counts[8],
    ]


def test_manifest_counts_the_scribbles_that_trainings_see(tiny_tree: Path, tmp_path: Path) -> None:
    """Those of the dataset, or those drawn from its dense labels; validation sequences show none."""

    def rows(wanted: tuple[str, ...], simulated: Path | None) -> list[tuple[str, str, str]]:
        files = []
        for sequence, role, kinds in (("00", "train", wanted), ("08", "val", ("scans", "images", "labels"))):
            files.append(tmp_path / f"{sequence}.json")
            write_json(files[-1], {"role": role, **check(tiny_tree, sequence, kinds).as_json()})
        assert write_manifest(tmp_path / "manifest.csv", files, simulated, label_set=SEMANTICKITTI) == []
        with (tmp_path / "manifest.csv").open() as file:
            return [(row["frame"], row["scribbled"], row["scribbles"]) for row in csv.DictReader(file)]

    none = [("000000", "", ""), ("000001", "", "")]
    counts = [str(facts.scribbled) for facts in check(tiny_tree).frames]
    assert rows(("scans", "images", "scribbles"), None) == [
        ("000000", counts[0], "dataset"),
        ("000001", counts[1], "dataset"),
        *none,
    ]
    drawn = tmp_path / "drawn"
    for frame, points in (("000000", 7), ("000001", 30)):
        path = kitti.scribble_path(drawn, "00", frame)
        path.parent.mkdir(parents=True, exist_ok=True)
        np.r_[np.full(points, 40), np.zeros(400 - points)].astype("<u4").tofile(path)
    simulated = [("000000", "7", "simulated"), ("000001", "30", "simulated")]
    assert rows(("scans", "images", "labels"), drawn) == [*simulated, *none]
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(IgnetError, match=r"000001\.label: found 399 labels, expected 400"):
        rows(("scans", "images", "labels"), drawn)


def test_manifest_tells_of_doubts(make_tree: Callable[..., Path], tmp_path: Path) -> None:
    """Those of each sequence, and of the one that is unlike the others."""
    root, files = make_tree(sequences=("00", "01", "02", "08")), []
    for sequence in ("00", "01", "02", "08"):
        if sequence == "01":
            for path in sorted((root / "sequences/01/labels").iterdir()):
                raw = np.fromfile(path, "<u4")
                np.where(np.arange(len(raw)) % 10 == 5, raw, 0).astype("<u4").tofile(path)
        files.append(tmp_path / f"{sequence}.json")
        write_json(files[-1], {"role": "train", **check(root, sequence, ("scans", "images", "labels")).as_json()})
    own, other = write_manifest(tmp_path / "manifest.csv", files, label_set=SEMANTICKITTI)
    assert own.startswith(f"{root}/sequences/01/labels: found ") and "most of them in dense labels" in own
    assert other.startswith("sequences/01/labels: found ") and "as in the other sequences" in other


def test_manifest_of_something_else(tiny_tree: Path, tmp_path: Path) -> None:
    good = tmp_path / "00.json"
    write_json(good, {"role": "train", **check(tiny_tree).as_json()})
    for content, said in (
        ({"frames": []}, "found no sequence, role"),
        ([1], "found no sequence"),
        ({**read_json(good), "points": [1]}, "lengths"),
    ):
        write_json(tmp_path / "bad.json", content)
        with pytest.raises(IgnetError, match=rf"bad\.json: .*{said}"):
            write_manifest(tmp_path / "manifest.csv", [tmp_path / "bad.json"], label_set=SEMANTICKITTI)
    with pytest.raises(IgnetError, match="00 is given twice"):
        write_manifest(tmp_path / "manifest.csv", [good, good], label_set=SEMANTICKITTI)
    assert not (tmp_path / "manifest.csv").exists()


def test_script(tiny_tree: Path, tmp_path: Path, run_script: Callable[..., CompletedProcess[str]]) -> None:
    out = tmp_path / "data" / "00.json"
    arguments = ("--dataset", tiny_tree, "--sequence", "00", "--role", "train", "--out", out)
    done = run_script("dataset_check.py", *arguments)
    assert done.returncode == 0, done.stderr
    written = read_json(out)
    assert (written["role"], written["frames"], written["image_sizes"]) == (
        "train",
        ["000000", "000001"],
        [[[64, 32]], [[64, 32]]],
    )
    doubts = tmp_path / "data" / "doubts.txt"
    merged = run_script(
        "dataset_manifest.py", "--sequences", out, "--out", tmp_path / "data" / "manifest.csv", "--doubts", doubts
    )
    assert merged.returncode == 0, merged.stderr
    assert doubts.read_text() == ""
    assert len((tmp_path / "data" / "manifest.csv").read_text().splitlines()) == 3

    out.unlink()
    (tiny_tree / "sequences/00/image_2/000001.png").unlink()
    np.full(400, 77, "<u4").tofile(kitti.label_path(tiny_tree, "00", "000000"))
    failed = run_script("dataset_check.py", *arguments)
    assert failed.returncode == 1
    assert "Traceback" not in failed.stderr
    lines = [line for line in failed.stderr.splitlines() if " INFO " not in line]
    assert len(lines) == 3
    assert "image_2/000001.png: no such file" in lines[0]
    assert "labels/000000.label: found raw class 77" in lines[1]
    assert lines[2].startswith("error: ")
    assert "sequence 00 has 2 faults" in lines[2]
    assert not out.exists()


def test_real_sequences(kitti_sample: Path) -> None:
    report = check_sequence(kitti_sample, "06", ("scans", "images", "labels"), label_set=SEMANTICKITTI)
    assert report.faults == []
    assert [facts.points for facts in report.frames] == [123020, 120303]
    counts = np.sum([facts.class_counts for facts in report.frames], axis=0)
    assert counts[[1, 2, 3]].min() > 0  # bicycle, motorcycle, truck occur here
    assert counts[6] == 0  # a bicyclist does not


def test_a_validation_sequence_without_dense_labels(
    tiny_tree: Path, tmp_path: Path, run_script: Callable[..., CompletedProcess[str]]
) -> None:
    shutil.rmtree(tiny_tree / "sequences/00/labels")
    arguments = ("--dataset", tiny_tree, "--sequence", "00", "--role", "val", "--out", tmp_path / "00.json")
    done = run_script("dataset_check.py", *arguments, "--settings", '{"evaluate_on": "scribbles"}')
    assert done.returncode == 0 and "scribbled" in done.stderr, done.stderr
    assert "labels: no such folder" in run_script("dataset_check.py", *arguments).stderr


def test_scribbles_are_not_simulated_from_nothing(
    tiny_tree: Path, tmp_path: Path, run_script: Callable[..., CompletedProcess[str]]
) -> None:
    arguments = ("--dataset", tiny_tree, "--sequence", "00", "--role", "train", "--out", tmp_path / "00.json")
    simulated = (*arguments, "--settings", '{"scribbles": "simulated"}')
    kitti.label_path(tiny_tree, "00", "000000").unlink()
    assert "simulated" not in run_script("dataset_check.py", *simulated).stderr, "one file is lacking, not all"
    shutil.rmtree(tiny_tree / "sequences/00/labels")
    (line,) = [line for line in run_script("dataset_check.py", *simulated).stderr.splitlines() if "error: " in line]
    assert "Scribbles are simulated from dense labels, and there are none: draw some" in line
    assert run_script("dataset_check.py", *arguments).returncode == 0, "published scribbles need no dense labels"
