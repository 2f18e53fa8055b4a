"""Classes of a scan's points as its label file has them."""

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ignet.data.formats.kitti import read_labels
from ignet.data.label_sets.label_set import IGNORE, LabelSet


def read_classes(path: Path, points: int, label_set: LabelSet) -> NDArray[np.uint8]:
    """Train id of each point of a scan, uint8 (points,); `IGNORE` where it has no label.

    A scan without a label file is a scan without labels. That it may lack one is for the check of the dataset to say,
    which all that trains or evaluates waits for (``dataset.missing_labels``).

    Args:
        path: the label file.
        points: of its scan.
        label_set: of the file.

    Raises:
        IgnetError: the file is cut short, belongs to another scan, or holds an id that the label set has not.
    """
    if not os.path.lexists(path):
        return np.full(points, IGNORE, np.uint8)
    return label_set.to_train_ids(read_labels(path, points), str(path))
