"""LaserMix: bands of laser inclination of two scans in turns.

Source: LaserMix (Kong et al., CVPR 2023), which makes two mixed scans of a pair; here one of them is drawn.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ignet.config.mixing import LaserMixConfig
from ignet.data.label_sets.label_set import LabelSet
from ignet.data.lidar.mixing.sample import Sample, join


def mix(
    base: Sample, donors: Sequence[Sample], rng: np.random.Generator, settings: LaserMixConfig, label_set: LabelSet
) -> Sample:
    """`lasermix` with a random number of bands, of which the lowest is either scan's with probability 1/2."""
    (donor,) = donors
    bands = int(rng.integers(*settings.bands, endpoint=True))
    low, high = np.deg2rad(settings.inclination)
    return lasermix(base, donor, np.linspace(low, high, bands + 1)[1:-1], int(rng.integers(2)))


def lasermix(base: Sample, donor: Sample, edges: NDArray[np.float64], first: int) -> Sample:
    """Every second band of ``base``, and the others of the donor.

    Args:
        base: the scan that the sectors of the result are of.
        donor: the other scan.
        edges: inclinations atan2(z, sqrt(x^2 + y^2)) in radians, rising, between the bands: one fewer than bands.
        first: number of the lowest band that ``base`` keeps, 0 or 1.

    Returns:
        First the points of ``base``, then the donor's, each with its own label, in_fov and feature.
    """
    own, others = (_bands(sample.points, edges) % 2 for sample in (base, donor))
    return join([base.select(own == first), donor.select(others != first)], base.sectors)


def _bands(points: NDArray[np.float32], edges: NDArray[np.float64]) -> NDArray[np.int64]:
    x, y, z = points[:, :3].T
    return np.digitize(np.arctan2(z, np.hypot(x, y)), edges)
