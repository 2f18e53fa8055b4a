"""Scribbles drawn from dense labels: lines along objects and surfaces, away from class borders.

ScribbleKITTI's scribbles were drawn by hand on accumulated scans. These are drawn on one scan: each object, and each
connected patch of a surface, gets wiggly lines along its longest direction, in proportion to its points. All of it is
this project's choice.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ignet.data.label_sets.label_set import IGNORE, LabelSet
from ignet.data.scribbles.borders import clear_of_others

_SURFACE_CELL, _CELL = 2.5, 0.8  # metres: points of one class in touching cells belong together
_BAND = 0.2  # metres: half width of a line, up to which no further line is begun
_MOST_LINES = 8


def simulate_scribbles(
    points: NDArray[np.float32],
    labels: NDArray[np.uint8],
    instances: NDArray[np.integer],
    fraction: float,
    margin: float,
    rng: np.random.Generator,
    label_set: LabelSet,
) -> NDArray[np.uint8]:
    """Draw scribbles on one scan.

    Args:
        points: float32 (N, >= 3), x, y, z in metres.
        labels: uint8 (N,) train ids, 255 where there is none.
        instances: (N,) object numbers, 0 where a point belongs to none.
        fraction: share of the N points to label, 0..1. Fewer are labelled where too few are clear of other classes.
        margin: metres that a labelled point keeps from every point of another class; points without a class do not
            count.
        rng: draws the lines.
        label_set: says which classes are surfaces.

    Returns:
        uint8 (N,): the train id of each scribbled point, 255 elsewhere.

    Raises:
        ValueError: the arrays differ in length.
    """
    if not len(points) == len(labels) == len(instances):
        raise ValueError(
            f"found {len(points)} points, {len(labels)} labels, {len(instances)} instances, expected as many of each"
        )
    xyz = np.asarray(points[:, :3], np.float64)
    scribbles = np.full(len(labels), IGNORE, np.uint8)
    segment = segments(xyz, labels, instances, label_set)
    if segment.max(initial=-1) < 0:
        return scribbles
    clear = clear_of_others(xyz, labels, margin) & (segment >= 0)
    sizes = np.bincount(segment[segment >= 0])
    room = np.bincount(segment[clear], minlength=len(sizes))
    quota = _quotas(sizes, room, round(fraction * len(labels)), rng)

    order = np.argsort(segment, kind="stable")
    start = np.searchsorted(segment[order], np.arange(len(sizes) + 1))
    for number in np.flatnonzero(quota):
        members = order[start[number] : start[number + 1]]
        free = clear[members]
        chosen = _along_lines(xyz[members], free, int(quota[number]), rng)
        scribbles[members[free][chosen]] = labels[members[0]]
    return scribbles


def segments(
    xyz: NDArray[np.float64],
    labels: NDArray[np.uint8],
    instances: NDArray[np.integer],
    label_set: LabelSet,
) -> NDArray[np.int64]:
    """Number of the object or connected patch of each point: int64 (N,), 0..S-1, and -1 where a point has no class.

    Points with an instance form one segment an instance. The others are joined, class by class, where they lie in cells
    that touch each other seen from above.
    """
    segment = np.full(len(labels), -1, np.int64)
    count = 0
    for label in np.unique(labels[labels != IGNORE]):
        of_class = labels == label
        things = np.flatnonzero(of_class & (instances > 0))
        if len(things):
            _, number = np.unique(instances[things], return_inverse=True)
            segment[things] = count + number
            count += int(number.max()) + 1
        patches = np.flatnonzero(of_class & (instances == 0))
        if len(patches):
            side = _SURFACE_CELL if label_set.classes[label] in label_set.surfaces else _CELL
            cell = np.floor(xyz[patches, :2] / side).astype(np.int64)
            cell -= cell.min(axis=0)
            grid = np.zeros(cell.max(axis=0) + 1, bool)
            grid[cell[:, 0], cell[:, 1]] = True
            components, number = ndimage.label(grid, structure=np.ones((3, 3)))
            segment[patches] = count + components[cell[:, 0], cell[:, 1]] - 1
            count += number
    return segment


def _quotas(
    sizes: NDArray[np.int64], room: NDArray[np.int64], total: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Points to label in each segment: in proportion to its size, rounded at random, at most what is free.

    ``total`` in all if possible.

    Random rounding, because lines are drawn on accumulated scans: an object that shows a few points in one scan has a
    line, but often none of its points in this scan lies on it.
    """
    chance = rng.random(len(sizes))
    low, high = 0.0, 1.0
    for _ in range(40):
        share = (low + high) / 2
        if _shared(share, sizes, room, chance).sum() > total:
            high = share
        else:
            low = share
    return _shared(low, sizes, room, chance)


def _shared(
    share: float, sizes: NDArray[np.int64], room: NDArray[np.int64], chance: NDArray[np.float64]
) -> NDArray[np.int64]:
    return np.minimum((share * sizes + chance).astype(np.int64), room)


def _along_lines(
    xyz: NDArray[np.float64], free: NDArray[np.bool_], quota: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """The ``quota`` free points nearest to a few wiggly lines along a segment's longest direction.

    Returned as indices among the free points.

    Lines lie in the plane of the two longest directions: on the ground seen from above, on a wall seen from its front.
    """
    centered = xyz - xyz.mean(axis=0)
    # no matrix product: its last bits depend on the number of threads
    _, axes = np.linalg.eigh(np.einsum("ni,nj->ij", centered, centered))
    along, across = centered @ axes[:, 2], centered @ axes[:, 1]
    u, v = along[free], across[free]
    swing = min(0.4, 0.2 * float(across.std()))
    distance = np.full(len(u), np.inf)
    for _ in range(_MOST_LINES):
        wave = swing * np.sin(2 * np.pi * u / rng.uniform(6, 16) + rng.uniform(0, 2 * np.pi))
        shifted = v - wave
        distance = np.minimum(distance, np.abs(shifted - shifted[rng.integers(len(u))]))
        nearest = np.argsort(distance, kind="stable")[:quota]
        if distance[nearest[-1]] <= _BAND:
            break
    return nearest
