"""A frame in the images of all cameras: projected, occluded points taken out, each point in one image."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ignet.data.formats.calibration import Calibration
from ignet.data.projection.correspondence import View
from ignet.data.projection.geometry import Projected, axis_cosine, camera_sector, project, visible


@dataclass(frozen=True)
class CameraFrame:
    """One camera at one frame.

    Attributes:
        calibration: how it stands to the LiDAR.
        width, height: of its image, pixels.
        projected: the scan's points in its image, occluded ones too.
    """

    calibration: Calibration
    width: int
    height: int
    projected: Projected

    @property
    def view(self) -> View:
        """Size of the image, and the camera's sector."""
        size = self.width, self.height
        return View(*size, camera_sector(self.calibration.projection, self.calibration.tr, *size))


def look(points: NDArray, calibration: Calibration, width: int, height: int) -> CameraFrame:
    """Project a scan, (N, >=3) in metres, into an image of the given size in pixels."""
    projected = project(points, calibration.projection, calibration.tr, width, height)
    return CameraFrame(calibration, width, height, projected)


def assign_points(
    points: NDArray, cameras: Mapping[int, CameraFrame], cells: Mapping[int, int], tolerance: float
) -> tuple[NDArray[np.int32], NDArray[np.uint8], NDArray[np.float32]]:
    """The image that each visible point belongs to: of several cameras, where it lies nearest to the optical axis.

    Each camera has a z-buffer of its own: what one does not see for a post, another may.

    Args:
        points: (N, >=3), metres.
        cameras: by number; the first counts where a point lies equally near to two axes.
        cells: side of the z-buffer's cells of each camera, pixels.
        tolerance: of `ignet.data.projection.geometry.visible`.

    Returns:
        Of the n points that a camera sees, in ascending order: index int32 (n,), camera uint8 (n,), pixel float32
        (n, 2).
    """
    best = np.full(len(points), -np.inf)
    number, pixel = np.zeros(len(points), np.uint8), np.zeros((len(points), 2), np.float32)
    for camera, frame in cameras.items():
        seen = visible(frame.projected, frame.width, frame.height, cells[camera], tolerance)
        if len(cameras) > 1:
            cosine = axis_cosine(points, frame.calibration.projection, frame.calibration.tr)
            seen &= cosine > best
            best[seen] = cosine[seen]
        else:
            best[seen] = 0
        number[seen], pixel[seen] = camera, frame.projected.pixel[seen]
    index = np.flatnonzero(best > -np.inf).astype(np.int32)
    return index, number[index], pixel[index]
