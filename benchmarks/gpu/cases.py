"""What the parts of the GPU benchmark share: backbones, batches of real size, and where results go."""

import argparse
import json
import shutil
import statistics
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sparse_engines import milliseconds, settings_of
from timed_stages import Stages

from ignet.config.backbones import BackboneConfig
from ignet.data.label_sets.label_set import SEMANTICKITTI
from ignet.data.lidar.batches import Batch
from ignet.devices import pick_device
from ignet.models.backbones.registry import BACKBONES, collate_for
from ignet.models.sparse.engine import ENGINES, minkowski_fault

PRECISIONS = ("float32", "tf32", "bfloat16")


@dataclass(frozen=True)
class Case:
    """What a part is asked to do.

    Attributes:
        device: where it computes.
        size: ``paper``, or ``tiny`` to try the benchmark.
        out: folder of the results.
    """

    device: torch.device
    size: str
    out: Path

    @property
    def tiny(self) -> bool:
        """All in small."""
        return self.size == "tiny"

    @property
    def repeats(self) -> int:
        """How often something is timed."""
        return 1 if self.tiny else 5

    def stages(self, part: str, size: str = "paper") -> Stages:
        """The workflow's stages on the benchmark's data, at some size, with an empty folder for a part."""
        shutil.rmtree(self.out / part, ignore_errors=True)  # a training that an earlier run finished would not run
        return Stages("tiny" if self.tiny else size, self.device, self.out / "data", self.out / part)

    def write(self, part: str, **values: Any) -> None:
        """Add a result, at once: a machine that is taken away leaves what was measured."""
        line = json.dumps({"part": part, **values})
        with (self.out / "results.jsonl").open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        print(line, flush=True)


def read_case(description: str | None) -> Case:
    """The command line of a part."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--size", choices=("tiny", "paper"), default="paper", help="tiny: to try the benchmark")
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    arguments = parser.parse_args()
    if arguments.device == "cpu":
        torch.set_num_threads(1)  # as throughputs of the CPU are counted
    return Case(pick_device(arguments.device), arguments.size, arguments.out)


def engines(device: torch.device) -> list[str]:
    """The sparse engines that run here; says why another does not."""
    faults = {"torch": None, "minkowski": minkowski_fault(device)}
    for name, fault in faults.items():
        if fault:
            print(f"{name} was left out: {fault}", flush=True)
    return [name for name in ENGINES if faults[name] is None]


def backbone_settings(size: str) -> dict[str, BackboneConfig]:
    """Settings of every registered backbone, ``paper`` as published, ``demo`` for the embedded world."""
    return {name: settings_of(name, size) for name in BACKBONES}


def make_batch(settings: BackboneConfig, scans: list[NDArray[np.float32]]) -> Batch:
    """A training batch of some scans, every twelfth point with a label, drawn at random."""
    view, count = collate_for(settings, SEMANTICKITTI)(scans, None), sum(map(len, scans))
    rng = np.random.default_rng(0)
    labels = np.where(rng.random(count) < 1 / 12, rng.integers(0, len(SEMANTICKITTI), count), 255)
    nothing = torch.zeros(0, dtype=torch.int64)
    return Batch(view, view, torch.from_numpy(labels), torch.zeros(count, dtype=torch.bool), nothing, torch.zeros(0, 0))


@contextmanager
def tf32(on: bool) -> Iterator[None]:
    """Products of matrices in float32 with the mantissa of TF32, where the GPU has it."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = on
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def autocast_of(precision: str) -> Literal["float32", "bfloat16"]:
    """The setting ``precision`` of a training."""
    return "bfloat16" if precision == "bfloat16" else "float32"


def seconds(work: Callable[[], object], device: torch.device, repeats: int) -> float:
    """Median of some calls, after one that warms up."""
    return statistics.median(milliseconds(work, repeats, device)) / 1000


def peak_mb(device: torch.device, work: Callable[[], object]) -> float | None:
    """Most memory that ``work`` takes on a GPU; None on the CPU."""
    if device.type != "cuda":
        work()
        return None
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(device)
    work()
    torch.cuda.synchronize(device)
    return torch.cuda.max_memory_allocated(device) / 2**20
