"""Procedural colours of surfaces."""

import numpy as np

from ignet.world.noise import cell_hash, fractal
from ignet.world.solids import Solids, Surface
from ignet.world.street import BAY_LINE, GRAVEL, MARKING, PARKING, ROAD, SIDEWALK, TERRAIN, Street

PLAIN, FACADE, ROOF, PLANKS, WALL, CROWN, BODY, CABIN, CAB, CARGO, COACH, PLATE, LIGHT = range(13)
_MATERIAL = {
    ROAD: "asphalt",
    MARKING: "marking",
    PARKING: "paving",
    BAY_LINE: "marking",
    SIDEWALK: "slab",
    TERRAIN: "grass",
    GRAVEL: "gravel",
}
_GLASS = np.array([0.10, 0.13, 0.17], np.float32)


def ground_palette(palette: dict[str, tuple], rng: np.random.Generator, jitter: float) -> np.ndarray:
    """Colours of the ground's surface codes: float32 (7, 3)."""
    colors = np.array([palette[_MATERIAL[code]][0] for code in range(7)])
    return (colors * (1 + jitter * rng.standard_normal((7, 1)))).astype(np.float32)


def ground_color(
    street: Street, palette: np.ndarray, code: np.ndarray, points: np.ndarray, distance: np.ndarray, contrast: float
) -> np.ndarray:
    """Colour (n, 3) of ground points (n, 3) with their surface codes; fine detail fades with ``distance`` in metres."""
    s, d = street.locate(points[:, 0], points[:, 1])
    fine = fractal(s * 12, d * 12) - 0.5
    broad = fractal(s * 0.9, d * 2.5) - 0.5
    near = np.clip(9 / distance, 0, 1)
    value = 1 + contrast * (0.5 * fine * near + 0.35 * broad)

    joint = ((np.mod(s, 0.8) < 0.05) | (np.mod(d, 0.8) < 0.05)) & (code == SIDEWALK)
    tile = cell_hash(np.floor(s / 0.8), np.floor(d / 0.8)) - 0.5
    value = np.where(code == SIDEWALK, value + 0.14 * contrast * tile - 0.3 * joint * near, value)
    row = np.floor(d / 0.25)
    brick = cell_hash(np.floor(s / 0.5 + 0.5 * row), row) - 0.5
    value = np.where(code == PARKING, value + 0.45 * brick * np.maximum(near, 0.35), value)
    rough = (code == TERRAIN) | (code == GRAVEL)
    value = np.where(
        rough, value + (0.3 + 0.5 * contrast) * (fractal(s * 7 + 31, d * 7) - 0.5) * np.maximum(near, 0.3), value
    )

    color = palette[code] * value[:, None]
    dry = (code == TERRAIN)[:, None] * np.clip(3 * (fractal(s * 1.3 + 7, d * 1.3) - 0.5), 0, 0.6)[:, None] * contrast
    return color * (1 - dry) + dry * np.array([0.45, 0.38, 0.24], np.float32)


def solid_color(solids: Solids, rows: np.ndarray, hit: Surface, distance: np.ndarray, contrast: float) -> np.ndarray:
    """Colour (n, 3) of points on solids."""
    color = solids.color[rows].copy()
    pattern, offset = solids.pattern[rows], solids.seed[rows]
    metres = hit.local * solids.half[rows]
    up = metres[:, 2] + solids.half[rows, 2]
    along = np.where(hit.face == 0, metres[:, 1], metres[:, 0])
    near = np.clip(14 / distance, 0, 1)
    noise = fractal(metres[:, 0] * 5 + offset, metres[:, 1] * 5, metres[:, 2] * 5) - 0.5
    color *= (1 + 0.35 * contrast * noise * near)[:, None]
    for code, paint in _PAINTERS.items():
        chosen = np.flatnonzero(pattern == code)
        if len(chosen):
            part = Surface(hit.local[chosen], hit.normal[chosen], hit.face[chosen])
            color[chosen] = paint(
                color[chosen], part, along[chosen], up[chosen], metres[chosen], offset[chosen], near[chosen]
            )
    return color


def _mix(color: np.ndarray, other: np.ndarray, share: np.ndarray) -> np.ndarray:
    weight = share.astype(np.float32)[:, None]
    return color * (1 - weight) + other * weight


def _facade(color, hit, along, up, metres, offset, near):  # type: ignore[no-untyped-def]
    storey, column = np.mod(up, 2.9), np.mod(along + offset, 2.6)
    side = hit.face != 2
    course = (np.mod(up, 0.3) < 0.05) & (offset > 32) & side
    color = _mix(color, color * 0.75, course * near)
    frame = (column > 0.55) & (column < 1.95) & (storey > 0.8) & (storey < 2.35) & side
    glass = (column > 0.65) & (column < 1.85) & (storey > 0.9) & (storey < 2.25) & (np.abs(column - 1.25) > 0.04) & side
    color = _mix(color, np.float32(0.85) * np.ones(3, np.float32), frame)
    light = cell_hash(np.floor(along / 2.6 + offset), np.floor(up / 2.9))[:, None]
    return _mix(color, _GLASS + 0.35 * light * np.array([0.7, 0.8, 0.9], np.float32), glass)


def _roof(color, hit, along, up, metres, offset, near):  # type: ignore[no-untyped-def]
    return color * (1 - 0.25 * near * (np.mod(up, 0.35) < 0.08))[:, None]


def _planks(color, hit, along, up, metres, offset, near):  # type: ignore[no-untyped-def]
    plank = cell_hash(np.floor(along / 0.16 + offset), np.zeros_like(along)) - 0.5
    gap = np.mod(along / 0.16 + offset, 1) < 0.14
    return color * (1 + 0.5 * plank * np.maximum(near, 0.3) - 0.5 * gap * near)[:, None]


def _wall(color, hit, along, up, metres, offset, near):  # type: ignore[no-untyped-def]
    row = np.floor(up / 0.3)
    joint = (np.mod(up, 0.3) < 0.03) | (np.mod(along / 0.6 + 0.5 * row, 1) < 0.05)
    block = cell_hash(np.floor(along / 0.6 + 0.5 * row), row) - 0.5
    return color * (1 + 0.25 * block - 0.3 * joint * near)[:, None]


def _crown(color, hit, along, up, metres, offset, near):  # type: ignore[no-untyped-def]
    leaves = fractal(metres[:, 0] * 9 + offset, metres[:, 1] * 9, metres[:, 2] * 9 + offset)
    return color * (0.35 + 1.3 * leaves)[:, None]


def _body(color, hit, along, up, metres, offset, near):  # type: ignore[no-untyped-def]
    z, y = hit.local[:, 2], np.abs(hit.local[:, 1])
    color = _mix(color, np.float32(0.07) * np.ones(3, np.float32), z < -0.78)
    end = (hit.face == 0) & (y > 0.62) & (z > 0.05) & (z < 0.6)
    color = _mix(color, np.array([0.65, 0.05, 0.04], np.float32), end & (hit.local[:, 0] < 0))
    color = _mix(color, np.array([0.92, 0.92, 0.85], np.float32), end & (hit.local[:, 0] > 0))
    plate = (hit.face == 0) & (y < 0.3) & (z > -0.4) & (z < -0.1)
    return _mix(color, np.float32(0.85) * np.ones(3, np.float32), plate)


def _cabin(color, hit, along, up, metres, offset, near):  # type: ignore[no-untyped-def]
    inside = np.abs(np.where(hit.face == 0, hit.local[:, 1], hit.local[:, 0])) < 0.84
    pillar = (hit.face == 1) & (np.abs(hit.local[:, 0]) < 0.05)
    glass = (hit.face != 2) & inside & ~pillar & (hit.local[:, 2] > -0.85) & (hit.local[:, 2] < 0.8)
    return _mix(color, _GLASS * (1.4 + 0.8 * hit.local[:, 2:]), glass)


def _cab(color, hit, along, up, metres, offset, near):  # type: ignore[no-untyped-def]
    glass = (
        (hit.face != 2)
        & (hit.local[:, 2] > 0)
        & (hit.local[:, 2] < 0.75)
        & (np.abs(np.where(hit.face == 0, hit.local[:, 1], 0)) < 0.88)
    )
    glass &= (hit.face == 0) | ((hit.local[:, 0] > -0.3) & (hit.local[:, 0] < 0.8))
    lamps = (hit.face == 0) & (np.abs(hit.local[:, 1]) > 0.65) & (hit.local[:, 2] > -0.8) & (hit.local[:, 2] < -0.6)
    color = _mix(color, np.array([0.92, 0.92, 0.85], np.float32), lamps)
    return _mix(color, _GLASS * 1.4, glass)


def _cargo(color, hit, along, up, metres, offset, near):  # type: ignore[no-untyped-def]
    stripe = (hit.face == 1) & (np.abs(hit.local[:, 2]) < 0.35) & (offset > 24)
    color = _mix(color, color[:, ::-1] * 0.7, stripe)
    lamps = (hit.face == 0) & (hit.local[:, 0] < 0) & (np.abs(hit.local[:, 1]) > 0.75) & (hit.local[:, 2] < -0.75)
    return _mix(color, np.array([0.6, 0.05, 0.05], np.float32), lamps)


def _coach(color, hit, along, up, metres, offset, near):  # type: ignore[no-untyped-def]
    z = hit.local[:, 2]
    front = (hit.face == 0) & (z > -0.35) & (z < 0.75) & (np.abs(hit.local[:, 1]) < 0.9)
    windows = (hit.face == 1) & (z > -0.1) & (z < 0.65) & (np.mod(metres[:, 0], 1.5) > 0.12)
    return _mix(color, _GLASS * 1.5, front | windows)


def _plate(color, hit, along, up, metres, offset, near):  # type: ignore[no-untyped-def]
    y, z = np.abs(hit.local[:, 1]), np.abs(hit.local[:, 2])
    disc = np.where(hit.face == -1, np.hypot(y, z), np.maximum(y, z))
    front = hit.local[:, 0] < 0
    color = _mix(color, np.float32(0.92) * np.ones(3, np.float32), (disc < 0.66) & (offset > 24) & front)
    color = _mix(color, color * 0.1, (y < 0.16) & (z < 0.42) & front)
    return _mix(color, np.float32(0.42) * np.ones(3, np.float32), ~front)


def _light(color, hit, along, up, metres, offset, near):  # type: ignore[no-untyped-def]
    lamp = np.where(offset > 32, 0.62, -0.62)
    lit = (hit.face == 0) & (np.hypot(metres[:, 1], metres[:, 2] - lamp * 0.5) < 0.14)
    glow = np.where((offset > 32)[:, None], np.array([1.0, 0.12, 0.08]), np.array([0.1, 0.95, 0.35])).astype(np.float32)
    return _mix(color, glow, lit)


_PAINTERS = {
    FACADE: _facade,
    ROOF: _roof,
    PLANKS: _planks,
    WALL: _wall,
    CROWN: _crown,
    BODY: _body,
    CABIN: _cabin,
    CAB: _cab,
    CARGO: _cargo,
    COACH: _coach,
    PLATE: _plate,
    LIGHT: _light,
}
