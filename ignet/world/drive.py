"""A drive along one street: scans and images, each a function of the settings and the frame's number alone."""

from dataclasses import replace

import numpy as np

from ignet.config.world import WorldConfig
from ignet.world.camera import Camera, pose_matrix
from ignet.world.lidar import Scan, scan
from ignet.world.presets import PRESETS, SOURCE, Preset
from ignet.world.render import Picture, ShadowMap, render
from ignet.world.scene import Scene
from ignet.world.weather import in_weather

IMAGES_PER_STREET = 3
FRAME_SECONDS = 0.6
"""From one frame to the next."""

_TARGET, _SOURCE = 0, 1
_WEATHER = 4
_IMAGE = 10  # of the second and further cameras
_SOURCE_SPACING = 26.0  # metres: far enough apart that two images of a street share little


class Drive:
    """One street, driven along in ``frames`` steps."""

    def __init__(self, config: WorldConfig, preset: Preset, key: tuple[int, ...], frames: int, spacing: float) -> None:
        """Draw the street; ``key`` (non-negative integers) and the other arguments decide everything."""
        self._config, self.lidar, self._key = config, preset.lidar, key
        self._scene = Scene(preset.layout, preset.look, key, frames, spacing)
        self._shadows = ShadowMap(self._scene)
        self.rig = preset.rig.cameras(config.image_width, config.image_height)
        """The cameras as they stand to the LiDAR while the vehicle does not move."""
        self.camera = self.rig[0]

    def pose(self, frame: float) -> np.ndarray:
        """LiDAR -> world, (4, 4) float64, at the moment of a frame, or at one between two."""
        return pose_matrix(*self._scene.vehicle(frame), self.lidar.height)

    def cameras(self, frame: int) -> tuple[Camera, ...]:
        """The cameras as calibrated to a frame's sweep: the vehicle moves between sweep and exposure."""
        projection = dict(self.camera.p)
        for camera in self.rig:
            if camera.delay:
                exposed = self.pose(frame + camera.delay / FRAME_SECONDS)
                projection[camera.key] = camera.moved(np.linalg.inv(exposed) @ self.pose(frame))
        return tuple(replace(camera, p=projection) for camera in self.rig)

    def picture(self, frame: int, camera: int = 0, sway: float = 0.0) -> Picture:
        """An image with dense labels and depths.

        Args:
            frame: number of the frame.
            camera: which one of the rig's cameras.
            sway: turns the vehicle by some hundredths of a radian, at random.
        """
        view = self.cameras(frame)[camera]
        moving = self._scene.moving(frame + view.delay / FRAME_SECONDS)
        solids = self._scene.static.join(moving)
        pose = self.pose(frame)
        if sway:
            x, y, heading = self._scene.vehicle(frame)
            turn = sway * float(self._rng(frame, 2).standard_normal())
            pose = pose_matrix(x, y, heading + turn, self.lidar.height)
        noise = self._rng(frame, _IMAGE + camera if camera else 0)
        return render(self._scene, self._shadows, solids, moving, view, pose, noise)

    def scan(self, frame: int) -> Scan:
        """The LiDAR sweep at the same moment."""
        size = self._config.beams, self._config.azimuths
        return scan(self.lidar, self._scene, self._scene.solids(frame), self.pose(frame), *size, self._rng(frame, 1))

    def scribble_rng(self, frame: int) -> np.random.Generator:
        """Draws the scribbles of a frame."""
        return self._rng(frame, 3)

    def _rng(self, frame: int, purpose: int) -> np.random.Generator:
        return np.random.default_rng([*self._key, frame, purpose])


def target_drive(config: WorldConfig, sequence: int) -> Drive:
    """The street of one target sequence."""
    return Drive(config, PRESETS[config.preset], (config.seed, _TARGET, sequence), config.frames, config.spacing)


def source_drive(config: WorldConfig, street: int) -> Drive:
    """The street of source images ``street * IMAGES_PER_STREET`` and the following ones."""
    key = (config.seed, _SOURCE, street)
    preset = replace(SOURCE, look=in_weather(SOURCE.look, np.random.default_rng([*key, _WEATHER])))
    return Drive(config, preset, key, IMAGES_PER_STREET, _SOURCE_SPACING)
