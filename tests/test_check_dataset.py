"""The check of a whole dataset: one spoilt file or folder after the other, each found, named, and with what fixes
it."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from spoilt_data import DEEP, SPOILT, calibration, remove

from ignet.cli.main import main
from ignet.data.check import headers, tree
from ignet.data.check.dataset import check_dataset, describe
from ignet.data.check.faults import Fault
from ignet.data.check.source import check_source
from ignet.data.check.wanted import wanted_at, wanted_files
from ignet.data.formats import kitti
from ignet.data.formats.official import DOWNLOADS, SEMANTICKITTI_FRAMES, TEST_SEQUENCES, TRAIN_SEQUENCES, VAL_SEQUENCES
from ignet.data.label_sets.label_set import SEMANTICKITTI
from ignet.errors import IgnetError
from ignet.workflow.experiment import load_experiment

FRAMES, POINTS = {"00": 3, "01": 5, "08": 4}, {"00": 400, "01": 500, "08": 300}
TRAIN, VAL = frozenset({"scans", "images", "labels", "scribbles"}), frozenset({"scans", "images", "labels"})
WANTED = {"00": TRAIN, "01": TRAIN, "08": VAL}


@pytest.fixture
def data(make_tree: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three sequences of other lengths, of which SemanticKITTI is said to have just these scans."""
    for sequence, frames in FRAMES.items():
        root = make_tree("data", (sequence,), frames, POINTS[sequence])
        monkeypatch.setitem(SEMANTICKITTI_FRAMES, sequence, frames)
    return root


def faults(
    root: Path, complete: bool = True, deep: bool = False, wanted: dict[str, frozenset[str]] = WANTED
) -> list[Fault]:
    found = check_dataset(root, wanted, complete, deep, workers=2, label_set=SEMANTICKITTI).faults
    for fault in found:
        text = str(fault)
        assert "\n" not in text and ", expected " in text and "; " in text and text.startswith(str(fault.path))
        assert fault.download is None or fault.download in DOWNLOADS
        json.dumps(fault.as_json())
    return found


def test_a_whole_dataset_has_none(data: Path) -> None:
    for deep in (False, True):
        for complete in (False, True):
            assert faults(data, complete, deep) == []
    report = check_dataset(data, WANTED, True, True, label_set=SEMANTICKITTI)
    assert report.faults.doubts == []
    assert report.counts() == {"scans": 12, "images": 12, "labels": 12, "scribbles": 8}
    assert "12 scans, 12 images, 12 label files, 8 scribble files (everything read)\nno fault" in describe(report)
    facts = report.as_json()["sequences"]["01"]
    assert facts["points"] == 2500 and 0 < facts["scribble_share"] < 0.11 and facts["official_scans"] == 5


@pytest.mark.parametrize(("kind", "spoil", "file", "said", "remedy"), SPOILT)
def test_a_fast_check_finds(
    data: Path, kind: str, spoil: Callable[[Path], None], file: str, said: str, remedy: str
) -> None:
    spoil(data / "sequences/01")
    for deep in (False, True):
        (fault,) = faults(data, deep=deep)
        assert fault.kind == kind, fault
        assert fault.path == data / "sequences" / file
        assert said in str(fault) and remedy in str(fault)


@pytest.mark.parametrize(("kind", "spoil", "file", "said", "remedy"), DEEP)
def test_a_deep_check_finds(
    data: Path, kind: str, spoil: Callable[[Path], None], file: str, said: str, remedy: str
) -> None:
    spoil(data / "sequences/01")
    assert faults(data) == []
    (fault,) = faults(data, deep=True)
    assert fault.kind == kind, fault
    assert fault.path == data / "sequences" / file
    assert said in str(fault) and remedy in str(fault)


def test_images_of_another_size_with_the_same_calibration(data: Path) -> None:
    for path in sorted((data / "sequences/01/image_2").iterdir()):
        cv2.imwrite(str(path), cv2.resize(cv2.imread(str(path)), (60, 30)))
    report = check_dataset(data, WANTED, label_set=SEMANTICKITTI)
    assert report.faults == []
    assert [(doubt.kind, doubt.path) for doubt in report.faults.doubts] == [
        ("calibration-p2", data / "sequences/01/calib.txt")
    ]


def test_half_unpacked(data: Path) -> None:
    for number in (3, 4):
        (data / f"sequences/01/velodyne/00000{number}.bin").unlink()
    (fault,) = faults(data)
    assert (fault.kind, fault.files, fault.download) == (
        "missing",
        ("000003.bin", "000004.bin"),
        "data_odometry_velodyne.zip",
    )
    assert "found 3 of 5 scans, as many as sequence 00 has" in str(fault)
    # without knowing how many there must be, the other files tell
    found = faults(data, complete=False)
    assert [fault.kind for fault in found] == ["orphan"] * 3
    assert found[0].files == ("000003.png", "000004.png") and "found no scan for this image" in str(found[0])


def test_too_many(data: Path) -> None:
    for folder, suffix in (("velodyne", "bin"), ("labels", "label"), ("scribbles", "label"), ("image_2", "png")):
        folder = data / "sequences/01" / folder
        shutil.copy(folder / f"000004.{suffix}", folder / f"000005.{suffix}")
    (fault,) = faults(data)
    assert (fault.kind, fault.path.name) == ("too-many", "000005.bin")
    assert "found 6 scans, expected SemanticKITTI's 5" in str(fault)
    assert faults(data, complete=False) == []


@pytest.mark.parametrize("complete", [True, False])
def test_swapped_images(data: Path, complete: bool) -> None:
    one, other, kept = (data / "sequences" / name for name in ("00/image_2", "01/image_2", "kept"))
    one.rename(kept)
    other.rename(one)
    kept.rename(other)
    (fault,) = faults(data, complete)
    assert (fault.kind, fault.path) == ("swapped", one)
    assert "found 5 images for 3 scans, and the reverse in sequence 01" in str(fault)
    assert "swap the folders image_2 of sequences 00 and 01" in str(fault)


def test_scribbles_of_another_sequence(data: Path) -> None:
    for frame in kitti.frame_ids(data, "00"):
        shutil.copy(kitti.scribble_path(data, "01", frame), kitti.scribble_path(data, "00", frame))
    (fault,) = faults(data)
    assert (fault.kind, len(fault.files), fault.download) == ("foreign", 3, "scribblekitti.zip")
    assert "found labels that fit the scans of sequence 01, expected those of sequence 00" in str(fault)


def test_another_format(data: Path) -> None:
    folder = data / "sequences/01/image_2"
    for path in sorted(folder.iterdir()):
        cv2.imwrite(str(path.with_suffix(".bmp")), cv2.imread(str(path)))
        path.unlink()
    kinds = {fault.kind: fault for fault in faults(data)}
    assert set(kinds) == {"format", "empty-folder"}
    assert len(kinds["format"].files) == 5 and "convert them to .png" in str(kinds["format"])


def test_a_sequence_that_is_a_file(data: Path) -> None:
    shutil.rmtree(data / "sequences/01")
    (data / "sequences/01").write_text("")
    (fault,) = faults(data)
    assert fault.kind == "not-a-folder"


def test_no_permission(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulated where the system is asked, because permissions do not bind root."""
    scandir, open_file = os.scandir, Path.open
    folder, image = data / "sequences/01/velodyne", data / "sequences/00/image_2/000001.png"

    def refused_folder(path: Any) -> Any:
        if Path(path) == folder:
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    def refused_file(path: Path, *arguments: Any, **options: Any) -> Any:
        if path == image:
            raise PermissionError(13, "Permission denied", str(path))
        return open_file(path, *arguments, **options)

    monkeypatch.setattr(tree.os, "scandir", refused_folder)
    monkeypatch.setattr(headers.Path, "open", refused_file)
    found = faults(data)
    assert {(fault.kind, fault.path) for fault in found} == {("unreadable", folder), ("unreadable", image)}
    assert all("Permission denied" in str(fault) and "chmod" in str(fault) for fault in found)


@pytest.mark.skipif(os.geteuid() == 0, reason="permissions do not bind root")
def test_no_permission_for_real(data: Path) -> None:
    folder = data / "sequences/01/velodyne"
    folder.chmod(0)
    try:
        (fault,) = faults(data)
    finally:
        folder.chmod(0o755)
    assert (fault.kind, fault.path) == ("unreadable", folder)


def test_many_faults_of_one_kind_are_one_line(data: Path) -> None:
    for path in sorted((data / "sequences/01/labels").iterdir()):
        os.truncate(path, 4)
    (fault,) = faults(data)
    assert len(fault.files) == 5
    assert (
        "000000.label (and 000001.label, 000002.label, 000003.label and 1 more): found 1 labels, expected 500"
        in str(fault)
    )


def test_roots(data: Path, tmp_path: Path) -> None:
    def fault(root: Path) -> Fault:
        (found,) = faults(root)
        return found

    assert fault(tmp_path / "none").kind == "root" and "No such file" in str(fault(tmp_path / "none"))
    (tmp_path / "file").write_text("")
    assert "Not a directory" in str(fault(tmp_path / "file"))
    (tmp_path / "loop").symlink_to("loop")
    assert "Too many levels" in str(fault(tmp_path / "loop"))
    assert f"set dataset.root to {data}" in str(fault(data / "sequences"))
    assert f"set dataset.root to {data}" in str(fault(data.parent))
    (data / "sequences").rename(data / "Sequences")
    assert fault(data).kind == "root-name"
    shutil.rmtree(data / "Sequences")
    assert fault(data).download == "data_odometry_velodyne.zip"


def test_an_archive_that_was_not_unpacked(data: Path) -> None:
    (data / "data_odometry_color.zip").write_bytes(b"")
    assert faults(data) == []
    shutil.rmtree(data / "sequences/00/image_2")
    shutil.rmtree(data / "sequences/01/image_2")
    assert [fault.kind for fault in faults(data)] == ["no-folder", "no-folder", "packed"]
    assert "unpack it: 2 of the faults above" in str(faults(data)[-1])


def test_all_of_it_at_once(data: Path) -> None:
    """The faults of other files do not hide one another."""
    chosen = [
        DEEP[0],
        next(case for case in SPOILT if case[0] == "not-finite"),
        *(case for case in DEEP if case[0] == "unknown-id"),
    ]
    for _, spoil, *_ in chosen:
        spoil(data / "sequences/01")
    (data / "sequences/00/calib.txt").unlink()
    (data / "sequences/08/labels/000003.label").unlink()
    found = [fault.kind for fault in faults(data, deep=True)]
    assert sorted(found) == sorted([*(kind for kind, *_ in chosen), "calibration", "missing"])


def test_test_sequences_have_scans_alone(data: Path) -> None:
    for name in ("labels", "scribbles", "image_2", "calib.txt"):
        remove(name)(data / "sequences/00")
    assert faults(data, wanted={"00": frozenset({"scans"})}) == []


def test_what_a_root_must_hold(data: Path) -> None:
    assert sum(SEMANTICKITTI_FRAMES[name] for name in TEST_SEQUENCES) == 20351
    wanted = wanted_at(data, part=False)
    assert sorted(wanted) == sorted(TRAIN_SEQUENCES + VAL_SEQUENCES)
    assert wanted["00"] == TRAIN and wanted["08"] == VAL
    (data / "sequences/11").mkdir()
    assert wanted_at(data, part=False)["11"] == {"scans"}
    for sequence in FRAMES:
        shutil.rmtree(data / "sequences" / sequence / "scribbles")
    assert wanted_at(data, part=False)["00"] == VAL
    assert wanted_at(data, part=True) == {"00": VAL, "01": VAL, "08": VAL, "11": frozenset({"scans"})}


def test_official_counts() -> None:
    assert sum(SEMANTICKITTI_FRAMES[name] for name in TRAIN_SEQUENCES) == 19130
    assert sum(SEMANTICKITTI_FRAMES[name] for name in VAL_SEQUENCES) == 4071


def test_what_an_experiment_must_find(data: Path) -> None:
    common: dict[str, Any] = {
        "results": "r",
        "dataset": {"root": str(data), "train_sequences": ["00"], "val_sequences": ["08"]},
    }
    runs: dict[str, Any] = {"runs": {"one": {"supervision": "scribbles"}}, "adaptations": {"adapted": {}}}
    assert wanted_files(load_experiment(common | runs, "test")) == {"00": {"scans", "images", "scribbles"}, "08": VAL}
    dense = {"runs": {"one": {"supervision": "dense"}}, "adaptations": {"adapted": {}}}
    assert wanted_files(load_experiment(common | dense, "test"))["00"] == TRAIN
    simulated = common | {"dataset": common["dataset"] | {"scribbles": "simulated"}}
    assert wanted_files(load_experiment(simulated | runs, "test"))["00"] == VAL
    tested = common | {"dataset": common["dataset"] | {"test_sequences": ["09"]}}
    assert wanted_files(load_experiment(tested | runs, "test"))["09"] == VAL
    scribbled = common | {"dataset": common["dataset"] | {"evaluate_on": "scribbles"}}
    assert wanted_files(load_experiment(scribbled | runs, "test"))["08"] == {"scans", "images", "scribbles"}
    both = common | {"dataset": common["dataset"] | {"evaluate_on": "scribbles", "scribbles": "simulated"}}
    with pytest.raises(IgnetError, match="scribbles are simulated from dense labels"):
        load_experiment(both | runs, "test")


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as stop:
        main(["check", *map(str, arguments)])
    return int(stop.value.code or 0)


def test_command_line(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(data, "--part", "--deep") == 0
    assert "no fault" in capsys.readouterr().out
    config = tmp_path / "experiment.yaml"
    section = (
        f"dataset: {{root: {data}, train_sequences: ['00', '01'], val_sequences: ['08'], require_all_scans: true}}\n"
    )
    config.write_text("results: r\n" + section + "runs: {one: {supervision: scribbles}}\n")
    assert run("--config", config) == 0
    capsys.readouterr()

    (data / "sequences/01/image_2/000002.png").unlink()
    assert run("--config", config) == 1
    lines = capsys.readouterr().out.splitlines()
    assert "000002.png: no such file: found 4 of 5 images" in lines[0]
    assert lines[-1].startswith("  data_odometry_color.zip  (https://www.cvlibs.net") and lines[-1].endswith(": 1")
    assert run(data, "--part", "--json") == 1
    found = json.loads(capsys.readouterr().out)
    assert [(fault["kind"], fault["files"], fault["download"]) for fault in found["faults"]] == [
        ("missing", ["000002.png"], "data_odometry_color.zip")
    ]
    assert found["downloads"][0]["faults"] == 1 and found["sequences"]["01"]["images"] == 4
    # all of SemanticKITTI is expected where nothing else is said
    assert run(data, "--json") == 1
    kinds = [fault["kind"] for fault in json.loads(capsys.readouterr().out)["faults"]]
    assert kinds.count("no-sequence") == 8 and kinds.count("missing") == 1


def test_a_doubt_is_said_and_stops_nothing(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    calibration(tr="0 -1 0 8 0 0 -1 -0.1 1 0 0 -0.3")(data / "sequences/01")
    assert run(data, "--part") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(
        f"doubt: {data}/sequences/01/calib.txt: found a camera 8.01 m from the LiDAR, expected at most some 5 m; "
    )
    assert lines[-1] == "no fault, 1 doubt"
    assert run(data, "--part", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["faults"] == [] and [doubt["kind"] for doubt in found["doubts"]] == ["calibration-distance"]
    remove("image_2/000003.png")(data / "sequences/01")
    assert run(data, "--part") == 1
    assert "1 fault, 1 doubt" in capsys.readouterr().out


def test_command_line_says_what_it_needs(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "world.yaml"
    config.write_text("results: r\n")
    for arguments in ((), (data, "--config", config), ("--config", config), (data, "--jobs", 0)):
        assert run(*arguments) == 1
        said = capsys.readouterr().err
        assert said.startswith("error: ") and len(said.splitlines()) == 1


def test_source(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "source"
    for name, value in (("00001", 7), ("00002", 200)):
        for folder, array in (
            ("images", np.full((4, 6, 3), 9, np.uint8)),
            ("labels", np.full((4, 6), value, np.uint8)),
        ):
            (root / folder).mkdir(parents=True, exist_ok=True)
            Image.fromarray(array).save(root / folder / f"{name}.png")
    found = check_source(root, "gtav", deep=False, workers=1)
    assert (found.pairs, found.faults) == (2, [])
    config = tmp_path / "experiment.yaml"
    sections = (
        f"dataset: {{root: {data}, train_sequences: ['00', '01']}}\nsource: {{root: {root}}}\nruns: {{one: "
        "{supervision: scribbles}}\n"
    )
    config.write_text("results: r\n" + sections)
    assert run("--config", config) == 0
    assert f"\n{root}: 2 pairs of source images and labels (gtav)\nno fault" in capsys.readouterr().out
    assert run("--config", config, "--deep", "--json") == 1
    said = json.loads(capsys.readouterr().out)
    assert said["source"] == {"root": str(root), "layout": "gtav", "pairs": 2}
    assert [fault["kind"] for fault in said["faults"]] == ["source-image"]
    (fault,) = check_source(root, "gtav", deep=True, workers=2).faults
    assert fault.kind == "source-image" and "labels/00002.png: found unknown label id 200" in str(fault)
    Image.fromarray(np.full((4, 5), 7, np.uint8)).save(root / "labels/00001.png")
    (fault,) = check_source(root, "gtav", deep=False, workers=1).faults
    assert fault.kind == "source-size" and "labels/00001.png: found 5x4 pixels, expected 6x4" in str(fault)
    (root / "labels/00001.png").unlink()
    found = check_source(root, "gtav", deep=True, workers=1)
    assert found.pairs == 0 and [fault.kind for fault in found.faults] == ["source-pairs"]
    assert "images/00001.png" in str(found.faults[0])


def test_at_least_25_kinds_are_injected() -> None:
    assert len({kind for kind, *_ in [*SPOILT, *DEEP]}) >= 25


def test_real_frames(kitti_sample: Path) -> None:
    report = check_dataset(
        kitti_sample, wanted_at(kitti_sample, part=True), deep=True, workers=2, label_set=SEMANTICKITTI
    )
    assert report.faults == report.faults.doubts == []
    assert report.counts()["scans"] == report.counts()["images"] == 18
    found = check_dataset(kitti_sample, wanted_at(kitti_sample, part=False), complete=True, label_set=SEMANTICKITTI)
    assert sum(fault.kind == "missing" for fault in found.faults) == 27
    assert {fault.path.name for fault in found.faults if fault.kind == "no-sequence"} == {"03", "08"}
