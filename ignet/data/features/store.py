"""The feature store: 2D features of the points that the camera sees, one HDF5 file a sequence."""

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ignet.data.features.pca import PCA, Classifier
from ignet.errors import IgnetError
from ignet.files.ragged import Column, FlatReader, FlatWriter

LAYOUT = ("features", 4)
DTYPES = ("int8", "float16", "float32")
_SCANS = {"checksum": Column(np.uint32)}
_SCALE, _MOMENTS, _WEIGHT, _BIAS = "scale", "moments", "classifier_weight", "classifier_bias"
_MEAN, _COMPONENTS = "basis_mean", "basis_components"


def int8_scale(features: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Scale of each channel, float32 (D,): the largest magnitude over all (n, D) ``features``, over 127.

    A channel that is zero everywhere gets 1. An int8 value q stands for q * scale; larger values than were seen here
    are clipped.
    """
    largest = np.max([np.abs(part).max(axis=0) for part in features if len(part)], axis=0)
    scale = (largest / np.float32(127)).astype(np.float32)
    return np.where(scale > 0, scale, np.float32(1))


def channel_statistics(stores: Sequence["FeatureStore"]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and standard deviation of each channel over all points of the stores, float32 (D,) each.

    A channel that is constant, or a store without points, gets a standard deviation of 1: dividing by it is safe.
    """
    points = max(sum(store.points for store in stores), 1)
    mean, square = np.sum([store.moments for store in stores], axis=0) / points
    deviation = np.sqrt(np.maximum(square - mean**2, 0))
    return mean.astype(np.float32), np.where(
        deviation > 1e-6 * np.sqrt(np.maximum(square, 1e-30)), deviation, 1
    ).astype(np.float32)


class FeatureWriter(FlatWriter):
    """Writes a feature store: ``with FeatureWriter(...) as writer: writer.add(...)``; atomic."""

    def __init__(
        self,
        path: Path,
        channels: int,
        dtype: str,
        scale: NDArray[np.float32] | None = None,
        attributes: dict[str, str] | None = None,
        classifier: Classifier | None = None,
        pca: PCA | None = None,
    ) -> None:
        """Open a new store for writing.

        Args:
        path: the file to make.
        channels: D, of what is stored.
        dtype: int8, float16 or float32.
        scale: float32 (D,) for int8 (see `int8_scale`), else None.
        attributes: strings that are kept with it: teacher hash, settings, classes.
        classifier: the 2D network's own last layer, which turns its features into logits.
        pca: where what is added are `PCA.reduce`'s coordinates; it is kept with the file.

        Raises:
            ValueError: an unknown dtype, or a scale that does not fit it.
        """
        if dtype not in DTYPES:
            raise ValueError(f"dtype {dtype!r}, expected one of {', '.join(DTYPES)}")
        if (dtype == "int8") != (scale is not None):
            raise ValueError("int8, and no other dtype, needs a scale for each channel")
        if scale is not None and (
            np.shape(scale) != (channels,) or not (np.isfinite(scale) & (np.asarray(scale) > 0)).all()
        ):
            raise ValueError(f"scale of shape {np.shape(scale)}, expected {channels} positive finite numbers")
        columns = {"index": Column(np.int32), "feature": Column(np.dtype(dtype), (channels,))}
        super().__init__(path, LAYOUT, _SCANS, columns, attributes)
        self._dtype, self._scale = (
            dtype,
            np.ones(channels, np.float32) if scale is None else np.asarray(scale, np.float32),
        )
        self._offset_of_rows = np.zeros(channels, np.float32) if pca is None else pca.offset
        self._sums = np.zeros((2, channels))
        self._classifier, self._pca = classifier, pca

    def add(self, frame: str, index: NDArray[np.int32], feature: NDArray[np.float32]) -> None:
        """Add one frame: point numbers (n,) and their features, float32 (n, D).

        Raises:
            IgnetError: no scan can be called that, it was added before, or a feature is not finite in this dtype.
            ValueError: the arrays do not fit each other or D.
        """
        stored = self._encode(frame, np.asarray(feature, np.float32))
        index = np.asarray(index, np.int32)
        self.append(frame, {"checksum": _checksum(index, stored)}, {"index": index, "feature": stored})
        read = stored.astype(np.float64) * self._scale + self._offset_of_rows
        self._sums += read.sum(axis=0), np.square(read).sum(axis=0)

    def _encode(self, frame: str, feature: NDArray[np.float32]) -> NDArray:
        if self._dtype == "int8":
            stored = np.rint(np.clip(feature / self._scale, -127, 127))
        else:
            with np.errstate(over="ignore"):
                stored = feature.astype(self._dtype)
        if not (np.isfinite(feature).all() and np.isfinite(stored).all()):
            raise IgnetError(
                f"{self._path}: frame {frame} has features that are not finite as {self._dtype}, expected finite ones; "
                "set features.dtype to float32, or look for a diverged 2D training"
            )
        return stored.astype(self._dtype)

    def _finish(self) -> None:
        super()._finish()
        self._file[_SCALE] = self._scale
        self._file[_MOMENTS] = self._sums
        if self._classifier is not None:
            self._file[_WEIGHT], self._file[_BIAS] = self._classifier
        if self._pca is not None:
            self._file[_MEAN], self._file[_COMPONENTS] = self._pca


class FeatureStore(FlatReader):
    """Reads a feature store; each process opens the file for itself.

    Attributes:
        frames: names of the frames.
        channels: D.
        moments: float64 (2, D), each channel's sum and sum of squares over all points, as they are read.
        points: how many those are.
        classifier: the layer that turns what is read into the 2D network's logits, or None where the file holds none.
        pca: whose coordinates of the 2D network's features are read, or None: the features themselves.
        attributes: the writer's strings.
    """

    def __init__(self, path: Path, verify: bool = True) -> None:
        """Args: path: the file. verify: compare the checksum of each scan that is read.

        Raises:
            IgnetError: the file is missing, cut short, or of another layout version.
        """
        super().__init__(
            path, LAYOUT, tuple(_SCANS), ("index", "feature"), "run the rule features for this sequence again"
        )
        self._verify = verify

    def _check(self, file: Any, names: tuple[str, ...]) -> None:
        super()._check(file, (*names, _SCALE, _MOMENTS))
        self._scale: NDArray[np.float32] = file[_SCALE][:]
        self.moments: NDArray[np.float64] = file[_MOMENTS][:]
        self.pca = PCA(file[_MEAN][:], file[_COMPONENTS][:]) if _MEAN in file else None
        classifier = Classifier(file[_WEIGHT][:], file[_BIAS][:]) if _WEIGHT in file else None
        self.classifier = self.pca.compose(classifier) if self.pca and classifier else classifier
        self._shift = None if self.pca is None else self.pca.offset
        self.points, self.channels = (int(size) for size in file["feature"].shape)
        self.dtype = str(file["feature"].dtype)

    def read(self, frame: str) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Point numbers, int32 (n,), and features, float32 (n, D), of a frame.

        Raises:
            IgnetError: there is no such frame, or its bytes are not those that were written.
        """
        rows = self._rows(frame)
        if self._verify:
            found, expected = _checksum(**rows), int(self._facts(frame)["checksum"])
            if found != expected:
                raise self._fault(
                    f"frame {frame} has checksum {found:08x} and was written with {expected:08x}, so the file "
                    "was damaged"
                )
        feature = np.multiply(rows["feature"], self._scale, dtype=np.float32)
        if self._shift is not None:
            feature += self._shift
        return rows["index"], feature


def _checksum(index: NDArray, feature: NDArray) -> int:
    """CRC-32 of a scan's rows as they are stored."""
    return zlib.crc32(np.ascontiguousarray(feature).data, zlib.crc32(np.ascontiguousarray(index).data))


def check_stores(stores: Sequence[FeatureStore], teacher: str | None = None) -> None:
    """Refuse stores that do not belong together.

    Args:
        stores: those that one training reads.
        teacher: hash of the 2D network that must have made them; None: any, but the same.

    Raises:
        IgnetError: two were made by different 2D networks, with different settings, or with different PCAs; or another
            one than ``teacher``.
    """
    remedy = "run the rule features again for all sequences"
    first = stores[0]
    for store in stores:
        network = store.attributes.get("network", "unknown")
        if teacher is not None and network != teacher:
            raise IgnetError(
                f"{store.path}: holds features of the 2D network {network[:12]}, expected those of {teacher[:12]}, "
                f"which this run names; {remedy}"
            )
        if network != first.attributes.get("network", "unknown"):
            raise IgnetError(
                f"{store.path}: holds features of another 2D network than {first.path}, expected one for all; {remedy}"
            )
        if store.channels != first.channels or store.dtype != first.dtype:
            found = ", ".join(f"{each.path} {each.channels} {each.dtype}" for each in (first, store))
            raise IgnetError(
                f"features: found different numbers of channels or formats ({found}), expected one; {remedy}"
            )
        if (store.pca is None) != (first.pca is None) or (
            store.pca and first.pca and not np.array_equal(store.pca.components, first.pca.components)
        ):
            raise IgnetError(
                f"{store.path}: its channels have another PCA than those of {first.path}, expected one for all; "
                f"{remedy}"
            )
