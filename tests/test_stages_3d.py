"""The 3D stages' scripts on a tiny tree: killed and resumed, pseudo-labels for a second training, prediction without a
camera."""

import json
import runpy
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from training_files import training_files

from ignet.data.formats.kitti import read_labels
from ignet.data.formats.splits import labelled_scans
from ignet.data.label_sets.label_set import IGNORE, SEMANTICKITTI

ROOT = Path(__file__).parents[1]
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
def projection(tiny_tree, run_script, tmp_path) -> Path:
    """Correspondences of sequence 00."""
    arguments = ["--dataset", tiny_tree, "--sequence", "00", "--scribbles", tiny_tree]
    result = run_script("projection.py", *arguments, "--out", tmp_path / "projection/00.h5")
    assert result.returncode == 0, result.stderr
    return tmp_path / "projection"


def training(tree: Path, projection: Path, out: Path, settings: dict) -> list[str]:
    command = [
        sys.executable,
        ROOT / "workflow/scripts/train_3d.py",
        "--settings",
        json.dumps(settings),
        "--device",
        "cpu",
        "--threads",
        1,
    ]
    command += [
        "--dataset",
        tree,
        "--sequences",
        "00",
        "--labels",
        tree,
        "--projection",
        projection,
        "--features",
        projection,
    ]
    command += [
        "--seed",
        3,
        *training_files(out),
    ]
    return [str(part) for part in [*command, "--state", out / "state", "--checkpoint-every", 0]]


def finish(command: list[str]) -> str:
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stderr
    return result.stderr


def kill_after_a_checkpoint(command: list[str], state: Path) -> bool:
    """SIGKILL in the middle of the training; whether it came in time."""
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    while process.poll() is None and not list(state.glob("*/checkpoint.previous.pt")):
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


def test_killed_training_ends_byte_identical(tiny_tree, projection, tmp_path) -> None:
    settings = {**SETTINGS, "backbone": SPVCNN}  # whose dropout draws in every step
    finish(training(tiny_tree, projection, tmp_path / "whole", settings))
    command = training(tiny_tree, projection, tmp_path / "cut", settings)
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


def test_curves_hold_the_learning_rate_of_the_step_itself(tiny_tree, projection, tmp_path, monkeypatch) -> None:
    command = training(tiny_tree, projection, tmp_path / "run", {**SETTINGS, "steps": 5, "warmup_steps": 2})
    monkeypatch.setattr(sys, "argv", command[1:])
    runpy.run_path(command[1], run_name="__main__")
    rates = np.genfromtxt(tmp_path / "run/curves.csv", delimiter=",", names=True)["learning_rate"]
    # two steps rise from a tenth of 0.01, then half a cosine over three
    np.testing.assert_allclose(rates, [0.001, 0.0055, 0.01, 0.0075, 0.0025], rtol=1e-5)


def test_guided_run_without_a_feature_store_is_one_line(tiny_tree, projection, tmp_path) -> None:
    result = subprocess.run(
        training(tiny_tree, projection, tmp_path / "x", GUIDED), capture_output=True, text=True, check=False
    )
    assert result.returncode == 1
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert not (tmp_path / "x/model.safetensors").exists()


@pytest.mark.parametrize(
    "backbone", [BACKBONE, {**SPVCNN, "local_context": {}}], ids=["minkunet", "spvcnn with local context"]
)
def test_pseudo_labels_keep_scribbles_and_feed_a_second_training(
    tiny_tree, projection, run_script, tmp_path, backbone
) -> None:
    finish(training(tiny_tree, projection, tmp_path / "first", {**SETTINGS, "backbone": backbone}))
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
    command = training(tiny_tree, projection, tmp_path / "second", second)
    command[command.index("--labels") + 1] = str(tmp_path / "pseudo")
    finish(command)


@pytest.mark.parametrize(
    ("supervision", "folder", "learns"),
    [("scribbles", "scribbles", True), ("dense", "labels", False)],
    ids=["scribbles, with unlabelled scans", "dense, supervised"],
)
def test_labels_of_unlabelled_scans_change_nothing(
    tiny_tree, projection, tmp_path, monkeypatch, supervision, folder, learns
) -> None:
    def weights_of(name: str) -> bytes:
        command = training(tiny_tree, projection, tmp_path / name, settings)
        monkeypatch.setattr(sys, "argv", command[1:])
        runpy.run_path(command[1], run_name="__main__")  # in this process, for its time
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


def test_prediction_needs_scans_alone(tiny_tree, projection, run_script, tmp_path) -> None:
    finish(training(tiny_tree, projection, tmp_path / "run", SETTINGS))
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
