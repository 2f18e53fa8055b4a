"""Days and hours of the game: each street of the source set has its own weather, light, materials and camera.

Games let the clock run and the weather change (GTA-V's images span both), so that their colours and light vary more
than one drive's do. A source set of one day would teach a network that a class has one colour. Every value is our
choice; none comes from a target's look.
"""

from dataclasses import replace

import numpy as np

from ignet.world.looks import Color, Look

_GREY = np.array([0.80, 0.83, 0.87])


def in_weather(look: Look, rng: np.random.Generator) -> Look:
    """The look in a weather, at an hour and with the materials that ``rng`` draws."""
    overcast, hour = rng.uniform(), rng.uniform()
    sun = (1 - 0.85 * overcast) * rng.uniform(0.5, 1.0)
    faded = rng.uniform(0.45, 1.0)
    low = 18 + 42 * hour
    warm = 0.08 * (1 - hour) * (1 - overcast) + 0.04 * rng.standard_normal()
    return replace(
        look,
        palette={
            material: tuple(_weathered(color, faded, rng) for color in colors)
            for material, colors in look.palette.items()
        },
        jitter=0.12,
        sun_height=(low, low + 5),
        sun=(sun, sun),
        ambient=rng.uniform(0.5, 0.8) + 0.25 * overcast,
        zenith=_toward_grey(look.zenith, overcast),
        horizon=_toward_grey(look.horizon, overcast),
        clouds=overcast,
        haze=10 ** rng.uniform(-3.0, -2.0),
        texture=rng.uniform(0.3, 1.0),
        tint=(1 + warm, 1.0, 1 - warm),
        gamma=rng.uniform(0.85, 1.2),
        vignette=rng.uniform(0.0, 0.2),
        noise=rng.uniform(0.0, 0.03),
        blur=rng.uniform(0.0, 0.8),
    )


def _weathered(color: Color, faded: float, rng: np.random.Generator) -> Color:
    """A material's colour on one street: faded toward its own grey, lighter or darker, a little off in hue."""
    rgb = np.array(color)
    rgb = rgb.mean() + faded * (rgb - rgb.mean())
    rgb = rgb * (1 + 0.18 * rng.standard_normal()) * (1 + 0.06 * rng.standard_normal(3))
    red, green, blue = np.clip(rgb, 0.02, 1.0).tolist()
    return red, green, blue


def _toward_grey(color: Color, overcast: float) -> Color:
    red, green, blue = ((1 - overcast) * np.array(color) + overcast * _GREY).tolist()
    return red, green, blue
