"""Feature distance: keeps what an ImageNet encoder knows of things, which few synthetic images teach."""

import torch.nn.functional as F
from torch import Tensor

from ignet.data.label_sets.label_set import CITYSCAPES

THINGS = tuple(
    CITYSCAPES.classes.index(name)
    for name in (
        "traffic light",
        "traffic sign",
        "person",
        "rider",
        "car",
        "truck",
        "bus",
        "train",
        "motorcycle",
        "bicycle",
    )
)
"""Cityscapes train ids of the classes that ImageNet knows as objects (DAFormer's list)."""


def thing_cells(
    labels: Tensor, stride: int, share: float, things: tuple[int, ...] = THINGS, ignore: int = 255
) -> Tensor:
    """Which cells of a coarse map show one thing class.

    Args:
        labels: int64 (B, H, W), Cityscapes train ids.
        stride: pixels along a side of a cell; cells at the right and the bottom may reach over the border, where
            nothing is.
        share: of a cell that one thing class must fill.
        things: their ids.
        ignore: the label of a pixel without a class.

    Returns:
        bool (B, ceil(H / stride), ceil(W / stride)).
    """
    height, width = labels.shape[-2:]
    padded = F.pad(labels, (0, -width % stride, 0, -height % stride), value=ignore)
    most = (F.avg_pool2d((padded == thing).float()[:, None], stride)[:, 0] for thing in things)
    largest = next(most)
    for other in most:
        largest = largest.maximum(other)
    return largest >= share


def feature_distance(features: Tensor, reference: Tensor, cells: Tensor) -> Tensor:
    r"""Mean distance of an encoder's features to those of a frozen one, where the image shows things.

    .. math::
        L_{FD} = \frac{1}{|M|} \sum_{i \in M} \lVert F(x)_i - F_{ImageNet}(x)_i \rVert_2

    Source: Hoyer et al., "DAFormer", CVPR 2022, equations 11 to 14.

    Args:
        features: float (B, C, h, w), of the last stage; the gradient reaches these alone.
        reference: float (B, C, h, w), of the frozen encoder.
        cells: bool (B, h, w), M, see `thing_cells`.

    Returns:
        A scalar; 0, with a graph, where M is empty.

    Raises:
        ValueError: the shapes do not fit.
    """
    if features.shape != reference.shape or cells.shape != features[:, 0].shape:
        shapes = [tuple(tensor.shape) for tensor in (features, reference, cells)]
        raise ValueError(
            f"found features, reference and cells of shapes {shapes}, expected (B, C, h, w) twice and (B, h, w)"
        )
    # of the chosen cells alone: the root has no finite gradient where two features are equal, and is not needed
    # elsewhere
    difference = (features - reference.detach()).movedim(1, -1)[cells].float()
    return (difference.square().sum(dim=1) + 1e-12).sqrt().sum() / max(len(difference), 1)
