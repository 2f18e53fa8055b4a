"""Correspondences of a rig with one camera."""

import numpy as np
from numpy.typing import NDArray

from ignet.data.projection.correspondence import FrameCorrespondence, View


def seen_by_one(
    index: NDArray[np.int32],
    pixel: NDArray[np.float32],
    scribble: NDArray[np.uint8],
    points: int,
    width: int,
    height: int,
    sector: tuple[float, float],
    camera: int = 2,
) -> FrameCorrespondence:
    """The visible points of a frame, all in one image."""
    views = {camera: View(width, height, sector)}
    return FrameCorrespondence(index, np.full(len(index), camera, np.uint8), pixel, scribble, points, views)
