"""How long `ignet predict` takes for a scan, from the file to the file, and what reading ahead of the network saves."""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from ignet.config.backbones import MinkUNetConfig
from ignet.data.label_sets.label_set import SEMANTICKITTI
from ignet.models.segmentor3d import build_network, save_network
from ignet.predict.folder import Reading, predict_files
from ignet.predict.point_files import read_points, write_prediction
from ignet.predict.segmenter import load


def main() -> None:
    """Predict made-up scans, one after the other and with reading ahead."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scans", type=int, default=12, help="scans (default: 12)")
    parser.add_argument("--points", type=int, default=40_000, help="points a scan (default: 40000)")
    parser.add_argument("--voxel", type=float, default=0.2, help="side of a voxel in metres (default: 0.2)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: auto)")
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = MinkUNetConfig(voxel=args.voxel)
        save_network(folder / "model.safetensors", build_network(settings, label_set=SEMANTICKITTI), settings, "torch")
        network = load(folder, args.device)
        pairs = [(folder / f"{n}.bin", folder / "out" / f"{n}.label") for n in range(args.scans)]
        for scan, _ in pairs:
            angle, distance = rng.uniform(-np.pi, np.pi, args.points), rng.gamma(2, 8, args.points).clip(2, 80)
            height, remission = rng.normal(-1.5, 0.3, args.points), rng.random(args.points)
            points = np.stack([distance * np.cos(angle), distance * np.sin(angle), height, remission], 1)
            points.astype(np.float32).tofile(scan)
        network.predict(read_points(pairs[0][0]))  # warms up
        start = time.monotonic()
        for scan, target in pairs:
            points = read_points(scan)
            write_prediction(target, points, network.predict(points), network.label_set)
        in_turn = time.monotonic() - start
        ahead = predict_files(network, pairs, Reading())
        latency = statistics.median(ahead.seconds)
        print(
            f"{network.device}, {network.engine} engine, {args.points} points a scan, voxels of {args.voxel:g} m: "
            f"latency {1e3 * latency:.0f} ms from points to labels (median of {args.scans}), "
            f"{ahead.scans / ahead.elapsed:.3g} scans per second from file to file, "
            f"{in_turn / ahead.elapsed:.2f} times as many as one after the other"
        )


if __name__ == "__main__":
    main()
