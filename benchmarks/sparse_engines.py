"""Time forward and backward of MinkUNet on a synthetic scan in every sparse engine that is installed.

    python benchmarks/sparse_engines.py --voxels 20000 --width 1 --repeats 5 --threads 1

Prints a Markdown table; --json FILE also writes the numbers. Kernel maps are timed apart from the network, because a
training makes them once a batch and shares them between student and teacher.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from ignet.devices import pick_device
from ignet.errors import IgnetError
from ignet.files.atomic import write_json
from ignet.models.backbones.minkunet import MinkUNet
from ignet.models.sparse.engine import ENGINES, make_geometry, minkowski_fault
from ignet.models.sparse.geometry import Geometry
from ignet.models.sparse.voxels import collate, voxelize


def synthetic_scan(voxels: int, voxel: float, seed: int) -> np.ndarray:
    """Hits of a spinning LiDAR on flat ground and uneven walls.

    int32 (about ``voxels``, 4) coordinates, batch 0.
    """
    generator = np.random.default_rng(seed)
    beams = 32
    azimuths = max(8, round(voxels * 1.45 / beams))  # neighbouring hits share voxels
    elevation = np.deg2rad(np.linspace(-24, 3, beams))[:, None]
    azimuth = np.linspace(-np.pi, np.pi, azimuths, endpoint=False)[None]
    ground = np.where(elevation < 0, 1.73 / np.maximum(np.sin(-elevation), 1e-3), np.inf)
    wall = (8 + 6 * np.abs(np.sin(3 * azimuth)) + 4 * np.sign(np.sin(17 * azimuth))) / np.cos(elevation)
    distance = np.minimum(ground, wall) + generator.normal(0, 0.02, (beams, azimuths))
    x, y = distance * np.cos(elevation) * np.cos(azimuth), distance * np.cos(elevation) * np.sin(azimuth)
    points = np.stack([x, y, distance * np.sin(elevation)], -1).reshape(-1, 3)
    coordinates, inverse, _ = voxelize(points, voxel)
    return collate([coordinates], [inverse])[0]


def milliseconds(work: Callable[[], object], repeats: int, device: torch.device) -> list[float]:
    """Wall-clock time of each of ``repeats`` calls, after one that is not counted."""
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(1000 * (time.perf_counter() - start))
    return times[1:]


def measure(engine: str, coordinates: torch.Tensor, width: float, repeats: int) -> dict[str, float]:
    """Median and least milliseconds of one engine: kernel maps (by way of a first forward and backward) and network."""
    device = coordinates.device
    torch.manual_seed(0)
    widths = [max(1, round(width * channels)) for channels in (16, 16, 32, 64, 96, 64, 48, 32, 32)]
    network = MinkUNet(4, widths[0], widths[1:5], widths[5:], 1).to(device)
    features = torch.randn(len(coordinates), 4, device=device)

    def step(geometry: Geometry) -> None:
        network.zero_grad(set_to_none=True)
        network.voxels(features, geometry).square().mean().backward()

    kept = make_geometry(engine, coordinates)
    warm = milliseconds(lambda: step(kept), repeats, device)
    cold = milliseconds(lambda: step(make_geometry(engine, coordinates)), repeats, device)
    return {
        "step_ms": statistics.median(warm),
        "step_least_ms": min(warm),
        "maps_ms": max(0.0, statistics.median(cold) - statistics.median(warm)),
        "parameters": sum(p.numel() for p in network.parameters()),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--voxels", type=int, default=20000, help="about how many voxels the scan has")
    parser.add_argument("--voxel", type=float, default=0.1, help="metres: side of a voxel")
    parser.add_argument("--width", type=float, default=1.0, help="factor on the default network's channels")
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
    coordinates = torch.from_numpy(synthetic_scan(arguments.voxels, arguments.voxel, arguments.seed)).to(device)
    fault = minkowski_fault(device)
    engines = [engine for engine in ENGINES if engine != "minkowski" or fault is None]
    results = {engine: measure(engine, coordinates, arguments.width, arguments.repeats) for engine in engines}

    print(
        f"{len(coordinates)} voxels, width {arguments.width:g}, {device}, {arguments.threads} threads, torch "
        f"{torch.__version__}\n"
    )
    print(
        "| engine | forward + backward, median ms | least ms | kernel maps, ms | time / torch's "
        "|\n|---|---|---|---|---|"
    )
    for engine, row in results.items():
        ratio = row["step_ms"] / results["torch"]["step_ms"]
        print(f"| {engine} | {row['step_ms']:.0f} | {row['step_least_ms']:.0f} | {row['maps_ms']:.0f} | {ratio:.2f} |")
    if fault:
        print(f"\nminkowski was not measured: {fault}")
    if arguments.json:
        settings = {
            "voxels": len(coordinates),
            "width": arguments.width,
            "device": str(device),
            "threads": arguments.threads,
        }
        write_json(arguments.json, {**settings, "torch": torch.__version__, "engines": results})


if __name__ == "__main__":
    main()
