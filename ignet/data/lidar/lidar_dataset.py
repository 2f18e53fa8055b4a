"""Scans on disk with all that a 3D training may know of their points."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ignet.data.features.store import FeatureStore, channel_statistics, check_stores
from ignet.data.formats.kitti import labels_path, read_scan, scan_path
from ignet.data.formats.splits import Scan, pools
from ignet.data.label_sets.files import read_classes
from ignet.data.label_sets.label_set import IGNORE, LabelSet
from ignet.data.lidar.mixing.sample import Sample
from ignet.data.lidar.spacing import evenly_spaced_indices
from ignet.data.projection.correspondence import Correspondence
from ignet.errors import IgnetError

CACHE_BYTES = 1 << 30


class LidarDataset:
    """Scans with the labels, the camera's view and the 2D features that a training may see.

    Args:
        dataset_root: folder that holds ``sequences/``.
        frames: frame names of each sequence, for example ``{"00": ["000000", "000001"]}``.
        supervision: which labels: ``scribbles``, ``dense``, or ``pseudo`` (scribbles and a network's predictions).
        labels_root: folder that holds ``sequences/NN/scribbles``, or ``labels`` for pseudo-labels; None:
            ``dataset_root``. Dense labels are always the dataset's.
        correspondence: correspondence file of each sequence; None: no point counts as seen by the camera.
        features: feature store of each sequence; None: no features.
        standardize: bring each channel of the features to zero mean and unit variance over all points of the stores.
        cache: keep scans in memory, up to `CACHE_BYTES` in each process.
        labelled: the (sequence, frame) whose label files may be opened; all points of other scans are without a label.
            None: all.
        teacher: hash of the 2D network whose features are expected; None: any, but one.
        verify: compare the checksum of the features of each scan that is read.
        remission_scale: what stands for a remission of 1 in the scans.
        cameras: numbers of those whose views and features are given; None: all of the correspondence.
        label_set: of the label files.

    Attributes:
        scans: (sequence, frame) of each scan, in the order of ``frames``.
        pools: numbers of the labelled scans, then of the unlabelled ones, see `ignet.data.formats.splits.pools`.
        channels: D of the features, 0 where there are none.
        classifier: the last layer of the 2D network that made the features, or None.

    Raises:
        IgnetError: no frame is given, a file is missing or lacks a frame, or the stores do not belong together, see
            `ignet.data.features.store.check_stores`.
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
        teacher: str | None = None,
        verify: bool = True,
        remission_scale: float = 1.0,
        cameras: Collection[int] | None = None,
        *,
        label_set: LabelSet,
    ) -> None:
        self.scans = [(sequence, frame) for sequence, names in frames.items() for frame in names]
        if not self.scans:
            found = ", ".join(frames) or "none"
            raise IgnetError(
                f"{dataset_root}: found no frame in sequences {found}, expected at least one; name the frames to "
                "train on"
            )
        self._labelled = frozenset(self.scans if labelled is None else labelled)
        self.pools = pools(self.scans, self._labelled)
        self.dataset_root, self.supervision, self.label_set = Path(dataset_root), supervision, label_set
        self.labels_root = self.dataset_root if labels_root is None else Path(labels_root)
        self._correspondence = self._features = None
        if correspondence is not None:
            self._correspondence = {
                s: Correspondence(_require(correspondence, s, "correspondence"), cameras) for s in frames
            }
        if features is not None:
            self._features = {s: FeatureStore(_require(features, s, "feature"), verify) for s in frames}
            check_stores(list(self._features.values()), teacher)
        for files in (self._correspondence, self._features):
            for sequence, file in (files or {}).items():
                if missing := [frame for frame in frames[sequence] if frame not in file]:
                    raise IgnetError(
                        f"{file.path}: lacks {len(missing)} frames, first {missing[0]}, expected all; run the rule "
                        "that makes it again"
                    )
        stores = list((self._features or {}).values())
        self.channels = stores[0].channels if stores else 0
        self._statistics = channel_statistics(stores) if stores and standardize else None
        self.classifier = stores[0].classifier if stores else None
        self._cache, self._remission_scale, self._cameras = cache, remission_scale, cameras
        self._kept: dict[int, Sample] = {}
        self._kept_bytes = 0

    def __len__(self) -> int:
        return len(self.scans)

    @property
    def has_camera(self) -> bool:
        """Whether samples know which points the cameras see, and their sectors."""
        return self._correspondence is not None

    def load(self, i: int) -> Sample:
        """Scan number i.

        Raises:
            IgnetError: a file is missing or broken, or does not belong to the scan.
        """
        if i in self._kept:
            return self._kept[i]
        sample = self._read(*self.scans[i])
        size = sum(
            array.nbytes for array in (sample.points, sample.labels, sample.in_fov, sample.feature, sample.feature_of)
        )
        if self._cache and self._kept_bytes + size <= CACHE_BYTES:
            self._kept[i] = sample
            self._kept_bytes += size
        return sample

    def labelled_features(self, most: int) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """Features float32 (n, D) and labels uint8 (n,) of the points that have both.

        Args:
            most: labelled scans to look at; of more, that many, evenly spaced.

        Raises:
            IgnetError: as `load`.
        """
        pool = self.pools[0]
        parts = []
        for i in pool[evenly_spaced_indices(len(pool), most)]:
            sample = self.load(int(i))
            both = np.flatnonzero((sample.feature_of >= 0) & (sample.labels != IGNORE))
            parts.append((sample.feature[sample.feature_of[both]], sample.labels[both]))
        features, labels = zip(*parts, strict=True)
        return np.concatenate(features), np.concatenate(labels)

    def _read(self, sequence: str, frame: str) -> Sample:
        points = read_scan(scan_path(self.dataset_root, sequence, frame), self._remission_scale)
        count = len(points)
        labels = (
            self._read_labels(sequence, frame, count)
            if (sequence, frame) in self._labelled
            else np.full(count, IGNORE, np.uint8)
        )

        in_fov, sectors = np.zeros(count, bool), {}
        if self._correspondence is not None:
            file = self._correspondence[sequence]
            seen = file.read(frame)
            if seen.points != count:
                raise IgnetError(
                    f"{file.path}: frame {frame} was made of {seen.points} points, but its scan has {count}; run the "
                    "rule projection again"
                )
            in_fov[seen.index], sectors = True, seen.sectors

        feature, feature_of = np.zeros((0, self.channels), np.float32), np.full(count, -1, np.int32)
        if self._features is not None:
            store = self._features[sequence]
            index, feature = store.read(frame)
            if len(index) and index.max() >= count:
                raise IgnetError(
                    f"{store.path}: frame {frame} names point {index.max()}, but its scan has {count}; run the rule "
                    "extract again"
                )
            if self._statistics is not None:
                mean, deviation = self._statistics
                feature = (feature - mean) / deviation
            if self._cameras is not None:  # stores hold what any camera sees
                index, feature = index[in_fov[index]], feature[in_fov[index]]
            feature_of[index] = np.arange(len(index), dtype=np.int32)
        return Sample(points, labels, in_fov, feature, feature_of, sectors)

    def _read_labels(self, sequence: str, frame: str, count: int) -> NDArray[np.uint8]:
        root = self.dataset_root if self.supervision == "dense" else self.labels_root
        return read_classes(labels_path(root, sequence, frame, self.supervision), count, self.label_set, required=True)


def _require(files: Mapping[str, Path], sequence: str, kind: str) -> Path:
    if sequence not in files:
        raise IgnetError(
            f"sequence {sequence}: found no {kind} file, expected one for each sequence that is trained on"
        )
    return files[sequence]
