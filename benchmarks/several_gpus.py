"""Time training steps of the 3D mean-teacher baseline, alone or on several GPUs, with the same batch.

    python benchmarks/several_gpus.py --batch 8
    python -m ignet.train.torchrun --nproc-per-node gpu benchmarks/several_gpus.py --batch 8

Prints one line of a Markdown table. Samples are made before the clock starts, so it shows computing and communication,
not the loader.
"""

import argparse
import statistics

import numpy as np
import torch
from sparse_engines import milliseconds, synthetic_scan

from ignet.config.backbones import MinkUNetConfig
from ignet.config.training_3d import Train3DConfig
from ignet.data.label_sets.label_set import SEMANTICKITTI
from ignet.data.lidar.batches import Batch
from ignet.devices import pick_device
from ignet.models.segmentor3d import build_network
from ignet.models.sparse.engine import resolve_engine
from ignet.models.sparse.voxels import VoxelBatch
from ignet.train.distributed import join
from ignet.train.objective import Objective3D


def make_batch(scans: range, voxels: int, voxel: float) -> Batch:
    """Synthetic scans, one point a voxel, every twelfth with a label."""
    cells = [torch.from_numpy(synthetic_scan(voxels, voxel, seed)) for seed in scans]
    coordinates = torch.cat(
        [
            torch.cat([torch.full((len(rows), 1), number, dtype=torch.int32), rows[:, 1:]], 1)
            for number, rows in enumerate(cells)
        ]
    )
    rng = np.random.default_rng(scans.start)
    count = len(coordinates)
    view = VoxelBatch(coordinates, torch.from_numpy(rng.random((count, 4), np.float32)), torch.arange(count))
    labels = torch.from_numpy(np.where(rng.random(count) < 1 / 12, rng.integers(0, 19, count), 255))
    nothing = torch.zeros(0, dtype=torch.int64)
    return Batch(view, view, labels, torch.zeros(count, dtype=torch.bool), nothing, torch.zeros(0, 0))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=4, help="scans a step, shared by the processes")
    parser.add_argument("--voxels", type=int, default=20000, help="about how many voxels a scan has")
    parser.add_argument("--voxel", type=float, default=0.1, help="metres: side of a voxel")
    parser.add_argument("--width", type=int, default=1, help="factor on the default network's channels")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of each process")
    parser.add_argument("--repeats", type=int, default=5, help="timed steps")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    device = pick_device(arguments.device)
    ranks = join(device)
    torch.manual_seed(0)
    widths = [arguments.width * channels for channels in (16, 16, 32, 64, 96, 64, 48, 32, 32)]
    backbone = MinkUNetConfig(stem=widths[0], encoder=tuple(widths[1:5]), decoder=tuple(widths[5:]))
    engine = resolve_engine("auto", device)
    settings = Train3DConfig(backbone=backbone, batch=arguments.batch)
    objective = Objective3D(build_network(backbone, label_set=SEMANTICKITTI), settings, engine, ranks=ranks).to(device)
    compute_losses = ranks.wrap(objective)
    optimizer = torch.optim.AdamW(objective.student.parameters(), 1e-3)
    batch = make_batch(
        range(arguments.batch)[ranks.local_slice(arguments.batch)], arguments.voxels, arguments.voxel
    ).to(device)

    def step() -> None:
        objective.student.train()
        losses = compute_losses(0, batch)
        optimizer.zero_grad(set_to_none=True)
        ranks.backward(losses["loss"])
        optimizer.step()
        objective.update_teacher(0)

    times = milliseconds(step, arguments.repeats, device)
    if ranks.main:
        median = statistics.median(times)
        print("| processes | device | engine | scans a step | voxels a scan | median ms a step | scans a second |")
        print("|---|---|---|---|---|---|---|")
        shown = f"{arguments.batch} | {arguments.voxels} | {median:.0f} | {1000 * arguments.batch / median:.2f}"
        print(f"| {ranks.size} | {device.type} | {engine} | {shown} |")


if __name__ == "__main__":
    main()
