"""Intervals of differences between runs: a paired bootstrap over training seeds and scans.

Each sample takes as many seeds and as many scans as there are, with replacement, and both are drawn independently
(the pigeonhole bootstrap of Owen, "The pigeonhole bootstrap", Ann. Appl. Stat. 2007). All runs and slices see the same
samples: what makes a scan hard, or a seed lucky, for both runs of a pair cancels. Intervals are percentile intervals.

Limits: what is particular to one seed on one scan enters by both, which makes the intervals too wide where it outweighs
the rest; neighbouring scans of a sequence resemble each other, which makes them too narrow where there are many; and
they say nothing about other worlds or streets than the evaluated ones.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

Mean = Literal["official", "occurring"]
Confusions = Mapping[int, npt.NDArray[np.int64]]
"""Confusion matrices of each scan, int64 (F, C, C + 1), by training seed."""


@dataclass(frozen=True)
class Estimate:
    """A metric with its percentile interval; all three are NaN where a slice holds no labelled point.

    Attributes:
        value: the metric over all seeds and scans, as evaluated.
        low, high: ends of the interval.
        seeds: number of training seeds it rests on; with 1, the interval shows the scans' part of the spread only.
        frames: number of scans it rests on.
    """

    value: float
    low: float
    high: float
    seeds: int
    frames: int


def miou(confusion: npt.NDArray[np.int64], mean: Mean = "occurring", classes: Sequence[int] | None = None) -> float:
    """mIoU of confusion (F, C, C + 1) over all its scans; see :func:`resampled_miou`."""
    return float(resampled_miou(confusion, np.ones((1, len(confusion))), mean, classes)[0])


def resampled_miou(
    confusion: npt.NDArray[np.int64],
    weights: npt.NDArray[np.floating],
    mean: Mean = "occurring",
    classes: Sequence[int] | None = None,
) -> npt.NDArray[np.float64]:
    """mIoU of the scans under each row of weights.

    Args:
        confusion: (F, C, C + 1), confusion matrix of each scan as of :func:`ignet.evaluate.confusion.confusion_matrix`.
        weights: (B, F), how often each scan counts in each sample.
        mean: official: over all classes, an absent one counts as 0; occurring: over the classes in the target. A sample
            without the scans that hold a class leaves it out of its mean, whether or not a run predicts it elsewhere:
            both runs of a pair are averaged over the same classes.
        classes: numbers of the classes that are averaged over; None means all.

    Returns:
        float64 (B,) in [0, 1]; NaN where the mean has no class.
    """
    chosen = slice(None) if classes is None else list(classes)
    matched = confusion[..., :-1]
    parts = (np.diagonal(matched, axis1=1, axis2=2), confusion.sum(axis=2), matched.sum(axis=1))
    true_positives, target, predicted = (weights @ part[:, chosen].astype(np.float64) for part in parts)
    union = target + predicted - true_positives
    iou = np.divide(true_positives, union, out=np.zeros_like(true_positives), where=union > 0)
    if mean == "official":
        return iou.mean(axis=1)
    occurs = target > 0
    count = occurs.sum(axis=1)
    return np.divide((iou * occurs).sum(axis=1), count, out=np.full(len(weights), np.nan), where=count > 0)


def bootstrap_weights(
    seeds: int, frames: int, samples: int, rng: np.random.Generator, level: float = 0.95
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Weights of the seeds and of the scans in each sample.

    Few seeds resampled spread too little: the variance of a mean of S values comes out (S - 1) / S of what it is, and
    its quantiles are a normal's where Student's t is due. So the drawn weights of the seeds are spread about 1 / S by
    sqrt(S / (S - 1)) t / z, with t (S - 1 degrees of freedom) and z the quantiles of ``level`` (the factor of the
    expanded percentile interval of Hesterberg, "What teachers should know about the bootstrap", Am. Stat. 2015). The
    scans are many and stay as drawn.

    Args:
        seeds: S; a single one is never resampled.
        frames: F.
        samples: B.
        rng: the scans are drawn first, so that their samples do not depend on S.
        level: level of the interval that the samples are for.

    Returns:
        float64 (B, S), rows that sum to 1 (some may be negative), and float64 (B, F), rows of counts that sum to F.
    """
    frame_weights = rng.multinomial(frames, np.full(frames, 1 / frames), samples).astype(np.float64)
    if seeds == 1:
        return np.ones((samples, 1)), frame_weights
    drawn = rng.multinomial(seeds, np.full(seeds, 1 / seeds), samples) / seeds
    tail = (1 + level) / 2
    widening = np.sqrt(seeds / (seeds - 1)) * stdtrit(seeds - 1, tail) / NormalDist().inv_cdf(tail)
    return 1 / seeds + widening * (drawn - 1 / seeds), frame_weights


def difference(
    run: Confusions,
    other: Confusions,
    *,
    samples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
    mean: Mean = "occurring",
    classes: Sequence[int] | None = None,
) -> Estimate:
    """mIoU of one run minus that of another, both means over the seeds that both have.

    Args:
        run, other: confusion matrices of each scan by seed, of one slice or of all points.
        samples: B, number of bootstrap samples.
        seed: seed of the samples; equal for all values that are to share their samples.
        level: of the interval.
        mean, classes: as for :func:`resampled_miou`.

    Raises:
        ValueError: the runs share no seed, or their targets differ (other scans, another slice).
    """
    sample = _Sample((run, other), samples, seed, level)
    return sample.estimate(sample.miou(run, mean, classes) - sample.miou(other, mean, classes))


def ratio(
    run: Confusions,
    other: Confusions,
    *,
    samples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
    mean: Mean = "occurring",
    classes: Sequence[int] | None = None,
) -> Estimate:
    """Mean mIoU of one run over that of another; arguments and errors as for :func:`difference`.

    NaN where the other's is 0.
    """
    sample = _Sample((run, other), samples, seed, level)
    figure, base = sample.miou(run, mean, classes), sample.miou(other, mean, classes)
    return sample.estimate(np.divide(figure, base, out=np.full_like(base, np.nan), where=base > 0))


def difference_of_differences(
    run: Confusions,
    other: Confusions,
    run_than: Confusions,
    other_than: Confusions,
    *,
    samples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
    mean: Mean = "occurring",
    classes: Sequence[int] | None = None,
    classes_than: Sequence[int] | None = None,
) -> Estimate:
    """How much larger one run's gain over another is in one slice than in a second.

    (run - other) - (run_than - other_than).

    Arguments and errors as for :func:`difference`; the second slice has its own ``classes_than``. All four use the same
    samples.
    """
    sample = _Sample((run, other, run_than, other_than), samples, seed, level)
    _check_targets(run_than, other_than)
    gain = sample.miou(run, mean, classes) - sample.miou(other, mean, classes)
    return sample.estimate(
        gain - (sample.miou(run_than, mean, classes_than) - sample.miou(other_than, mean, classes_than))
    )


class _Sample:
    """Bootstrap samples of some runs over their common seeds; row 0 of the weights is the evaluation as it is."""

    def __init__(self, runs: Sequence[Confusions], samples: int, seed: int, level: float) -> None:
        self._seeds = sorted(set.intersection(*(set(run) for run in runs)))
        if not self._seeds:
            raise ValueError(f"runs share no seed: {', '.join(str(sorted(run)) for run in runs)}")
        _check_targets(*runs[:2])
        self._frames, self._level = len(runs[0][self._seeds[0]]), level
        rng = np.random.default_rng(seed)
        seed_weights, frame_weights = bootstrap_weights(len(self._seeds), self._frames, samples, rng, level)
        self._seed_weights = np.vstack([np.full(len(self._seeds), 1 / len(self._seeds)), seed_weights])
        self._frame_weights = np.vstack([np.ones(self._frames), frame_weights])

    def miou(self, run: Confusions, mean: Mean, classes: Sequence[int] | None) -> npt.NDArray[np.float64]:
        """Weighted mean over the seeds, (1 + B,)."""
        values = [resampled_miou(run[seed], self._frame_weights, mean, classes) for seed in self._seeds]
        return (np.stack(values, axis=1) * self._seed_weights).sum(axis=1)

    def estimate(self, values: npt.NDArray[np.float64]) -> Estimate:
        """The value as evaluated, and percentiles over the samples; those without a point of the slice are left out."""
        value, drawn = float(values[0]), values[1:]
        low = high = np.nan
        if not np.isnan(value):
            low, high = np.nanquantile(drawn, [(1 - self._level) / 2, (1 + self._level) / 2])
        return Estimate(value, float(low), float(high), len(self._seeds), self._frames)


def _check_targets(run: Confusions, other: Confusions) -> None:
    targets = [confusion.sum(axis=-1) for part in (run, other) for confusion in part.values()]
    if not all(np.array_equal(target, targets[0]) for target in targets):
        raise ValueError("the runs were counted over other scans or slices: their targets differ")
