"""The 3D stages' scripts on a tiny tree: killed and resumed, pseudo-labels for a second training, prediction without a
camera."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from script import SCRIPTS, run_script
from training_files import training_files

from ignet.data.formats.kitti import read_labels
from ignet.data.formats.splits import labelled_scans
from ignet.data.label_sets.label_set import IGNORE, SEMANTICKITTI

BACKBONE = {"voxel": 0.5, "stem": 4, "encoder": [4, 4, 8, 8], "decoder": [8, 4, 4, 4]}
SETTINGS = {
    "steps": 12,
    "batch": 1,
    "backbone": BACKBONE,
    "contrastive": {"weight": 0.5},
    "mixing": {"fovmix": {"probability": 0.5}},
}
SPVCNN = {**BACKBONE, "name": "spvcnn"}
GUIDED = {**SETTINGS, "image_guidance": {"weight": 1.0}}


@pytest.fixture
def projection(tiny_tree, tmp_path) -> Path:
    """Correspondences of sequence 00."""
    arguments = ["--dataset", tiny_tree, "--sequence", "00", "--scribbles", tiny_tree]
    result = run_script("projection.py", *arguments, "--out", tmp_path / "projection/00.h5")
    assert result.returncode == 0, result.stderr
    return tmp_path / "projection"


def training(tree: Path, projection: Path, out: Path, settings: dict) -> list[object]:
    """The arguments of a training."""
    arguments = ["--settings", json.dumps(settings), "--device", "cpu", "--threads", 1, "--seed", 3]
    arguments += ["--dataset", tree, "--sequences", "00", "--labels", tree]
    arguments += ["--projection", projection, "--features", projection]
    return [*arguments, *training_files(out), "--state", out / "state", "--checkpoint-every", 0]


def train(tree: Path, projection: Path, out: Path, settings: dict) -> str:
    """A training in this process; returns its log."""
    result = run_script("train_3d.py", *training(tree, projection, out, settings))
    assert result.returncode == 0, result.stderr
    return result.stderr


def finish(command: list[object]) -> str:
    """A training in a process of its own; returns its log."""
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stderr
    return result.stderr


def kill_after_a_checkpoint(command: list[object], state: Path) -> bool:
    """SIGKILL in the middle of the training; whether it came in time."""
    process = subprocess.Popen(list(map(str, command)), stderr=subprocess.DEVNULL)
    while process.poll() is None and not list(state.glob("*/checkpoint.previous.pt")):
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


def test_killed_training_ends_byte_identical(tiny_tree, projection, tmp_path) -> None:
    settings = {**SETTINGS, "backbone": SPVCNN}  # whose dropout draws in every step
    start = [sys.executable, SCRIPTS / "train_3d.py"]
    finish([*start, *training(tiny_tree, projection, tmp_path / "whole", settings)])
    command = [*start, *training(tiny_tree, projection, tmp_path / "cut", settings)]
    killed = kill_after_a_checkpoint(command, tmp_path / "cut/state")
    text = finish(command)
    assert ("resumed after step" in text) or not killed
    for name in ("model.safetensors", "metrics.json", "curves.csv"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    # its state stays until the workflow has recorded the results; from it they are written again, and no step is done
    (tmp_path / "cut/model.safetensors").unlink()
    again = finish(command)
    assert "resumed after step" in again and "step of" not in again
    assert (tmp_path / "cut/model.safetensors").read_bytes() == (tmp_path / "whole/model.safetensors").read_bytes()


def test_curves_hold_the_learning_rate_of_the_step_itself(tiny_tree, projection, tmp_path) -> None:
    train(tiny_tree, projection, tmp_path / "run", {**SETTINGS, "steps": 5, "warmup_steps": 2})
    rates = np.genfromtxt(tmp_path / "run/curves.csv", delimiter=",", names=True)["learning_rate"]
    # two steps rise from a tenth of 0.01, then half a cosine over three
    np.testing.assert_allclose(rates, [0.001, 0.0055, 0.01, 0.0075, 0.0025], rtol=1e-5)


def test_guided_run_without_a_feature_store_is_one_line(tiny_tree, projection, tmp_path) -> None:
    result = run_script("train_3d.py", *training(tiny_tree, projection, tmp_path / "x", GUIDED))
    assert result.returncode == 1
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert not (tmp_path / "x/model.safetensors").exists()


@pytest.mark.parametrize(
    "backbone", [BACKBONE, {**SPVCNN, "local_context": {}}], ids=["minkunet", "spvcnn with local context"]
)
def test_pseudo_labels_keep_scribbles_and_feed_a_second_training(tiny_tree, projection, tmp_path, backbone) -> None:
    train(tiny_tree, projection, tmp_path / "first", {**SETTINGS, "backbone": backbone})
    arguments = [
        "--weights",
        tmp_path / "first/model.safetensors",
        "--dataset",
        tiny_tree,
        "--sequences",
        "00",
        "--scribbles",
        tiny_tree,
    ]
    result = run_script("pseudo_label.py", "--settings", '{"fraction": 0.5}', *arguments, "--out", tmp_path / "pseudo")
    assert result.returncode == 0, result.stderr
    for frame in ("000000", "000001"):
        given = SEMANTICKITTI.to_train_ids(read_labels(tiny_tree / f"sequences/00/scribbles/{frame}.label"))
        made = SEMANTICKITTI.to_train_ids(read_labels(tmp_path / f"pseudo/sequences/00/labels/{frame}.label"))
        assert np.array_equal(made[given != IGNORE], given[given != IGNORE])
        assert 0.4 < (made != IGNORE).mean() < 1.0
    # a second training reads them, and neither scribbles nor dense labels
    for folder in ("scribbles", "labels"):
        shutil.rmtree(tiny_tree / "sequences/00" / folder)
    second = {**SETTINGS, "supervision": "pseudo", "pseudo_labels_of": "first"}
    arguments = training(tiny_tree, projection, tmp_path / "second", second)
    arguments[arguments.index("--labels") + 1] = tmp_path / "pseudo"
    result = run_script("train_3d.py", *arguments)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    ("supervision", "folder", "learns"),
    [("scribbles", "scribbles", True), ("dense", "labels", False)],
    ids=["scribbles, with unlabelled scans", "dense, supervised"],
)
def test_labels_of_unlabelled_scans_change_nothing(
    tiny_tree, projection, tmp_path, supervision, folder, learns
) -> None:
    def weights_of(name: str) -> bytes:
        train(tiny_tree, projection, tmp_path / name, settings)
        return (tmp_path / name / "model.safetensors").read_bytes()

    settings = {**SETTINGS, "steps": 6, "batch": 2, "supervision": supervision, "labelled_frames": 50}
    if not learns:
        settings |= {
            "contrastive": {"weight": 0},
            "mean_teacher": {"weight": 0},
            "mixing": {"fovmix": {"probability": 0}},
        }
    split = labelled_scans({"00": ["000000", "000001"]}, 50)
    (labelled,) = (frame for _, frame in split.scans)
    unlabelled = {"000000": "000001", "000001": "000000"}[labelled]
    weights = weights_of("whole")
    metrics = json.loads((tmp_path / "whole/metrics.json").read_text())
    assert metrics["scans"] == (2 if learns else 1)

    file = tiny_tree / f"sequences/00/{folder}/{unlabelled}.label"
    file.write_bytes(b"no labels")
    assert weights_of("spoilt") == weights
    file.unlink()
    assert weights_of("deleted") == weights

    # the test can fail: what is labelled does count, and so does an unlabelled scan where a loss learns from it
    scan = tiny_tree / f"sequences/00/velodyne/{unlabelled}.bin"
    points = np.fromfile(scan, np.float32).reshape(-1, 4)
    (points * np.float32([1, 1, 1.5, 1])).tofile(scan)
    assert (weights_of("moved") == weights) != learns
    labels = tiny_tree / f"sequences/00/{folder}/{labelled}.label"
    np.roll(np.fromfile(labels, np.uint32), 1).tofile(labels)
    assert weights_of("other") != weights


def test_prediction_needs_scans_alone(tiny_tree, projection, tmp_path) -> None:
    train(tiny_tree, projection, tmp_path / "run", SETTINGS)
    for name in ("image_2", "labels", "scribbles"):
        shutil.rmtree(tiny_tree / "sequences/08" / name)
    (tiny_tree / "sequences/08/calib.txt").unlink()
    arguments = [
        "--weights",
        tmp_path / "run/model.safetensors",
        "--dataset",
        tiny_tree,
        "--sequence",
        "08",
        "--out",
        tmp_path / "out",
    ]
    result = run_script("predict.py", "--settings", "{}", *arguments)
    assert result.returncode == 0, result.stderr
    for frame in ("000000", "000001"):
        predicted = read_labels(tmp_path / f"out/{frame}.label", 400)
        assert 0 not in predicted
