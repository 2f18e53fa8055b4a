"""Pinhole cameras: the geometry of a rig at the wanted image size, its rays, and which pixels a solid may cover."""

from dataclasses import dataclass

import numpy as np

from ignet.world.raycast import Rays, Windows
from ignet.world.solids import Solids


@dataclass(frozen=True)
class Rig:
    """Cameras as calibrated at their own image size, and how they stand to the LiDAR."""

    size: tuple[int, int]  # width and height in pixels
    focal: float  # pixels
    center: tuple[float, float]  # pixels
    offset: tuple[float, float, float]  # fourth column of P2: where camera 2 stands to the reference camera
    baselines: tuple[float, float]  # the same of P1 and P3, first row
    turn: tuple[
        float, float, float
    ]  # LiDAR -> reference camera after the change of axes: radians about the camera's x, y, z
    lever: tuple[float, float, float]  # and metres along them

    def cameras(self, width: int, height: int) -> tuple["Camera", ...]:
        """Those that images are taken with: camera 2."""
        return (self.camera(width, height),)

    def camera(self, width: int, height: int) -> "Camera":
        """Camera 2 with its focal length scaled to ``width`` pixels."""
        scale = width / self.size[0]
        focal, cx = self.focal * scale, (self.center[0] + 0.5) * scale - 0.5
        # the horizon keeps its place in the middle, whatever the image's shape
        cy = height * (self.center[1] + 0.5) / self.size[1] - 0.5
        columns = {
            "P0": (0.0, 0.0, 0.0),
            "P1": (self.baselines[0] * scale, 0.0, 0.0),
            "P3": (self.baselines[1] * scale, 0.0, 0.0),
        }
        columns["P2"] = (self.offset[0] * scale, self.offset[1] * scale, self.offset[2])
        matrix = np.array([[focal, 0, cx], [0, focal, cy], [0, 0, 1]])
        projection = {name: np.column_stack([matrix, column]) for name, column in columns.items()}
        tr = np.eye(4)
        tr[:3, :3] = rotation(*self.turn) @ AXES
        tr[:3, 3] = self.lever
        # what is written with 13 digits is what is used
        return Camera(width, height, {k: rounded(v) for k, v in sorted(projection.items())}, rounded(tr))


# 81.6 degrees of horizontal view; camera 2 stands 6 cm left of the reference camera, 0.27 m ahead of and 0.08 m below
# the LiDAR
KITTI_RIG = Rig(
    size=(1241, 376),
    focal=718.856,
    center=(607.1928, 185.2157),
    offset=(45.38225, -0.1130887, 0.003779761),
    baselines=(-386.1448, -337.2877),
    turn=(-0.0072, 0.0081, 0.0004),
    lever=(-0.012, -0.08, -0.27),
)
# 74 degrees, behind the windscreen of a van: 0.6 m ahead of and 0.45 m below the LiDAR, looking down by 5 degrees
VAN_RIG = Rig(
    size=(1280, 400),
    focal=849.3,
    center=(646.5, 192.0),
    offset=(50.96, 0.21, 0.0021),
    baselines=(-203.8, -152.9),
    turn=(0.0873, -0.0052, 0.0017),
    lever=(0.02, -0.45, -0.6),
)
AXES = np.array([[0.0, -1, 0], [0, 0, -1], [1, 0, 0]])
"""The LiDAR's axes (forward, left, up) -> a camera's (right, down, ahead)."""

_EDGES = np.array([(a, b) for a in range(8) for b in range(a + 1, 8) if (a ^ b) in (1, 2, 4)])
_NEAR = 0.2


@dataclass(frozen=True)
class Camera:
    """A calibrated camera of a rig: pixel = p["PK"] [tr] (x, y, z, 1) of LiDAR coordinates."""

    width: int
    height: int
    p: dict[str, np.ndarray]  # P0, P1, ... of the whole rig, (3, 4) float64
    tr: np.ndarray  # (4, 4) float64, LiDAR -> reference camera
    number: int = 2  # K
    delay: float = 0.0  # seconds from the sweep to the exposure

    @property
    def key(self) -> str:
        """Name of its projection."""
        return f"P{self.number}"

    @property
    def matrix(self) -> np.ndarray:
        """LiDAR coordinates -> homogeneous pixels, (3, 4) float64."""
        return self.p[self.key] @ self.tr

    def moved(self, motion: np.ndarray) -> np.ndarray:
        """Its projection, (3, 4) float64, of points before the vehicle moved.

        Args:
            motion: (4, 4) float64, LiDAR coordinates at the sweep -> LiDAR coordinates at the exposure.
        """
        return rounded(self.p[self.key] @ self.tr @ motion @ np.linalg.inv(self.tr))


def rotation(a: float, b: float, c: float) -> np.ndarray:
    """About x, then y, then z by these radians, (3, 3) float64, applied from the right."""
    x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return x @ y @ z


def rounded(matrix: np.ndarray) -> np.ndarray:
    """With the 13 digits that files have."""
    return np.array([[float(f"{value:.12e}") for value in row] for row in matrix])


def pose_matrix(x: float, y: float, heading: float, height: float) -> np.ndarray:
    """LiDAR -> world, (4, 4) float64, of a vehicle on the ground with its LiDAR at ``height`` metres."""
    cos, sin = np.cos(heading), np.sin(heading)
    return np.array([[cos, -sin, 0, x], [sin, cos, 0, y], [0, 0, 1, height], [0, 0, 0, 1]])


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
