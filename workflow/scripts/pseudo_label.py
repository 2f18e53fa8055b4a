"""Label the training scans for a second training: scribbles, and confident predictions of a first one.

Predictions are chosen per class and range over all training sequences together. Two passes, so that no more than one
scan is in memory.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from ignet.config.self_training import PseudoLabelConfig
from ignet.data.formats.kitti import frame_ids, read_scan, scan_path, scribble_path
from ignet.data.label_sets.files import read_classes
from ignet.data.label_sets.label_set import IGNORE, LabelSet
from ignet.data.lidar.pseudo_labels import BINS, choose, confidence_histogram, rings, thresholds
from ignet.files.atomic import atomic, write_array
from ignet.log import log, progress
from ignet.models.segmentor3d import load_network, predict_scan
from ignet.models.sparse.engine import resolve_engine
from ignet.stage.script import Stage, command

Predict = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""Points and their given labels -> classes and confidences."""


def predict_all(
    scans: list[tuple[Path, Path]],
    predict: Predict,
    settings: PseudoLabelConfig,
    scratch: Path,
    remission_scale: float,
    label_set: LabelSet,
) -> np.ndarray:
    """First pass: keep each scan's predictions in ``scratch``; returns the threshold of each class and ring."""
    total = np.zeros((len(label_set), settings.rings, BINS), np.int64)
    for number, (path, scribbles) in enumerate(progress(scans, "predicted scan")):
        points = read_scan(path, remission_scale)
        classes, confidence = predict(points, read_classes(scribbles, len(points), label_set))
        ring = rings(points, settings.ring_width, settings.rings)
        np.savez(scratch / f"{number}.npz", classes=classes, confidence=confidence, ring=ring)
        total += confidence_histogram(classes, confidence, ring, total.shape[:2])
    return thresholds(total, settings.fraction)


def label(scribbles: Path, predictions: Path, threshold: np.ndarray, label_set: LabelSet) -> np.ndarray:
    """Second pass: the labels of one scan, uint8 (N,) train ids, 255 where there is none."""
    with np.load(predictions, allow_pickle=False) as file:
        classes, confidence, ring = file["classes"], file["confidence"], file["ring"]
    return choose(read_classes(scribbles, len(classes), label_set), classes, confidence, ring, threshold)


@command
def main() -> None:
    stage = Stage("pseudo_label", PseudoLabelConfig, __doc__)
    stage.add_common(
        "dataset", "weights", "sequences", "remission-scale", out="folder to make, with sequences/NN/labels/*.label"
    )
    stage.add("--scribbles", type=Path, required=True, help="folder whose sequences/NN/scribbles are the given labels")
    args, settings = stage.start()

    network, backbone, trained_on = load_network(args.weights)
    engine = resolve_engine(trained_on, args.device)
    network = network.to(args.device)
    frames = [(sequence, frame) for sequence in args.sequences for frame in frame_ids(args.dataset, sequence)]
    shares = []
    with atomic(args.out) as out:
        scratch = out.parent / "scratch"  # goes with the temporary, also after a kill
        scratch.mkdir()
        scans = [(scan_path(args.dataset, *frame), scribble_path(args.scribbles, *frame)) for frame in frames]
        threshold = predict_all(
            scans,
            lambda points, given: predict_scan(network, backbone, engine, points, args.device, given),
            settings,
            scratch,
            args.remission_scale,
            network.label_set,
        )
        for number, (sequence, frame) in enumerate(progress(frames, "labelled scan")):
            scribbles, predictions = scribble_path(args.scribbles, sequence, frame), scratch / f"{number}.npz"
            labels = label(scribbles, predictions, threshold, network.label_set)
            path = out / "sequences" / sequence / "labels" / f"{frame}.label"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_array(path, network.label_set.to_raw_ids(labels))
            shares.append((labels != IGNORE).mean())
    log.info("labels on %.1f %% of the points of %d scans", 100 * np.mean(shares), len(frames))
    stage.write_settings(args.out.parent / f"{args.out.name}.settings.json", remission_scale=args.remission_scale)


if __name__ == "__main__":
    main()
