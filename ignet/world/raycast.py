"""Ray casting by windows: each solid is tried only on the part of the sensor's grid that can see it."""

from dataclasses import dataclass

import numpy as np

from ignet.world.noise import fractal
from ignet.world.solids import (
    CYLINDER,
    ELLIPSOID,
    FOLIAGE,
    PICKETS,
    RING,
    Solids,
    hit_cylinder,
    hit_ellipsoid,
    hit_prism,
)
from ignet.world.street import Street

GROUND, NOTHING = -1, -2


@dataclass(frozen=True)
class Rays:
    """A grid of rays from one point: position = origin + t * direction."""

    origin: np.ndarray  # (3,) float32, world frame, metres
    direction: np.ndarray  # (3, H, W) float32, world frame; t counts in lengths of it


@dataclass(frozen=True)
class Windows:
    """Which part of the grid each solid may cover: K entries, a solid may have two (where a full turn wraps)."""

    solid: np.ndarray  # (K,) row of the table
    box: np.ndarray  # (K, 4) int: first row, last row + 1, first column, last column + 1
    near: np.ndarray  # (K,) no ray meets the solid at a smaller t


@dataclass(frozen=True)
class Hits:
    """The first thing that each ray meets."""

    t: np.ndarray  # (H, W) float32, inf where nothing is met
    solid: np.ndarray  # (H, W) int32: row of the table, GROUND or NOTHING
    ground: np.ndarray  # (H, W) uint8: surface code where solid == GROUND

    def points(self, rays: Rays, where: np.ndarray) -> np.ndarray:
        """World coordinates (n, 3) float32 of the hits in the mask ``where`` (H, W)."""
        return np.ascontiguousarray((rays.origin[:, None] + rays.direction[:, where] * self.t[where]).T)


def cast(solids: Solids, street: Street, rays: Rays, windows: Windows, limit: float) -> Hits:
    """Find the first hit of every ray, up to t = ``limit``."""
    t, ground = _cast_ground(street, rays, limit)
    solid = np.where(np.isfinite(t), GROUND, NOTHING).astype(np.int32)
    for entry in np.argsort(windows.near, kind="stable"):
        row, (top, bottom, left, right) = windows.solid[entry], windows.box[entry]
        block = (slice(top, bottom), slice(left, right))
        if t[block].max() <= windows.near[entry]:
            continue
        met = _meet(solids, row, rays.origin, rays.direction[(slice(None), *block)])
        closer = met < np.minimum(t[block], limit)
        t[block][closer] = met[closer]
        solid[block][closer] = row
    return Hits(t, solid, ground)


def _meet(solids: Solids, row: int, origin: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """t of the first hit of a block of rays (3, h, w) with one solid, inf where there is none."""
    cos, sin = np.cos(solids.yaw[row]), np.sin(solids.yaw[row])
    half, moved = solids.half[row], origin - solids.center[row]
    start = np.array([cos * moved[0] + sin * moved[1], cos * moved[1] - sin * moved[0], moved[2]], np.float32) / half
    dx = direction[0] * (cos / half[0]) + direction[1] * (sin / half[0])
    dy = direction[1] * (cos / half[1]) - direction[0] * (sin / half[1])
    dz = direction[2] / half[2]
    kind, cut = solids.kind[row], solids.cut[row]
    if kind == ELLIPSOID:
        t = hit_ellipsoid(start, dx, dy, dz)
    elif kind == CYLINDER:
        t = hit_cylinder(start, dx, dy, dz)
    else:
        t = hit_prism(start, dx, dy, dz, (solids.taper[row, 0], solids.taper[row, 1]))
    if not cut:
        return t
    reach = np.where(np.isfinite(t), t, 0)
    x, y, z = start[0] + reach * dx, start[1] + reach * dy, start[2] + reach * dz
    if cut == FOLIAGE:
        leaves = fractal(x * half[0] * 7 + solids.seed[row], y * half[1] * 7, z * half[2] * 7 + solids.seed[row])
        if kind == ELLIPSOID:
            # a crown has no smooth skin: where leaves are few the ray goes on to a smaller ellipsoid, at its rim into
            # the open
            inner = hit_ellipsoid(start, dx, dy, dz, np.minimum(0.72 + 0.35 * leaves, 1))
            return np.where(np.isfinite(t), inner, np.inf)
        return np.where((leaves < 0.34) & (z > 0.6), np.inf, t) + 0.25 * np.maximum(leaves - 0.5, 0)
    if cut == RING:
        return np.where(x * x + z * z < 0.5, np.inf, t)
    assert cut == PICKETS
    gap = np.mod(x * half[0], 0.16) > 0.1
    rail = np.abs(np.abs(z) - 0.7) < 0.1
    return np.where(gap & ~rail, np.inf, t)


def _cast_ground(street: Street, rays: Rays, limit: float) -> tuple[np.ndarray, np.ndarray]:
    shape = rays.direction.shape[1:]
    t, code = np.full(shape, np.inf, np.float32), np.zeros(shape, np.uint8)
    down = rays.direction[2] < -1e-4
    x, y, z = rays.direction[:, down]
    height = np.zeros(1, np.float32)
    # the ground is nearly level: two steps of the fixed point are enough, but at a kerb, where no height is right
    for _ in range(2):
        reach = (height - rays.origin[2]) / z
        found, height = street.ground(rays.origin[0] + reach * x, rays.origin[1] + reach * y)
    reach = (height - rays.origin[2]) / z
    t[down], code[down] = np.where(reach < limit, reach, np.inf), found
    return t, code
