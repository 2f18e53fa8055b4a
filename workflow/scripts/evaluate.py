"""Compare the predictions of one run with the dense labels, point by point, as the SemanticKITTI benchmark does.

Writes the figures over all points and over slices of them (distance, camera coverage, class boundaries), and the confusion matrix.
"""

import csv
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ignet.config.evaluation import EvaluateConfig
from ignet.console import log, progress
from ignet.data.correspondence import Correspondence
from ignet.data.kitti import frame_ids, label_path, read_labels, read_scan, scan_path
from ignet.data.labels import CLASSES, to_train_ids
from ignet.errors import IgnetError
from ignet.evaluate.confusion import summary
from ignet.evaluate.predictions import read_predictions
from ignet.evaluate.slices import (
    BOUNDARY_SLICES,
    CAMERA_SLICES,
    SMALL_CLASSES,
    boundary_points,
    camera_coverage,
    distance_bins,
    distance_names,
    sliced_confusion,
)
from ignet.files import atomic, write_json
from ignet.stage import Stage, command


@command
def main() -> None:
    stage = Stage("evaluate", EvaluateConfig, __doc__)
    stage.add("--dataset", type=Path, required=True, help="folder that holds sequences/ with the scans and the dense labels")
    stage.add("--sequences", nargs="+", required=True, help="sequences to evaluate on")
    stage.add("--predictions", type=Path, required=True, help="folder that holds sequences/NN/predictions/*.label")
    stage.add("--projection", type=Path, required=True, help="folder of the correspondences, NN.h5: which points the camera covers")
    stage.add("--out", type=Path, required=True, help="metrics.json")
    stage.add("--confusion", type=Path, required=True, help="confusion.csv: rows are true classes, columns predicted ones")
    args, settings = stage.start()

    slicings = {"all": ("all",), "range": distance_names(settings.ranges), "camera": CAMERA_SLICES, "boundary": BOUNDARY_SLICES}
    confusion = {key: np.zeros((len(names), len(CLASSES), len(CLASSES) + 1), np.int64) for key, names in slicings.items()}
    frames = [(sequence, frame) for sequence in args.sequences for frame in frame_ids(args.dataset, sequence)]
    covered = {sequence: Correspondence(args.projection / f"{sequence}.h5") for sequence in args.sequences}

    for sequence, frame in progress(frames, "evaluated frame"):
        points = read_scan(scan_path(args.dataset, sequence, frame))
        labels = label_path(args.dataset, sequence, frame)
        truth = to_train_ids(read_labels(labels, len(points)), str(labels))
        predicted = read_predictions(args.predictions, sequence, frame, len(points))
        slices = {
            "all": np.zeros(len(points), np.uint8),
            "range": distance_bins(points, settings.ranges),
            "camera": camera_slices(covered[sequence], frame, len(points)),
            "boundary": boundary_points(points, truth, settings.boundary),
        }
        for key, names in slicings.items():
            confusion[key] += sliced_confusion(truth, predicted, slices[key], len(names), len(CLASSES))

    whole = confusion.pop("all")[0]
    if not whole.any():
        raise IgnetError(f"{args.dataset}: sequences {args.sequences} have no labelled point, expected some; check their labels")
    slices_of = {
        key: [{"name": name, **summary(part, CLASSES)} for name, part in zip(slicings[key], parts, strict=True)]
        for key, parts in confusion.items()
    }
    metrics = summary(whole, CLASSES) | {"slices": slices_of, "sequences": args.sequences, "frames": len(frames)}
    metrics["small_objects"] = small_objects(metrics)
    write_confusion(args.confusion, whole)
    write_json(args.out, metrics)
    stage.write_settings(args.out.with_suffix(".settings.json"))
    log.info("mIoU %.1f %%, over the classes that occur %.1f %%", 100 * metrics["miou_official"], 100 * metrics["miou_occurring"])


def camera_slices(correspondence: Correspondence, frame: str, points: int) -> NDArray[np.uint8]:
    """Which points of a scan have a pixel, as slice numbers (N,)."""
    found = correspondence.read(frame)
    if found.points != points:
        where = f"{correspondence.path}: frame {frame}"
        raise IgnetError(f"{where}: found {found.points} points, expected {points}, as in its scan; run the stage project again")
    return camera_coverage(points, found.index)


def small_objects(metrics: dict[str, Any]) -> dict[str, Any]:
    """mIoU over the small-object classes that occur; None where none does."""
    values = [metrics["iou"][name] for name in SMALL_CLASSES if metrics["points_of_class"][name]]
    return {"classes": SMALL_CLASSES, "miou_occurring": float(np.mean(values)) if values else None}


def write_confusion(path: Path, confusion: NDArray[np.int64]) -> None:
    """Write a confusion matrix (C, C + 1) as CSV with the names of the classes."""
    with atomic(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["truth", *CLASSES, "nothing"])
        writer.writerows([name, *row] for name, row in zip(CLASSES, confusion.tolist(), strict=True))


if __name__ == "__main__":
    main()
