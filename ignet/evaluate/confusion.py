"""Confusion matrix and the metrics that follow from it, as the SemanticKITTI benchmark counts them.

The source of the counting is ``iouEval`` of semantic-kitti-api: only points whose *target* is ignored are dropped, so
that a point predicted as nothing (raw class 0) stays and is a miss of its true class.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt


def confusion_matrix(
    target: npt.ArrayLike, predicted: npt.ArrayLike, classes: int, ignore: int = 255
) -> npt.NDArray[np.int64]:
    """Count the points of each (true class, predicted class).

    Args:
        target: integers (N,), classes 0..C-1 or ``ignore``; ignored ones are not counted.
        predicted: integers (N,), classes 0..C-1 or ``ignore``, which means that nothing was predicted.
        classes: C.
        ignore: the id that is no class.

    Returns:
        int64 (C, C + 1): rows are true classes, columns predicted ones; the last column counts "predicted nothing".

    Raises:
        ValueError: the arrays differ in shape, or hold an id that is neither a class nor ``ignore``.
    """
    target, predicted = np.asarray(target), np.asarray(predicted)
    if target.shape != predicted.shape:
        raise ValueError(f"target has shape {target.shape} and predicted {predicted.shape}; they must be equal")
    for name, ids in (("target", target), ("predicted", predicted)):
        wrong = (ids != ignore) & ((ids < 0) | (ids >= classes))
        if wrong.any():
            raise ValueError(
                f"{name} holds the id {ids[wrong][0]}, which is neither a class below {classes} nor {ignore}"
            )
    counted = target != ignore
    rows, columns = target[counted].astype(np.int64), predicted[counted].astype(np.int64)
    columns[columns == ignore] = classes
    counts = np.bincount(rows * (classes + 1) + columns, minlength=classes * (classes + 1))
    return counts.reshape(classes, classes + 1).astype(np.int64)


def iou(confusion: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Intersection over union of each class, TP / (TP + FP + FN).

    Args:
        confusion: (..., C, C + 1) as of :func:`confusion_matrix`.

    Returns:
        float64 (..., C) in [0, 1]; NaN where the class occurs neither in the target nor in the prediction.
    """
    true_positives = _true_positives(confusion)
    union = confusion.sum(axis=-1) + confusion[..., :-1].sum(axis=-2) - true_positives
    return _divide(true_positives, union)


def mean_iou_official(confusion: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """The benchmark's mIoU, (...): the mean over all C classes, where an absent class counts as 0."""
    return np.nan_to_num(iou(confusion), nan=0.0).mean(axis=-1)


def mean_iou_occurring(confusion: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """mIoU over the classes that occur in the target, (...); NaN where none does."""
    occurs = confusion.sum(axis=-1) > 0
    return _divide(np.where(occurs, iou(confusion), 0.0).sum(axis=-1), occurs.sum(axis=-1))


def accuracy(confusion: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Share of the labelled points that are predicted right, (...); NaN where there are none.

    Points predicted as nothing stay in the denominator (semantic-kitti-api's ``getacc`` leaves them out).
    """
    return _divide(_true_positives(confusion).sum(axis=-1), confusion.sum(axis=(-2, -1)))


def summary(confusion: npt.NDArray[np.int64], names: Sequence[str]) -> dict[str, Any]:
    """All metrics of one confusion matrix (C, C + 1) as plain values in [0, 1] that JSON can hold.

    Args:
        confusion: as of :func:`confusion_matrix`.
        names: names of the C classes.

    Returns:
        ``miou``, ``miou_occurring``, ``accuracy``, ``points`` (labelled ones), ``iou`` and ``points_of_class`` by class
        name; None where a metric does not exist.
    """
    return {
        "miou": _plain(mean_iou_official(confusion)),
        "miou_occurring": _plain(mean_iou_occurring(confusion)),
        "accuracy": _plain(accuracy(confusion)),
        "points": int(confusion.sum()),
        "iou": {name: _plain(value) for name, value in zip(names, iou(confusion), strict=True)},
        "points_of_class": {name: int(row.sum()) for name, row in zip(names, confusion, strict=True)},
    }


def _plain(value: np.float64 | npt.NDArray[np.float64]) -> float | None:
    return None if np.isnan(value) else float(value)


def _true_positives(confusion: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return np.diagonal(confusion[..., :-1], axis1=-2, axis2=-1)


def _divide(numerator: npt.NDArray, denominator: npt.NDArray) -> npt.NDArray[np.float64]:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(denominator > 0, numerator / denominator, np.nan)
