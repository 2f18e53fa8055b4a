"""Pyramid local semantic context: what the labels around a point are, as input features of a 3D network.

Source: ScribbleKITTI (Unal et al., CVPR 2022). There a first network learns with it on the training scans, whose
scribbles are there also when it labels them; a second network, which learns from these pseudo-labels, has none. Leaving
it out of some training samples, so that the first network can do without it too, is this project's choice.
"""

import numpy as np
from numpy.typing import NDArray

from ignet.config.backbones import LocalContextConfig
from ignet.data.label_sets.label_set import IGNORE


def context_channels(config: LocalContextConfig | None, classes: int) -> int:
    """Input features that the context adds: one for each class and level."""
    return 0 if config is None else len(config.levels) * classes


def add_local_context(
    features: NDArray[np.float32],
    points: NDArray[np.float32],
    rows: NDArray[np.int64],
    labels: NDArray[np.uint8] | None,
    config: LocalContextConfig,
    classes: int,
) -> NDArray[np.float32]:
    """Features and, behind them, the class histograms of the labelled points in the coarse cells that a point lies in.

    A cell is a sector of a ring, of any height. Its histogram sums to 1, or is 0 where it holds no label.

    Args:
        features: float32 (M, F), those of the points that are asked about.
        points: float32 (N, >=2), x and y in metres, in the frame whose cells are meant.
        rows: int64 (M,), which points are asked about.
        labels: uint8 (N,), train ids, 255 where there is none; None: there is no label at all.
        config: levels and radius.
        classes: number of classes.

    Returns:
        float32 (M, F + levels x classes), level by level.
    """
    before, width = features.shape[1], features.shape[1] + context_channels(config, classes)
    labelled = np.zeros(0, np.int64) if labels is None else np.flatnonzero(labels != IGNORE)
    if labels is None or not len(labelled):
        inputs = np.zeros((len(rows), width), np.float32)
    else:
        # one table of the finest cells with all levels in a row, so that each point is looked up once
        table = np.zeros((config.levels[0][0] * config.levels[0][1], width), np.float32)
        table[:, before:] = _histograms(_cells(points, labelled, config), labels[labelled], config, classes)
        inputs = table.take(_cells(points, rows, config), axis=0)
    inputs[:, :before] = features
    return inputs


def _histograms(
    cells: NDArray[np.int64], labels: NDArray[np.uint8], config: LocalContextConfig, number: int
) -> NDArray[np.float32]:
    """Histograms of all levels for each cell of the finest one, float32 (cells, levels x classes)."""
    rings, sectors = config.levels[0]
    counts = np.bincount(cells * number + labels, minlength=rings * sectors * number).reshape(rings, sectors, number)
    histograms = []
    for few_rings, few_sectors in config.levels:
        inside = (rings // few_rings, sectors // few_sectors)
        coarse = counts.reshape(few_rings, inside[0], few_sectors, inside[1], number).sum(axis=(1, 3))
        shares = coarse / np.maximum(coarse.sum(axis=-1, keepdims=True), 1)
        histograms.append(shares.repeat(inside[0], axis=0).repeat(inside[1], axis=1).reshape(-1, number))
    return np.hstack(histograms).astype(np.float32)


def _cells(points: NDArray[np.float32], rows: NDArray[np.int64], config: LocalContextConfig) -> NDArray[np.int64]:
    """Number of each point's cell of the finest level, int64 (M,), by ring, then by sector from the rear on.

    The last ring has no edge.
    """
    rings, sectors = config.levels[0]
    x, y = points[:, 0].take(rows), points[:, 1].take(rows)
    distance, azimuth = np.hypot(x, y), np.arctan2(y, x)
    # bounded before the conversion: a scan's farthest points may be any number of radii away
    ring = (np.minimum(distance, np.float32(config.radius)) * np.float32(rings / config.radius)).astype(np.int64)
    sector = ((azimuth + np.float32(np.pi)) * np.float32(sectors / (2 * np.pi))).astype(np.int64)
    return np.minimum(ring, rings - 1) * sectors + np.clip(sector, 0, sectors - 1)
