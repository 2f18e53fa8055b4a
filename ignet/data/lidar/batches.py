"""Training samples of the 3D network: from scans on disk to the tensors of one step."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from ignet.config.mixing import MixingConfig
from ignet.config.training_3d import AugmentConfig
from ignet.data.lidar.augment import random_view
from ignet.data.lidar.lidar_dataset import LidarDataset
from ignet.data.lidar.mixing.registry import MIXING, active_strategies, choose_strategy
from ignet.data.lidar.mixing.sample import Sample, number_points
from ignet.data.lidar.network_input import Collate, Input
from ignet.devices import TensorGroup, step_generator
from ignet.errors import IgnetError

# what a random number is for: the third part of its key, so that switching one thing off leaves all others as they were
_ORDER, _MIX, _STUDENT, _TEACHER, _ORDER_UNLABELLED, _CONTEXT = 101, 102, 103, 104, 105, 106


@dataclass(frozen=True)
class Batch(TensorGroup):
    """The N points of the scans of one step, one scan after the other.

    Both views hold the same points in the same order, unless the teacher sees the scans before they are mixed.

    Attributes:
        student: the strongly augmented view.
        teacher: the weakly augmented one, or None where it was not asked for.
        labels: int64 (N,), LiDAR train ids, 255 where a point has none.
        in_fov: bool (N,), whether the camera sees the point.
        guided: int64 (n,), numbers of the points that have a stored 2D feature.
        feature: float32 (n, D), those features.
        teacher_rows: int64 (N,), which point of the teacher's view each one is; None: the same.
    """

    student: Input
    teacher: Input | None
    labels: Tensor
    in_fov: Tensor
    guided: Tensor
    feature: Tensor
    teacher_rows: Tensor | None = None


class BatchDataset(Dataset[Batch]):
    """Map-style dataset whose item number s is the batch of step s, a function of (seed, s) alone.

    Use it with ``DataLoader(samples, batch_size=None, sampler=range(start, steps), num_workers=...)``. Every scan comes
    once in each epoch, in an order that is drawn anew for it; a batch may reach over the end of an epoch. Labelled and
    unlabelled scans take turns, and each kind has its own epochs.

    Args:
        dataset: where scans come from.
        batch: scans a step.
        seed: of the order, of the mixing and of the views.
        collate: makes the backbone's input of scans and of labels that may be known.
        mixing: how often scans are mixed, and how.
        augment: the random views.
        teacher_view: also make the teacher's view.
        part: which of a step's scans this process takes; none: all of them.
        label_dropout: share of the samples whose labels ``collate`` is not told; none: of all.
        unmixed_teacher: the teacher's view holds the scans that the student's were mixed of.

    Raises:
        IgnetError: a mixing strategy needs the camera and the dataset has no correspondence.
    """

    def __init__(
        self,
        dataset: LidarDataset,
        batch: int,
        seed: int,
        collate: Collate,
        mixing: MixingConfig,
        augment: AugmentConfig,
        teacher_view: bool = True,
        part: slice | None = None,
        label_dropout: float | None = None,
        unmixed_teacher: bool = False,
    ) -> None:
        for name in active_strategies(mixing):
            if MIXING[name].needs_camera and not dataset.has_camera:
                raise IgnetError(
                    f"mixing.{name}.probability: {name} is on, but no correspondence was given; set it to 0, or "
                    "run the rule projection"
                )
        self.dataset, self.batch, self.seed, self.collate = dataset, batch, seed, collate
        self.mixing, self.augment, self.teacher_view = mixing, augment, teacher_view
        self.part, self.label_dropout = range(batch)[part or slice(None)], label_dropout
        self.unmixed_teacher = unmixed_teacher and teacher_view

    def scan_indices(self, step: int) -> list[int]:
        """Indices of the scans that step ``step`` starts from, before mixing."""
        turns = [divmod(step * self.batch + b, len(self.dataset.pools)) for b in range(self.batch)]
        places = [(kind, *divmod(turn, len(self.dataset.pools[kind]))) for turn, kind in turns]
        orders = {(kind, epoch): self._order(kind, epoch) for kind, epoch, _ in places}
        return [int(orders[kind, epoch][place]) for kind, epoch, place in places]

    def _order(self, kind: int, epoch: int) -> NDArray[np.int64]:
        pool = self.dataset.pools[kind]
        return pool[step_generator(self.seed, epoch, (_ORDER, _ORDER_UNLABELLED)[kind]).permutation(len(pool))]

    def __getitem__(self, step: int) -> Batch:
        """The batch of one step, or this process's part of it, on the CPU."""
        scans = self.scan_indices(step)
        drawn = {b: self._mixed(scans[b], step_generator(self.seed, step, _MIX, b)) for b in self.part}
        samples = [sample for sample, _ in drawn.values()]
        seen = [(b, scan) for b, (_, unmixed) in drawn.items() for scan in unmixed]
        starts = np.cumsum([0, *(len(sample) for sample in samples)])
        guided = [np.flatnonzero(sample.feature_of >= 0) for sample in samples]
        rows = [_rows(sample, index) for sample, index in zip(samples, guided, strict=True)]
        return Batch(
            student=self._view(list(zip(self.part, samples, strict=True)), step, _STUDENT),
            teacher=self._view(seen, step, _TEACHER) if self.teacher_view else None,
            labels=torch.from_numpy(np.concatenate([sample.labels for sample in samples]).astype(np.int64)),
            in_fov=torch.from_numpy(np.concatenate([sample.in_fov for sample in samples])),
            guided=torch.from_numpy(
                np.concatenate([index + start for index, start in zip(guided, starts[:-1], strict=True)])
            ),
            feature=torch.from_numpy(np.concatenate(rows)),
            teacher_rows=_teacher_rows(list(drawn.values())) if self.unmixed_teacher else None,
        )

    def _mixed(self, scan: int, rng: np.random.Generator) -> tuple[Sample, list[Sample]]:
        """One sample, and the samples that the teacher sees of it."""
        base = self.dataset.load(scan)
        name = choose_strategy(self.mixing, rng.random())
        if name is None:
            (base,) = number_points([base]) if self.unmixed_teacher else [base]
            return base, [base]
        strategy, settings = MIXING[name], getattr(self.mixing, name)
        count = strategy.donors(settings)
        others = self._donors(scan, strategy.other_kind(settings))
        donors = rng.choice(others, count, replace=len(others) < count)
        try:
            unmixed = [base, *(self.dataset.load(int(donor)) for donor in donors)]
            unmixed = number_points(unmixed) if self.unmixed_teacher else unmixed
            mixed = strategy.mix(unmixed[0], unmixed[1:], rng, settings, self.dataset.label_set)
            return mixed, unmixed if self.unmixed_teacher else [mixed]
        except ValueError as error:
            raise IgnetError(f"mixing.{name}: {error}") from error

    def _donors(self, scan: int, other_kind: bool) -> NDArray[np.int64]:
        """Numbers of the scans that one may be mixed with."""
        kinds = self.dataset.pools
        if other_kind and len(kinds) > 1:
            return kinds[0] if scan in kinds[1] else kinds[1]
        others = np.arange(len(self.dataset))
        return np.delete(others, scan) if len(others) > 1 else others

    def _view(self, samples: list[tuple[int, Sample]], step: int, purpose: int) -> Input:
        """The backbone's input of samples, each with the number in the step that its random numbers are drawn by."""
        strong = purpose == _STUDENT
        views: list[NDArray[np.float32]] = [
            random_view(
                sample.points,
                step_generator(self.seed, step, purpose, b),
                self.augment.rotation,
                self.augment.flip,
                self.augment.scale if strong else 0.0,
                self.augment.noise if strong else 0.0,
                self.augment.shift if strong else 0.0,
                self.augment.scale_axes,
            )
            for b, sample in samples
        ]
        if self.label_dropout is None:
            return self.collate(views, None)
        # one draw for both views of a sample: teacher and student know the same
        kept = {b: step_generator(self.seed, step, _CONTEXT, b).random() >= self.label_dropout for b in self.part}
        labels = [sample.labels if kept[b] else None for b, sample in samples]
        return self.collate(views, labels)


def _teacher_rows(drawn: list[tuple[Sample, list[Sample]]]) -> Tensor:
    starts = np.cumsum([0, *(sum(map(len, unmixed)) for _, unmixed in drawn)])
    origins = [sample.origin for sample, _ in drawn if sample.origin is not None]
    return torch.from_numpy(np.concatenate([o + start for o, start in zip(origins, starts[:-1], strict=True)]))


def _rows(sample: Sample, guided: NDArray[np.int64]) -> NDArray[np.float32]:
    """The features of the points ``guided``, in their order."""
    order = sample.feature_of.take(guided)
    in_order = len(order) == len(sample.feature) and np.array_equal(order, np.arange(len(order)))
    return sample.feature if in_order else sample.feature.take(order, axis=0)
