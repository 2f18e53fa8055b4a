"""Measure how long one unit of each stage takes here, and write it into the table that `ignet plan` reads.

    python benchmarks/throughput.py --device cpu --size demo paper

Every stage runs as the workflow runs it: its script, on an embedded world made for this. Its loop over steps, images or
scans gives the rate, the rest of the run is the start of a job. On the CPU the clock is the processor time of one
thread, so that other programs on the machine hardly matter; on a GPU it is the wall clock, and the machine should be
idle. Rows of other machines stay in the table.

Sizes: `demo`, config/demo.yaml; `paper`, config/scribblekitti.yaml on a world with an HDL-64E's number of points and
KITTI's image size, with random weights; `tiny`, config/tiny.yaml, to try this program. On the CPU the paper's trainings
take smaller crops and batches; the plan scales them by multiply-adds and says so.
"""

import argparse
import datetime
import platform
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from timed_stages import SEQUENCE, SIZES, Stages

from ignet.config.execution import GPU_STAGES
from ignet.config.training_3d import Train3DConfig
from ignet.data.label_sets.label_set import SEMANTICKITTI
from ignet.devices import pick_device
from ignet.errors import IgnetError
from ignet.models.sparse.engine import ENGINES, minkowski_fault
from ignet.models.sparse.voxels import voxelize
from ignet.workflow.costs import TABLE, Rate, merge_rates, read_rates, write_rates
from ignet.workflow.sizes import network_3d_work, occupied_voxels, segformer_work
from ignet.workflow.work import adapt_load, pretrain_load, train_3d_load


class Throughput:
    """Times the stages of one size.

    Args:
        stages: what is run.
        options: of the command line.
    """

    def __init__(self, stages: Stages, options: argparse.Namespace) -> None:
        self.stages, self.options, self.experiment = stages, options, stages.experiment
        device = stages.device.type
        self.command = f"python benchmarks/throughput.py --device {device} --size {stages.size}"

    def rate(self, command: list[str], load: float, unit: str, words: str, engine: str = "") -> list[dict[str, Any]]:
        """Run a stage, and keep the seconds of one unit of its loop and of all the rest; returns all its loops."""
        measured = self.stages.run(command)
        # a training has others before and after its steps
        loop = next(each for each in measured["loops"] if unit != "step" or each["description"].startswith("step of"))
        start = max(0.0, measured["seconds"] - loop["units"] * loop["seconds"])
        self.keep(Path(command[0]).stem, loop["seconds"], start, load, unit, words, engine)
        return measured["loops"]

    def whole(self, command: list[str]) -> None:
        """Run a small job, timed as a whole."""
        self.keep(Path(command[0]).stem, self.stages.run(command)["seconds"], 0.0, 1.0, "job", "1 sequence")

    def keep(
        self, stage: str, seconds: float, start: float, load: float, unit: str, words: str, engine: str = ""
    ) -> None:
        """Write one row into the table, at once, so that a bench that is stopped keeps what it has."""
        # stages without a GPU are the CPU's
        cuda = self.stages.device.type == "cuda"
        device = "cuda" if cuda and stage in GPU_STAGES else "cpu"
        machine = machine_name(self.stages.device if device == "cuda" else torch.device("cpu"))
        clock, date = "wall" if cuda else "processor", datetime.date.today().isoformat()
        size = (stage, device, engine, words, load, unit)
        row = Rate(*size, seconds, start, clock, machine, date, self.command, self.options.remark)
        table = self.options.table
        write_rates(merge_rates(read_rates(table) if table.exists() else [], [row]), table)
        print(
            f"{self.stages.size:<6} {stage:<20} {engine:<10} {seconds:>9.4g} s a {unit:<5} + {start:>5.1f} s  "
            f"{device:<5} {words}",
            flush=True,
        )

    # --- the stages, in the workflow's order ----------------------------------

    def data(self) -> None:
        """The embedded world, its checks, scribbles and correspondence."""
        stages, experiment, world = self.stages, self.experiment, self.experiment.world
        pixels, pictures = world.image_width * world.image_height, f"{world.image_width} x {world.image_height} pixels"
        source, target, projection = (stages.command(*each) for each in stages.data_stages(stages.folder / "timed"))
        self.rate(source, pixels, "image", pictures)
        self.rate(target, self.points, "scan", self.points_words)
        check = ("--role", "train", "--out", stages.folder / "check.json")
        for script, settings, *more in (
            ("dataset_check", experiment.dataset, *check),
            ("scribbles", experiment.scribbles, "--out", stages.folder / "drawn"),
        ):
            self.rate(stages.command(script, settings, *stages.sequence, *more), self.points, "scan", self.points_words)
        self.rate(projection, self.points, "scan", self.points_words)

        folder, figures = stages.folder, experiment.figures
        manifest = ("--sequences", folder / "check.json", "--out", folder / "manifest.csv")
        self.whole(stages.command("dataset_manifest", experiment.dataset, *manifest))
        drawn = ("--projection", stages.correspondence, "--out", folder / "drawn.png")
        self.whole(stages.command("figures_projection", figures, *stages.sequence, *drawn))
        read = (
            "--source",
            stages.data / "source",
            "--target",
            stages.target,
            "--sequences",
            SEQUENCE,
            *stages.scribbles,
        )
        self.whole(stages.command("figures_data", figures, *read, "--out", folder / "sheet.png"))

    def networks_2d(self) -> None:
        """Pretraining, adaptation, features, evaluation."""
        stages, experiment, world = self.stages, self.experiment, self.experiment.world
        network, steps = experiment.pretrain_2d.network, stages.units.steps
        shape = f"SegFormer {' '.join(map(str, network.depths))}, decoder {network.decoder_channels}"
        trainings: tuple[Any, ...] = (
            (stages.pretrain_2d(steps), experiment.pretrain_2d, pretrain_load(experiment.pretrain_2d)),
            (stages.adapt_2d(steps), experiment.adapt_2d, adapt_load(experiment.adapt_2d, network)),
        )
        for command, settings, load in trainings:
            words = f"{shape}, batch {settings.batch}, crop {settings.crop[0]} x {settings.crop[1]}"
            loops = self.rate(command, load, "step", words)
        pixels, words = world.image_width * world.image_height, f"{world.image_width} x {world.image_height} pixels"
        counting = next(each for each in loops if each["description"].startswith("counting"))
        self.keep("count_labels", counting["seconds"], 0.0, pixels, "image", words)
        for command in (stages.features(), stages.evaluate_2d()):
            self.rate(command, segformer_work(network, pixels), "image", f"{shape}, {words}")

    def networks_3d(self) -> None:
        """Training with and without a teacher, prediction, in each engine; evaluation."""
        for engine in self.options.engine:
            if engine == "minkowski" and (fault := minkowski_fault(self.stages.device)):
                print(f"minkowski was not measured: {fault}", flush=True)
                continue
            for run in ("ignet", "full"):
                # of one network, from which a plan scales to others
                backbone = self.experiment.train_3d.backbone.model_copy(update={"engine": engine})
                settings = self.experiment.run(run).model_copy(update={"backbone": backbone})
                self.training_3d(settings, engine, run == "ignet")
            load = network_3d_work(backbone, SEMANTICKITTI, self.points, self.shares)
            self.rate(self.stages.predict(), load, "scan", self.backbone_words(backbone), engine)

    def training_3d(self, settings: Train3DConfig, engine: str, teacher: bool) -> None:
        """One 3D training."""
        words = f"{self.backbone_words(settings.backbone)}, batch {settings.batch}, "
        words += "with teacher" if teacher else "without teacher"
        load = train_3d_load(settings, SEMANTICKITTI, self.points, self.shares)
        name = "3d" if teacher else "3d-full"
        self.rate(self.stages.train_3d(settings, self.stages.units.steps, name), load, "step", words, engine)

    def evaluation(self) -> None:
        """The 3D evaluation."""
        self.rate(self.stages.evaluate(), self.points, "scan", self.points_words)

    def count(self) -> None:
        """Count the scans' points and voxels."""
        scans = self.stages.scans()
        self.points, side = float(np.mean([len(scan) for scan in scans])), self.experiment.train_3d.backbone.voxel
        self.points_words = f"{self.points:,.0f} points"
        self.shares = {
            side * 2**level: float(np.mean([len(voxelize(scan[:, :3], side * 2**level)[0]) for scan in scans]))
            / self.points
            for level in range(5)
        }

    def backbone_words(self, backbone: Any) -> str:
        """The size of a 3D stage."""
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
    parser.add_argument("--size", nargs="+", choices=SIZES, default=("demo", "paper"), help="what (default: both)")
    parser.add_argument(
        "--part",
        choices=("all", "gpu", "2d"),
        default="all",
        help="gpu: stages that use one; 2d: not the 3D networks, which take longest",
    )
    parser.add_argument(
        "--engine", nargs="+", choices=ENGINES, default=ENGINES, help="sparse engines (default: all that are installed)"
    )
    parser.add_argument("--table", type=Path, default=TABLE, help="table to bring up to date (default: the package's)")
    parser.add_argument("--data", type=Path, help="folder where data are made, and kept (default: a temporary one)")
    parser.add_argument("--remark", default="", help="what else one should know, kept in each row")
    arguments = parser.parse_args()
    device = pick_device(arguments.device)
    for size in arguments.size:
        with tempfile.TemporaryDirectory() as temporary:
            stages = Stages(size, device, arguments.data or Path(temporary) / "data", Path(temporary))
            stages.make_data()
            bench = Throughput(stages, arguments)
            bench.count()
            if arguments.part != "gpu":
                bench.data()
            bench.networks_2d()
            if arguments.part != "2d":
                bench.networks_3d()
            if arguments.part == "all":
                bench.evaluation()


if __name__ == "__main__":
    try:
        main()
    except IgnetError as error:
        sys.exit(f"error: {error}")
