"""FOVMix: camera sectors of some scans put into another, so that image features occur where there was no image.

Source: IGNet (Unal et al., WACV 2024) for one sector; several rotated ones are this project's choice.
"""

from collections.abc import Sequence
from dataclasses import replace
from math import pi

import numpy as np
from numpy.typing import NDArray

from ignet.config.mixing import FOVMixConfig
from ignet.data.label_sets.label_set import LabelSet
from ignet.data.lidar.mixing.sample import Sample, join
from ignet.data.projection.geometry import in_sector

_BLOCK = 1 << 14  # points at a time, so that what is computed stays in the processor's cache


def mix(
    base: Sample, donors: Sequence[Sample], rng: np.random.Generator, settings: FOVMixConfig, label_set: LabelSet
) -> Sample:
    """`fovmix` of the donors' camera sectors or, as a control, of as wide ones in a random direction."""
    return fovmix(base, turn_sectors(donors, rng.uniform(0, 2 * pi)) if settings.sector == "random" else donors)


def turn_sectors(samples: Sequence[Sample], angle: float) -> list[Sample]:
    """The same samples with their sectors, not their points, turned about z by ``angle`` radians.

    As wide as the camera's sector, blind to what the camera sees.
    """
    return [replace(sample, sector=(sample.sector[0] + angle, sample.sector[1] + angle)) for sample in samples]


def fovmix(base: Sample, donors: Sequence[Sample]) -> Sample:
    """Replace sectors of ``base`` by the camera sectors of the donors.

    The j-th of k donors gives the points in its own sector, turned about z by 2 pi j / k; ``base`` keeps the points
    outside all the turned sectors. With one donor nothing is turned. Sectors are taken from the samples as they are, so
    mix before any augmentation. For another sector than the camera's (a control), pass donors with that ``sector``, see
    :func:`turn_sectors`.

    Args:
        base: the scan that most points come from.
        donors: k >= 1 scans.

    Returns:
        First what is left of ``base``, then the donors' points, each with its own label, in_fov and feature; its
        ``sector`` is that of the first donor.

    Raises:
        ValueError: there is no donor, the turned sectors overlap, or features differ in width.
    """
    if not donors:
        raise ValueError("found no donor, expected one or more")
    angles = [2 * pi * j / len(donors) for j in range(len(donors))]
    sectors = [(donor.sector[0] + angle, donor.sector[1] + angle) for donor, angle in zip(donors, angles, strict=True)]
    check_disjoint(sectors)
    kept = ~np.logical_or.reduce([points_in_sector(base.points, low, high) for low, high in sectors])
    cut = [donor.select(points_in_sector(donor.points, *donor.sector)) for donor in donors]
    wedges = [wedge.rotated(angle) for wedge, angle in zip(cut, angles, strict=True)]
    return join([base.select(kept), *wedges], donors[0].sector)


def points_in_sector(points: NDArray[np.float32], low: float, high: float) -> NDArray[np.bool_]:
    """A faster `ignet.data.projection.geometry.in_sector`: sides of two lines, angles only near the lines."""
    inside = np.empty(len(points), bool)
    for start in range(0, len(points), _BLOCK):
        inside[start : start + _BLOCK] = _sides(points[start : start + _BLOCK], low, high)
    return inside


def _sides(points: NDArray[np.float32], low: float, high: float) -> NDArray[np.bool_]:
    x, y = points[:, 0].astype(np.float64), points[:, 1].astype(np.float64)
    after_low = np.cos(low) * y - np.sin(low) * x
    before_high = np.sin(high) * x - np.cos(high) * y
    both = np.mod(high - low, 2 * pi) <= pi
    inside = (after_low >= 0) & (before_high >= 0) if both else (after_low >= 0) | (before_high >= 0)
    near = np.flatnonzero(np.minimum(np.abs(after_low), np.abs(before_high)) <= 1e-9 * (np.abs(x) + np.abs(y)))
    inside[near] = in_sector(points[near], low, high)
    return inside


def check_disjoint(sectors: Sequence[tuple[float, float]]) -> None:
    """Check that no two of the sectors (low, high), in radians, counter-clockwise from low to high, overlap.

    Touching is allowed.

    Raises:
        ValueError: two overlap.
    """
    width = np.array([(high - low) % (2 * pi) for low, high in sectors])
    low = np.array([low % (2 * pi) for low, _ in sectors])
    order = np.argsort(low)
    room = np.diff(low[order], append=low[order[0]] + 2 * pi)
    # sectors are stored as float32, so that four of a right angle each may miss by its rounding
    if (width[order] > room + 1e-6).any():
        widest = width.max()
        raise ValueError(
            f"{len(sectors)} camera sectors of up to {np.rad2deg(widest):.0f} degrees overlap, expected none; "
            f"take at most {int(2 * pi / widest)} frusta"
        )
