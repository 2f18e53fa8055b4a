"""Predictions in the layout of the benchmark's submissions, and the camera's coverage of a scan."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ignet.data.formats.kitti import read_labels
from ignet.data.label_sets.label_set import IGNORE, LabelSet
from ignet.data.projection.correspondence import Correspondence
from ignet.errors import IgnetError
from ignet.evaluate.slices import camera_coverage


def read_predictions(root: Path, sequence: str, frame: str, points: int, label_set: LabelSet) -> NDArray[np.uint8]:
    """Predicted train ids of a scan; 255 where nothing was predicted (a raw id that the label set ignores, such as 0).

    Args:
        root: folder that holds ``sequences/NN/predictions/NNNNNN.label``.
        sequence: such as ``08``.
        frame: name of the frame.
        points: N, the number of points of its scan.
        label_set: of the predictions.

    Returns:
        uint8 (N,).

    Raises:
        IgnetError: the file is missing, has another length than its scan, or holds an unknown class.
    """
    path = root / "sequences" / sequence / "predictions" / f"{frame}.label"
    if not path.is_file():
        raise IgnetError(
            f"{path}: no such file, expected the predictions of this scan; run the stage predict for sequence "
            f"{sequence}"
        )
    raw = read_labels(path)
    if len(raw) != points:
        raise IgnetError(
            f"{path}: found {len(raw)} predictions, expected {points}, one for each point of its scan; predict again"
        )
    if fault := foreign_ids(raw, label_set):
        raise IgnetError(f"{path}: {fault}; write the predictions so")
    return label_set.to_train_ids(raw, str(path))


def foreign_ids(raw: NDArray[np.uint32], label_set: LabelSet) -> str | None:
    """What the labels of a scan are instead of raw ids, and what was expected, where that is plain: floats, train ids.

    Args:
        raw: (N,), as they were read.
        label_set: whose raw ids are expected.
    """
    examples = f"{label_set.raw_ids[0]} for {label_set.classes[0]}"
    expected = f"expected uint32 raw ids of {label_set.name}, such as {examples}, as its learning_map_inv gives them"
    with np.errstate(invalid="ignore"):
        numbers = raw.view(np.float32)
        floats = raw.any() and bool(
            ((raw == 0) | ((numbers >= 1) & (numbers < 2**16) & (numbers == np.floor(numbers)))).all()
        )
    if floats:
        return f"found float32 numbers, {numbers.min():g} to {numbers.max():g}, {expected}"
    classes = np.unique(raw & 0xFFFF)
    unknown = classes[~label_set.is_raw_id(classes)].tolist()
    if unknown and all(name <= len(label_set) or name == IGNORE for name in unknown):
        return f"found {', '.join(map(str, unknown))}, which are no raw ids but may be train ids, {expected}"
    return None


def read_camera_slices(correspondence: Correspondence, frame: str, points: int) -> NDArray[np.uint8]:
    """Which points of a scan the camera sees, as of :func:`ignet.evaluate.slices.camera_coverage`.

    Args:
        correspondence: of the scan's sequence.
        frame: name of the frame.
        points: N, the number of points of its scan.

    Returns:
        uint8 (N,).

    Raises:
        IgnetError: the correspondence lacks the frame, or was made from a scan of another length.
    """
    found = correspondence.read(frame)
    if found.points != points:
        where = f"{correspondence.path}: frame {frame}"
        raise IgnetError(
            f"{where}: found {found.points} points, expected {points}, as in its scan; run the stage projection again"
        )
    return camera_coverage(points, found.index)
