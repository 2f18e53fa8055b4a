"""Groups of points that a figure is given for: distance, camera coverage, class boundaries, small objects.

A slicing gives each point the number of its slice, or ``NO_SLICE``; `ignet.evaluate.tensor` counts the points of all of them at once.
"""

from collections.abc import Sequence
from itertools import pairwise, product

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

NO_SLICE = 255

SMALL_CLASSES = ("bicycle", "motorcycle", "person", "bicyclist", "motorcyclist", "trunk", "pole", "traffic-sign")
"""SemanticKITTI classes of small or thin objects (our choice)."""

CAMERA_SLICES = ("in-FOV", "out-of-FOV")
BOUNDARY_SLICES = ("boundary", "interior")


def distance_bins(points: npt.NDArray[np.floating], edges: Sequence[float]) -> npt.NDArray[np.uint8]:
    """Number of the distance bin of each point.

    Args:
        points: (N, >= 3), x, y, z in metres in the LiDAR frame.
        edges: lower edges of the bins in metres, rising; bin i is [edges[i], edges[i + 1]), the last one is open.

    Returns:
        uint8 (N,); ``NO_SLICE`` for points nearer than the first edge.
    """
    distance = np.linalg.norm(points[:, :3].astype(np.float64), axis=1)
    # searchsorted gives 0 below the first edge; minus one, that wraps round to 255 = NO_SLICE
    return (np.searchsorted(np.asarray(edges, np.float64), distance, side="right") - 1).astype(np.uint8)


def distance_names(edges: Sequence[float]) -> tuple[str, ...]:
    """Names of the bins of :func:`distance_bins`, such as ``0-10 m`` and ``50+ m``."""
    closed = [f"{low:g}-{high:g} m" for low, high in pairwise(edges)]
    return (*closed, f"{edges[-1]:g}+ m")


def camera_coverage(points: int, index: npt.NDArray[np.integer]) -> npt.NDArray[np.uint8]:
    """0 (in-FOV) for the points that have a pixel, else 1 (out-of-FOV).

    Args:
        points: N, the number of points of the scan.
        index: (P,), numbers of the points that have a pixel.

    Returns:
        uint8 (N,), indices into ``CAMERA_SLICES``.
    """
    slices = np.ones(points, np.uint8)
    slices[index] = 0
    return slices


def boundary_points(
    points: npt.NDArray[np.floating], labels: npt.NDArray[np.uint8], radius: float = 0.5, ignore: int = 255
) -> npt.NDArray[np.uint8]:
    """0 (boundary) for the labelled points with a labelled neighbour of another class at most ``radius`` away, else 1 (interior).

    Args:
        points: (N, >= 3), x, y, z in metres.
        labels: uint8 (N,), class of each point.
        radius: metres.
        ignore: label of the points that have no class; they are neither boundary nor interior, and make no other point boundary.

    Returns:
        uint8 (N,), indices into ``BOUNDARY_SLICES``, or ``NO_SLICE``.
    """
    slices = np.where(labels != ignore, 1, NO_SLICE).astype(np.uint8)
    candidates = np.flatnonzero(labels != ignore)
    candidates = candidates[_near_other_classes(points[candidates, :3].astype(np.float64), labels[candidates], radius)]
    place, label = points[candidates, :3].astype(np.float64), labels[candidates]
    for one in np.unique(label):
        is_one = label == one
        # unbalanced trees build several times faster and answer as fast; the bound of `query` is exclusive
        others = cKDTree(place[~is_one], balanced_tree=False, compact_nodes=False)
        nearest, _ = others.query(place[is_one], distance_upper_bound=np.nextafter(radius, np.inf))
        slices[candidates[is_one]] = np.where(nearest <= radius, 0, 1)
    return slices


def _near_other_classes(place: npt.NDArray[np.float64], label: npt.NDArray[np.uint8], radius: float) -> npt.NDArray[np.bool_]:
    """Which points (n, 3) have another class in their grid cell or the 26 around it: all that can have one within ``radius``, and more."""
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
        found = np.searchsorted(cells, cells + step).clip(max=len(cells) - 1)
        here = cells[found] == cells + step
        around_lowest[here] = np.minimum(around_lowest[here], lowest[found[here]])
        around_highest[here] = np.maximum(around_highest[here], highest[found[here]])
    return (around_lowest < around_highest)[inverse]
