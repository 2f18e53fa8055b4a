"""Scans without a label file, where ``dataset.missing_labels`` allows them."""

import runpy
import shutil
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest
from script import SCRIPTS

from ignet.cli.main import main
from ignet.config.dataset import DatasetConfig
from ignet.config.training_3d import Train3DConfig
from ignet.data.check.dataset import check_dataset
from ignet.data.check.wanted import may_lack
from ignet.data.formats import kitti
from ignet.data.label_sets.files import labelled_frames, read_classes
from ignet.data.label_sets.label_set import IGNORE, SEMANTICKITTI
from ignet.data.lidar.lidar_dataset import LidarDataset
from ignet.errors import IgnetError
from ignet.evaluate.benchmark import evaluate
from ignet.workflow.experiment import load_experiment

WANTED = {"00": frozenset({"scans", "labels", "scribbles"})}
find_frames = runpy.run_path(str(SCRIPTS / "train_3d.py"))["find_frames"]


@pytest.fixture
def part(tiny_tree: Path) -> Path:
    """Nobody labelled 000001 of sequence 00, nor scribbled on it."""
    for kind in ("labels", "scribbles"):
        kitti.labels_path(tiny_tree, "00", "000001", kind).unlink()
    return tiny_tree


def test_the_check_refuses_or_counts_them(part: Path, capsys: pytest.CaptureFixture[str]) -> None:
    faults = check_dataset(part, WANTED, label_set=SEMANTICKITTI).faults
    assert [fault.kind for fault in faults] == ["missing"] * 2
    assert [fault.path.parent.name for fault in faults] == ["labels", "scribbles"]
    for deep in (False, True):
        found = check_dataset(part, WANTED, deep=deep, may_lack=("labels",), label_set=SEMANTICKITTI).faults
        missing = [doubt for doubt in found.doubts if doubt.kind == "missing-labels"]
        assert not found and len(missing) == 2
        assert "labels/000001.label: found no label file for 1 of 2 scans" in str(missing[0])
        assert "allowed by dataset.missing_labels" in missing[0].remedy
    for more, code in ((), 1), (("--may-lack", "labels"), 0):
        with pytest.raises(SystemExit) as end:
            main(["check", str(part), "--part", *more])
        assert end.value.code == code
    assert "found no scribble file for 1 of 2 scans" in capsys.readouterr().out


def test_a_sequence_without_any_is_counted_and_one_under_another_name_is_a_fault(part: Path) -> None:
    folder = kitti.sequence_path(part, "00")
    kitti.label_path(part, "00", "000000").unlink()
    (folder / "labels").rmdir()
    found = check_dataset(part, WANTED, may_lack=("labels",), label_set=SEMANTICKITTI).faults
    assert not found and "for 2 of 2 scans" in str(found.doubts[0])
    (folder / "scribbles").rename(folder / "Scribbles")
    (fault,) = check_dataset(part, WANTED, may_lack=("labels",), label_set=SEMANTICKITTI).faults
    assert fault.kind == "folder-name"


def test_images_are_asked_for_all_the_same(part: Path) -> None:
    kitti.image_path(part, "00", "000000").unlink()
    wanted = {"00": frozenset({"scans", "images", "labels"})}
    (fault,) = check_dataset(part, wanted, may_lack=("labels",), label_set=SEMANTICKITTI).faults
    assert (fault.kind, fault.path.parent.name) == ("missing", "image_2")


def test_no_file_no_labels_and_a_broken_link_is_none(part: Path) -> None:
    path = kitti.label_path(part, "00", "000001")
    classes = read_classes(path, 400, SEMANTICKITTI)
    assert classes.dtype == np.uint8 and classes.tolist() == [IGNORE] * 400
    there = kitti.label_path(part, "00", "000000")
    expected = SEMANTICKITTI.to_train_ids(kitti.read_labels(there))
    np.testing.assert_array_equal(read_classes(there, 400, SEMANTICKITTI), expected)
    path.symlink_to(part / "nowhere")
    with pytest.raises(IgnetError, match="no such file"):
        read_classes(path, 400, SEMANTICKITTI)


def arguments(root: Path, sequences: tuple[str, ...] = ("00",)) -> Namespace:
    return Namespace(dataset=root, labels=root, sequences=sequences)


@pytest.mark.parametrize("supervision", ["dense", "scribbles"])
def test_a_training_draws_half_of_its_batches_from_the_labelled_scans(part: Path, supervision: str) -> None:
    settings = Train3DConfig(supervision=supervision, mean_teacher={"weight": 1.0})
    frames, labelled = find_frames(arguments(part), settings)
    assert (frames, list(labelled)) == ({"00": ["000000", "000001"]}, [("00", "000000")])
    source = LidarDataset(part, frames, supervision, part, labelled=labelled, label_set=SEMANTICKITTI)
    assert [pool.tolist() for pool in source.pools] == [[0], [1]]
    assert (source.load(0).labels != IGNORE).any() and (source.load(1).labels == IGNORE).all()
    # and one that learns from labels alone leaves the others out
    frames, _ = find_frames(arguments(part), Train3DConfig(supervision=supervision, mean_teacher={"weight": 0}))
    assert frames == {"00": ["000000"]}


def test_whole_sequences_are_trained_on_as_ever_and_none_is_an_error(part: Path) -> None:
    assert find_frames(arguments(part, ("08",)), Train3DConfig())[1] is None
    kitti.scribble_path(part, "00", "000000").unlink()
    with pytest.raises(IgnetError, match=r"scribbles/000000\.label: found no label file of any training scan"):
        find_frames(arguments(part), Train3DConfig())


def test_scribbles_are_simulated_where_there_are_labels(
    part: Path, tmp_path: Path, run_script: Callable[..., CompletedProcess[str]]
) -> None:
    done = run_script("scribbles.py", "--dataset", part, "--sequence", "00", "--out", tmp_path / "scribbles")
    assert done.returncode == 0, done.stderr
    assert [path.name for path in (tmp_path / "scribbles").iterdir()] == ["000000.label"]
    kitti.label_path(part, "00", "000000").unlink()
    done = run_script("scribbles.py", "--dataset", part, "--sequence", "00", "--out", tmp_path / "none")
    assert done.returncode == 0 and not list((tmp_path / "none").iterdir()), done.stderr


def test_the_benchmark_of_predictions_asks_for_every_label(part: Path, tmp_path: Path) -> None:
    """`ignet evaluate` has no check before it."""
    for frame in ("000000", "000001"):
        path = tmp_path / f"sequences/00/predictions/{frame}.label"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.full(400, 40, np.uint32).tofile(path)
    with pytest.raises(IgnetError, match=r"labels/000001\.label: no such file"):
        evaluate(part, tmp_path, ["00"], SEMANTICKITTI)


def test_shares_are_not_drawn_of_scans_of_which_some_have_labels() -> None:
    data = {"root": "/data", "train_sequences": ["00"], "val_sequences": ["08"]}
    assert may_lack(DatasetConfig(**data, missing_labels="allow")) == {"labels"}
    assert may_lack(DatasetConfig(**data, missing_images="allow")) == {"images"}
    for section in (
        {"runs": {"semi": {"labelled_frames": 10, "batch": 2}}},
        {"adaptations": {"adapted": {"labelled_frames": 10}}},
        {"teachers": {"lite": {"kind": "efficientnet_lite", "head": {"labelled_frames": 10}}}},
    ):
        values = {"results": "r", "dataset": data | {"missing_labels": "allow"}, "train_3d": {"batch": 2}}
        values |= {"runs": {"baseline": {}}} | section
        with pytest.raises(IgnetError, match=r"\.labelled_frames: found 10 with dataset\.missing_labels allow"):
            load_experiment(values, "x.yaml")
    values = {"results": "r", "dataset": data | {"missing_labels": "allow"}, "runs": {"baseline": {}}}
    with pytest.raises(IgnetError, match="missing_labels is allow and batch is 1, .* take an even batch"):
        load_experiment(values, "x.yaml")


def test_figures_show_scans_with_labels(part: Path) -> None:
    frames = ["000000", "000001"]
    assert labelled_frames(part, "00", frames, "labels") == ["000000"]
    assert labelled_frames(part, "08", frames, "scribbles") == frames
    shutil.rmtree(kitti.sequence_path(part, "00") / "scribbles")
    assert labelled_frames(part, "00", frames, "scribbles") == frames
