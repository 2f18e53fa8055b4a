"""Where classes meet: points that are clear of every other class, by exact distance."""

from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ignet.data.label_sets.label_set import IGNORE


def clear_of_others(xyz: NDArray[np.float64], labels: NDArray[np.uint8], margin: float) -> NDArray[np.bool_]:
    """Points, bool (N,), that have a class and no point of another class at ``margin`` metres or nearer."""
    known = labels != IGNORE
    if margin <= 0:
        return known
    # exact distances only where a grid cell or one around it holds two classes: no other point can be too near
    near_border = np.flatnonzero(known)
    near_border = near_border[_near_other_classes(xyz[near_border], labels[near_border], margin)]
    place, label = xyz[near_border], labels[near_border]
    clear = known.copy()
    for one in np.unique(label):
        is_one = label == one
        # unbalanced trees build several times faster and answer as fast; the bound of `query` is exclusive
        others = cKDTree(place[~is_one], balanced_tree=False, compact_nodes=False)
        nearest, _ = others.query(place[is_one], distance_upper_bound=np.nextafter(margin, np.inf))
        clear[near_border[is_one]] = nearest > margin
    return clear


def _near_other_classes(place: NDArray[np.float64], label: NDArray[np.uint8], radius: float) -> NDArray[np.bool_]:
    """Which points (n, 3) have another class in their grid cell or the 26 around it.

    A superset of the points with another class within ``radius``.
    """
    if not len(place):
        return np.zeros(0, np.bool_)
    place = place - place.min(axis=0)
    # a hair above the radius, because of rounding; and no finer than a cell's number can hold
    cell = (place / max(1.001 * radius, place.max() / 2**20)).astype(np.int64) + 1
    extent = cell.max(axis=0) + 2
    cells, inverse = np.unique(np.ravel_multi_index(tuple(cell.T), tuple(extent)), return_inverse=True)
    lowest, highest = np.full(len(cells), 255, np.uint8), np.zeros(len(cells), np.uint8)
    np.minimum.at(lowest, inverse, label)
    np.maximum.at(highest, inverse, label)
    around_lowest, around_highest = lowest.copy(), highest.copy()
    for offset in product((-1, 0, 1), repeat=3):
        step = (offset[0] * extent[1] + offset[1]) * extent[2] + offset[2]
        neighbour = np.searchsorted(cells, cells + step).clip(max=len(cells) - 1)
        here = cells[neighbour] == cells + step
        around_lowest[here] = np.minimum(around_lowest[here], lowest[neighbour[here]])
        around_highest[here] = np.maximum(around_highest[here], highest[neighbour[here]])
    return (around_lowest < around_highest)[inverse]
