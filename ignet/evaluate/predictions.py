"""What an evaluation reads beside the dataset: predictions in the submission layout, and coverage."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ignet.data.formats.kitti import read_labels
from ignet.data.label_sets.labels import CLASSES, IGNORE, SEMANTICKITTI, to_train_ids
from ignet.data.projection.correspondence import Correspondence
from ignet.errors import IgnetError
from ignet.evaluate.slices import camera_coverage


def read_predictions(root: Path, sequence: str, frame: str, points: int) -> NDArray[np.uint8]:
    """Predicted LiDAR train ids of a scan.

    255 where nothing was predicted (raw 0, or a raw class that the benchmark ignores).

    Args:
        root: folder that holds ``sequences/NN/predictions/NNNNNN.label``.
        sequence: such as ``08``.
        frame: name of the frame.
        points: N, the number of points of its scan.

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
    if found := foreign_ids(raw):
        raise IgnetError(f"{path}: found {found}, expected {RAW_IDS}; write the predictions so")
    return to_train_ids(raw, str(path))


RAW_IDS = (
    "uint32 raw ids of SemanticKITTI's classes, such as 10 for car and 40 for road, as its learning_map_inv gives them"
)
"""What a prediction holds."""


def foreign_ids(raw: NDArray[np.uint32]) -> str | None:
    """What the labels of a scan are instead of raw ids, in words, where that is plain: floats, or train ids.

    Args:
        raw: (N,), as they were read.
    """
    with np.errstate(invalid="ignore"):
        numbers = raw.view(np.float32)
        floats = raw.any() and bool(
            ((raw == 0) | ((numbers >= 1) & (numbers < 2**16) & (numbers == np.floor(numbers)))).all()
        )
    if floats:
        return f"float32 numbers, {numbers.min():g} to {numbers.max():g}"
    classes = np.unique(raw & 0xFFFF)
    unknown = classes[~SEMANTICKITTI.is_raw_id(classes)].tolist()
    if unknown and all(name <= len(CLASSES) or name == IGNORE for name in unknown):
        return f"{', '.join(map(str, unknown))}, which are no raw ids but may be train ids"
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
