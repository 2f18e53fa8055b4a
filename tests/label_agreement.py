"""Do points that lie side by side in the image belong to the same thing?

A measure of a correspondence that needs no labelled image.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ignet.data.label_sets.label_set import IGNORE


def label_agreement(
    place: NDArray[np.floating], labels: NDArray[np.uint8], asked: NDArray[np.bool_], neighbours: int = 5
) -> float:
    """Share of the nearest labelled neighbours that have a point's own class, mean over the points that are asked for.

    In the image (place: pixels), occluded points lie among those of the thing that hides them and lower it; in space
    (place: metres) it says how pure the surroundings of the points are, whatever the camera.

    Args:
        place: float (N, D), where the points are.
        labels: uint8 (N,), class of each point, 255 for none: such points are neither asked nor neighbours.
        asked: bool (N,), the points that the mean is over.
        neighbours: number of neighbours, the point itself not counted.

    Returns:
        0 to 1; NaN where no labelled point is asked for, or there are too few labelled points.
    """
    labelled = labels != IGNORE
    place, known, wanted = place[labelled], labels[labelled], asked[labelled]
    if not wanted.any() or len(known) <= neighbours:
        return float("nan")
    points = np.flatnonzero(wanted)
    _, nearest = cKDTree(place).query(place[points], k=neighbours + 1)
    # the point itself is left out by its number: others may lie on the same place
    others = nearest != points[:, None]
    others[others.all(axis=1), -1] = False
    same = (known[nearest] == known[points][:, None]) & others
    return float(same.sum() / others.sum())
