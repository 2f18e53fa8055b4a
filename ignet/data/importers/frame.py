"""One frame of any sensor: what a layout has to give."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ignet.data.formats.calibration import Calibration
from ignet.data.formats.official import CAMERA

Image = Path | Callable[[], NDArray[np.uint8]]
"""A file, or a function that gives uint8 (H, W, 3) RGB: of an image that has to be undistorted, for example."""

Labels = Path | Callable[[], NDArray[np.uint32]]
"""A file of a uint32 for each point, or a function that gives them."""


@dataclass(frozen=True)
class SensorFrame:
    """A scan, its images, and how they belong together.

    Attributes:
        drive: what it was recorded in; frames of one drive follow one another. Split training and validation by drive.
        name: of the frame in its own data set, for the list that says where each frame comes from.
        calibration: P and Tr, so that pixel = P · Tr · (x, y, z, 1) in the image as it is given (undistorted,
            rectified); of several cameras one each by the camera's number.
        scan: a file of float32 x, y, z, remission for each point, or a function that gives them: float32 (N, 4), x
            forward, y left, z up in metres, remission 0 to 1.
        image: a PNG or JPEG file, or another format that OpenCV reads, or a function that gives the image; of several
            cameras one each by the camera's number.
        labels: a file with a uint32 for each point, or a function that gives them: uint32 (N,), raw ids of the label
            set in the low 16 bits, 0 where a point has no class. None where there are none.
        scribbles: the same of the few points that somebody marked, 0 for all others. None where there are none.
        sequence: what the drive's sequence is called, in which each frame may have a calibration of its own; None:
            sequences are numbered, one for each calibration of a drive.
    """

    drive: str
    name: str
    calibration: Calibration | Mapping[int, Calibration]
    scan: Path | Callable[[], NDArray[np.float32]]
    image: Image | Mapping[int, Image]
    labels: Labels | None = None
    scribbles: Labels | None = None
    sequence: str | None = None

    @property
    def calibrations(self) -> Mapping[int, Calibration]:
        """By the camera's number, all with the Tr of the first: what differs goes into P, as the file has one Tr."""
        given = {CAMERA: self.calibration} if isinstance(self.calibration, Calibration) else self.calibration
        tr = next(iter(given.values())).tr
        return {
            number: each
            if np.array_equal(each.tr, tr)
            else replace(each, projection=each.projection @ each.tr @ np.linalg.inv(tr), tr=tr)
            for number, each in given.items()
        }

    @property
    def images(self) -> Mapping[int, Image]:
        """By the camera's number."""
        return self.image if isinstance(self.image, Mapping) else {CAMERA: self.image}
