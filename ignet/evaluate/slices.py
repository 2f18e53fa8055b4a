"""Groups of points that a metric is given for: distance, camera coverage, class boundaries, small objects.

A slicing gives each point the number of its slice, or ``NO_SLICE``; `ignet.evaluate.tensor` counts the points of all of
them at once.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from ignet.data.label_sets.label_set import IGNORE
from ignet.data.scribbles.borders import clear_of_others

NO_SLICE = 255

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
    points: npt.NDArray[np.floating], labels: npt.NDArray[np.uint8], radius: float = 0.5
) -> npt.NDArray[np.uint8]:
    """0 (boundary) for labelled points with another class at most ``radius`` away, else 1 (interior).

    Args:
        points: (N, >= 3), x, y, z in metres.
        labels: uint8 (N,), class of each point; those without one (255) are neither boundary nor interior, and make no
            other one boundary.
        radius: metres.

    Returns:
        uint8 (N,), indices into ``BOUNDARY_SLICES``, or ``NO_SLICE``.
    """
    slices = np.full(len(labels), NO_SLICE, np.uint8)
    labelled = labels != IGNORE
    slices[labelled] = clear_of_others(points[labelled, :3].astype(np.float64), labels[labelled], radius)
    return slices
