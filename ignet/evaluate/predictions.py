"""Predictions on disk, in the layout of the SemanticKITTI benchmark's submissions."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ignet.data.kitti import read_labels
from ignet.data.labels import to_train_ids
from ignet.errors import IgnetError


def read_predictions(root: Path, sequence: str, frame: str, points: int) -> NDArray[np.uint8]:
    """Predicted LiDAR train ids of a scan; 255 where nothing was predicted (raw 0, or a raw class that the benchmark ignores).

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
        raise IgnetError(f"{path}: no such file, expected the predictions of this scan; run the stage predict for sequence {sequence}")
    raw = read_labels(path)
    if len(raw) != points:
        raise IgnetError(f"{path}: found {len(raw)} predictions, expected {points}, one for each point of its scan; predict again")
    return to_train_ids(raw, str(path))
