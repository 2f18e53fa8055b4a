"""Training samples of the 3D network: from scans on disk to the tensors of one step."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from ignet.config.training_3d import AugmentConfig, FOVMixConfig
from ignet.data.augment import random_view
from ignet.data.correspondence import Correspondence
from ignet.data.features import FeatureStore, channel_statistics
from ignet.data.fovmix import Sample, fovmix, turn_sectors
from ignet.data.kitti import label_path, read_labels, read_scan, scan_path, scribble_path
from ignet.data.labels import IGNORE, to_train_ids
from ignet.data.splits import Scan, pools
from ignet.data.voxels import collate, voxel_features, voxelize
from ignet.devices import step_generator
from ignet.errors import IgnetError

CACHE_BYTES = 1 << 30

# what a random number is for: the third part of its key, so that switching one thing off leaves all others as they were
_ORDER, _MIX, _STUDENT, _TEACHER, _ORDER_UNLABELLED = 101, 102, 103, 104, 105


@dataclass(frozen=True)
class View:
    """The voxels of one view of a batch; ``features[inverse]`` brings values of voxels back to points.

    Attributes:
        coordinates: int32 (M, 4), scan number in the batch, then x, y, z in voxels.
        features: float32 (M, F), see `ignet.data.voxels.voxel_features`.
        inverse: int64 (N,), row of each point's voxel.
    """

    coordinates: Tensor
    features: Tensor
    inverse: Tensor

    def to(self, device: torch.device) -> "View":
        """The same view on ``device``."""
        return View(*(tensor.to(device, non_blocking=True) for tensor in (self.coordinates, self.features, self.inverse)))


@dataclass(frozen=True)
class Batch:
    """The N points of the scans of one step, one scan after the other; both views hold the same points in the same order.

    Attributes:
        student: the strongly augmented view.
        teacher: the weakly augmented one, or None where it was not asked for.
        labels: int64 (N,), LiDAR train ids, 255 where a point has none.
        in_fov: bool (N,), whether the camera sees the point.
        guided: int64 (n,), numbers of the points that have a stored 2D feature.
        feature: float32 (n, D), those features.
    """

    student: View
    teacher: View | None
    labels: Tensor
    in_fov: Tensor
    guided: Tensor
    feature: Tensor

    def to(self, device: torch.device) -> "Batch":
        """The same batch on ``device``."""
        teacher = None if self.teacher is None else self.teacher.to(device)
        rest = (tensor.to(device, non_blocking=True) for tensor in (self.labels, self.in_fov, self.guided, self.feature))
        return Batch(self.student.to(device), teacher, *rest)


class ScanSource:
    """Scans with the labels, the camera's view and the 2D features that a training may see.

    Args:
        dataset_root: folder that holds ``sequences/``.
        frames: frame names of each sequence, for example ``{"00": ["000000", "000001"]}``.
        supervision: which labels: ``scribbles``, ``dense``, or ``pseudo`` (scribbles and a network's predictions).
        labels_root: folder that holds ``sequences/NN/scribbles``, or ``labels`` for pseudo-labels; None: ``dataset_root``. Dense labels
            are always the dataset's.
        correspondence: correspondence file of each sequence; None: no point counts as seen by the camera.
        features: feature store of each sequence; None: no features.
        standardize: bring each channel of the features to mean 0 and deviation 1 over all points of the stores.
        cache: keep scans in memory, up to `CACHE_BYTES` in each process.
        labelled: the (sequence, frame) whose label files may be opened; all points of other scans are without a label. None: all.

    Attributes:
        scans: (sequence, frame) of each scan, in the order of ``frames``.
        pools: numbers of the labelled scans, then of the unlabelled ones, see `ignet.data.splits.pools`.
        channels: D of the features, 0 where there are none.
        classifier: the last layer of the 2D network that made the features, or None.

    Raises:
        IgnetError: no frame is given, a file is missing or lacks a frame, or the stores differ in D.
    """

    def __init__(
        self,
        dataset_root: Path,
        frames: Mapping[str, Sequence[str]],
        supervision: Literal["scribbles", "dense", "pseudo"],
        labels_root: Path | None = None,
        correspondence: Mapping[str, Path] | None = None,
        features: Mapping[str, Path] | None = None,
        standardize: bool = False,
        cache: bool = False,
        labelled: Collection[Scan] | None = None,
    ) -> None:
        self.scans = [(sequence, frame) for sequence, names in frames.items() for frame in names]
        if not self.scans:
            found = ", ".join(frames) or "none"
            raise IgnetError(f"{dataset_root}: found no frame in sequences {found}, expected at least one; name the frames to train on")
        self._labelled = frozenset(self.scans if labelled is None else labelled)
        self.pools = pools(self.scans, self._labelled)
        self.dataset_root, self.supervision = Path(dataset_root), supervision
        self.labels_root = self.dataset_root if labels_root is None else Path(labels_root)
        self._correspondence = self._features = None
        if correspondence is not None:
            self._correspondence = {s: Correspondence(_of(correspondence, s, "correspondence")) for s in frames}
        if features is not None:
            self._features = {s: FeatureStore(_of(features, s, "feature")) for s in frames}
        for files in (self._correspondence, self._features):
            for sequence, file in (files or {}).items():
                if missing := [frame for frame in frames[sequence] if frame not in file]:
                    raise IgnetError(
                        f"{file.path}: lacks {len(missing)} frames, first {missing[0]}, expected all; run the rule that makes it again"
                    )
        widths = {store.path: store.channels for store in (self._features or {}).values()}
        if len(set(widths.values())) > 1:
            found = ", ".join(f"{path} {width}" for path, width in widths.items())
            raise IgnetError(f"features: found different numbers of channels ({found}), expected one; run the rule extract again for all")
        self.channels = next(iter(widths.values()), 0)
        self._statistics = channel_statistics(list(self._features.values())) if self._features and standardize else None
        self.classifier = next(iter(self._features.values())).classifier if self._features else None
        self._cache = cache
        self._kept: dict[int, Sample] = {}
        self._kept_bytes = 0

    def __len__(self) -> int:
        return len(self.scans)

    @property
    def has_camera(self) -> bool:
        """Whether samples know which points the camera sees, and its sector."""
        return self._correspondence is not None

    def load(self, i: int) -> Sample:
        """Scan number i.

        Raises:
            IgnetError: a file is missing or broken, or does not belong to the scan.
        """
        if i in self._kept:
            return self._kept[i]
        sample = self._read(*self.scans[i])
        size = sum(array.nbytes for array in (sample.points, sample.labels, sample.in_fov, sample.feature, sample.feature_of))
        if self._cache and self._kept_bytes + size <= CACHE_BYTES:
            self._kept[i] = sample
            self._kept_bytes += size
        return sample

    def _read(self, sequence: str, frame: str) -> Sample:
        path = scan_path(self.dataset_root, sequence, frame)
        points = read_scan(path)
        count = len(points)
        finite = np.isfinite(points)
        if not finite.all():
            broken = int((~finite).any(axis=1).sum())
            raise IgnetError(f"{path}: found {broken} points that are not finite, expected none; unpack the scan again")
        labels = self._read_labels(sequence, frame, count) if (sequence, frame) in self._labelled else np.full(count, IGNORE, np.uint8)

        in_fov, sector = np.zeros(count, bool), (0.0, 0.0)
        if self._correspondence is not None:
            file = self._correspondence[sequence]
            seen = file.read(frame)
            if seen.points != count:
                raise IgnetError(
                    f"{file.path}: frame {frame} was made of {seen.points} points, but its scan has {count}; run the rule project again"
                )
            in_fov[seen.index], sector = True, seen.sector

        feature, feature_of = np.zeros((0, self.channels), np.float32), np.full(count, -1, np.int32)
        if self._features is not None:
            store = self._features[sequence]
            index, feature = store.read(frame)
            if len(index) and index.max() >= count:
                raise IgnetError(
                    f"{store.path}: frame {frame} names point {index.max()}, but its scan has {count}; run the rule extract again"
                )
            if self._statistics is not None:
                mean, deviation = self._statistics
                feature = (feature - mean) / deviation
            feature_of[index] = np.arange(len(index), dtype=np.int32)
        return Sample(points, labels, in_fov, feature, feature_of, sector)

    def _read_labels(self, sequence: str, frame: str, count: int) -> NDArray[np.uint8]:
        root = self.dataset_root if self.supervision == "dense" else self.labels_root
        path = (scribble_path if self.supervision == "scribbles" else label_path)(root, sequence, frame)
        return to_train_ids(read_labels(path, count), str(path))


class TrainingSamples(Dataset[Batch]):
    """Map-style dataset whose item number s is the batch of step s, a function of (seed, s) alone.

    Use it with ``DataLoader(samples, batch_size=None, sampler=range(start, steps), num_workers=...)``. Every scan comes once in each
    epoch, in an order that is drawn anew for it; a batch may reach over the end of an epoch. Labelled and unlabelled
    scans take turns, and each kind has its own epochs.

    Args:
        source: where scans come from.
        batch: scans a step.
        seed: of the order, of the mixing and of the views.
        voxel: metres, side of a voxel.
        fovmix: how often, and how many camera sectors are mixed in.
        augment: the random views.
        teacher_view: also make the teacher's view.

    Raises:
        IgnetError: FOVMix is on and the source has no correspondence.
    """

    def __init__(
        self,
        source: ScanSource,
        batch: int,
        seed: int,
        voxel: float,
        fovmix: FOVMixConfig,
        augment: AugmentConfig,
        teacher_view: bool = True,
    ) -> None:
        if fovmix.probability > 0 and not source.has_camera:
            raise IgnetError("fovmix.probability: FOVMix is on, but no correspondence was given; set it to 0, or run the rule project")
        self.source, self.batch, self.seed, self.voxel = source, batch, seed, voxel
        self.fovmix, self.augment, self.teacher_view = fovmix, augment, teacher_view

    def scans_of(self, step: int) -> list[int]:
        """Numbers of the scans that step ``step`` starts from, before mixing."""
        turns = [divmod(step * self.batch + b, len(self.source.pools)) for b in range(self.batch)]
        places = [(kind, *divmod(turn, len(self.source.pools[kind]))) for turn, kind in turns]
        orders = {(kind, epoch): self._order(kind, epoch) for kind, epoch, _ in places}
        return [int(orders[kind, epoch][place]) for kind, epoch, place in places]

    def _order(self, kind: int, epoch: int) -> NDArray[np.int64]:
        pool = self.source.pools[kind]
        return pool[step_generator(self.seed, epoch, (_ORDER, _ORDER_UNLABELLED)[kind]).permutation(len(pool))]

    def __getitem__(self, step: int) -> Batch:
        """The batch of one step, on the CPU."""
        samples = [self._mixed(scan, step_generator(self.seed, step, _MIX, b)) for b, scan in enumerate(self.scans_of(step))]
        starts = np.cumsum([0, *(len(sample) for sample in samples)])
        guided = [np.flatnonzero(sample.feature_of >= 0) for sample in samples]
        rows = [sample.feature.take(sample.feature_of.take(index), axis=0) for sample, index in zip(samples, guided, strict=True)]
        return Batch(
            student=self._view(samples, step, _STUDENT),
            teacher=self._view(samples, step, _TEACHER) if self.teacher_view else None,
            labels=torch.from_numpy(np.concatenate([sample.labels for sample in samples]).astype(np.int64)),
            in_fov=torch.from_numpy(np.concatenate([sample.in_fov for sample in samples])),
            guided=torch.from_numpy(np.concatenate([index + start for index, start in zip(guided, starts[:-1], strict=True)])),
            feature=torch.from_numpy(np.concatenate(rows)),
        )

    def _mixed(self, scan: int, rng: np.random.Generator) -> Sample:
        base = self.source.load(scan)
        if rng.random() >= self.fovmix.probability:
            return base
        others = np.delete(np.arange(len(self.source)), scan) if len(self.source) > 1 else np.array([scan])
        donors = rng.choice(others, self.fovmix.frusta, replace=len(others) < self.fovmix.frusta)
        mixed = [self.source.load(int(donor)) for donor in donors]
        try:
            return fovmix(base, turn_sectors(mixed, rng.uniform(0, 2 * np.pi)) if self.fovmix.sector == "random" else mixed)
        except ValueError as error:
            raise IgnetError(f"fovmix.frusta {self.fovmix.frusta}: {error}") from error

    def _view(self, samples: list[Sample], step: int, purpose: int) -> View:
        strong = purpose == _STUDENT
        views: list[NDArray[np.float32]] = [
            random_view(
                sample.points,
                step_generator(self.seed, step, purpose, b),
                self.augment.rotation,
                self.augment.flip,
                self.augment.scale if strong else 0.0,
                self.augment.noise if strong else 0.0,
            )
            for b, sample in enumerate(samples)
        ]
        return make_view(views, self.voxel)


def make_view(scans: Sequence[NDArray[np.float32]], voxel: float) -> View:
    """Voxelise scans, float32 (N_i, 4) each, into one batch; ``voxel`` in metres."""
    voxelized = [voxelize(points, voxel) for points in scans]
    coordinates, inverse = collate([cells for cells, _, _ in voxelized], [inverse for _, inverse, _ in voxelized])
    features = np.concatenate([voxel_features(points, first) for points, (_, _, first) in zip(scans, voxelized, strict=True)])
    return View(torch.from_numpy(coordinates), torch.from_numpy(features), torch.from_numpy(inverse))


def _of(files: Mapping[str, Path], sequence: str, kind: str) -> Path:
    if sequence not in files:
        raise IgnetError(f"sequence {sequence}: found no {kind} file, expected one for each sequence that is trained on")
    return files[sequence]
