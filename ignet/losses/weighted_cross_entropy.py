"""Cross-entropy on images, with a weight for each pixel, and weights for each class."""

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor


def weighted_cross_entropy(logits: Tensor, labels: Tensor, weight: Tensor | None = None, ignore: int = 255) -> Tensor:
    r"""Weighted cross-entropy, averaged over the labelled pixels.

    .. math::
        L = -\frac{1}{|\Omega|} \sum_{i \in \Omega} w_i \log \mathrm{softmax}(x_i)_{y_i},
        \qquad \Omega = \{i : y_i \neq \mathrm{ignore}\}

    The weights are not normalised: where all are q, the loss is q times the plain one, so that doubtful pseudo-labels
    count less.
    Source: DACS (Tranheden et al., WACV 2021) and DAFormer (Hoyer et al., CVPR 2022), which divide by all pixels
        instead of the
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
        raise ValueError(
            f"found logits, labels and weight of {found}, expected (B, C, H, W), (B, H, W) and (B, H, W) or none"
        )
    if labels.dtype != torch.int64:
        raise ValueError(f"labels are {labels.dtype}, expected torch.int64")
    count = (labels != ignore).sum().clamp(min=1)
    if weight is None:
        return F.cross_entropy(logits, labels, ignore_index=ignore, reduction="sum") / count
    return (F.cross_entropy(logits, labels, ignore_index=ignore, reduction="none") * weight).sum() / count


def frequency_weights(counts: NDArray[np.integer], exponent: float) -> Tensor:
    r"""Weights of the classes by how rare they are.

    .. math::
        w_c = f_c^{-e} / \sum_k f_k^{1-e}, \qquad f_c = n_c / \sum_k n_k

    so that the mean weight of a label is 1.

    Args:
        counts: integers (C,), labels n_c of each class.
        exponent: e; 0 gives ones, 1 makes all classes count alike.

    Returns:
        float32 (C,); 1 for a class without a label, and for all where there is no label.
    """
    share = counts / max(int(counts.sum()), 1)
    occurs = share > 0
    raw = np.where(occurs, np.maximum(share, 1e-12) ** -exponent, 0.0)
    weights = np.where(occurs, raw / max(float((raw * share).sum()), 1e-12), 1.0)
    return torch.from_numpy(weights.astype(np.float32))
