"""One frame of any sensor: what a layout has to give."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ignet.data.formats.kitti import Calibration


@dataclass(frozen=True)
class SensorFrame:
    """A scan, its image, and how the two belong together.

    Attributes:
        drive: what it was recorded in; frames of one drive follow one another. Split training and validation by drive.
        name: of the frame in its own data set, for the list that says where each frame comes from.
        calibration: P2 and Tr, so that pixel = P2 · Tr · (x, y, z, 1) in the image as it is given (undistorted,
            rectified).
        scan: a file of float32 x, y, z, remission for each point, or a function that gives them: float32 (N, 4), x
            forward, y left, z up in metres, remission 0 to 1.
        image: a PNG file, or another format that OpenCV reads.
        labels: a file with a uint32 for each point, or a function that gives them: uint32 (N,), SemanticKITTI's raw ids
            in the low 16 bits, 0 where a point has no class. None where there are none.
    """

    drive: str
    name: str
    calibration: Calibration
    scan: Path | Callable[[], NDArray[np.float32]]
    image: Path
    labels: Path | Callable[[], NDArray[np.uint32]] | None = None
