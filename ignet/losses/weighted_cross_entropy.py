"""Cross-entropy on images, with a weight for each pixel."""

import torch
import torch.nn.functional as F
from torch import Tensor


def weighted_cross_entropy(logits: Tensor, labels: Tensor, weight: Tensor | None = None, ignore: int = 255) -> Tensor:
    r"""Weighted cross-entropy, averaged over the labelled pixels.

    .. math::
        L = -\frac{1}{|\Omega|} \sum_{i \in \Omega} w_i \log \mathrm{softmax}(x_i)_{y_i},
        \qquad \Omega = \{i : y_i \neq \mathrm{ignore}\}

    The weights are not normalised: where all are q, the loss is q times the plain one, so that doubtful pseudo-labels count less.
    Source: DACS (Tranheden et al., WACV 2021) and DAFormer (Hoyer et al., CVPR 2022), which divide by all pixels instead of the
    labelled ones.

    Args:
        logits: float (B, C, H, W).
        labels: int64 (B, H, W), classes 0..C-1 or ``ignore``.
        weight: float (B, H, W), or none for ones.
        ignore: the label of a pixel that has none.

    Returns:
        A scalar; 0, with a graph, where no pixel is labelled.

    Raises:
        ValueError: the shapes or the dtype of the labels do not fit.
        IndexError: a label is neither a class nor ``ignore``.
    """
    shape = (logits.shape[0], *logits.shape[2:])
    if logits.ndim != 4 or labels.shape != shape or (weight is not None and weight.shape != shape):
        found = (tuple(logits.shape), tuple(labels.shape), None if weight is None else tuple(weight.shape))
        raise ValueError(f"found logits, labels and weight of {found}, expected (B, C, H, W), (B, H, W) and (B, H, W) or none")
    if labels.dtype != torch.int64:
        raise ValueError(f"labels are {labels.dtype}, expected torch.int64")
    count = (labels != ignore).sum().clamp(min=1)
    if weight is None:
        return F.cross_entropy(logits, labels, ignore_index=ignore, reduction="sum") / count
    return (F.cross_entropy(logits, labels, ignore_index=ignore, reduction="none") * weight).sum() / count
