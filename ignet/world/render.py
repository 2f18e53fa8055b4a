"""The camera image of a scene in its look, with dense labels."""

from dataclasses import dataclass

import cv2
import numpy as np

from ignet.world.camera import Camera, camera_rays, camera_windows
from ignet.world.looks import Look
from ignet.world.noise import fractal
from ignet.world.raycast import GROUND, NOTHING, Hits, Rays, cast
from ignet.world.scene import Scene
from ignet.world.solids import ELLIPSOID, FOLIAGE, Solids, surface
from ignet.world.street import GROUND_CITY, GROUND_RAW
from ignet.world.texture import ground_color, ground_palette, solid_color

_LIMIT = 260.0  # metres of sight
_SHADOW_CELL = 0.2
_SKY = 23


@dataclass(frozen=True)
class Picture:
    """One rendered frame of H x W pixels."""

    image: np.ndarray  # (H, W, 3) uint8 RGB
    city: np.ndarray  # (H, W) uint8 Cityscapes label ids
    raw: np.ndarray  # (H, W) uint16 SemanticKITTI raw classes, 0 in the sky
    depth: np.ndarray  # (H, W) float32 metres, inf in the sky


class ShadowMap:
    """Shadows on the ground, painted as the outline of each solid seen from the sun."""

    def __init__(self, scene: Scene) -> None:
        """Paint what stands; ``at`` adds what moves."""
        self._scene = scene
        street = scene.street
        self._low = np.array([street.start, float(street.center(np.arange(street.start, street.end)).min()) - 25.0])
        top = float(street.center(np.arange(street.start, street.end)).max()) + 25.0
        size = (int((top - self._low[1]) / _SHADOW_CELL), int((street.end - street.start) / _SHADOW_CELL))
        self._static = np.zeros(size, np.uint8)
        self._paint(self._static, scene.static)

    def at(self, moving: Solids) -> np.ndarray:
        """Shadow raster 0..1 (rows y, columns x) with the given movers."""
        raster = self._static.copy()
        self._paint(raster, moving)
        return cv2.blur(raster, (3, 3)).astype(np.float32) / 255

    def look_up(self, raster: np.ndarray, points: np.ndarray) -> np.ndarray:
        """Shadow 0..1 at ground points (n, 3)."""
        cell = ((points[:, :2] - self._low.astype(np.float32)) / _SHADOW_CELL).astype(np.int32)
        return raster[np.clip(cell[:, 1], 0, raster.shape[0] - 1), np.clip(cell[:, 0], 0, raster.shape[1] - 1)]

    def _paint(self, raster: np.ndarray, solids: Solids) -> None:
        corners = solids.corners()
        # a round solid's outline lies well inside its box
        inner = np.where((solids.kind == ELLIPSOID)[:, None, None], 0.75, 1.0)
        corners = solids.center[:, None] + (corners - solids.center[:, None]) * inner
        away = np.array([np.cos(self._scene.sun_azimuth), np.sin(self._scene.sun_azimuth)]) / np.tan(
            self._scene.sun_height
        )
        flat = corners[..., :2] - np.maximum(corners[..., 2:], 0) * away
        cells = np.round((flat - self._low) / _SHADOW_CELL).astype(np.int32)
        for polygon in cells:
            cv2.fillConvexPoly(raster, cv2.convexHull(polygon), 255)


def render(
    scene: Scene,
    shadows: ShadowMap,
    solids: Solids,
    moving: Solids,
    camera: Camera,
    pose: np.ndarray,
    rng: np.random.Generator,
) -> Picture:
    """Render the scene from a vehicle pose (4, 4, LiDAR -> world); ``rng`` gives this image's sensor noise."""
    look = scene.look
    rays = camera_rays(camera, pose)
    hits = cast(solids, scene.street, rays, camera_windows(camera, pose, solids), _LIMIT)
    color = _sky(scene, rays)
    raster = shadows.at(moving)
    sun = _toward_sun(scene)

    ground = hits.solid == GROUND
    points, code, distance = hits.points(rays, ground), hits.ground[ground], hits.t[ground]
    palette = ground_palette(
        look.palette, np.random.default_rng([len(scene.static), len(scene.movers)]), look.jitter * 0.5
    )
    albedo = ground_color(scene.street, palette, code, points, distance, look.texture)
    light = look.ambient + scene.sun_strength * max(float(sun[2]), 0.35) * (1 - shadows.look_up(raster, points))
    color[ground] = albedo * light[:, None]

    solid = hits.solid >= 0
    points, row, distance = hits.points(rays, solid), hits.solid[solid], hits.t[solid]
    hit = surface(solids, row, points)
    albedo = solid_color(solids, row, hit, distance, look.texture)
    direct = np.maximum((hit.normal * sun).sum(axis=1), 0)
    leafy = solids.cut[row] == FOLIAGE
    direct = np.where(leafy, 0.45 + 0.3 * hit.normal[:, 2] + 0.3 * direct, direct)
    # less sky reaches what faces down or stands near the ground
    sky_light = look.ambient * (0.78 + 0.22 * hit.normal[:, 2]) * np.clip(0.75 + 0.25 * points[:, 2], 0.7, 1)
    color[solid] = albedo * (sky_light + scene.sun_strength * 0.75 * direct)[:, None]

    fog = 1 - np.exp(-look.haze * np.where(np.isfinite(hits.t), hits.t, 0))[..., None]
    color = color * (1 - fog) + fog * np.array(look.horizon, np.float32) * 0.95
    return Picture(_expose(color, look, rng), *_labels(solids, hits), hits.t)


def _toward_sun(scene: Scene) -> np.ndarray:
    level = np.cos(scene.sun_height)
    return np.array(
        [level * np.cos(scene.sun_azimuth), level * np.sin(scene.sun_azimuth), np.sin(scene.sun_height)], np.float32
    )


def _sky(scene: Scene, rays: Rays) -> np.ndarray:
    look, (x, y, z) = scene.look, rays.direction
    height = np.clip(z / np.sqrt(x * x + y * y + z * z), 0, 1)
    share = np.clip(height * 2.6, 0, 1)[..., None]
    color = (1 - share) * np.array(look.horizon, np.float32) + share * np.array(look.zenith, np.float32)
    turn = 25 * np.arctan2(y, x)
    clouds = cv2.blur(fractal(turn * 2, height * 90).astype(np.float32), (9, 5))
    weight = np.clip(4 * (clouds - 0.75 + 0.4 * look.clouds), 0, 1)[..., None] * min(look.clouds + 0.3, 0.9)
    return (color * (1 - weight) + weight * np.float32(0.93)).astype(np.float32)


def _expose(color: np.ndarray, look: Look, rng: np.random.Generator) -> np.ndarray:
    height, width = color.shape[:2]
    color = np.clip(color * np.array(look.tint, np.float32), 0, None).astype(np.float32)
    if look.vignette:
        u, v = np.meshgrid(np.linspace(-1, 1, width, dtype=np.float32), np.linspace(-1, 1, height, dtype=np.float32))
        color *= (1 - look.vignette * np.clip(0.8 * u * u + 0.3 * v * v, 0, 1))[..., None]
    if look.blur:
        color = cv2.GaussianBlur(color, (0, 0), look.blur)
    # the shoulder keeps sunlit walls from burning out
    color = np.where(color > 0.8, 0.8 + 0.2 * np.tanh((color - 0.8) / 0.4), color) ** np.float32(look.gamma)
    if look.noise:
        grain = rng.standard_normal((height, width, 3), dtype=np.float32)
        color = color + look.noise * (0.4 + color) * grain
    return np.clip(color * 255 + 0.5, 0, 255).astype(np.uint8)


def _labels(solids: Solids, hits: Hits) -> tuple[np.ndarray, np.ndarray]:
    city, raw = GROUND_CITY[hits.ground], GROUND_RAW[hits.ground]
    solid = hits.solid >= 0
    city[solid], raw[solid] = solids.city[hits.solid[solid]], solids.raw[hits.solid[solid]]
    city[hits.solid == NOTHING], raw[hits.solid == NOTHING] = _SKY, 0
    return city, raw
