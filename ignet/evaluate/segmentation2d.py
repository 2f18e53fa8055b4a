"""Predictions of a 2D network on whole images, their metrics and figures."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ignet.data.label_sets.label_set import CITYSCAPES, IGNORE, LabelSet, colorize
from ignet.devices import autocast
from ignet.errors import IgnetError
from ignet.evaluate.confusion import summary as point_metrics
from ignet.files.atomic import atomic, write_png
from ignet.models.teachers.base import image_batch

CLASSES = len(CITYSCAPES.classes)


@torch.no_grad()
def predict_image(model: nn.Module, image: NDArray[np.uint8], device: torch.device) -> NDArray[np.uint8]:
    """Likeliest class of each pixel, uint8 (H, W), of an image uint8 (H, W, 3) RGB.

    ``model`` gives ``logits`` as an `ignet.models.teachers.base.ImageNetwork` does; its classes are Cityscapes', those
    of a probed network are the LiDAR's.

    Raises:
        IgnetError: the network names no classes.
    """
    with autocast(device):
        logits = model(image_batch(image, device)).logits
    if logits is None:
        raise IgnetError("2D evaluation: found a network without classes, expected some; fit a probe to its features")
    return logits[0].argmax(dim=0).to(torch.uint8).cpu().numpy()


def summary(confusion: NDArray[np.int64], label_set: LabelSet = CITYSCAPES) -> dict[str, Any]:
    """Metrics of a confusion matrix (C, C + 1), all in [0, 1].

    ``miou`` over all C classes, where an absent class counts as 0; ``miou_occurring`` over those in the target;
    ``accuracy``; and by class ``iou`` and ``count``.

    A class that occurs neither in the target nor in the prediction has the IoU None.

    Raises:
        IgnetError: nothing was labelled.
    """
    if not confusion.any():
        raise IgnetError(
            f"2D evaluation: found no labelled pixel with a class of {label_set.name}, expected some; check labels and "
            "sequences"
        )
    values = point_metrics(confusion, label_set.classes)
    return {name: values[name] for name in ("miou", "miou_occurring", "accuracy", "iou")} | {
        "count": values["points_of_class"]
    }


def draw_prediction(
    image: NDArray[np.uint8],
    prediction: NDArray[np.uint8],
    pixel: NDArray[np.floating],
    target: NDArray[np.uint8],
    label_set: LabelSet = CITYSCAPES,
) -> NDArray[np.uint8]:
    """The image, the prediction over it, the true labels of the projected points, and a legend, stacked.

    Args:
        image: uint8 (H, W, 3) RGB.
        prediction: uint8 (H, W), class ids.
        pixel: float (n, 2), columns and rows of the points.
        target: uint8 (n,), class ids, 255 for none.
        label_set: names and colours of the classes.

    Returns:
        uint8 (3 H + legend, W, 3) RGB.
    """
    overlay = (0.4 * image + 0.6 * colorize(prediction, label_set.colors)).astype(np.uint8)
    points = (image // 3).astype(np.uint8)
    for (u, v), name in zip(pixel[target != IGNORE], target[target != IGNORE], strict=True):
        cv2.circle(points, (round(float(u)), round(float(v))), 1, label_set.colors[name].tolist(), -1)
    shown = np.union1d(np.unique(prediction), np.unique(target[target != IGNORE]))
    return np.vstack([image, overlay, points, _legend(shown, image.shape[1], label_set)])


def write_figure(path: Path, figure: NDArray[np.uint8]) -> None:
    """Write an image, uint8 (H, W, 3) RGB, as PNG, atomically."""
    with atomic(path) as temporary:
        write_png(temporary, figure)


def _legend(ids: NDArray[np.uint8], width: int, label_set: LabelSet) -> NDArray[np.uint8]:
    cell_width, cell_height = 120, 18
    columns = max(width // cell_width, 1)
    legend = np.full((-(-len(ids) // columns) * cell_height, width, 3), 255, np.uint8)
    for number, name in enumerate(ids):
        left, top = number % columns * cell_width, number // columns * cell_height
        cv2.rectangle(legend, (left + 3, top + 3), (left + 15, top + 15), label_set.colors[name].tolist(), -1)
        cv2.putText(
            legend,
            label_set.classes[name],
            (left + 20, top + 14),
            cv2.FONT_HERSHEY_SIMPLEX,
            0.42,
            (0, 0, 0),
            1,
            cv2.LINE_AA,
        )
    return legend
