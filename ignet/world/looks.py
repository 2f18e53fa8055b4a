"""How the domains look: the game (source) and the streets (targets).

Colours are RGB 0..1; every value is our choice.
"""

from dataclasses import dataclass

import numpy as np

Color = tuple[float, float, float]


@dataclass(frozen=True)
class Look:
    """Materials, light and camera of one domain."""

    palette: dict[str, tuple[Color, ...]]  # material -> colours that objects draw from
    jitter: float  # spread of each object's colour round its draw
    sun_height: tuple[float, float]  # degrees above the horizon
    sun: tuple[float, float]  # strength of the direct light, drawn once a street
    ambient: float
    zenith: Color
    horizon: Color
    clouds: float  # 0: clear sky, 1: overcast
    haze: float  # 1 / metres
    texture: float  # contrast of the surface noise
    tint: Color = (1.0, 1.0, 1.0)
    gamma: float = 1.0
    vignette: float = 0.0
    noise: float = 0.0  # standard deviation of the sensor noise, 0..1
    blur: float = 0.0  # pixels

    def color(self, material: str, rng: np.random.Generator) -> np.ndarray:
        """Draw one object's colour (3,)."""
        choices = self.palette[material]
        base = np.array(choices[rng.integers(len(choices))])
        return np.clip(
            base * (1 + self.jitter * rng.standard_normal()) * (1 + 0.4 * self.jitter * rng.standard_normal(3)),
            0.01,
            1.0,
        )


_SOURCE_PALETTE: dict[str, tuple[Color, ...]] = {
    "asphalt": ((0.25, 0.25, 0.28),),
    "marking": ((0.98, 0.98, 0.92),),
    "paving": ((0.31, 0.29, 0.34),),
    "slab": ((0.66, 0.62, 0.60),),
    "grass": ((0.30, 0.62, 0.16),),
    "gravel": ((0.80, 0.68, 0.42),),
    "facade": ((0.86, 0.72, 0.50), (0.72, 0.42, 0.34), (0.62, 0.66, 0.74), (0.90, 0.88, 0.80), (0.52, 0.46, 0.50)),
    "roof": ((0.62, 0.26, 0.20), (0.32, 0.34, 0.40)),
    "fence": ((0.70, 0.44, 0.20), (0.86, 0.86, 0.84), (0.45, 0.30, 0.20)),
    "wall": ((0.60, 0.60, 0.66),),
    "metal": ((0.45, 0.48, 0.52),),
    "foliage": ((0.16, 0.46, 0.10), (0.24, 0.56, 0.14)),
    "hedge": ((0.12, 0.40, 0.12),),
    "trunk": ((0.40, 0.26, 0.14),),
    "sign": ((0.90, 0.08, 0.08), (0.06, 0.20, 0.85), (0.98, 0.82, 0.08)),
    "light": ((0.08, 0.10, 0.08),),
    "car": (
        (0.88, 0.06, 0.06),
        (0.08, 0.22, 0.82),
        (0.95, 0.95, 0.95),
        (0.10, 0.10, 0.12),
        (0.95, 0.72, 0.05),
        (0.08, 0.55, 0.35),
    ),
    "truck": ((0.85, 0.85, 0.88), (0.10, 0.35, 0.70), (0.80, 0.45, 0.08)),
    "bus": ((0.85, 0.65, 0.05), (0.10, 0.45, 0.75)),
    "tyre": ((0.05, 0.05, 0.05),),
    "cloth": ((0.80, 0.15, 0.15), (0.15, 0.25, 0.70), (0.90, 0.90, 0.85), (0.15, 0.15, 0.15), (0.85, 0.65, 0.10)),
    "trousers": ((0.12, 0.14, 0.30), (0.25, 0.22, 0.20)),
    "skin": ((0.88, 0.66, 0.52), (0.48, 0.32, 0.22)),
    "bike": ((0.75, 0.10, 0.10), (0.10, 0.10, 0.12), (0.10, 0.45, 0.65)),
    "motorcycle": ((0.12, 0.12, 0.14), (0.80, 0.10, 0.08), (0.08, 0.40, 0.20)),
}

_RESIDENTIAL_PALETTE: dict[str, tuple[Color, ...]] = {
    "asphalt": ((0.40, 0.39, 0.37),),
    "marking": ((0.80, 0.79, 0.74),),
    "paving": ((0.46, 0.36, 0.32),),
    "slab": ((0.50, 0.48, 0.45),),
    "grass": ((0.40, 0.42, 0.22),),
    "gravel": ((0.58, 0.52, 0.42),),
    "facade": ((0.74, 0.70, 0.62), (0.66, 0.56, 0.44), (0.56, 0.40, 0.34), (0.80, 0.78, 0.74), (0.62, 0.62, 0.60)),
    "roof": ((0.42, 0.26, 0.22), (0.28, 0.26, 0.26)),
    "fence": ((0.44, 0.36, 0.28), (0.60, 0.58, 0.54), (0.34, 0.30, 0.26), (0.36, 0.40, 0.34)),
    "wall": ((0.56, 0.54, 0.50),),
    "metal": ((0.40, 0.42, 0.42), (0.52, 0.52, 0.50)),
    "foliage": ((0.27, 0.32, 0.14), (0.33, 0.36, 0.18), (0.22, 0.28, 0.14)),
    "hedge": ((0.22, 0.28, 0.15),),
    "trunk": ((0.30, 0.26, 0.22),),
    "sign": ((0.72, 0.20, 0.18), (0.18, 0.28, 0.58), (0.82, 0.80, 0.76), (0.80, 0.68, 0.24)),
    "light": ((0.12, 0.13, 0.12),),
    "car": (
        (0.62, 0.63, 0.64),
        (0.16, 0.17, 0.19),
        (0.80, 0.80, 0.78),
        (0.24, 0.29, 0.38),
        (0.46, 0.16, 0.15),
        (0.36, 0.37, 0.36),
    ),
    "truck": ((0.76, 0.76, 0.74), (0.44, 0.48, 0.46)),
    "bus": ((0.72, 0.66, 0.46), (0.64, 0.66, 0.66)),
    "tyre": ((0.09, 0.09, 0.09),),
    "cloth": ((0.34, 0.20, 0.20), (0.22, 0.26, 0.34), (0.58, 0.56, 0.52), (0.16, 0.16, 0.17), (0.36, 0.36, 0.28)),
    "trousers": ((0.18, 0.20, 0.26), (0.28, 0.26, 0.24)),
    "skin": ((0.72, 0.56, 0.46), (0.42, 0.32, 0.26)),
    "bike": ((0.22, 0.22, 0.24), (0.42, 0.20, 0.18), (0.40, 0.42, 0.44)),
    "motorcycle": ((0.16, 0.16, 0.17), (0.38, 0.16, 0.15)),
}

_AVENUE_PALETTE: dict[str, tuple[Color, ...]] = {
    "asphalt": ((0.34, 0.35, 0.37),),
    "marking": ((0.74, 0.75, 0.75),),
    "paving": ((0.36, 0.33, 0.34),),
    "slab": ((0.47, 0.45, 0.44),),
    "grass": ((0.29, 0.36, 0.20),),
    "gravel": ((0.46, 0.43, 0.38),),
    "facade": (
        (0.58, 0.57, 0.56),
        (0.44, 0.33, 0.30),
        (0.66, 0.62, 0.55),
        (0.38, 0.40, 0.43),
        (0.52, 0.44, 0.38),
        (0.62, 0.64, 0.66),
    ),
    "roof": ((0.30, 0.30, 0.32), (0.36, 0.28, 0.26)),
    "fence": ((0.24, 0.28, 0.27), (0.42, 0.43, 0.44), (0.30, 0.27, 0.25)),
    "wall": ((0.50, 0.49, 0.48),),
    "metal": ((0.34, 0.36, 0.38), (0.24, 0.27, 0.27)),
    "foliage": ((0.20, 0.27, 0.15), (0.26, 0.30, 0.15), (0.31, 0.29, 0.15)),
    "hedge": ((0.17, 0.24, 0.14),),
    "trunk": ((0.25, 0.24, 0.22),),
    "sign": ((0.66, 0.17, 0.18), (0.16, 0.27, 0.55), (0.74, 0.75, 0.75), (0.20, 0.42, 0.32)),
    "light": ((0.16, 0.16, 0.13),),
    "car": (
        (0.50, 0.52, 0.54),
        (0.12, 0.13, 0.15),
        (0.72, 0.73, 0.74),
        (0.20, 0.24, 0.33),
        (0.28, 0.29, 0.30),
        (0.44, 0.13, 0.14),
    ),
    "truck": ((0.66, 0.68, 0.70), (0.24, 0.32, 0.44), (0.55, 0.50, 0.42)),
    "bus": ((0.56, 0.14, 0.15), (0.62, 0.64, 0.66)),
    "tyre": ((0.08, 0.08, 0.09),),
    "cloth": ((0.16, 0.17, 0.20), (0.26, 0.29, 0.36), (0.44, 0.40, 0.35), (0.38, 0.18, 0.20), (0.24, 0.27, 0.22)),
    "trousers": ((0.15, 0.16, 0.19), (0.21, 0.23, 0.29)),
    "skin": ((0.62, 0.50, 0.44), (0.38, 0.30, 0.26)),
    "bike": ((0.18, 0.18, 0.20), (0.36, 0.37, 0.39), (0.20, 0.30, 0.30)),
    "motorcycle": ((0.14, 0.14, 0.16), (0.32, 0.15, 0.16), (0.40, 0.41, 0.43)),
}

SOURCE_LOOK = Look(
    palette=_SOURCE_PALETTE,
    jitter=0.06,
    sun_height=(40, 65),
    sun=(0.5, 0.95),
    ambient=0.55,
    zenith=(0.18, 0.42, 0.90),
    horizon=(0.66, 0.82, 0.98),
    clouds=0.15,
    haze=0.0015,
    texture=0.35,
)

RESIDENTIAL_LOOK = Look(
    palette=_RESIDENTIAL_PALETTE,
    jitter=0.10,
    sun_height=(16, 38),
    sun=(0.25, 0.75),
    ambient=0.78,
    zenith=(0.54, 0.68, 0.86),
    horizon=(0.86, 0.89, 0.90),
    clouds=0.6,
    haze=0.007,
    texture=1.0,
    tint=(1.05, 1.0, 0.90),
    gamma=1.1,
    vignette=0.25,
    noise=0.025,
    blur=0.7,
)

# a grey day: hardly a shadow, a low white sky, cool colours, a camera that needs more gain
AVENUE_LOOK = Look(
    palette=_AVENUE_PALETTE,
    jitter=0.10,
    sun_height=(25, 50),
    sun=(0.05, 0.25),
    ambient=1.0,
    zenith=(0.70, 0.74, 0.79),
    horizon=(0.80, 0.82, 0.84),
    clouds=1.0,
    haze=0.010,
    texture=0.85,
    tint=(0.95, 1.0, 1.06),
    gamma=1.0,
    vignette=0.12,
    noise=0.032,
    blur=0.55,
)
