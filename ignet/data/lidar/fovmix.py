"""FOVMix: camera sectors of some scans put into another, so that image features occur where there was no image.

Source: IGNet (Unal et al., WACV 2024) for one sector; several rotated ones are this project's choice.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import pi

import numpy as np
from numpy.typing import NDArray

from ignet.data.lidar.augment import rotate_z
from ignet.data.projection.geometry import in_sector

_BLOCK = 1 << 14  # points at a time, so that what is computed stays in the processor's cache


@dataclass(frozen=True)
class Sample:
    """A scan with all that travels with its points; nothing writes into its arrays.

    Attributes:
        points: float32 (N, 4), x forward, y left, z up in metres, remission 0-1.
        labels: uint8 (N,), LiDAR train ids, 255 where there is none.
        in_fov: bool (N,), whether the camera sees the point.
        feature: float32 (n, D), stored 2D features, one row for each point that has one.
        feature_of: int32 (N,), row of the point in ``feature``, or -1.
        sector: (low, high), the camera's azimuths atan2(y, x) in radians, counter-clockwise from low to high.
    """

    points: NDArray[np.float32]
    labels: NDArray[np.uint8]
    in_fov: NDArray[np.bool_]
    feature: NDArray[np.float32]
    feature_of: NDArray[np.int32]
    sector: tuple[float, float]

    def __post_init__(self) -> None:
        lengths = {name: len(getattr(self, name)) for name in ("points", "labels", "in_fov", "feature_of")}
        if len(set(lengths.values())) != 1:
            raise ValueError(f"a sample's arrays differ in length: {lengths}")
        rows = int(self.feature_of.max(initial=-1))
        if rows >= len(self.feature):
            raise ValueError(f"feature_of names row {rows}, but there are {len(self.feature)} features")

    def __len__(self) -> int:
        return len(self.points)

    def select(self, keep: NDArray[np.bool_]) -> "Sample":
        """The points where ``keep``, bool (N,), in their order, with their labels and features."""
        # take is several times faster than indexing with a mask
        index = np.flatnonzero(keep)
        rows = self.feature_of.take(index)
        used = rows >= 0
        renumbered = np.where(used, np.cumsum(used, dtype=np.int32) - np.int32(1), np.int32(-1))
        return Sample(
            self.points.take(index, axis=0),
            self.labels.take(index),
            self.in_fov.take(index),
            self.feature.take(rows[used], axis=0),
            renumbered,
            self.sector,
        )

    def rotated(self, angle: float) -> "Sample":
        """The same sample turned about z by ``angle`` radians, its sector too."""
        low, high = self.sector
        points = rotate_z(self.points, angle)
        return Sample(points, self.labels, self.in_fov, self.feature, self.feature_of, (low + angle, high + angle))


def join(samples: Sequence[Sample], sector: tuple[float, float]) -> Sample:
    """All points of the samples one after the other.

    Args:
        samples: one or more, with features of one width.
        sector: the sector of the result.

    Raises:
        ValueError: there is no sample, or the features differ in width.
    """
    widths = sorted({sample.feature.shape[1] for sample in samples})
    if len(widths) != 1:
        raise ValueError(f"found features of widths {widths}, expected one width")
    starts = np.cumsum([0, *(len(sample.feature) for sample in samples)])
    rows = [
        np.where(sample.feature_of >= 0, sample.feature_of + np.int32(start), np.int32(-1))
        for sample, start in zip(samples, starts[:-1], strict=True)
    ]
    return Sample(
        points=np.concatenate([sample.points for sample in samples]),
        labels=np.concatenate([sample.labels for sample in samples]),
        in_fov=np.concatenate([sample.in_fov for sample in samples]),
        feature=np.concatenate([sample.feature for sample in samples]),
        feature_of=np.concatenate(rows),
        sector=sector,
    )


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
