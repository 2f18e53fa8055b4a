"""PolarMix: half of the circle of another scan, and its objects turned about the sensor.

Source: PolarMix (Xiao et al., NeurIPS 2022). Its code draws the angles of the copies once for the whole training; here
they are drawn for each sample.
"""

from collections.abc import Sequence
from dataclasses import replace
from math import pi

import numpy as np

from ignet.config.mixing import PolarMixConfig
from ignet.data.label_sets.label_set import LabelSet
from ignet.data.lidar.mixing.fovmix import fovmix
from ignet.data.lidar.mixing.instance_paste import paste
from ignet.data.lidar.mixing.sample import Sample


def mix(
    base: Sample, donors: Sequence[Sample], rng: np.random.Generator, settings: PolarMixConfig, label_set: LabelSet
) -> Sample:
    """A scene swap, then a rotate-paste, each with its probability; of ``copies`` the first is not turned.

    The others lie each in a part of the circle of its own, 2 pi / ``copies`` wide.
    """
    (donor,), copies = donors, settings.copies
    start, swap, pasting = rng.uniform(0, 2 * pi), rng.random(), rng.random()
    turns = (np.arange(copies - 1) + rng.random(copies - 1)) * 2 * pi / copies
    mixed = swap_half(base, donor, start) if swap < settings.swap_probability else base
    if pasting >= settings.paste_probability:
        return mixed
    return paste(mixed, [donor] * copies, [0.0, *turns], label_set.ids_of(settings.classes))


def swap_half(base: Sample, donor: Sample, start: float) -> Sample:
    """Replace the half of ``base`` from the azimuth ``start`` on, in radians, counter-clockwise, by the donor's."""
    return replace(fovmix(base, [replace(donor, sectors={0: (start, start + pi)})]), sectors=base.sectors)
