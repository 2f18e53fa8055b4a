"""The street: a gently curved line and the ground painted along it.

Street coordinates: s runs with the world's x, d is the signed distance from the centre line, positive to the left.
Metres.
"""

import numpy as np

from ignet.world.noise import fractal

ROAD, MARKING, PARKING, BAY_LINE, SIDEWALK, TERRAIN, GRAVEL = range(7)
GROUND_RAW = np.array([40, 60, 44, 44, 48, 72, 49], np.uint16)
# Cityscapes label ids: parking counts as road, as in the map from LiDAR classes; gravel is its unlabelled "ground"
GROUND_CITY = np.array([7, 7, 7, 7, 8, 22, 6], np.uint8)
# low steps and shared levels: a LiDAR can hardly tell these surfaces apart
_HEIGHT = np.array([0.0, 0.0, 0.01, 0.01, 0.06, 0.04, 0.05], np.float32)
_REMISSION = np.array([0.24, 0.42, 0.26, 0.36, 0.29, 0.33, 0.28], np.float32)
_CELL = 0.1
_WIDTH = 45.0


class Street:
    """Centre line y = f(x) and a raster of surface codes in street coordinates."""

    def __init__(self, start: float, end: float, rng: np.random.Generator, bend: float) -> None:
        """An empty street of terrain from x = ``start`` to ``end``; ``bend`` is the centre line's largest slope."""
        self.start, self.end = start, end
        # plain floats, so that float32 arrays stay float32
        self._wave = (2 * np.pi / rng.uniform(110, 190, 2)).tolist()
        self._size = [
            float(bend * share / wave) for share, wave in zip(rng.uniform(0.3, 0.6, 2), self._wave, strict=True)
        ]
        self._phase = rng.uniform(0, 2 * np.pi, 2).tolist()
        self.codes = np.full((int((end - start) / _CELL), int(2 * _WIDTH / _CELL)), TERRAIN, np.uint8)

    def center(self, x: np.ndarray) -> np.ndarray:
        """y of the centre line."""
        return sum(a * np.sin(w * x + p) for a, w, p in zip(self._size, self._wave, self._phase, strict=True))

    def heading(self, x: np.ndarray) -> np.ndarray:
        """Direction of the centre line in radians from the x axis."""
        return np.arctan(
            sum(a * w * np.cos(w * x + p) for a, w, p in zip(self._size, self._wave, self._phase, strict=True))
        )

    def place(self, s: float, d: float) -> tuple[float, float, float]:
        """World x, y and the street's heading at street coordinates (s, d)."""
        at = np.array(s)
        heading = float(self.heading(at))
        return s, float(self.center(at)) + d / np.cos(heading), heading

    def locate(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Street coordinates of world points."""
        return x, (y - self.center(x)) * np.cos(self.heading(x))

    def paint(self, code: int, s: tuple[float, float], d: tuple[float, float]) -> None:
        """Give the rectangle between two s and two d a surface."""
        rows = slice(max(round((min(s) - self.start) / _CELL), 0), max(round((max(s) - self.start) / _CELL), 0))
        columns = slice(max(round((min(d) + _WIDTH) / _CELL), 0), max(round((max(d) + _WIDTH) / _CELL), 0))
        self.codes[rows, columns] = code

    def ground(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Surface code (uint8) and height in metres (float32) at world points."""
        s, d = self.locate(x, y)
        row = np.clip((s - self.start) * (1 / _CELL), 0, self.codes.shape[0] - 1).astype(np.int32)
        column = np.clip((d + _WIDTH) * (1 / _CELL), 0, self.codes.shape[1] - 1).astype(np.int32)
        code = self.codes[row, column]
        bumps = 0.12 * (fractal(x * 4, y * 4) - 0.4)
        return code, (_HEIGHT[code] + np.where(code >= TERRAIN, bumps, 0)).astype(np.float32)

    @staticmethod
    def remission(code: np.ndarray) -> np.ndarray:
        """Mean remission of surfaces; neighbours differ by less than the sensor's noise."""
        return _REMISSION[code]
