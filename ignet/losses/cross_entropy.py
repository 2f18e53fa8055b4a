"""Cross-entropy on the points that carry a label."""

import torch
import torch.nn.functional as F
from torch import Tensor


def partial_cross_entropy(logits: Tensor, labels: Tensor, ignore: int = 255) -> Tensor:
    r"""Mean cross-entropy over the labelled points.

    .. math::
        L = -\frac{1}{|\Omega|} \sum_{i \in \Omega} \log \mathrm{softmax}(x_i)_{y_i},
        \qquad \Omega = \{i : y_i \neq \mathrm{ignore}\}

    Source: the supervised term of ScribbleKITTI (Unal et al., CVPR 2022).

    Args:
        logits: float (N, C).
        labels: int64 (N,), classes 0..C-1 or ``ignore``.
        ignore: the label of a point that has none.

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
    count = (labels != ignore).sum().clamp(min=1)
    return F.cross_entropy(logits, labels, ignore_index=ignore, reduction="sum") / count
