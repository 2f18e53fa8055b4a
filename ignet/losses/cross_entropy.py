"""Cross-entropy on the points that carry a label."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Normalisation = Literal["own", "all"]
"""What a sum over some of the points is divided by: their number, or that of all points."""


def partial_cross_entropy(
    logits: Tensor, labels: Tensor, ignore: int = 255, normalisation: Normalisation = "own"
) -> Tensor:
    r"""Mean cross-entropy over the labelled points.

    .. math::
        L = -\frac{1}{|\Omega|} \sum_{i \in \Omega} \log \mathrm{softmax}(x_i)_{y_i},
        \qquad \Omega = \{i : y_i \neq \mathrm{ignore}\}

    Source: the supervised term of ScribbleKITTI (Unal et al., CVPR 2022), whose code divides by N instead.

    Args:
        logits: float (N, C).
        labels: int64 (N,), classes 0..C-1 or ``ignore``.
        ignore: the label of a point that has none.
        normalisation: own: divide by the number of labelled points; all: by N.

    Returns:
        A scalar; 0, with a graph, where no point is labelled.

    Raises:
        ValueError: the shapes or the dtype of the labels do not fit.
        IndexError: a label is neither a class nor ``ignore``.
    """
    if logits.ndim != 2 or labels.shape != logits.shape[:1]:
        raise ValueError(
            f"found logits {tuple(logits.shape)} and labels {tuple(labels.shape)}, expected (N, C) and (N,)"
        )
    if labels.dtype != torch.int64:
        raise ValueError(f"labels are {labels.dtype}, expected torch.int64")
    total = F.cross_entropy(logits, labels, ignore_index=ignore, reduction="sum")
    return total / (max(len(labels), 1) if normalisation == "all" else (labels != ignore).sum().clamp(min=1))
