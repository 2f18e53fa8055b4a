"""Time forward and backward of each 3D network on a synthetic scan in every sparse engine that is installed.

    python benchmarks/sparse_engines.py --size demo --repeats 5 --threads 1

Prints a Markdown table; --json FILE also writes the numbers. The engines take turns, so that what else the machine does
meets them alike. Kernel maps are timed apart from the network, because a training makes them once a batch and shares
them between student and teacher.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch

from ignet.config.backbones import BackboneConfig
from ignet.config.base import read_yaml
from ignet.config.training_3d import Train3DConfig
from ignet.data.label_sets.label_set import SEMANTICKITTI
from ignet.devices import pick_device
from ignet.errors import IgnetError
from ignet.files.atomic import write_json
from ignet.models.backbones.registry import BACKBONES, collate_for
from ignet.models.sparse.engine import ENGINES, Engine, make_geometry, minkowski_fault
from ignet.models.sparse.geometry import Geometry
from ignet.models.sparse.voxels import collate, voxelize

PAPER = Path(__file__).parent.parent / "config" / "backbones"
POINTS = {"demo": 12_000, "paper": 120_000}
"""Points of a scan of the embedded world, and of SemanticKITTI, rounded."""


def synthetic_points(count: int, beams: int, seed: int) -> np.ndarray:
    """Hits of a spinning LiDAR on flat ground and uneven walls: float32 (about ``count``, 4)."""
    generator = np.random.default_rng(seed)
    azimuths = max(8, round(count / beams))
    elevation = np.deg2rad(np.linspace(-24, 3, beams))[:, None]
    azimuth = np.linspace(-np.pi, np.pi, azimuths, endpoint=False)[None]
    ground = np.where(elevation < 0, 1.73 / np.maximum(np.sin(-elevation), 1e-3), np.inf)
    wall = (8 + 6 * np.abs(np.sin(3 * azimuth)) + 4 * np.sign(np.sin(17 * azimuth))) / np.cos(elevation)
    distance = np.minimum(ground, wall) + generator.normal(0, 0.02, (beams, azimuths))
    x, y = distance * np.cos(elevation) * np.cos(azimuth), distance * np.cos(elevation) * np.sin(azimuth)
    remission = generator.random((beams, azimuths))
    return np.stack([x, y, distance * np.sin(elevation), remission], -1).reshape(-1, 4).astype(np.float32)


def synthetic_scan(voxels: int, voxel: float, seed: int) -> np.ndarray:
    """Occupied voxels of a synthetic scan: int32 (about ``voxels``, 4) coordinates, batch 0."""
    # neighbouring hits share voxels
    coordinates, inverse, _ = voxelize(synthetic_points(round(voxels * 1.45), 32, seed), voxel)
    return collate([coordinates], [inverse])[0]


def settings_of(name: str, size: str) -> BackboneConfig:
    """Settings of a 3D network: the defaults, which are for the embedded world, or those of config/backbones."""
    values = read_yaml(PAPER / f"{name}.yaml")["train_3d"]["backbone"] if size == "paper" else {"name": name}
    return Train3DConfig(backbone=values).backbone


def milliseconds(work: Callable[[], object], repeats: int, device: torch.device) -> list[float]:
    """Wall-clock time of each of ``repeats`` calls, after one that is not counted."""
    return in_turns({"": work}, repeats, device)[""]


def in_turns(works: dict[str, Callable[[], object]], repeats: int, device: torch.device) -> dict[str, list[float]]:
    """The same of several works, one call of each after the other."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(repeats + 1):
        for name, work in works.items():
            start = time.perf_counter()
            work()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            times[name].append(1000 * (time.perf_counter() - start))
    return {name: each[1:] for name, each in times.items()}


def kept(engine: str) -> Engine:
    """An engine that makes its geometry at the first call, kernel maps with it, and gives it again at every other."""
    geometries: list[Geometry] = []

    def geometry(coordinates: torch.Tensor) -> Geometry:
        if not geometries:
            geometries.append(make_geometry(engine, coordinates))
        return geometries[0]

    return geometry


def measure(
    settings: BackboneConfig, engines: list[str], points: np.ndarray, device: torch.device, repeats: int
) -> dict[str, dict[str, float]]:
    """Median and least milliseconds of a network in each engine, and what kernel maps add."""
    torch.manual_seed(0)
    network = BACKBONES[settings.name].build(settings, len(SEMANTICKITTI)).to(device)
    batch = collate_for(settings, SEMANTICKITTI)([points], None).to(device)

    def step(engine: Engine) -> None:
        network.zero_grad(set_to_none=True)
        network(batch, engine)[0].square().mean().backward()

    works: dict[str, Callable[[], None]] = {}
    for engine in engines:
        works[f"{engine} warm"], works[engine] = partial(step, kept(engine)), partial(step, engine)
    times = in_turns(works, repeats, device)
    rows = {}
    for engine in engines:
        warm, cold = times[f"{engine} warm"], times[engine]
        rows[engine] = {
            "step_ms": statistics.median(warm),
            "step_least_ms": min(warm),
            "maps_ms": max(0.0, statistics.median(cold) - statistics.median(warm)),
            "parameters": sum(p.numel() for p in network.parameters()),
        }
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=POINTS, default="demo", help="of the scan and of the networks")
    parser.add_argument("--backbone", nargs="+", choices=BACKBONES, default=[*BACKBONES], help="default: all")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--repeats", type=int, default=5, help="timed steps of each engine")
    parser.add_argument("--seed", type=int, default=0, help="seed of the scan")
    parser.add_argument("--json", type=Path, help="also write the numbers to this file")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    try:
        device = pick_device(arguments.device)
    except IgnetError as error:
        parser.error(str(error))
    fault = minkowski_fault(device)
    engines = [engine for engine in ENGINES if engine != "minkowski" or fault is None]
    points = synthetic_points(POINTS[arguments.size], 32 if arguments.size == "demo" else 64, arguments.seed)

    print(f"{len(points)} points, {device}, {arguments.threads} threads, torch {torch.__version__}\n")
    print("| backbone | parameters | engine | forward + backward, median ms | least ms | kernel maps, ms | / torch's |")
    print("|---|---|---|---|---|---|---|")
    results = {}
    for name in arguments.backbone:
        rows = measure(settings_of(name, arguments.size), engines, points, device, arguments.repeats)
        results[name] = rows
        for engine, row in rows.items():
            ratio = row["step_ms"] / rows["torch"]["step_ms"]
            times = f"{row['step_ms']:.0f} | {row['step_least_ms']:.0f} | {row['maps_ms']:.0f} | {ratio:.2f}"
            print(f"| {name} | {row['parameters']:,.0f} | {engine} | {times} |", flush=True)
    if fault:
        print(f"\nminkowski was not measured: {fault}")
    if arguments.json:
        facts = {"size": arguments.size, "device": str(device), "threads": arguments.threads}
        write_json(arguments.json, {**facts, "torch": torch.__version__, "backbones": results})


if __name__ == "__main__":
    main()
