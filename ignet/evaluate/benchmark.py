"""The metrics of the SemanticKITTI benchmark for a folder of predictions: over all points and by distance.

The rules of counting are those of semantic-kitti-api's ``evaluate_semantics.py`` and
``evaluate_semantics_by_distance.py``; nothing of their code is here. They differ from this project's own slices in
three places: the accuracy leaves out points that are predicted as nothing, an absent class has the IoU 0, and the
distance bins are open at both ends and end at 50 m.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ignet.data.formats.kitti import frame_ids, label_path, read_labels, read_positions, scan_path
from ignet.data.label_sets.label_set import LabelSet
from ignet.errors import IgnetError
from ignet.evaluate.confusion import confusion_matrix, iou, mean_iou_official
from ignet.evaluate.predictions import read_predictions
from ignet.log import progress

DISTANCES: tuple[tuple[float, float], ...] = ((1e-8, 10.0), (10.0, 20.0), (20.0, 30.0), (30.0, 40.0), (40.0, 50.0))
"""The benchmark's distance bins in metres, open at both ends."""


class BenchmarkCounts:
    """Confusion matrices, each int64 (..., C, C + 1) as of :func:`ignet.evaluate.confusion.confusion_matrix`.

    Attributes:
        label_set: the classes.
        whole: (C, C + 1), all labelled points.
        distance: (5, C, C + 1), those in each of ``DISTANCES``.
        frames: number of scans that were counted.
    """

    def __init__(self, label_set: LabelSet) -> None:
        shape = (len(label_set), len(label_set) + 1)
        self.label_set, self.frames = label_set, 0
        self.whole, self.distance = np.zeros(shape, np.int64), np.zeros((len(DISTANCES), *shape), np.int64)

    def add(self, points: NDArray[np.float32], target: NDArray[np.uint8], predicted: NDArray[np.uint8]) -> None:
        """Count one scan.

        Args:
            points: float32 (N, >= 3), metres.
            target: uint8 (N,), train ids, 255 for none.
            predicted: as ``target``.
        """
        self.whole += confusion_matrix(target, predicted, len(self.label_set))
        for counts, inside in zip(self.distance, distance_masks(points), strict=True):
            counts += confusion_matrix(target[inside], predicted[inside], len(self.label_set))
        self.frames += 1

    def metrics(self) -> dict[str, Any]:
        """:func:`benchmark_metrics` of all points and, under ``distance``, of each bin with its ends in metres."""
        names = self.label_set.classes
        bins = [
            {"low": low, "high": high, **benchmark_metrics(counts, names)}
            for (low, high), counts in zip(DISTANCES, self.distance, strict=True)
        ]
        return {**benchmark_metrics(self.whole, names), "distance": bins, "frames": self.frames}


def distance_masks(points: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which points (N, >= 3), in metres, lie in which of the benchmark's bins: bool (5, N).

    The distance is computed in float32, as the benchmark does: it decides on which side of a bin's end a point falls.
    """
    distance = np.linalg.norm(points[:, :3].astype(np.float32), axis=1)
    return np.stack([(distance > np.float32(low)) & (distance < np.float32(high)) for low, high in DISTANCES])


def benchmark_metrics(confusion: NDArray[np.int64], classes: Sequence[str]) -> dict[str, Any]:
    """The benchmark's metrics of one confusion matrix (C, C + 1), all in [0, 1].

    Returns:
        ``miou`` and ``iou`` by class name, 0 for a class that occurs neither in the labels nor in the predictions;
        ``accuracy``: right ones among the labelled points that any class was predicted for, 0 where there are none.
    """
    predicted = int(confusion[:, :-1].sum())
    each = np.nan_to_num(iou(confusion), nan=0.0)
    return {
        "miou": float(mean_iou_official(confusion)),
        "accuracy": float(np.trace(confusion[:, :-1]) / predicted) if predicted else 0.0,
        "iou": {name: float(value) for name, value in zip(classes, each, strict=True)},
    }


def evaluate(dataset: Path, predictions: Path, sequences: list[str], label_set: LabelSet) -> dict[str, Any]:
    """The benchmark's metrics of a folder of predictions, as :meth:`BenchmarkCounts.metrics`.

    Args:
        dataset: folder that holds ``sequences/NN/{velodyne, labels}``.
        predictions: folder that holds ``sequences/NN/predictions``.
        sequences: such as ``["08"]``.
        label_set: of the labels and of the predictions.

    Raises:
        IgnetError: a file is missing, of another length than its scan, or holds an unknown class, or no point is
            labelled.
    """
    frames = [(sequence, frame) for sequence in sequences for frame in frame_ids(dataset, sequence)]
    counts = BenchmarkCounts(label_set)
    for sequence, frame in progress(frames, "evaluated frame"):
        points = read_positions(scan_path(dataset, sequence, frame))
        labels = label_path(dataset, sequence, frame)
        target = label_set.to_train_ids(read_labels(labels, len(points)), str(labels))
        counts.add(points, target, read_predictions(predictions, sequence, frame, len(points), label_set))
    if not counts.whole.any():
        raise IgnetError(
            f"{dataset}: sequences {' '.join(sequences)} have no labelled point, expected some; check their labels"
        )
    return counts.metrics()


def describe(metrics: dict[str, Any]) -> str:
    """Format the metrics of :func:`evaluate` as a table in per cent, a line for each class, a column for each bin."""
    columns = [metrics, *metrics["distance"]]
    heads = ["all", *(f"{part['low']:.0f}-{part['high']:.0f} m" for part in metrics["distance"])]
    lines = [f"{'':<14}" + "".join(f"{head:>9}" for head in heads)]
    lines += [
        f"{name:<14}" + "".join(f"{100 * part['iou'][name]:>9.2f}" for part in columns) for name in metrics["iou"]
    ]
    lines += [f"{name:<14}" + "".join(f"{100 * part[key]:>9.2f}" for part in columns) for name, key in _SUMMARY]
    return "\n".join([f"{metrics['frames']} scans, per cent, counted as the SemanticKITTI benchmark does", *lines])


_SUMMARY = (("mIoU", "miou"), ("accuracy", "accuracy"))
