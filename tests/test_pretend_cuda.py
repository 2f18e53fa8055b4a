"""The GPU stages' scripts on a device that pretends to be CUDA: no operand on the wrong device, and how often a step
waits for it; see pretend/pretend_cuda.py."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from test_stages_2d import ADAPT, NETWORK, project, write_source, write_target
from training_files import training_files

ROOT = Path(__file__).parents[1]
PRETEND = ROOT / "tests" / "pretend"
# the published network's layers, which decide how many operators a step has, in narrow
BACKBONE = {"voxel": 0.5, "stem": 8, "encoder": [8, 16, 24, 32], "decoder": [32, 16, 24, 24], "blocks": 2}
CYLINDER3D = {"name": "cylinder3d", "grid": [60, 45, 9], "points": [8, 8], "cell_features": 4, "width": 4}
TRAIN_3D = {
    "steps": 4,
    "batch": 2,
    "backbone": {**BACKBONE, "engine": "torch"},
    "precision": "bfloat16",
    "contrastive": {"weight": 0.5, "ramp": 0},
    "image_guidance": {"weight": 1.0, "loss": "classifier_kl"},
    "mixing": {"fovmix": {"probability": 0.5}},
}

pytestmark = [
    pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed, and the device has to be compiled"),
    pytest.mark.skipif(torch.version.cuda is not None, reason="this torch is built for CUDA, and finds a real device"),
]


def on_device(folder: Path, script: str, settings: dict, *arguments: object, root: Path = ROOT) -> dict:
    """Run a script of ``root`` on the device; returns what run_stage.py counted."""
    counts = folder / f"{script}.counts.json"
    command = [sys.executable, PRETEND / "run_stage.py", counts, root / f"workflow/scripts/{script}.py"]
    command += ["--settings", json.dumps(settings), "--device", "cuda", *arguments]
    environment = {**os.environ, "PYTHONPATH": f"{PRETEND}:{root}", "OMP_NUM_THREADS": "1"}
    result = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, env=environment, timeout=600, check=False
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return json.loads(counts.read_text())


def training(folder: Path, out: str) -> list[object]:
    """Where a training writes."""
    out = folder / out
    return [*training_files(out), "--state", out / "state"]


def pretrain(folder: Path, root: Path = ROOT, out: str = "pretrained") -> dict:
    settings = {"crop": [32, 48], "batch": 2, "warmup_steps": 2, "network": NETWORK, "steps": 3}
    return on_device(folder, "pretrain_2d", settings, "--source", folder / "source", *training(folder, out), root=root)


def where(folder: Path, sequence: str = "00") -> list[object]:
    return ["--dataset", folder / "target", "--sequences", sequence, "--projection", folder / "projection"]


def adapt(folder: Path) -> dict:
    source = ["--source", folder / "source", "--pretrained", folder / "pretrained/model.safetensors"]
    settings = {**ADAPT, "steps": 3, "precision": "bfloat16"}
    return on_device(folder, "adapt_2d", settings, *source, *where(folder), *training(folder, "adapted"))


def train(folder: Path, settings: dict = TRAIN_3D, root: Path = ROOT, out: str = "trained") -> dict:
    labels = ["--labels", folder / "target", "--features", folder / "features"]
    files = training(folder, out)
    return on_device(folder, "train_3d", settings, *where(folder), *labels, *files, root=root)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the 2D stages leave, all of them run on the device, and what `pretrain` and `adapt` counted."""
    folder = tmp_path_factory.mktemp("pretend")
    write_source(folder / "source")
    for sequence, given in (("00", ("--scribbles", folder / "target")), ("08", ())):
        write_target(folder / "target", sequence)
        project(folder, sequence, *given)
    found = {"pretrain_2d": pretrain(folder), "adapt_2d": adapt(folder)}
    (folder / "counts.json").write_text(json.dumps(found))
    network = ["--network", folder / "adapted/model.safetensors", "--dataset", folder / "target"]
    sequence = ["--sequence", "00", "--projection", folder / "projection/00.h5", "--out", folder / "features/00.h5"]
    on_device(folder, "features", {}, *network, *sequence)
    return folder


@pytest.mark.parametrize(
    ("backbone", "out", "operators"),
    [
        (BACKBONE, "trained", 3000),
        ({**BACKBONE, "name": "spvcnn"}, "spvcnn", 3500),
        (CYLINDER3D, "cylinder3d", 5500),
    ],
    ids=["minkunet", "spvcnn", "cylinder3d"],
)
def test_a_step_of_the_3d_training_seldom_waits(work: Path, backbone: dict, out: str, operators: int) -> None:
    found = train(work, {**TRAIN_3D, "backbone": {**backbone, "engine": "torch"}}, out=out)
    last = found["steps"][-1]
    # two transfers for each of two geometries, and one wait each for what losses choose by the data
    assert last["waits"] <= 10, found
    assert last["copies"] <= 4, found
    assert last["operators"] <= operators, found
    curves = np.genfromtxt(work / out / "curves.csv", delimiter=",", names=True)
    assert curves["step"].tolist() == [0, 1, 2, 3] and np.isfinite(curves["loss"]).all()


def test_steps_of_the_2d_trainings_seldom_wait(work: Path) -> None:
    found = json.loads((work / "counts.json").read_text())
    assert found["pretrain_2d"]["steps"][-1]["waits"] == 0, found["pretrain_2d"]
    assert found["adapt_2d"]["steps"][-1]["waits"] <= 8, found["adapt_2d"]


def test_inference_on_the_device(work: Path) -> None:
    if not (work / "trained/model.safetensors").exists():
        train(work)
    weights = ["--weights", work / "trained/model.safetensors", "--dataset", work / "target"]
    on_device(work, "predict", {}, *weights, "--sequence", "08", "--out", work / "predictions")
    scribbles = ["--sequences", "00", "--scribbles", work / "target", "--out", work / "pseudo"]
    on_device(work, "pseudo_label", {}, *weights, *scribbles)
    network = ["--network", work / "adapted/model.safetensors", "--out", work / "metrics.json"]
    network += ["--figures", work / "figures"]
    on_device(work, "evaluate_2d", {}, *where(work, "08"), *network)


def faulty(folder: Path, copy: Path, file: str, line: str, fault: str) -> dict:
    """What a training counts that runs on a copy of the project with one line changed."""
    for part in ("ignet", "workflow"):
        shutil.copytree(ROOT / part, copy / part)
    source = (copy / file).read_text()
    assert source.count(line) == 1
    (copy / file).write_text(source.replace(line, fault))
    return train(folder, {**TRAIN_3D, "steps": 1}, copy, "faulty")


def test_a_tensor_left_on_the_cpu_is_found(work: Path, tmp_path: Path) -> None:
    line = "torch.arange(probabilities.shape[1], device=labels.device)"
    with pytest.raises(AssertionError, match=r"DeviceMismatch: eq: a tensor of the CPU, \(19, 1\)"):
        faulty(work, tmp_path, "ignet/losses/lovasz.py", line, "torch.arange(probabilities.shape[1])")


def test_a_number_read_in_a_step_is_found(work: Path, tmp_path: Path) -> None:
    line = "losses = self.forward(step, *batches)"
    found = faulty(work, tmp_path, "ignet/train/trainer.py", line, f'{line}; float(losses["loss"])')
    assert any("wait, _local_scalar_dense at ignet/train/trainer.py" in place for place in found["places"]), found
