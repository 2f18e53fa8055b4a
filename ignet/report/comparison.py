"""Confusion tensors of all runs and seeds, and the metrics that compare runs: in per cent, with intervals."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ignet.errors import IgnetError
from ignet.evaluate.confusion import iou
from ignet.evaluate.statistics import Confusions, Estimate, Mean, difference, difference_of_differences, miou, ratio
from ignet.evaluate.tensor import AXES, ConfusionTensor, read_tensor

WHOLE = "all"
SMALL = "small"
"""The slice of the small-object classes: all points, mean over ``small_objects``; only where there are such classes."""

_NAMES = {WHOLE: "all points", SMALL: "small objects"}


class Comparison:
    """The runs of one experiment, evaluated on the same scans.

    A slice is written ``axis:name`` (``boundary:interior``), ``all`` or ``small``. All values are in per cent or in
    percentage points. mIoU is the benchmark's over all points, and the mean over the classes that occur elsewhere. A
    value is None where it does not exist: a run is missing, two runs share no seed, a slice has no labelled point.

    Args:
        tensors: run, seed and tensor of each trained network, in the order of the tables; consumed one by one, since
            only the sums over the slices are kept.
        samples: bootstrap samples behind each interval.
        seed: of the bootstrap; the same for all intervals, so that equal input gives equal intervals.
        networks: 3D network of each run, such as 'cylinder3d as_drawn'; those that are not named have one network.

    Raises:
        IgnetError: the tensors count other scans, slices, labels or classes than the first one.
    """

    def __init__(
        self,
        tensors: Iterable[tuple[str, int, ConfusionTensor]],
        samples: int = 2000,
        seed: int = 0,
        networks: Mapping[str, str] | None = None,
    ) -> None:
        self.networks = dict(networks or {})
        self._options: dict[str, Any] = {"samples": samples, "seed": seed}
        self._parts: dict[str, dict[str, dict[int, NDArray[np.int64]]]] = {}
        first: tuple[str, ConfusionTensor] | None = None
        for run, number, tensor in tensors:
            first = first or (f"run {run} seed {number}", tensor)
            _check_same_points(f"run {run} seed {number}", tensor, *first)
            for name, part in _marginals(tensor).items():
                self._parts.setdefault(name, {}).setdefault(run, {})[number] = part
        if first is None:
            raise IgnetError("comparison: found no evaluated run, expected at least one")
        self.scans = len(first[1].frames)
        self.runs = tuple(self._parts[WHOLE])
        self.classes, self.small_objects = first[1].classes, first[1].small_objects
        self._small = tuple(self.classes.index(name) for name in self.small_objects)
        self.slices = (*self._parts, *([SMALL] if self._small else []))

    def seeds(self, run: str, other: str | None = None) -> tuple[int, ...]:
        """Seeds of a run, those only that ``other`` has too; none of a run that is not there."""
        parts = self._parts[WHOLE]
        return tuple(seed for seed in parts.get(run, {}) if other is None or seed in parts.get(other, {}))

    def points(self, where: str = WHOLE) -> int:
        """Labelled points of a slice."""
        points = self._class_points(where)
        return int(points[list(self._small)].sum() if where == SMALL else points.sum())

    def points_of_class(self) -> dict[str, int]:
        """Labelled points of each class."""
        return {name: int(count) for name, count in zip(self.classes, self._class_points(WHOLE), strict=True)}

    def miou(self, run: str, where: str = WHOLE, mean: Mean | None = None) -> dict[int, float | None]:
        """mIoU by seed."""
        options = self._mean(where, mean)
        return {seed: _percent(miou(part, **options)) for seed, part in self._confusions(run, where).items()}

    def iou(self, run: str) -> dict[int, dict[str, float | None]]:
        """IoU of each class by seed; None where a class occurs neither in the labels nor in the predictions."""
        parts = self._confusions(run, WHOLE)
        return {
            seed: dict(zip(self.classes, map(_percent, iou(part.sum(axis=0))), strict=True))
            for seed, part in parts.items()
        }

    def difference(self, run: str, against: str, where: str = WHOLE, mean: Mean | None = None) -> Estimate | None:
        """mIoU of ``run`` minus that of ``against``."""
        if not self.seeds(run, against):
            return None
        return _finite(
            difference(
                self._confusions(run, where),
                self._confusions(against, where),
                **self._mean(where, mean),
                **self._options,
            )
        )

    def class_difference(self, run: str, against: str, name: str) -> Estimate | None:
        """IoU of one class: ``run`` minus ``against``."""
        if not self.seeds(run, against) or not self.points_of_class()[name]:
            return None
        options: dict[str, Any] = {"mean": "occurring", "classes": (self.classes.index(name),)}
        return _finite(
            difference(self._confusions(run, WHOLE), self._confusions(against, WHOLE), **options, **self._options)
        )

    def extra(self, run: str, against: str, where: str, than: str) -> Estimate | None:
        """How much more ``run`` gains over ``against`` in one slice than in another, over each slice's classes."""
        if not self.seeds(run, against):
            return None
        parts = (self._confusions(name, place) for place in (where, than) for name in (run, against))
        classes, classes_than = (self._small if place == SMALL else None for place in (where, than))
        return _finite(
            difference_of_differences(
                *parts, mean="occurring", classes=classes, classes_than=classes_than, **self._options
            )
        )

    def relative(self, run: str, reference: str) -> Estimate | None:
        """The benchmark's mIoU of ``run`` in per cent of that of ``reference``, if their 3D networks are the same."""
        seeds = self.seeds(run, reference)
        if not seeds or not self.same_network(run, reference) or not any(self.miou(reference)[seed] for seed in seeds):
            return None
        return _finite(
            ratio(self._confusions(run, WHOLE), self._confusions(reference, WHOLE), mean="official", **self._options)
        )

    def same_network(self, run: str, other: str) -> bool:
        """Whether two runs train the same 3D network."""
        return self.networks.get(run) == self.networks.get(other)

    def _confusions(self, run: str, where: str) -> Confusions:
        if where not in self.slices:
            raise IgnetError(f"slice '{where}': not evaluated, expected one of {list(self.slices)}")
        return self._parts[WHOLE if where == SMALL else where][run]

    def _class_points(self, where: str) -> NDArray[np.int64]:
        return next(iter(self._confusions(self.runs[0], where).values())).sum(axis=(0, 2))

    def _mean(self, where: str, mean: Mean | None) -> dict[str, Any]:
        return {
            "mean": mean or ("official" if where == WHOLE else "occurring"),
            "classes": self._small if where == SMALL else None,
        }


def read_comparison(
    files: Mapping[str, Mapping[int, Path]], samples: int, seed: int, networks: Mapping[str, str] | None = None
) -> Comparison:
    """The comparison of ``confusion.h5`` files by run and seed.

    Raises:
        IgnetError: a file cannot be read, or the runs were not evaluated on the same points.
    """
    return Comparison(
        ((run, number, read_tensor(path)) for run, seeds in files.items() for number, path in seeds.items()),
        samples,
        seed,
        networks,
    )


def slice_name(where: str) -> str:
    """A slice's name in tables: ``range:0-10 m`` is ``0-10 m``."""
    return _NAMES.get(where, where.partition(":")[2])


def _marginals(tensor: ConfusionTensor) -> dict[str, NDArray[np.int64]]:
    parts = {f"{axis}:{name}": tensor.slice(axis, name) for axis in AXES for name in tensor.names[axis]}
    return {WHOLE: tensor.whole(), **parts}


def _check_same_points(name: str, tensor: ConfusionTensor, first: str, expected: ConfusionTensor) -> None:
    same = all(getattr(tensor, key) == getattr(expected, key) for key in ("frames", "names", "classes"))
    if same and np.array_equal(tensor.counts.sum(axis=-1), expected.counts.sum(axis=-1)):
        return
    raise IgnetError(
        f"{name} was evaluated on {tensor.counts.sum()} points of {len(tensor.frames)} scans, {first} on "
        f"{expected.counts.sum()} of {len(expected.frames)}, or in other slices or with other labels; evaluate both "
        "on the same sequences, labels and ranges"
    )


def _percent(share: float) -> float | None:
    return None if np.isnan(share) else 100 * float(share)


def _finite(estimate: Estimate) -> Estimate | None:
    if not np.isfinite([estimate.value, estimate.low, estimate.high]).all():
        return None
    return replace(estimate, value=100 * estimate.value, low=100 * estimate.low, high=100 * estimate.high)
