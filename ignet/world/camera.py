"""The pinhole camera: KITTI's geometry at another image size, its rays, and which pixels a solid may cover."""

from dataclasses import dataclass

import numpy as np

from ignet.world.raycast import Rays, Windows
from ignet.world.solids import Solids

SENSOR_HEIGHT = 1.73  # metres of the LiDAR above the ground, as KITTI's
_KITTI_SIZE = (1241, 376)
_FOCAL, _CENTER = 718.856, (607.1928, 185.2157)  # pixels at KITTI's size: 81.6 degrees of horizontal view
# P2's fourth column at KITTI's size: camera 2 stands 6 cm left of the reference camera
_OFFSET = (45.38225, -0.1130887, 0.003779761)
_BASELINES = {"P0": 0.0, "P1": -386.1448, "P3": -337.2877}
# LiDAR -> reference camera: 0.27 m ahead and 0.08 m below the LiDAR, turned by the axes' change and a fraction of a degree
_TURN = (-0.0072, 0.0081, 0.0004)  # radians about the camera's x, y, z
_LEVER = (-0.012, -0.08, -0.27)
_EDGES = np.array([(a, b) for a in range(8) for b in range(a + 1, 8) if (a ^ b) in (1, 2, 4)])
_NEAR = 0.2


@dataclass(frozen=True)
class Camera:
    """A calibrated camera: pixel = p2 [tr] (x, y, z, 1) of LiDAR coordinates."""

    width: int
    height: int
    p: dict[str, np.ndarray]  # P0 to P3, (3, 4) float64
    tr: np.ndarray  # (4, 4) float64, LiDAR -> reference camera

    @property
    def matrix(self) -> np.ndarray:
        """LiDAR coordinates -> homogeneous pixels of camera 2, (3, 4) float64."""
        return self.p["P2"] @ self.tr


def kitti_camera(width: int, height: int) -> Camera:
    """KITTI's camera with its focal length scaled to ``width`` pixels."""
    scale = width / _KITTI_SIZE[0]
    focal, cx = _FOCAL * scale, (_CENTER[0] + 0.5) * scale - 0.5
    # the horizon keeps its place in the middle, whatever the image's shape
    cy = height * (_CENTER[1] + 0.5) / _KITTI_SIZE[1] - 0.5
    projection = {name: np.array([[focal, 0, cx, tx * scale], [0, focal, cy, 0], [0, 0, 1, 0]]) for name, tx in _BASELINES.items()}
    projection["P2"] = np.array([[focal, 0, cx, _OFFSET[0] * scale], [0, focal, cy, _OFFSET[1] * scale], [0, 0, 1, _OFFSET[2]]])
    axes = np.array([[0.0, -1, 0], [0, 0, -1], [1, 0, 0]])
    tr = np.eye(4)
    tr[:3, :3] = _rotation(*_TURN) @ axes
    tr[:3, 3] = _LEVER
    # what is written with 13 digits is what is used
    return Camera(width, height, {k: _rounded(v) for k, v in sorted(projection.items())}, _rounded(tr))


def _rotation(a: float, b: float, c: float) -> np.ndarray:
    x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return x @ y @ z


def _rounded(matrix: np.ndarray) -> np.ndarray:
    return np.array([[float(f"{value:.12e}") for value in row] for row in matrix])


def pose_matrix(x: float, y: float, heading: float) -> np.ndarray:
    """LiDAR -> world, (4, 4) float64, of a vehicle on the ground."""
    cos, sin = np.cos(heading), np.sin(heading)
    return np.array([[cos, -sin, 0, x], [sin, cos, 0, y], [0, 0, 1, SENSOR_HEIGHT], [0, 0, 0, 1]])


def camera_rays(camera: Camera, pose: np.ndarray) -> Rays:
    """One ray a pixel (H, W) through the pixel's centre, in the world frame; t is the depth in metres."""
    world = camera.matrix @ np.linalg.inv(pose)
    inverse = np.linalg.inv(world[:, :3])
    u, v = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
    direction = np.einsum("ij,jhw->ihw", inverse, np.stack([u, v, np.ones_like(u)]).astype(np.float64))
    return Rays((-inverse @ world[:, 3]).astype(np.float32), direction.astype(np.float32))


def camera_windows(camera: Camera, pose: np.ndarray, solids: Solids) -> Windows:
    """The pixels that each solid's bounding box covers; solids outside the view have no entry."""
    world = camera.matrix @ np.linalg.inv(pose)
    corners = np.einsum("ij,skj->ski", world[:, :3], solids.corners().astype(np.float64)) + world[:, 3]
    # cut the box's edges at the near plane, so that a wall beside the camera does not cover the whole image
    a, b = corners[:, _EDGES[:, 0]], corners[:, _EDGES[:, 1]]
    crosses = (a[..., 2] - _NEAR) * (b[..., 2] - _NEAR) < 0
    share = np.where(crosses, (_NEAR - a[..., 2]) / np.where(crosses, b[..., 2] - a[..., 2], 1), 0)
    points = np.concatenate([corners, a + share[..., None] * (b - a)], axis=1)
    valid = np.concatenate([corners[..., 2] > _NEAR, crosses], axis=1)
    depth = np.where(valid, points[..., 2], 1)
    low, high, limits = [], [], (camera.width, camera.height)
    for axis in (0, 1):
        pixel = points[..., axis] / depth
        smallest = np.where(valid, pixel, np.inf).min(axis=1)
        largest = np.where(valid, pixel, -np.inf).max(axis=1)
        low.append(np.clip(np.floor(smallest), 0, limits[axis]))
        high.append(np.clip(np.ceil(largest) + 1, 0, limits[axis]))
    seen = valid.any(axis=1) & (low[0] < high[0]) & (low[1] < high[1])
    rows = np.flatnonzero(seen)
    box = np.stack([low[1], high[1], low[0], high[0]], axis=1)[rows].astype(int)
    near = np.where(valid, points[..., 2], np.inf).min(axis=1)[rows]
    return Windows(rows, box, near)
