"""Instance paste: the objects of other scans, turned about the sensor and added to a scan.

Source: the rotate-paste of PolarMix (Xiao et al., NeurIPS 2022); objects of several scans, each at an angle of its own,
are this project's choice.
"""

from collections.abc import Sequence
from math import pi

import numpy as np
from numpy.typing import NDArray

from ignet.config.mixing import InstancePasteConfig
from ignet.data.label_sets.label_set import LabelSet
from ignet.data.lidar.mixing.sample import Sample, join


def mix(
    base: Sample, donors: Sequence[Sample], rng: np.random.Generator, settings: InstancePasteConfig, label_set: LabelSet
) -> Sample:
    """`paste` of each donor's objects, turned by random angles."""
    return paste(base, donors, rng.uniform(0, 2 * pi, len(donors)), label_set.ids_of(settings.classes))


def paste(
    base: Sample, donors: Sequence[Sample], angles: Sequence[float] | NDArray[np.float64], classes: NDArray[np.uint8]
) -> Sample:
    """Add the points of some classes of other scans; nothing of ``base`` is taken away.

    An object keeps its distance and its height, and with them the density of its points.

    Args:
        base: the scan that is added to.
        donors: scans whose points are added; one may be there several times.
        angles: of each donor, in radians about z.
        classes: uint8 (K,), train ids. Points without a label are of no class, so of a scribbled object only the
            scribble is added.

    Returns:
        First ``base``, then the donors' points, each with its own label, in_fov and feature.
    """
    pairs = zip(donors, angles, strict=True)
    objects = [donor.select(np.isin(donor.labels, classes)).rotated(angle) for donor, angle in pairs]
    return join([base, *objects], base.sectors)
