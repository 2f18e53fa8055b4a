"""Measure how long one unit of each stage takes here, and write it into the table that `ignet plan` reads.

    python benchmarks/throughput.py --device cpu --size demo paper

Every stage is timed as the workflow runs it: its script, on an embedded world made for this, with few and with more
units of work; the difference is the rate, the rest is the start of a job. On the CPU the clock is the processor time of
one thread, so that other programs on the machine hardly matter; on a GPU it is the wall clock, and the machine should
be idle. Rows of other machines stay in the table.

Sizes: `demo`, config/demo.yaml; `paper`, config/scribblekitti.yaml on a world with an HDL-64E's number of points and
KITTI's image size, with random weights. On the CPU the paper's trainings take smaller crops and batches; the plan
scales them by multiply-adds and says so.
"""

import argparse
import datetime
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ignet.config.base import merge, read_yaml
from ignet.config.experiment import ExperimentConfig
from ignet.config.training_3d import Train3DConfig
from ignet.data.formats.kitti import frame_ids, read_scan, scan_path
from ignet.data.formats.source_images import SourceDataset
from ignet.data.label_sets.label_set import SEMANTICKITTI
from ignet.devices import pick_device
from ignet.errors import IgnetError
from ignet.models.sparse.engine import ENGINES, minkowski_fault
from ignet.models.sparse.voxels import voxelize
from ignet.workflow.costs import TABLE, Rate, merge_rates, read_rates, write_rates
from ignet.workflow.experiment import load_experiment
from ignet.workflow.sizes import network_3d_work, occupied_voxels, segformer_work
from ignet.workflow.work import adapt_load, pretrain_load, train_3d_load

ROOT = Path(__file__).resolve().parents[1]
FEW, MORE = "00", "01"
"""The two sequences: with few and with more frames."""

KITTI_WORLD = {"beams": 64, "azimuths": 2048, "image_width": 1241, "image_height": 376}
SMALLER: dict[str, Any] = {
    "pretrain_2d": {"batch": 1, "crop": [128, 256]},
    "adapt_2d": {"batch": 1, "crop": [128, 256]},
    "train_3d": {"batch": 1},
}
SIZES = ("demo", "paper")
UNITS = {
    ("demo", "cpu"): {"frames": (2, 30), "steps": (5, 35)},
    ("paper", "cpu"): {"frames": (1, 3), "steps": (1, 3)},
    ("demo", "cuda"): {"frames": (5, 45), "steps": (20, 220)},
    ("paper", "cuda"): {"frames": (5, 45), "steps": (10, 60)},
}
"""Units of the short and of the long timing."""


def settings_of(size: str, device: torch.device) -> ExperimentConfig:
    """The experiment whose stages are timed."""
    values = read_yaml(ROOT / "config" / {"demo": "demo.yaml", "paper": "scribblekitti.yaml"}[size])
    if size == "paper":
        values = merge(values, {"world": KITTI_WORLD, "pretrain_2d": {"network": {"weights": "random"}}})
        values = merge(values, SMALLER) if device.type == "cpu" else values
    return load_experiment(values, size)


class Bench:
    """Times the scripts of one size in a folder of its own."""

    def __init__(self, size: str, device: torch.device, folder: Path, options: argparse.Namespace) -> None:
        self.size, self.device, self.folder, self.options = size, device, folder, options
        self.command = f"python benchmarks/throughput.py --device {device.type} --size {size}"
        self.experiment = settings_of(size, device)
        units = UNITS[size, device.type]
        self.frames, self.steps = units["frames"], units["steps"]
        # a GPU is fed as the experiment says; the CPU's unit is one thread
        self.threads, self.workers = (
            (1, 0) if device.type == "cpu" else (self.experiment.execution.threads, self.experiment.execution.workers)
        )

    def run(self, script: str, settings: str, *arguments: object, device: str = "cpu") -> float:
        """Run a stage; returns its seconds."""
        command = [
            sys.executable,
            ROOT / "workflow" / "scripts" / f"{script}.py",
            "--settings",
            settings,
            "--device",
            device,
        ]
        command += ["--threads", self.threads if device != "cpu" else 1]
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        result = subprocess.run(
            [str(part) for part in (*command, *arguments)], capture_output=True, text=True, check=False
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if result.returncode:
            raise IgnetError(f"{script}: {result.stderr.strip().splitlines()[-1]}")
        processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return processor if self.device.type == "cpu" else time.perf_counter() - start

    def rate(
        self,
        stage: str,
        work: Callable[[int], float],
        units: tuple[int, int],
        load: float,
        unit: str,
        words: str,
        on: str = "",
    ) -> None:
        """Time ``work(0)`` and ``work(1)``, which do ``units[0]`` and ``units[1]`` units, and keep the rate."""
        few, more = work(0), work(1)
        seconds = (more - few) / (units[1] - units[0])
        if seconds <= 0:
            raise IgnetError(
                f"{stage}: {units[1]} units took no longer than {units[0]} ({more:.2f} s, {few:.2f} s); measure again"
            )
        self.keep(stage, seconds, max(0.0, few - units[0] * seconds), load, unit, words, on)

    def keep(
        self, stage: str, seconds: float, start: float, load: float, unit: str, words: str, engine: str = ""
    ) -> None:
        """Write one row into the table, at once, so that a bench that is stopped keeps what it has.

        Stages without a GPU are the CPU's.
        """
        on_gpu = self.device.type == "cuda" and stage in (
            "pretrain_2d",
            "adapt_2d",
            "evaluate_2d",
            "features",
            "train_3d",
            "predict",
        )
        clock, device = ("processor", "cpu") if self.device.type == "cpu" else ("wall", "cuda" if on_gpu else "cpu")
        date, machine = datetime.date.today().isoformat(), machine_name(self.device if on_gpu else torch.device("cpu"))
        row = Rate(
            stage,
            device,
            engine,
            words,
            load,
            unit,
            seconds,
            start,
            clock,
            machine,
            date,
            self.command,
            self.options.remark,
        )
        table = self.options.table
        write_rates(merge_rates(read_rates(table) if table.exists() else [], [row]), table)
        print(
            f"{self.size:<6} {stage:<20} {engine:<10} {seconds:>9.4g} s a {unit:<5} + {start:>5.1f} s  "
            f"{device:<5} {words}",
            flush=True,
        )

    # --- the stages, in the workflow's order ----------------------------------

    def data(self) -> None:
        """The embedded world, its checks, scribbles and correspondence."""
        experiment, target = self.experiment, self.target
        world = [experiment.world.model_copy(update={"frames": n, "source_images": n}).canonical() for n in self.frames]
        pixels = experiment.world.image_width * experiment.world.image_height
        pictures = f"{experiment.world.image_width} x {experiment.world.image_height} pixels"
        sources = [self.folder / "source-few", self.folder / "source"]
        self.rate(
            "world_source",
            lambda i: self.run("world_source", world[i], "--out", sources[i]),
            self.frames,
            pixels,
            "image",
            pictures,
        )
        source = SourceDataset(sources[1], "gtav")
        start = time.process_time()
        source.class_presence()
        self.keep("count_labels", (time.process_time() - start) / len(source), 0.0, pixels, "image", pictures)

        out = [target / "sequences" / sequence for sequence in (FEW, MORE)]
        simulate = [self.run("world_target", world[i], "--sequence", (FEW, MORE)[i], "--out", out[i]) for i in (0, 1)]
        scans = [read_scan(scan_path(target, MORE, frame)) for frame in frame_ids(target, MORE)]
        self.points = float(np.mean([len(scan) for scan in scans]))
        side = experiment.train_3d.backbone.voxel
        counts = {
            side * 2**level: np.mean([len(voxelize(scan[:, :3], side * 2**level)[0]) for scan in scans])
            for level in range(5)
        }
        self.shares = {each: float(count) / self.points for each, count in counts.items()}
        words = f"{self.points:,.0f} points"
        self.rate("world_target", lambda i: simulate[i], self.frames, self.points, "scan", words)

        self.each_sequence(
            "dataset_check",
            "dataset_check",
            experiment.dataset.canonical(),
            "--role",
            "train",
            "--out",
            "check-{}.json",
        )
        self.each_sequence("scribbles", "scribbles", experiment.scribbles.canonical(), "--out", "drawn-{}")
        self.each_sequence(
            "projection",
            "projection",
            experiment.projection.canonical(),
            "--scribbles",
            target,
            "--out",
            "projection/{}.h5",
        )
        self.once()

    def once(self) -> None:
        """Small jobs, timed as a whole."""
        report, dataset, folder = self.experiment.figures.canonical(), self.experiment.dataset.canonical(), self.folder
        target, manifest = ("--dataset", self.target, "--sequence", MORE), ("--out", folder / "manifest.csv")
        projection, drawn = ("--projection", folder / "projection" / f"{MORE}.h5"), ("--out", folder / "drawn.png")
        data = (
            "--source",
            folder / "source",
            "--target",
            self.target,
            "--sequences",
            FEW,
            MORE,
            "--scribbles",
            self.target,
        )
        jobs: dict[str, tuple[object, ...]] = {
            "dataset_manifest": (
                dataset,
                "--sequences",
                folder / f"check-{FEW}.json",
                folder / f"check-{MORE}.json",
                *manifest,
            ),
            "figures_projection": (report, *target, *projection, *drawn),
            "figures_data": (report, *data, "--out", folder / "sheet.png"),
        }
        for stage, (settings, *arguments) in jobs.items():
            self.keep(stage, self.run(stage, str(settings), *arguments), 0.0, 1.0, "job", "2 sequences")

    def each_sequence(self, stage: str, script: str, settings: str, *arguments: object) -> None:
        """Time a stage that takes one sequence.

        ``{}`` in an argument stands for it, and names start in the bench's folder.
        """

        def work(i: int) -> float:
            sequence = (FEW, MORE)[i]
            filled = [self.folder / str(part).format(sequence) if "{}" in str(part) else part for part in arguments]
            return self.run(script, settings, "--dataset", self.target, "--sequence", sequence, *filled)

        self.rate(stage, work, self.frames, self.points, "scan", f"{self.points:,.0f} points")

    def networks_2d(self) -> None:
        """Pretraining, adaptation, features, evaluation."""
        experiment, folder, device = self.experiment, self.folder, str(self.device)
        source = ("--source", folder / "source")

        def pretrain(i: int) -> float:
            settings = experiment.pretrain_2d.model_copy(update={"steps": self.steps[i], "warmup_steps": 1}).canonical()
            return self.run("pretrain_2d", settings, *source, *self.training("2d"), device=device)

        def adapt(i: int) -> float:
            settings = experiment.adapt_2d.model_copy(update={"steps": self.steps[i], "warmup_steps": 1}).canonical()
            target = ("--dataset", self.target, "--sequences", MORE, "--projection", folder / "projection")
            pretrained = ("--pretrained", folder / "2d" / "model.safetensors")
            return self.run(
                "adapt_2d", settings, *source, *target, *pretrained, *self.training("adapted"), device=device
            )

        network = experiment.pretrain_2d.network
        shape = f"SegFormer {' '.join(map(str, network.depths))}, decoder {network.decoder_channels}"
        for stage, work, settings, load in (
            ("pretrain_2d", pretrain, experiment.pretrain_2d, pretrain_load(experiment.pretrain_2d)),
            ("adapt_2d", adapt, experiment.adapt_2d, adapt_load(experiment.adapt_2d, network)),
        ):
            words = f"{shape}, batch {settings.batch}, crop {settings.crop[0]} x {settings.crop[1]}"
            self.rate(stage, work, self.steps, load, "step", words)

        weights, target = ("--network", folder / "2d" / "model.safetensors"), ("--dataset", self.target)
        size = (experiment.world.image_width, experiment.world.image_height)
        load, words = segformer_work(network, size[0] * size[1]), f"{shape}, {size[0]} x {size[1]} pixels"
        features = experiment.features.model_copy(update={"calibration_frames": 1}).canonical()

        def extract(i: int) -> float:
            sequence = (FEW, MORE)[i]
            files = (
                "--projection",
                folder / "projection" / f"{sequence}.h5",
                "--out",
                folder / "features" / f"{sequence}.h5",
            )
            return self.run("features", features, *weights, *target, "--sequence", sequence, *files, device=device)

        def evaluate(i: int) -> float:
            where = ("--sequences", (FEW, MORE)[i], "--projection", folder / "projection")
            out = ("--out", folder / "2d.json", "--figures", folder / "2d-figures")
            return self.run(
                "evaluate_2d", experiment.evaluate_2d.canonical(), *weights, *target, *where, *out, device=device
            )

        self.rate("features", extract, self.frames, load, "image", words)
        self.rate("evaluate_2d", evaluate, self.frames, load, "image", words)

    def networks_3d(self) -> None:
        """Training with and without a teacher, prediction, in each engine; evaluation."""
        experiment, folder = self.experiment, self.folder
        engines = [
            engine for engine in self.options.engine if engine != "minkowski" or minkowski_fault(self.device) is None
        ]
        for engine in engines:
            for run in ("full", "ignet"):
                settings = experiment.run(run)
                settings = settings.model_copy(
                    update={"backbone": settings.backbone.model_copy(update={"engine": engine})}
                )
                teacher = "with" if run == "ignet" else "without"
                words = f"{self.backbone_words(settings)}, batch {settings.batch}, {teacher} teacher"
                load = train_3d_load(settings, SEMANTICKITTI, self.points, self.shares)
                self.rate(
                    "train_3d", lambda i, s=settings: self.train_3d(s, i), self.steps, load, "step", words, engine
                )  # type: ignore[misc]

            def predict(i: int) -> float:
                sequence = (FEW, MORE)[i]
                out = ("--out", folder / "predictions" / "sequences" / sequence / "predictions")
                where = (
                    "--weights",
                    folder / "3d" / "model.safetensors",
                    "--dataset",
                    self.target,
                    "--sequence",
                    sequence,
                )
                return self.run("predict", experiment.predict.canonical(), *where, *out, device=str(self.device))

            load = network_3d_work(experiment.train_3d.backbone, SEMANTICKITTI, self.points, self.shares)
            self.rate("predict", predict, self.frames, load, "scan", self.backbone_words(experiment.train_3d), engine)

        def evaluate(i: int) -> float:
            where = ("--dataset", self.target, "--sequences", (FEW, MORE)[i], "--predictions", folder / "predictions")
            out = (
                "--projection",
                folder / "projection",
                "--out",
                folder / "3d.json",
                "--confusion",
                folder / "3d.csv",
                "--tensor",
                folder / "3d.h5",
            )
            return self.run("evaluate", experiment.evaluate.canonical(), *where, *out)

        self.rate("evaluate", evaluate, self.frames, self.points, "scan", f"{self.points:,.0f} points")

    def train_3d(self, settings: Train3DConfig, i: int) -> float:
        """Run one 3D training."""
        folder, settings = self.folder, settings.model_copy(update={"steps": self.steps[i]})
        where = ("--dataset", self.target, "--sequences", MORE, "--labels", self.target)
        camera = ("--projection", folder / "projection", "--features", folder / "features")
        return self.run(
            "train_3d", settings.canonical(), *where, *camera, *self.training("3d"), device=str(self.device)
        )

    @property
    def target(self) -> Path:
        """The dataset of the bench."""
        return self.folder / "target"

    def training(self, name: str) -> tuple[object, ...]:
        """Arguments of every training."""
        out = self.folder / name
        files = (
            "--out",
            out / "model.safetensors",
            "--metrics",
            out / "metrics.json",
            "--curves-csv",
            out / "curves.csv",
        )
        return *files, "--state", out / "state", "--curves", out / "tensorboard", "--workers", self.workers

    def backbone_words(self, settings: Train3DConfig) -> str:
        """The size of a 3D stage."""
        backbone = settings.backbone
        voxels = occupied_voxels(self.points, backbone.voxel, self.shares)
        return f"MinkUNet {' '.join(map(str, backbone.encoder))}, {backbone.voxel:g} m, {voxels:,.0f} voxels"


def machine_name(device: torch.device) -> str:
    """Model of the GPU or of the processor."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if Path("/proc/cpuinfo").exists() else []
    return next(
        (line.split(":")[1].strip() for line in lines if line.startswith("model name")),
        platform.processor() or platform.machine(),
    )


def main() -> None:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--size", nargs="+", choices=SIZES, default=SIZES, help="what to measure (default: both)")
    parser.add_argument(
        "--part", choices=("2d", "all"), default="all", help="2d: leave the 3D networks out, which take the longest"
    )
    parser.add_argument(
        "--engine", nargs="+", choices=ENGINES, default=ENGINES, help="sparse engines (default: all that are installed)"
    )
    parser.add_argument("--table", type=Path, default=TABLE, help="table to bring up to date (default: the package's)")
    parser.add_argument("--remark", default="", help="what else one should know, kept in each row")
    arguments = parser.parse_args()
    device = pick_device(arguments.device)
    for size in arguments.size:
        with tempfile.TemporaryDirectory() as folder:
            bench = Bench(size, device, Path(folder), arguments)
            bench.data()
            bench.networks_2d()
            if arguments.part == "all":
                bench.networks_3d()


if __name__ == "__main__":
    try:
        main()
    except IgnetError as error:
        sys.exit(f"error: {error}")
