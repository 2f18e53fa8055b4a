"""Solids of the embedded world, and where rays meet them.

Every solid is a unit solid in its own frame, scaled by its half sizes, turned about z by its yaw and moved to its
centre: a prism (|x|, |y|, |z| <= 1, its top narrowed by `taper`), a vertical cylinder or a sphere. World frame: x
forward, y left, z up, metres.
"""

from dataclasses import dataclass, fields

import numpy as np

PRISM, CYLINDER, ELLIPSOID = 0, 1, 2
# holes that rays pass through
SOLID, FOLIAGE, RING, PICKETS = 0, 1, 2, 3


@dataclass(frozen=True)
class Solids:
    """A table of S solids, one row each."""

    kind: np.ndarray  # (S,) PRISM, CYLINDER or ELLIPSOID
    center: np.ndarray  # (S, 3) float32, metres
    half: np.ndarray  # (S, 3) float32, half sizes in metres
    yaw: np.ndarray  # (S,) float32, radians
    taper: np.ndarray  # (S, 2) float32: share of its half size that a prism's top loses along x and y
    cut: np.ndarray  # (S,) SOLID, FOLIAGE, RING or PICKETS
    raw: np.ndarray  # (S,) SemanticKITTI raw class
    city: np.ndarray  # (S,) Cityscapes label id
    instance: np.ndarray  # (S,) object number, 0: none
    color: np.ndarray  # (S, 3) float32 RGB 0..1
    pattern: np.ndarray  # (S,) texture, see ignet.world.texture
    remission: np.ndarray  # (S,) float32 0..1
    seed: np.ndarray  # (S,) float32 0..64: offset of the noise, so that no two solids look the same

    def __len__(self) -> int:
        return len(self.kind)

    def join(self, other: "Solids") -> "Solids":
        """The rows of both tables."""
        return Solids(*(np.concatenate([getattr(self, f.name), getattr(other, f.name)]) for f in fields(self)))

    def take(self, rows: np.ndarray) -> "Solids":
        """Some of the rows."""
        return Solids(*(getattr(self, f.name)[rows] for f in fields(self)))

    def corners(self) -> np.ndarray:
        """The eight corners of each solid's bounding box: float32 (S, 8, 3).

        corner = 4 x + 2 y + z with 0 for minus and 1 for plus.
        """
        sign = np.array([[i >> 2 & 1, i >> 1 & 1, i & 1] for i in range(8)], np.float32) * 2 - 1
        local = sign * self.half[:, None, :]
        cos, sin = np.cos(self.yaw)[:, None], np.sin(self.yaw)[:, None]
        x = cos * local[..., 0] - sin * local[..., 1]
        y = sin * local[..., 0] + cos * local[..., 1]
        return np.stack([x, y, local[..., 2]], axis=-1).astype(np.float32) + self.center[:, None, :]


def hit_ellipsoid(
    origin: np.ndarray, dx: np.ndarray, dy: np.ndarray, dz: np.ndarray, radius: np.ndarray | float = 1.0
) -> np.ndarray:
    """First t > 0 where origin + t d meets the sphere of the given radius about 0.

    Inf where it does not, or starts inside.
    """
    a = dx * dx + dy * dy + dz * dz
    b = origin[0] * dx + origin[1] * dy + origin[2] * dz
    c = origin[0] ** 2 + origin[1] ** 2 + origin[2] ** 2 - radius * radius
    root = b * b - a * c
    t = (-b - np.sqrt(np.maximum(root, 0))) / a
    return np.where((root >= 0) & (t > 0), t, np.inf)


def hit_cylinder(origin: np.ndarray, dx: np.ndarray, dy: np.ndarray, dz: np.ndarray) -> np.ndarray:
    """First t > 0 where origin + t d enters the cylinder x^2 + y^2 <= 1, |z| <= 1.

    Inf where it does not, or starts inside.
    """
    a = np.maximum(dx * dx + dy * dy, 1e-20)
    b = origin[0] * dx + origin[1] * dy
    root = b * b - a * (origin[0] ** 2 + origin[1] ** 2 - 1)
    half = np.sqrt(np.maximum(root, 0))
    low, high = _slab(origin[2], dz)
    enter = np.maximum((-b - half) / a, low)
    leave = np.minimum((-b + half) / a, high)
    return np.where((root >= 0) & (enter <= leave) & (enter > 0), enter, np.inf)


def hit_prism(
    origin: np.ndarray, dx: np.ndarray, dy: np.ndarray, dz: np.ndarray, taper: tuple[float, float] = (0.0, 0.0)
) -> np.ndarray:
    """First t > 0 where origin + t d enters the prism; inf where it does not, or starts inside.

    The prism: |z| <= 1, |x| <= 1 - taper_x (z + 1) / 2, |y| <= 1 - taper_y (z + 1) / 2. Taper 0 is a cube, taper 1
    along y a gable roof.
    """
    enter, leave = _slab(origin[2], dz)
    for axis, direction, k in ((0, dx, taper[0] / 2), (1, dy, taper[1] / 2)):
        if k == 0:
            low, high = _slab(origin[axis], direction)
            enter, leave = np.maximum(enter, low), np.minimum(leave, high)
            continue
        for sign in (1, -1):
            slope = _nonzero(sign * direction + k * dz)
            t = (1 - k - sign * origin[axis] - k * origin[2]) / slope
            enter = np.where(slope < 0, np.maximum(enter, t), enter)
            leave = np.where(slope > 0, np.minimum(leave, t), leave)
    return np.where((enter <= leave) & (enter > 0), enter, np.inf)


def _slab(origin: np.floating | float, direction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    inverse = 1 / _nonzero(direction)
    one, two = (-1 - origin) * inverse, (1 - origin) * inverse
    return np.minimum(one, two), np.maximum(one, two)


def _nonzero(value: np.ndarray) -> np.ndarray:
    return np.where(np.abs(value) < 1e-9, np.float32(1e-9), value)


@dataclass(frozen=True)
class Surface:
    """Where rays met solids: n points."""

    local: np.ndarray  # (n, 3) float32: in the solid's unit frame
    normal: np.ndarray  # (n, 3) float32: outward unit normal, world frame
    face: np.ndarray  # (n,) axis of the unit frame (0, 1, 2) that the face looks along; -1 on round surfaces


def surface(solids: Solids, rows: np.ndarray, points: np.ndarray) -> Surface:
    """Local coordinates and normals of points (n, 3) on the solids of the given rows (n,)."""
    cos, sin = np.cos(solids.yaw)[rows], np.sin(solids.yaw)[rows]
    half, kind = solids.half[rows], solids.kind[rows]
    moved = points - solids.center[rows]
    local = (
        np.stack([cos * moved[:, 0] + sin * moved[:, 1], cos * moved[:, 1] - sin * moved[:, 0], moved[:, 2]], axis=1)
        / half
    )
    slope = solids.taper[rows] / 2
    height = local[:, 2:]
    # how far outside each face: the face that was hit has the largest value
    outside = np.concatenate([np.abs(local[:, :2]) + slope * height - (1 - slope), np.abs(height) - 1], axis=1)
    round_side = np.hypot(local[:, 0], local[:, 1]) - 1 > outside[:, 2]
    face = np.argmax(outside, axis=1)
    face = np.where(kind == CYLINDER, np.where(round_side, -1, 2), face)
    face = np.where(kind == ELLIPSOID, -1, face)

    sign = np.sign(local)
    normal = np.where(np.arange(3) == face[:, None], sign, np.float32(0))
    tilted = (kind == PRISM) & (face < 2)
    normal[:, 2] += np.where(tilted, slope[np.arange(len(face)), np.minimum(np.maximum(face, 0), 1)], 0)
    curved = face == -1
    normal = (
        np.where(
            curved[:, None],
            local * np.where((kind == CYLINDER)[:, None], np.array([1, 1, 0], np.float32), np.float32(1)),
            normal,
        )
        / half
    )
    world = np.stack(
        [cos * normal[:, 0] - sin * normal[:, 1], sin * normal[:, 0] + cos * normal[:, 1], normal[:, 2]], axis=1
    )
    world /= np.maximum(np.linalg.norm(world, axis=1, keepdims=True), 1e-9)
    return Surface(local.astype(np.float32), world.astype(np.float32), face)
