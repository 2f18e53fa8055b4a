"""Class-range balanced pseudo-labels: the most confident predictions of each class at each range.

So neither common classes nor near points crowd out the others.

Source: the self-training of ScribbleKITTI (Unal et al., CVPR 2022). The width of the rings and the histogram are this
project's choice.
"""

import numpy as np
from numpy.typing import NDArray

BINS = 1000
"""Bins of the confidence histograms: thresholds are exact to 1/BINS, and memory does not grow with the dataset."""


def rings(points: NDArray[np.float32], width: float, number: int) -> NDArray[np.int64]:
    """Ring of each point around the sensor.

    Args:
        points: float32 (N, >=2), x and y in metres in the LiDAR frame.
        width: metres from one ring to the next.
        number: R; the last ring has no outer edge.

    Returns:
        int64 (N,), 0..R-1.
    """
    distance = np.hypot(points[:, 0], points[:, 1])
    return np.minimum((distance / width).astype(np.int64), number - 1)


def confidence_histogram(
    classes: NDArray[np.uint8], confidence: NDArray[np.float32], ring: NDArray[np.int64], shape: tuple[int, int]
) -> NDArray[np.int64]:
    """Count predictions by class, ring and confidence.

    Args:
        classes: uint8 (N,), predicted train ids 0..C-1.
        confidence: float32 (N,), 0..1.
        ring: int64 (N,), from `rings`.
        shape: (C, R).

    Returns:
        int64 (C, R, BINS). Histograms of several scans add up.
    """
    column = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    flat = (classes.astype(np.int64) * shape[1] + ring) * BINS + column
    return np.bincount(flat, minlength=shape[0] * shape[1] * BINS).reshape(*shape, BINS)


def thresholds(histogram: NDArray[np.int64], fraction: float) -> NDArray[np.float64]:
    """Confidence from which a prediction is kept, so that at least ``fraction`` of each class and ring is.

    Args:
        histogram: int64 (C, R, BINS).
        fraction: 0..1.

    Returns:
        float64 (C, R), the highest bin edge that keeps enough; 1 or less everywhere, 1 where there is no prediction.
    """
    kept_from = histogram[..., ::-1].cumsum(-1)[..., ::-1]
    enough = kept_from >= np.maximum(fraction * histogram.sum(-1, keepdims=True), 1)
    highest = BINS - 1 - enough[..., ::-1].argmax(-1)
    return np.where(enough.any(-1), highest / BINS, 1.0)


def choose(
    labels: NDArray[np.uint8],
    classes: NDArray[np.uint8],
    confidence: NDArray[np.float32],
    ring: NDArray[np.int64],
    threshold: NDArray[np.float64],
    ignore: int = 255,
) -> NDArray[np.uint8]:
    """Labels for a second training: those that a person gave, else the prediction where it is confident enough.

    Args:
        labels: uint8 (N,), given train ids, ``ignore`` where there is none.
        classes, confidence, ring: as in `confidence_histogram`.
        threshold: float64 (C, R), from `thresholds`.
        ignore: value of a point without a label.

    Returns:
        uint8 (N,), train ids or ``ignore``.
    """
    column = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    kept = column >= np.rint(threshold[classes, ring] * BINS)
    return np.where(labels != ignore, labels, np.where(kept, classes, ignore)).astype(np.uint8)
