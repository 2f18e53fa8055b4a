"""A drive along one street: scans and images, each a function of the settings and the frame's number alone."""

from dataclasses import replace

import numpy as np

from ignet.config.world import WorldConfig
from ignet.world.camera import pose_matrix
from ignet.world.lidar import Scan, scan
from ignet.world.presets import PRESETS, SOURCE, Preset
from ignet.world.render import Picture, ShadowMap, render
from ignet.world.scene import Scene
from ignet.world.weather import in_weather

IMAGES_PER_STREET = 3
_TARGET, _SOURCE = 0, 1
_WEATHER = 4
_SOURCE_SPACING = 26.0  # metres: far enough apart that two images of a street share little


class Drive:
    """One street, driven along in ``frames`` steps."""

    def __init__(self, config: WorldConfig, preset: Preset, key: tuple[int, ...], frames: int, spacing: float) -> None:
        """Draw the street; ``key`` (non-negative integers) and the other arguments decide everything."""
        self._config, self._lidar, self._key = config, preset.lidar, key
        self._scene = Scene(preset.layout, preset.look, key, frames, spacing)
        self._shadows = ShadowMap(self._scene)
        self.camera = preset.rig.camera(config.image_width, config.image_height)

    def pose(self, frame: int, sway: float = 0.0) -> np.ndarray:
        """LiDAR -> world, (4, 4) float64; ``sway`` turns the vehicle by some hundredths of a radian, at random."""
        x, y, heading = self._scene.vehicle(frame)
        return pose_matrix(x, y, heading + sway * float(self._rng(frame, 2).standard_normal()), self._lidar.height)

    def picture(self, frame: int, sway: float = 0.0) -> Picture:
        """The camera image with dense labels and depths."""
        moving = self._scene.moving(frame)
        solids = self._scene.static.join(moving)
        return render(
            self._scene, self._shadows, solids, moving, self.camera, self.pose(frame, sway), self._rng(frame, 0)
        )

    def scan(self, frame: int) -> Scan:
        """The LiDAR sweep at the same moment."""
        size = self._config.beams, self._config.azimuths
        return scan(self._lidar, self._scene, self._scene.solids(frame), self.pose(frame), *size, self._rng(frame, 1))

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
