"""Pyramid local semantic context: what the labels around a point are, as input features of a 3D network.

Source: ScribbleKITTI (Unal et al., CVPR 2022). There a first network learns with it on the training scans, whose scribbles are there also
when it labels them; a second network, which learns from these pseudo-labels, has none. Leaving it out of some training samples, so that the
first network can do without it too, is this project's choice.
"""

import numpy as np
from numpy.typing import NDArray

from ignet.config.training_3d import LocalContextConfig
from ignet.data.labels import CLASSES, IGNORE


def context_channels(config: LocalContextConfig | None) -> int:
    """Input features that the context adds: one for each class and level."""
    return 0 if config is None else len(config.levels) * len(CLASSES)


def local_context(
    points: NDArray[np.float32], labels: NDArray[np.uint8] | None, rows: NDArray[np.int64], config: LocalContextConfig
) -> NDArray[np.float32]:
    """Class histograms of the labelled points in the coarse cells around the sensor that a point lies in.

    A cell is a sector of a ring, of any height. Its histogram sums to 1, or is 0 where it holds no label.

    Args:
        points: float32 (N, >=2), x and y in metres, in the frame whose cells are meant.
        labels: uint8 (N,), train ids, 255 where there is none; None: there is no label at all.
        rows: int64 (M,), the points that are asked about.
        config: levels and radius.

    Returns:
        float32 (M, levels x classes), level by level.
    """
    found = np.zeros((len(rows), context_channels(config)), np.float32)
    labelled = np.zeros(0, np.int64) if labels is None else np.flatnonzero(labels != IGNORE)
    if labels is None or not len(labelled):
        return found
    classes, number = labels[labelled].astype(np.int64), len(CLASSES)
    of_labelled, of_rows = (_polar(points, which, config.radius) for which in (labelled, rows))
    for level, (rings, sectors) in enumerate(config.levels):
        counts = np.bincount(_cells(*of_labelled, rings, sectors) * number + classes, minlength=rings * sectors * number)
        counts = counts.reshape(-1, number)
        histogram = (counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)).astype(np.float32)
        found[:, level * number : (level + 1) * number] = histogram.take(_cells(*of_rows, rings, sectors), axis=0)
    return found


def _polar(points: NDArray[np.float32], rows: NDArray[np.int64], radius: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Distance over ``radius``, and azimuth as a share of the circle from the rear on, float32 each."""
    x, y = points[:, 0].take(rows), points[:, 1].take(rows)
    return np.sqrt(x * x + y * y) / np.float32(radius), (np.arctan2(y, x) + np.float32(np.pi)) / np.float32(2 * np.pi)


def _cells(distance: NDArray[np.float32], azimuth: NDArray[np.float32], rings: int, sectors: int) -> NDArray[np.int64]:
    """Number of each point's cell; the last ring has no outer edge."""
    # bounded before the conversion: a scan's farthest points may be any number of radii away
    ring = (np.minimum(distance, 1) * np.float32(rings)).astype(np.int64)
    sector = (azimuth * np.float32(sectors)).astype(np.int64)
    return np.minimum(ring, rings - 1) * sectors + np.clip(sector, 0, sectors - 1)
