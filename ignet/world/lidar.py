"""Spinning LiDARs: the geometry of known sensors with a chosen number of beams and columns, and their faults."""

from dataclasses import dataclass

import numpy as np

from ignet.world.raycast import GROUND, NOTHING, Rays, Windows, cast
from ignet.world.scene import Scene
from ignet.world.solids import FOLIAGE, Solids, surface
from ignet.world.street import GROUND_RAW


@dataclass(frozen=True)
class Lidar:
    """A sensor and how it is mounted; how many beams and columns it has is a setting. Lengths in metres.

    Remission = mean of the surface * (response[0] + response[1] sqrt(cos of incidence)) / (1 + (distance / fade)^2),
    with noise.
    """

    height: float  # above the ground
    blocks: tuple[
        tuple[float, float], ...
    ]  # degrees of the first and the last beam of each block of evenly spaced beams, from the top
    limit: float  # longest range
    shortest: float
    noise: float  # of the range, standard deviation
    response: tuple[float, float]
    fade: float
    speckle: float  # noise of the remission, relative standard deviation
    reach: float  # distance at which half of an echo is left: weak echoes are lost more often

    def elevations(self, beams: int) -> np.ndarray:
        """Angles of the beams in radians, falling; the upper blocks get the odd beams."""
        parts = [len(part) for part in np.array_split(np.arange(beams), len(self.blocks))]
        return np.radians(
            np.concatenate([np.linspace(*block, count) for block, count in zip(self.blocks, parts, strict=True)])
        )


# as KITTI's: a denser upper and a sparser lower half
HDL_64E = Lidar(
    height=1.73,
    blocks=((2.0, -8.33), (-8.87, -24.8)),
    limit=80.0,
    shortest=1.5,
    noise=0.02,
    response=(0.45, 0.55),
    fade=np.inf,
    speckle=0.22,
    reach=45.0,
)
# on a van's roof; elevations of its data sheet, the rest is our choice
HDL_32E = Lidar(
    height=2.1,
    blocks=((10.67, -30.67),),
    limit=70.0,
    shortest=1.0,
    noise=0.03,
    response=(0.70, 0.50),
    fade=60.0,
    speckle=0.26,
    reach=40.0,
)


@dataclass(frozen=True)
class Scan:
    """One sweep, ring by ring from the top, each counter-clockwise from straight behind."""

    points: np.ndarray  # (N, 4) float32: x, y, z in metres in the sensor's frame, remission 0..1
    label: np.ndarray  # (N,) uint32: raw class, instance in the high 16 bits


def _lidar_rays(lidar: Lidar, pose: np.ndarray, beams: int, azimuths: int) -> Rays:
    up = lidar.elevations(beams)[:, None]
    around = (np.arange(azimuths) + 0.5) / azimuths * 2 * np.pi - np.pi + np.arctan2(pose[1, 0], pose[0, 0])
    direction = np.stack([np.cos(up) * np.cos(around), np.cos(up) * np.sin(around), np.sin(up) * np.ones_like(around)])
    return Rays(pose[:3, 3].astype(np.float32), direction.astype(np.float32))


def _lidar_windows(lidar: Lidar, pose: np.ndarray, solids: Solids, beams: int, azimuths: int) -> Windows:
    """Rows and columns that each solid's bounding box covers; two where it crosses the seam behind the vehicle."""
    corners = solids.corners() - pose[:3, 3].astype(np.float32)
    middle = solids.center - pose[:3, 3].astype(np.float32)
    # nearest horizontal distance to the box, in the box's own frame
    cos, sin = np.cos(solids.yaw), np.sin(solids.yaw)
    local = np.stack([cos * middle[:, 0] + sin * middle[:, 1], cos * middle[:, 1] - sin * middle[:, 0]], axis=1)
    near = np.hypot(*np.maximum(np.abs(local) - solids.half[:, :2], 0).T)
    far = np.hypot(corners[..., 0], corners[..., 1]).max(axis=1)
    bottom, top = corners[..., 2].min(axis=1), corners[..., 2].max(axis=1)
    above = np.arctan2(top, np.where(top > 0, np.maximum(near, 1e-3), far))
    below = np.arctan2(bottom, np.where(bottom > 0, far, np.maximum(near, 1e-3)))
    angles = lidar.elevations(beams)
    first = np.searchsorted(-angles, -above - 1e-4)
    last = np.searchsorted(-angles, -below + 1e-4, side="right")

    heading = np.arctan2(pose[1, 0], pose[0, 0])
    center = np.arctan2(middle[:, 1], middle[:, 0])
    turn = np.arctan2(corners[..., 1], corners[..., 0]) - center[:, None]
    turn = np.mod(turn + np.pi, 2 * np.pi) - np.pi
    start = np.mod(center - heading + np.pi, 2 * np.pi)
    columns = azimuths / (2 * np.pi)
    left = np.floor((start + turn.min(axis=1)) * columns - 0.5).astype(int)
    right = np.ceil((start + turn.max(axis=1)) * columns + 0.5).astype(int)
    inside = near < 0.05
    left, right = np.where(inside, 0, left), np.where(inside, azimuths, right)

    rows, boxes = [], []
    for shift in (-azimuths, 0, azimuths):
        box = np.stack([first, last, np.clip(left + shift, 0, azimuths), np.clip(right + shift, 0, azimuths)], axis=1)
        seen = np.flatnonzero(
            (box[:, 0] < box[:, 1]) & (box[:, 2] < box[:, 3]) & (near < lidar.limit) & (~inside | (shift == 0))
        )
        rows.append(seen)
        boxes.append(box[seen])
    row = np.concatenate(rows)
    return Windows(row, np.concatenate(boxes), near[row])


def scan(
    lidar: Lidar, scene: Scene, solids: Solids, pose: np.ndarray, beams: int, azimuths: int, rng: np.random.Generator
) -> Scan:
    """Sweep the scene once.

    Args:
        lidar: the sensor.
        scene: gives the ground.
        solids: all that stands on it.
        pose: (4, 4) float64, LiDAR -> world.
        beams, azimuths: size of the grid.
        rng: noise and drop-out.
    """
    rays = _lidar_rays(lidar, pose, beams, azimuths)
    hits = cast(solids, scene.street, rays, _lidar_windows(lidar, pose, solids, beams, azimuths), lidar.limit)
    where = (hits.solid != NOTHING) & (hits.t > lidar.shortest)
    points, distance, row, code = hits.points(rays, where), hits.t[where], hits.solid[where], hits.ground[where]
    count, on_solid = len(row), row != GROUND

    raw = GROUND_RAW[code].astype(np.uint32)
    mean = scene.street.remission(code).copy()
    facing = np.abs(rays.direction[2][where])
    solid_row = row[on_solid]
    raw[on_solid] = solids.raw[solid_row] | solids.instance[solid_row].astype(np.uint32) << 16
    mean[on_solid] = solids.remission[solid_row]
    normal = surface(solids, solid_row, points[on_solid]).normal
    facing[on_solid] = np.abs((normal * rays.direction[:, where].T[on_solid]).sum(axis=1))
    leafy = np.zeros(count, bool)
    leafy[on_solid] = solids.cut[solid_row] == FOLIAGE
    facing[leafy] = 0.6

    answer = mean * (lidar.response[0] + lidar.response[1] * np.sqrt(facing)) / (1 + (distance / lidar.fade) ** 2)
    remission = answer * (1 + lidar.speckle * rng.standard_normal(count)) + 0.02 * rng.standard_normal(count)
    # the weaker the echo, the likelier it is lost: far away, at grazing incidence, on dark surfaces
    echo = mean * np.minimum(1, 12 * facing) / (1 + (distance / lidar.reach) ** 2)
    lost = rng.random(count) < np.clip(0.02 + 0.5 * np.maximum(0.16 - echo, 0) / 0.16 + 0.10 * leafy, 0, 0.9)
    error = lidar.noise * rng.standard_normal(count) + np.where(leafy, rng.exponential(0.18, count), 0)
    scale = (distance + error) / distance
    sensor = (points - rays.origin) * scale[:, None]
    turned = np.einsum("ni,ij->nj", sensor.astype(np.float64), pose[:3, :3])
    result = np.concatenate([turned, np.clip(remission, 0, 0.99)[:, None]], axis=1).astype(np.float32)
    return Scan(result[~lost], raw[~lost])
