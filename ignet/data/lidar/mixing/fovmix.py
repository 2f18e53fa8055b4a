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
from ignet.data.lidar.mixing.sample import Sample, Sector, join, turned
from ignet.data.projection.geometry import in_sector

_BLOCK = 1 << 14  # points at a time, so that what is computed stays in the processor's cache


def mix(
    base: Sample, donors: Sequence[Sample], rng: np.random.Generator, settings: FOVMixConfig, label_set: LabelSet
) -> Sample:
    """`fovmix` of the donors' camera sectors or, as a control, of as wide ones in a random direction."""
    donors = turn_sectors(donors, rng.uniform(0, 2 * pi)) if settings.sector == "random" else donors
    return fovmix(base, of_one_camera(donors, rng) if settings.cameras == "one" else donors)


def turn_sectors(samples: Sequence[Sample], angle: float) -> list[Sample]:
    """The same samples with their sectors, not their points, turned about z by ``angle`` radians.

    As wide as the cameras' sectors, blind to what the cameras see.
    """
    return [replace(sample, sectors=turned(sample.sectors, angle)) for sample in samples]


def of_one_camera(samples: Sequence[Sample], rng: np.random.Generator) -> Sequence[Sample]:
    """The same samples with the sector of one camera, drawn from those that all of them have; of one nothing is drawn.

    The same camera in all, so that the sectors of several samples do not overlap when they are turned. Samples that
    have no camera in common keep no sector.
    """
    common = sorted(set.intersection(*(set(sample.sectors) for sample in samples)))
    camera = common[int(rng.integers(len(common)))] if len(common) > 1 else next(iter(common), None)
    return [
        replace(sample, sectors={number: sector for number, sector in sample.sectors.items() if number == camera})
        for sample in samples
    ]


def fovmix(base: Sample, donors: Sequence[Sample]) -> Sample:
    """Replace sectors of ``base`` by the camera sectors of the donors.

    The j-th of k donors gives the points in any of its own sectors, turned about z by 2 pi j / k; ``base`` keeps the
    points outside all the turned sectors. With one donor nothing is turned. Sectors are taken from the samples as they
    are, so mix before any augmentation. For other sectors than the cameras' (a control), pass donors with those
    ``sectors``, see :func:`turn_sectors`.

    Args:
        base: the scan that most points come from.
        donors: k >= 1 scans.

    Returns:
        First what is left of ``base``, then the donors' points, each with its own label, in_fov and feature; its
        ``sectors`` are those of the first donor.

    Raises:
        ValueError: there is no donor, the turned sectors of two donors overlap, one donor's go all round, or features
            differ in width.
    """
    if not donors:
        raise ValueError("found no donor, expected one or more")
    angles = [2 * pi * j / len(donors) for j in range(len(donors))]
    sectors = [list(turned(donor.sectors, angle).values()) for donor, angle in zip(donors, angles, strict=True)]
    check_disjoint([merged(group) for group in sectors])
    kept = ~np.logical_or.reduce(
        [
            np.zeros(len(base), bool),
            *(points_in_sector(base.points, low, high) for group in sectors for low, high in group),
        ]
    )
    cut = [donor.select(points_in_sectors(donor.points, list(donor.sectors.values()))) for donor in donors]
    wedges = [wedge.rotated(angle) for wedge, angle in zip(cut, angles, strict=True)]
    return join([base.select(kept), *wedges], donors[0].sectors)


def points_in_sectors(points: NDArray[np.float32], sectors: Sequence[Sector]) -> NDArray[np.bool_]:
    """Which points (N, >=2) lie in any of the sectors: bool (N,)."""
    inside = np.zeros(len(points), bool)
    for low, high in sectors:
        inside |= points_in_sector(points, low, high)
    return inside


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


def merged(sectors: Sequence[Sector]) -> list[Sector]:
    """Sectors that hold the same azimuths as some that may overlap, and touch nowhere.

    Raises:
        ValueError: they go all round.
    """
    starts = sorted((low % (2 * pi), (high - low) % (2 * pi)) for low, high in sectors)
    union: list[Sector] = []
    for low, width in starts:
        if union and low <= union[-1][1]:
            union[-1] = (union[-1][0], max(union[-1][1], low + width))
        else:
            union.append((low, low + width))
    # the last may reach over the seam, into the first ones
    while len(union) > 1 and union[-1][1] - 2 * pi >= union[0][0]:
        union[-1] = (union[-1][0], max(union[-1][1], union.pop(0)[1] + 2 * pi))
    if union and union[0][1] - union[0][0] >= 2 * pi:
        raise ValueError(
            f"the sectors of {len(sectors)} cameras go all round, so that nothing of the scan would be left; set "
            "cameras to one"
        )
    return union


def check_disjoint(groups: Sequence[Sequence[Sector]]) -> None:
    """Check that no two of the sectors overlap; those of one group must not.

    Touching is allowed.

    Raises:
        ValueError: two overlap.
    """
    sectors = [sector for group in groups for sector in group]
    width = np.array([(high - low) % (2 * pi) for low, high in sectors])
    low = np.array([low % (2 * pi) for low, _ in sectors])
    order = np.argsort(low)
    room = np.diff(low[order], append=low[order[:1]] + 2 * pi)
    # sectors are stored as float32, so that four of a right angle each may miss by its rounding
    if (width[order] > room + 1e-6).any():
        widest = max(sum((high - low) % (2 * pi) for low, high in group) for group in groups)
        raise ValueError(
            f"{len(groups)} camera sectors of up to {np.rad2deg(widest):.0f} degrees overlap, expected none; "
            f"take at most {int(2 * pi / widest)} frusta"
        )
