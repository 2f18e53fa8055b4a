"""A scan with its labels and features, and several joined to one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ignet.data.lidar.augment import rotate_z

Sector = tuple[float, float]
"""(low, high): azimuths atan2(y, x) in radians, counter-clockwise from low to high."""


@dataclass(frozen=True)
class Sample:
    """A scan with all that travels with its points; nothing writes into its arrays.

    Attributes:
        points: float32 (N, 4), x forward, y left, z up in metres, remission 0-1.
        labels: uint8 (N,), LiDAR train ids, 255 where there is none.
        in_fov: bool (N,), whether a camera sees the point.
        feature: float32 (n, D), stored 2D features, one row for each point that has one.
        feature_of: int32 (N,), row of the point in ``feature``, or -1.
        sectors: what each camera looks at, by its number.
        origin: int64 (N,), which point of the unmixed scans each one is, counted over these scans one after the other;
            None where nobody asks.
    """

    points: NDArray[np.float32]
    labels: NDArray[np.uint8]
    in_fov: NDArray[np.bool_]
    feature: NDArray[np.float32]
    feature_of: NDArray[np.int32]
    sectors: Mapping[int, Sector]
    origin: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        lengths = {name: len(getattr(self, name)) for name in ("points", "labels", "in_fov", "feature_of")}
        lengths |= {} if self.origin is None else {"origin": len(self.origin)}
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
            self.sectors,
            None if self.origin is None else self.origin.take(index),
        )

    def rotated(self, angle: float) -> "Sample":
        """The same sample turned about z by ``angle`` radians, its sectors too."""
        return replace(self, points=rotate_z(self.points, angle), sectors=turned(self.sectors, angle))


def turned(sectors: Mapping[int, Sector], angle: float) -> dict[int, Sector]:
    """Sectors turned about z by ``angle`` radians."""
    return {camera: (low + angle, high + angle) for camera, (low, high) in sectors.items()}


def join(samples: Sequence[Sample], sectors: Mapping[int, Sector]) -> Sample:
    """All points of the samples one after the other.

    Args:
        samples: one or more, with features of one width.
        sectors: those of the result.

    Raises:
        ValueError: there is no sample, or the features differ in width.
    """
    widths = sorted({sample.feature.shape[1] for sample in samples})
    if len(widths) != 1:
        raise ValueError(f"found features of widths {widths}, expected one width")
    origins = [sample.origin for sample in samples if sample.origin is not None]
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
        sectors=sectors,
        origin=np.concatenate(origins) if len(origins) == len(samples) else None,
    )


def number_points(samples: Sequence[Sample]) -> list[Sample]:
    """The samples with ``origin``, counted over all of them: a mixed sample then tells where its points come from."""
    ends = np.cumsum([len(sample) for sample in samples])
    return [
        replace(sample, origin=np.arange(end - len(sample), end)) for sample, end in zip(samples, ends, strict=True)
    ]
