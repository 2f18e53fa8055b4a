"""A rig of cameras that look all round, about as nuScenes': views overlap, and each has its own time of exposure.

The sensors' places and the times of exposure are rounded from nuScenes' public calibration; the angles of view are the
70 and 110 degrees of its description.
"""

from dataclasses import dataclass

import numpy as np

from ignet.world.camera import AXES, Camera, rotation, rounded


@dataclass(frozen=True)
class Mount:
    """One camera: where it stands, where it looks, and when it is exposed."""

    name: str  # nuScenes' name of the sensor
    position: tuple[float, float, float]  # metres in the LiDAR's frame: forward, left, up
    azimuth: float  # degrees of its axis, counter-clockwise from straight ahead
    down: float  # degrees that it looks down
    view: float  # degrees, horizontally
    delay: float  # seconds from the sweep to the exposure

    def intrinsic(self, width: int, height: int) -> np.ndarray:
        """Its matrix at an image size in pixels, (3, 3) float64."""
        focal = width / 2 / np.tan(np.radians(self.view / 2))
        return np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]])

    def extrinsic(self) -> np.ndarray:
        """LiDAR coordinates -> the camera's (right, down, ahead), (4, 4) float64."""
        level = rotation(0, 0, -np.radians(self.azimuth))
        pose = np.eye(4)
        pose[:3, :3] = rotation(np.radians(self.down), 0, 0) @ AXES @ level
        pose[:3, 3] = -pose[:3, :3] @ self.position
        return pose


@dataclass(frozen=True)
class SurroundRig:
    """Cameras 0, 1, ... in the order of their mounts; camera 0 is the reference camera."""

    mounts: tuple[Mount, ...]

    def cameras(self, width: int, height: int) -> tuple[Camera, ...]:
        """All of them at an image size in pixels."""
        tr = rounded(self.mounts[0].extrinsic())
        inverse = np.linalg.inv(tr)
        projection = {
            f"P{number}": rounded((mount.intrinsic(width, height) @ mount.extrinsic()[:3]) @ inverse)
            for number, mount in enumerate(self.mounts)
        }
        return tuple(
            Camera(width, height, projection, tr, number, mount.delay) for number, mount in enumerate(self.mounts)
        )


SURROUND_RIG = SurroundRig(
    (
        Mount("CAM_FRONT", (0.76, 0.02, -0.33), 0, 0.3, 70, -0.035),
        Mount("CAM_FRONT_RIGHT", (0.61, -0.49, -0.34), -55, 0.6, 70, -0.028),
        Mount("CAM_BACK_RIGHT", (0.07, -0.48, -0.28), -110, 0.4, 70, -0.020),
        Mount("CAM_BACK", (-0.92, 0.0, -0.26), 180, 0.7, 110, -0.010),
        Mount("CAM_BACK_LEFT", (0.09, 0.48, -0.25), 110, 0.5, 70, 0.0),
        Mount("CAM_FRONT_LEFT", (0.58, 0.49, -0.33), 55, 0.6, 70, -0.043),
    )
)
