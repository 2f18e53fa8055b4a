"""The workflow's stages, each run once as the workflow runs it, on an embedded world made for it, and timed."""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ignet.config.base import Section, merge, read_yaml
from ignet.config.execution import GPU_STAGES
from ignet.config.experiment import ExperimentConfig
from ignet.config.training_3d import Train3DConfig
from ignet.data.formats.kitti import frame_ids, read_scan, scan_path
from ignet.errors import IgnetError
from ignet.workflow.experiment import load_experiment

ROOT = Path(__file__).resolve().parents[1]
SEQUENCE = "00"
KITTI_WORLD = {"beams": 64, "azimuths": 2048, "image_width": 1241, "image_height": 376}
SMALLER: dict[str, Any] = {
    "pretrain_2d": {"batch": 1, "crop": [128, 256]},
    "adapt_2d": {"batch": 1, "crop": [128, 256]},
    "train_3d": {"batch": 1},
}
"""What the paper's trainings take on the CPU."""

SIZES = {"tiny": "tiny.yaml", "demo": "demo.yaml", "paper": "scribblekitti.yaml"}
"""Size -> its experiment in ``config/``."""


@dataclass(frozen=True)
class Units:
    """How much is timed: frames that are made, how often each of them comes, and steps of a training."""

    frames: int
    times: int
    steps: int


UNITS = {
    ("tiny", "cpu"): Units(2, 2, 12),
    ("demo", "cpu"): Units(30, 1, 35),
    ("paper", "cpu"): Units(3, 1, 3),
    ("tiny", "cuda"): Units(2, 2, 12),
    ("demo", "cuda"): Units(10, 5, 220),
    ("paper", "cuda"): Units(8, 5, 20),
}


def settings_of(size: str, device: torch.device) -> ExperimentConfig:
    """The experiment whose stages are timed."""
    values = read_yaml(ROOT / "config" / SIZES[size])
    if size == "paper":
        values = merge(values, {"world": KITTI_WORLD, "pretrain_2d": {"network": {"weights": "random"}}})
        values = merge(values, SMALLER) if device.type == "cpu" else values
    return load_experiment(values, size)


class Stages:
    """Runs the scripts of one experiment.

    Args:
        size: of `SIZES`.
        device: where networks compute.
        data: folder of the data; those that are there already are not made again.
        folder: of weights and results.
    """

    def __init__(self, size: str, device: torch.device, data: Path, folder: Path) -> None:
        self.size, self.device, self.data, self.folder = size, device, data, folder
        folder.mkdir(parents=True, exist_ok=True)
        self.experiment, self.units = settings_of(size, device), UNITS[size, device.type]
        # a GPU is fed as the experiment says; the CPU's unit is one thread
        on_gpu, execution = device.type == "cuda", self.experiment.execution
        self.threads, self.workers = (execution.threads, execution.workers) if on_gpu else (1, 0)

    def command(self, script: str, settings: Section, *arguments: object) -> list[str]:
        """A stage's command line, on the device where it is one of those that use a GPU."""
        command = [script_path(script), "--settings", settings.canonical()]
        command += ["--device", self.device if script in GPU_STAGES else "cpu"]
        command += ["--threads", self.threads if script in GPU_STAGES else 1]
        return [str(part) for part in (*command, *arguments)]

    def run(self, command: list[str], watch: str = "times", out: Path | None = None) -> dict[str, Any]:
        """Run a command with its loops watched; returns what `watched_stage.py` wrote, and all ``seconds`` it took."""
        out = out or self.folder / "times.json"
        before, start = os.times(), time.perf_counter()
        watched = [sys.executable, str(ROOT / "benchmarks" / "watched_stage.py"), watch, str(out)]
        result = subprocess.run([*watched, *command], capture_output=True, text=True, check=False)
        after, seconds = os.times(), time.perf_counter() - start
        if result.returncode:
            lines = result.stderr.strip().splitlines() or ["no message"]
            raise IgnetError(f"{Path(command[0]).stem}: exit code {result.returncode}: {lines[-1]}")
        if self.device.type == "cpu":
            seconds = (after.children_user + after.children_system) - (before.children_user + before.children_system)
        return {"seconds": seconds} | (json.loads(out.read_text(encoding="utf-8")) if watch == "times" else {})

    # --- what the stages read ------------------------------------------------

    def make_data(self) -> None:
        """Source images, scans, and their correspondence, not timed."""
        for script, settings, *arguments in self.data_stages(self.data):
            out = Path(arguments[arguments.index("--out") + 1])
            if not out.exists():
                self.run(self.command(script, settings, *arguments))
                if script == "world_target":
                    repeat_frames(out, self.units.times)

    def data_stages(self, folder: Path) -> list[tuple[Any, ...]]:
        """(script, settings, *arguments) of the stages that make the data, in ``folder``."""
        world = self.experiment.world.model_copy(
            update={"frames": self.units.frames, "source_images": self.units.frames}
        )
        target, projection = folder / "target" / "sequences" / SEQUENCE, folder / "projection" / f"{SEQUENCE}.h5"
        return [
            ("world_source", world, "--out", folder / "source"),
            ("world_target", world, "--sequence", SEQUENCE, "--out", target),
            ("projection", self.experiment.projection, *self.sequence, *self.scribbles, "--out", projection),
        ]

    @property
    def target(self) -> Path:
        """The dataset."""
        return self.data / "target"

    @property
    def correspondence(self) -> Path:
        """Of the sequence."""
        return self.data / "projection" / f"{SEQUENCE}.h5"

    @property
    def sequence(self) -> tuple[object, ...]:
        """Arguments of a stage that takes one sequence."""
        return "--dataset", self.target, "--sequence", SEQUENCE

    @property
    def sequences(self) -> tuple[object, ...]:
        """Arguments of a stage that takes several."""
        projection = ("--projection", self.data / "projection")
        return "--dataset", self.target, "--sequences", SEQUENCE, *projection

    @property
    def scribbles(self) -> tuple[object, ...]:
        """Where the labels are."""
        return "--scribbles", self.target

    def scans(self) -> list[np.ndarray]:
        """All scans, float32 (N, 4) each."""
        return [read_scan(scan_path(self.target, SEQUENCE, frame)) for frame in frame_ids(self.target, SEQUENCE)]

    # --- the stages of networks ----------------------------------------------

    def pretrain_2d(self, steps: int, name: str = "2d") -> list[str]:
        """The source pretraining's command line."""
        settings = self.experiment.pretrain_2d.model_copy(update={"steps": steps, "warmup_steps": 1})
        return self.command("pretrain_2d", settings, "--source", self.data / "source", *self.training(name))

    def adapt_2d(self, steps: int, name: str = "adapted") -> list[str]:
        """The adaptation's."""
        settings = self.experiment.adapt_2d.model_copy(update={"steps": steps, "warmup_steps": 1})
        read = ("--source", self.data / "source", *self.sequences, "--pretrained", self.weights("2d"))
        return self.command("adapt_2d", settings, *read, *self.training(name))

    def features(self) -> list[str]:
        """The feature extraction's."""
        settings = self.experiment.features.model_copy(update={"calibration_frames": 1})
        out = ("--projection", self.correspondence, "--out", self.folder / "features" / f"{SEQUENCE}.h5")
        return self.command("features", settings, "--network", self.weights("2d"), *self.sequence, *out)

    def evaluate_2d(self) -> list[str]:
        """The 2D evaluation's."""
        out = ("--out", self.folder / "2d.json", "--figures", self.folder / "2d-figures")
        return self.command(
            "evaluate_2d", self.experiment.evaluate_2d, "--network", self.weights("2d"), *self.sequences, *out
        )

    def train_3d(self, settings: Train3DConfig, steps: int, name: str = "3d") -> list[str]:
        """A 3D training's."""
        settings = settings.model_copy(update={"steps": steps})
        read = (*self.sequences, "--labels", self.target, "--features", self.folder / "features")
        return self.command("train_3d", settings, *read, *self.training(name))

    def predict(self) -> list[str]:
        """The prediction's."""
        out = ("--out", self.folder / "predictions" / "sequences" / SEQUENCE / "predictions")
        return self.command("predict", self.experiment.predict, "--weights", self.weights("3d"), *self.sequence, *out)

    def evaluate(self) -> list[str]:
        """The 3D evaluation's."""
        files = {"predictions": "predictions", "out": "3d.json", "confusion": "3d.csv", "tensor": "3d.h5"}
        paths = [f"--{name}={self.folder / file}" for name, file in files.items()]
        return self.command("evaluate", self.experiment.evaluate, *self.sequences, *paths)

    def weights(self, name: str) -> Path:
        """The weights of a training."""
        return self.folder / name / "model.safetensors"

    def training(self, name: str) -> tuple[object, ...]:
        """Arguments of every training."""
        out = self.folder / name
        files = {"out": "model.safetensors", "metrics": "metrics.json", "curves-csv": "curves.csv"}
        folders = {"state": "state", "curves": "tensorboard"}
        return *(f"--{key}={out / file}" for key, file in (files | folders).items()), f"--workers={self.workers}"


def script_path(script: str) -> Path:
    """Of a stage."""
    return ROOT / "workflow" / "scripts" / f"{script}.py"


def repeat_frames(sequence: Path, times: int) -> None:
    """Let each frame of a sequence come several times, as links to its files."""
    frames = sorted(path.stem for path in (sequence / "velodyne").iterdir())
    for number in range(len(frames), times * len(frames)):
        frame = frames[number % len(frames)]
        for path in sequence.glob(f"*/{frame}.*"):
            path.with_name(f"{number:06d}{path.suffix}").hardlink_to(path)
    for name in ("poses.txt", "times.txt"):
        path = sequence / name
        path.write_text(path.read_text(encoding="utf-8") * times, encoding="utf-8")
