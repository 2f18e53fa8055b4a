"""Measure the feature store: what each coding costs and loses, and how fast it is written and read.

    python benchmarks/feature_store.py --results results/demo --out benchmarks/feature-store.md

Features come from a finished experiment's adapted 2D network. Codings are compared with the full float32 feature; speed
is measured at the experiment's own size and at the paper's (18,760 points a scan, 768 channels, spread from the same
features), against one gzip float32 dataset a scan. Files are in the page cache: a disk's own speed is not measured.
Times are the processor's.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import torch

from ignet.data.features.pca import PCA, Classifier, Moments, fit_pca
from ignet.data.features.store import FeatureStore, FeatureWriter, int8_scale
from ignet.data.projection.correspondence import Correspondence
from ignet.errors import IgnetError
from ignet.models.point_features import PointFeatures
from ignet.workflow.costs import read_rates

PAPER_POINTS, PAPER_CHANNELS = 18760, 768
Frames = dict[str, tuple[np.ndarray, np.ndarray]]


def read_features(results: Path, network: str, frames: int) -> tuple[Frames, Classifier]:
    """Point numbers and float32 features of some frames of each projected sequence, and the 2D network's classifier."""
    weights = results / "adapt_2d" / network / "model.safetensors"
    projections = sorted((results / "projection").glob("*.h5")) or sorted((results / "projection").glob("*/*.h5"))
    target = results / "world" / "target"
    if not (weights.is_file() and projections and target.is_dir()):
        raise IgnetError(
            f"{results}: found no finished experiment with an adapted network '{network}' on the embedded world; "
            "make demo first"
        )
    made = PointFeatures(weights, target, torch.device("cpu"))
    found: Frames = {}
    for path in projections:
        file = Correspondence(path)
        for _, index, feature in made.of(path.stem, file, file.frames[:: max(1, len(file.frames) // frames)][:frames]):
            found[f"{len(found):06d}"] = index, feature
    return found, made.classifier


def write(path: Path, frames: Frames, dtype: str, classifier: Classifier, pca: PCA | None) -> FeatureStore:
    """A store of the frames."""
    coded = {frame: (index, pca.reduce(feature) if pca else feature) for frame, (index, feature) in frames.items()}
    channels = next(iter(coded.values()))[1].shape[1]
    scale = int8_scale([feature for _, feature in coded.values()]) if dtype == "int8" else None
    with FeatureWriter(path, channels, dtype, scale, {}, classifier, pca) as writer:
        for frame, (index, feature) in coded.items():
            writer.add(frame, index, feature)
    return FeatureStore(path)


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Row by row."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def loss_of(store: FeatureStore, frames: Frames, classifier: Classifier) -> dict[str, float]:
    """Loss of a coding, averaged over all points.

    1 - cosine to the full feature, KL of the class distributions in nats, share of points with another class.
    """
    rows = []
    for frame, (_, full) in frames.items():
        read = store.read(frame)[1]
        restored = store.pca.restore(read) if store.pca else read
        cosine = (full * restored).sum(1) / np.maximum(
            np.linalg.norm(full, axis=1) * np.linalg.norm(restored, axis=1), 1e-9
        )
        assert store.classifier is not None
        ours = log_softmax(read.astype(np.float64) @ store.classifier.weight.T + store.classifier.bias)
        theirs = log_softmax(full.astype(np.float64) @ classifier.weight.T + classifier.bias)
        divergence = (np.exp(theirs) * (theirs - ours)).sum(1)
        rows.append(np.stack([1 - cosine, divergence, ours.argmax(1) != theirs.argmax(1)], axis=1))
    mean = np.concatenate(rows).astype(np.float64).mean(axis=0)
    return dict(zip(("cosine", "kl", "other"), mean.tolist(), strict=True))


def codings(frames: Frames, classifier: Classifier, channels: list[int]) -> list[tuple[str, str, PCA | None]]:
    """Names, number formats and bases to compare."""
    moments = Moments(len(classifier.weight[0]))
    for _, feature in frames.values():
        moments.add(feature)
    found: list[tuple[str, str, PCA | None]] = [(dtype, dtype, None) for dtype in ("float32", "float16", "int8")]
    for count in channels:
        found.append((f"int8, {count} channels", "int8", fit_pca(moments, count, classifier)))
        found.append((f"int8, {count} channels, plain PCA", "int8", fit_pca(moments, count)))
    return found


def spread(frames: Frames, points: int, channels: int, scans: int) -> Frames:
    """The paper's size: the same features seen through a random layer with ReLU, points drawn anew."""
    rng = np.random.default_rng(0)
    pool = np.concatenate([feature for _, feature in frames.values()])
    layer = (rng.normal(size=(pool.shape[1], channels)) / np.sqrt(pool.shape[1])).astype(np.float32)
    return {
        f"{scan:06d}": (
            np.arange(points, dtype=np.int32),
            np.maximum(pool[rng.integers(len(pool), size=points)] @ layer, 0),
        )
        for scan in range(scans)
    }


def milliseconds(work: Callable[[], object], times: int) -> float:
    """Processor time of a call, the least of ``times``."""
    spent = []
    for _ in range(times):
        start = time.process_time()
        work()
        spent.append(1000 * (time.process_time() - start))
    return min(spent)


def plain(path: Path, frames: Frames) -> None:
    """The plain way: one float32 dataset a scan, gzip."""
    with h5py.File(path, "w") as file:
        for frame, (index, feature) in frames.items():
            file.create_dataset(f"{frame}/index", data=index, compression="gzip")
            file.create_dataset(f"{frame}/feature", data=feature, compression="gzip")


def read_plain(path: Path, frames: list[str]) -> None:
    """All scans, in this order."""
    with h5py.File(path, "r") as file:
        for frame in frames:
            file[f"{frame}/index"][:], file[f"{frame}/feature"][:]


def speeds(
    folder: Path, frames: Frames, classifier: Classifier, kinds: list[tuple[str, str, PCA | None]], step_ms: float
) -> list[str]:
    """Rows of a table: bytes, time to write, time to read a scan in random order, time of a training step."""
    order = np.random.default_rng(1).permutation(list(frames)).tolist()
    raw = sum(index.nbytes + feature.nbytes for index, feature in frames.values())
    rows = []

    def row(
        name: str, path: Path, write_ms: float, read: Callable[[], object], unchecked: Callable[[], object] | None
    ) -> None:
        size, read_ms = path.stat().st_size, milliseconds(read, 3) / len(frames)
        without = f"{milliseconds(unchecked, 3) / len(frames):.2f}" if unchecked else ""
        cells = [
            name,
            f"{size / len(frames) / 1e6:.3f}",
            f"1/{raw / size:.1f}",
            f"{write_ms / len(frames):.1f}",
            f"{read_ms:.2f}",
            without,
        ]
        rows.append(f"| {' | '.join([*cells, f'{step_ms / read_ms:.0f}'])} |")
        print(f"... {rows[-1]}", file=sys.stderr, flush=True)

    path = folder / "plain.h5"
    row(
        "gzip float32, one dataset a scan",
        path,
        milliseconds(lambda: plain(path, frames), 1),
        lambda: read_plain(path, order),
        None,
    )
    for name, dtype, pca in kinds:
        path = folder / "store.h5"
        spent = milliseconds(lambda p=path, d=dtype, b=pca: write(p, frames, d, classifier, b), 1)  # type: ignore[misc]
        stores = [FeatureStore(path, verify) for verify in (True, False)]
        checked, unchecked = ((lambda s=store: [s.read(frame) for frame in order]) for store in stores)  # type: ignore[misc]
        row(name, path, spent, checked, unchecked)
    return rows


def step_time(size: str) -> tuple[float, str]:
    """Milliseconds of the fastest measured 3D training step with a teacher, and where that stands."""
    backbone = {"demo": "MinkUNet 16 32 48 64", "paper": "MinkUNet 32 64 128 256"}[size]
    rows = [
        rate
        for rate in read_rates()
        if rate.stage == "train_3d" and rate.size.startswith(backbone) and "with teacher" in rate.size
    ]
    best = min(rows, key=lambda rate: rate.seconds)
    return (
        1000 * best.seconds,
        f"{best.size}, {best.device}, {best.engine}, {best.machine}: {best.seconds:g} s a step of one scan",
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--results", type=Path, default=Path("results/demo"), help="results of an experiment on the embedded world"
    )
    parser.add_argument("--network", default="adapted", help="the adaptation whose features are stored")
    parser.add_argument("--frames", type=int, default=6, help="frames of each sequence")
    parser.add_argument("--channels", type=int, nargs="+", default=[24, 32, 48], help="channels to reduce to")
    parser.add_argument("--scans", type=int, default=4, help="scans of the paper's size")
    parser.add_argument("--out", type=Path, help="also write the tables to this file")
    options = parser.parse_args()
    torch.set_num_threads(1)
    frames, classifier = read_features(options.results, options.network, options.frames)
    points = sum(len(index) for index, _ in frames.values())
    lines = [
        f"{len(frames)} scans, {points:,} points, {classifier.weight.shape[1]} channels, of the network "
        f"'{options.network}'",
        "",
    ]
    kinds = codings(frames, classifier, options.channels)
    lines += ["| coding | 1 - cosine | KL of classes, nats | other class, % |", "|---|---:|---:|---:|"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for coding, dtype, pca in kinds:
            lost = loss_of(write(folder / "coded.h5", frames, dtype, classifier, pca), frames, classifier)
            lines.append(f"| {coding} | {lost['cosine']:.2e} | {lost['kl']:.2e} | {100 * lost['other']:.3f} |")
        wide = spread(frames, PAPER_POINTS, PAPER_CHANNELS, options.scans)
        weight = np.random.default_rng(2).normal(size=(19, PAPER_CHANNELS)).astype(np.float32)
        broad = Classifier(weight, np.zeros(19, np.float32))
        paper = [kind for kind in codings(wide, broad, [64, 96]) if "plain" not in kind[0]]
        for size, some, layer, chosen in (("demo", frames, classifier, kinds), ("paper", wide, broad, paper)):
            step, words = step_time(size)
            lines += ["", f"Size: {size} ({words})", ""]
            lines += [
                "| coding | MB a scan | of float32 | write, ms a scan | read, ms a scan | without checksum | step "
                "/ read |"
            ]
            lines += ["|---|---:|---:|---:|---:|---:|---:|"]
            lines += speeds(folder, some, layer, [kind for kind in chosen if "plain" not in kind[0]], step)
    text = "\n".join(lines)
    print(text)
    if options.out:
        options.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    try:
        main()
    except IgnetError as error:
        sys.exit(f"error: {error}")
