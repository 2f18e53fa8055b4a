"""Classes of a scan's points as its label file has them."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ignet.data.formats.kitti import labels_path, read_labels
from ignet.data.label_sets.label_set import IGNORE, LabelSet


def labelled_frames(root: Path, sequence: str, frames: Sequence[str], kind: str) -> list[str]:
    """Those of some frames that have a label file, ``scribbles`` or in ``labels``; all of them where none has."""
    return [frame for frame in frames if labels_path(root, sequence, frame, kind).exists()] or list(frames)


def read_classes(path: Path, points: int, label_set: LabelSet, required: bool = False) -> NDArray[np.uint8]:
    """Train id of each point of a scan, uint8 (points,); `IGNORE` where it has no label.

    A scan without a label file is a scan without labels. That it may lack one is for the check of the dataset to say,
    which all that trains or evaluates waits for (``dataset.missing_labels``).

    Args:
        path: the label file.
        points: of its scan.
        label_set: of the file.
        required: the scan counts as labelled, so that a missing file is an error.

    Raises:
        IgnetError: a required file is missing, or the file is cut short, belongs to another scan, or holds an id that
            the label set has not.
    """
    if not required and not os.path.lexists(path):
        return np.full(points, IGNORE, np.uint8)
    return label_set.to_train_ids(read_labels(path, points), str(path))
