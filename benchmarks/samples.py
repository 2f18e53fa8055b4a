"""Time what it takes to prepare one training pair (a student's and a teacher's view) on one core, part by part.

    python benchmarks/samples.py --root /path/to/dataset --voxel 0.05

On real frames in the SemanticKITTI layout with --root, else on the scans of a finished experiment's embedded world
(--results). A pair is loaded (scan, labels, point-to-pixel look-up), mixed with another scan by FOVMix, and twice
augmented, voxelised and collated. The correspondence is made anew for the frames that are read. Times are the
processor's, the median of all pairs, files in the page cache.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ignet.config.backbones import LocalContextConfig, MinkUNetConfig
from ignet.config.mixing import FOVMixConfig, MixingConfig
from ignet.config.projection import ProjectionConfig
from ignet.config.training_3d import AugmentConfig
from ignet.data.formats.calibration import read_calibration
from ignet.data.formats.kitti import (
    CAMERA,
    calibration_path,
    frame_ids,
    image_path,
    image_size,
    label_path,
    read_labels,
    read_scan,
    scan_path,
    scribble_path,
)
from ignet.data.label_sets.label_set import SEMANTICKITTI
from ignet.data.lidar import batches as dataset
from ignet.data.lidar import lidar_dataset as scan_source
from ignet.data.lidar.batches import BatchDataset
from ignet.data.lidar.lidar_dataset import LidarDataset
from ignet.data.lidar.mixing import fovmix
from ignet.data.projection.correspondence import CorrespondenceWriter, FrameCorrespondence
from ignet.data.projection.views import assign_points, look
from ignet.errors import IgnetError
from ignet.models.backbones import minkunet
from ignet.models.backbones.registry import collate_for

PARTS = (
    (scan_source.LidarDataset, "load"),
    (fovmix, "fovmix"),
    (dataset, "random_view"),
    (minkunet, "voxelize"),
    (minkunet, "collate"),
)


def correspondence(root: Path, sequence: str, frames: list[str], path: Path) -> None:
    """Write which points the camera sees, as the stage projection does."""
    calibration, settings = read_calibration(calibration_path(root, sequence)), ProjectionConfig()
    with CorrespondenceWriter(path) as writer:
        for frame in frames:
            points, (width, height) = (
                read_scan(scan_path(root, sequence, frame)),
                image_size(image_path(root, sequence, frame)),
            )
            seen = look(points, calibration, width, height)
            found = assign_points(points, {CAMERA: seen}, {CAMERA: 4}, settings.tolerance)
            none = np.full(len(found[0]), 255, np.uint8)
            writer.add(frame, FrameCorrespondence(*found, none, len(points), {CAMERA: seen.view}))


@contextmanager
def timed(spent: dict[str, float]) -> Iterator[None]:
    """Add up the time of each part while the block runs."""
    before = [(where, name, getattr(where, name)) for where, name in PARTS]

    def wrap(name: str, work: Callable) -> Callable:
        def run(*arguments: Any, **named: Any) -> Any:
            start = time.process_time()
            try:
                return work(*arguments, **named)
            finally:
                spent[name] += 1000 * (time.process_time() - start)

        return run

    for where, name, work in before:
        setattr(where, name, wrap(name, work))
    try:
        yield
    finally:
        for where, name, work in before:
            setattr(where, name, work)


def measure(samples: BatchDataset, pairs: int) -> dict[str, float]:
    """Median milliseconds of a pair, in all and by part, over the pairs after the first one."""
    rows = defaultdict(list)
    for step in range(pairs + 1):
        spent: dict[str, float] = defaultdict(float)
        start = time.process_time()
        with timed(spent):
            samples[step]
        spent["pair"] = 1000 * (time.process_time() - start)
        for name, value in spent.items():
            rows[name].append(value)
    return {name: statistics.median(values[1:]) for name, values in rows.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, help="real frames: the folder that holds sequences/")
    parser.add_argument(
        "--results", type=Path, default=Path("results/demo"), help="without --root: results of an experiment"
    )
    parser.add_argument("--voxel", type=float, default=0.05, help="metres: side of a voxel")
    parser.add_argument("--pairs", type=int, default=20, help="pairs of which the median is taken")
    options = parser.parse_args()
    root = options.root or options.results / "world" / "target"
    if not (root / "sequences").is_dir():
        raise IgnetError(
            f"{root}: holds no folder sequences/, expected one; give real frames with --root, or run make demo first"
        )
    torch.set_num_threads(1)
    kinds = ("velodyne", "labels", "image_2", "calib.txt")
    folders = sorted(path for path in (root / "sequences").iterdir() if all((path / kind).exists() for kind in kinds))
    frames = {path.name: frame_ids(root, path.name)[:8] for path in folders}
    with tempfile.TemporaryDirectory() as name:
        files = {sequence: Path(name) / f"{sequence}.h5" for sequence in frames}
        for sequence, path in files.items():
            correspondence(root, sequence, frames[sequence], path)
        few_labels(root, frames, Path(name))
        mix, counts = MixingConfig(fovmix=FOVMixConfig(probability=1.0)), []
        for words, context in (("without", None), ("with", LocalContextConfig(dropout=0.0))):
            source = LidarDataset(root, frames, "scribbles", Path(name), files, label_set=SEMANTICKITTI)
            samples = BatchDataset(
                source,
                1,
                0,
                collate_for(MinkUNetConfig(voxel=options.voxel, local_context=context), label_set=SEMANTICKITTI),
                mix,
                AugmentConfig(),
                label_dropout=context and context.dropout,
            )
            counts = [len(source.load(i)) for i in range(len(source))]
            found = measure(samples, options.pairs)
            parts = ", ".join(f"{part} {found[part]:.1f}" for _, part in PARTS)
            print(f"{words:>7} local context: {found['pair']:.1f} ms a pair ({parts})", flush=True)
    print(f"{len(counts)} scans of {np.mean(counts):,.0f} points, voxels of {options.voxel:g} m")


def few_labels(root: Path, frames: dict[str, list[str]], out: Path) -> None:
    """Labels on every twelfth point, about the share of scribbles."""
    for sequence, names in frames.items():
        for frame in names:
            raw = read_labels(label_path(root, sequence, frame))
            path = scribble_path(out, sequence, frame)
            path.parent.mkdir(parents=True, exist_ok=True)
            np.where(np.arange(len(raw)) % 12 == 0, raw, 0).astype(np.uint32).tofile(path)


if __name__ == "__main__":
    try:
        main()
    except IgnetError as error:
        sys.exit(f"error: {error}")
