"""The metrics of one evaluated run as plain values, all of them summed up from its confusion tensor."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ignet.evaluate.confusion import summary
from ignet.evaluate.tensor import ConfusionTensor
from ignet.files.atomic import atomic


def metrics(tensor: ConfusionTensor) -> dict[str, Any]:
    """Metrics over all points, over every slice and over the small-object classes, as JSON can hold them.

    Returns:
        What :func:`ignet.evaluate.confusion.summary` gives for all points; ``slices``: for each axis a list of the same
        metrics with the slice's ``name``; ``small_objects``: ``classes`` and ``miou_occurring``; ``frames``: number of
        scans.
    """
    slices = {
        axis: [{"name": name, **summary(tensor.slice(axis, name).sum(axis=0), tensor.classes)} for name in names]
        for axis, names in tensor.names.items()
    }
    whole = summary(tensor.whole().sum(axis=0), tensor.classes)
    small = [whole["iou"][name] for name in tensor.small_objects if whole["points_of_class"][name]]
    small_objects = {"classes": tensor.small_objects, "miou_occurring": float(np.mean(small)) if small else None}
    return whole | {"slices": slices, "small_objects": small_objects, "frames": len(tensor.frames)}


def write_confusion(path: Path, confusion: NDArray[np.int64], classes: Sequence[str]) -> None:
    """Write a confusion matrix (C, C + 1) as CSV with the names of its classes, atomically."""
    counts = pd.DataFrame(confusion, pd.Index(classes, name="truth"), [*classes, "nothing"])
    with atomic(path) as temporary:
        counts.to_csv(temporary, lineterminator="\r\n")
