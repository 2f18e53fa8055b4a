"""The one confusion tensor of an evaluation: counts by scan, slice, true class and predicted class.

Every labelled point of a scan lies in exactly one cell (distance bin, camera coverage, boundary or interior), so that
every slice, every cross-slice and the whole are sums over its axes, and a bootstrap over scans needs no points.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt

from ignet.errors import IgnetError
from ignet.files.atomic import atomic
from ignet.files.hdf5 import create_hdf5

AXES = ("range", "camera", "boundary")
LAYOUT = "confusion"
VERSION = 2


@dataclass(frozen=True)
class ConfusionTensor:
    """Counts of labelled points.

    Attributes:
        frames: F names such as ``08/000123``, each once.
        names: names of the slices of each axis, in the order of ``AXES``.
        counts: int64 (F, R, 2, 2, C, C + 1): scan, distance bin, camera coverage, boundary or interior, true class,
            predicted class; the last column counts "predicted nothing".
        classes: C names.
        small_objects: names of those of small or thin objects.
    """

    frames: tuple[str, ...]
    names: dict[str, tuple[str, ...]]
    counts: npt.NDArray[np.int64]
    classes: tuple[str, ...]
    small_objects: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        sizes, classes = (len(self.names.get(axis, ())) for axis in AXES), len(self.classes)
        expected = (len(self.frames), *sizes, classes, classes + 1)
        if tuple(self.names) != AXES or self.counts.shape != expected:
            raise ValueError(
                f"counts of shape {self.counts.shape}, expected {expected} for the axes {', '.join(self.names)}"
            )
        if len(set(self.frames)) != len(self.frames):
            raise ValueError("a frame stands twice in one tensor")

    def whole(self) -> npt.NDArray[np.int64]:
        """Confusion matrix of each scan, int64 (F, C, C + 1)."""
        return self.counts.sum(axis=(1, 2, 3))

    def slice(self, axis: str, name: str) -> npt.NDArray[np.int64]:
        """Confusion matrix of each scan over the points of one slice, int64 (F, C, C + 1).

        Raises:
            IgnetError: there is no such axis, or no slice of this name on it.
        """
        if name not in self.names.get(axis, ()):
            known = ", ".join(f"'{axis}:{name}'" for axis, names in self.names.items() for name in names)
            raise IgnetError(
                f"slice '{axis}:{name}': found no slice of this name, expected one of {known}; correct the name"
            )
        part = self.counts.take(self.names[axis].index(name), axis=1 + AXES.index(axis))
        return part.sum(axis=(1, 2))


def count_cells(
    target: npt.NDArray[np.uint8],
    predicted: npt.NDArray[np.uint8],
    slices: Sequence[npt.NDArray[np.uint8]],
    sizes: Sequence[int],
    classes: int,
    ignore: int = 255,
) -> npt.NDArray[np.int64]:
    """Count the labelled points of a scan by slice of each axis, true class and predicted class.

    The rule of counting is that of :func:`ignet.evaluate.confusion.confusion_matrix`.

    Args:
        target: uint8 (N,), classes 0..C-1 or ``ignore``; ignored points are not counted.
        predicted: uint8 (N,), classes 0..C-1 or ``ignore``, which means that nothing was predicted.
        slices: for each axis uint8 (N,), number of the slice of each point; that of an ignored point does not matter.
        sizes: number of slices of each axis.
        classes: C.
        ignore: the id that is no class.

    Returns:
        int64 (*sizes, C, C + 1).

    Raises:
        ValueError: a labelled point lies in no slice of an axis, or an id is neither a class nor ``ignore``.
    """
    counted = target != ignore
    ids = predicted[counted].astype(np.int64)
    nothing = ids == ignore
    if (ids[~nothing] >= classes).any():
        raise ValueError(
            f"predicted holds the id {ids[~nothing].max()}, which is neither a class below {classes} nor {ignore}"
        )
    ids[nothing] = classes
    shape = (*sizes, classes, classes + 1)
    # ravel_multi_index refuses a number beyond its axis
    cell = np.ravel_multi_index(
        (*(numbers[counted].astype(np.int64) for numbers in slices), target[counted].astype(np.int64), ids), shape
    )
    return np.bincount(cell, minlength=int(np.prod(shape))).reshape(shape)


def join(tensors: Sequence[ConfusionTensor]) -> ConfusionTensor:
    """Pool the frames of one or more tensors, such as of the folds of a cross-validation, one after the other.

    Raises:
        IgnetError: the slices or the classes differ, or a frame is in two of them.
    """
    first = tensors[0]
    for tensor in tensors[1:]:
        if tensor.names != first.names or tensor.classes != first.classes:
            slices, expected = ({**each.names, "classes": each.classes} for each in (tensor, first))
            raise IgnetError(
                f"joined evaluations: found slices {slices}",
                f"{expected} as in the first",
                "evaluate all with the same ranges and label set",
            )
    frames = tuple(frame for tensor in tensors for frame in tensor.frames)
    (name, count), *_ = [*Counter(frames).most_common(1), ("", 0)]
    if count > 1:
        raise IgnetError(
            f"joined evaluations: found frame {name} {count} times, expected each once; join folds that share no "
            "sequence"
        )
    return replace(first, frames=frames, counts=np.concatenate([tensor.counts for tensor in tensors]))


def write_tensor(path: Path, tensor: ConfusionTensor) -> None:
    """Write a tensor as HDF5, atomically; equal content gives equal bytes.

    Datasets: ``counts`` in the smallest unsigned integer that holds them, a compressed chunk for each frame;
    ``frames``, ``classes`` and ``small_objects``; and the names of the slices of each axis, ``names/range`` and so on.
    Attributes: ``layout``, ``version``.
    """
    counts = tensor.counts.astype(np.min_scalar_type(int(tensor.counts.max(initial=0))))
    with atomic(path) as temporary, create_hdf5(temporary) as (file, _):
        chunks = (1, *counts.shape[1:]) if counts.size else None
        file.create_dataset(
            "counts", data=counts, chunks=chunks, compression="gzip" if chunks else None, shuffle=bool(chunks)
        )
        texts = {"frames": tensor.frames, "classes": tensor.classes, "small_objects": tensor.small_objects}
        for name, values in (texts | {f"names/{axis}": names for axis, names in tensor.names.items()}).items():
            file[name] = np.array([value.encode() for value in values], "S")
        file.attrs["layout"], file.attrs["version"] = LAYOUT, VERSION


def read_tensor(path: Path) -> ConfusionTensor:
    """Read a tensor.

    Raises:
        IgnetError: the file is missing, cut short, or of another layout or version.
    """
    if not Path(path).is_file():
        raise _fault(path, "no such file")
    try:
        with h5py.File(
            path, "r", locking=False
        ) as file:  # complete files never change; shared file systems often cannot lock
            found = (str(file.attrs.get("layout", "none")), int(file.attrs.get("version", 0)))
            if found != (LAYOUT, VERSION):
                raise _fault(path, f"found layout {found[0]} version {found[1]}")
            names = {axis: _texts(file[f"names/{axis}"]) for axis in AXES}
            counts, classes, small = file["counts"][:].astype(np.int64), file["classes"], file["small_objects"]
            return ConfusionTensor(_texts(file["frames"]), names, counts, _texts(classes), _texts(small))
    except (OSError, KeyError, ValueError, RuntimeError) as error:
        raise _fault(path, f"cannot be read ({error})") from None


def _texts(dataset: h5py.Dataset) -> tuple[str, ...]:
    return tuple(text.decode() for text in dataset[:].tolist())


def _fault(path: Path, found: str) -> IgnetError:
    return IgnetError(
        f"{path}: {' '.join(found.split())}, expected a whole {LAYOUT} file of version {VERSION}; run the rule "
        "evaluate for this run again"
    )
