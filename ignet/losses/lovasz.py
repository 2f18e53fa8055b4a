"""Lovász-softmax: a convex surrogate of the intersection over union."""

import numpy as np
import torch
from torch import Tensor


def lovasz_softmax(probabilities: Tensor, labels: Tensor, ignore: int = 255) -> Tensor:
    r"""Lovász-softmax, averaged over the classes that occur among the labelled points.

    With the errors :math:`m_i = |[y_i = c] - p_{ic}|` of class c in descending order,

    .. math::
        L = \frac{1}{|C_{present}|} \sum_{c \in C_{present}} \sum_i m_{(i)} \, (J_i - J_{i-1})

    where :math:`J_i = 1 - I_i / U_i` is the Jaccard loss if the i points of largest error were wrong: :math:`I_i`
    points of the class are left, and :math:`U_i` is their union with the wrong ones. Source: Berman et al., CVPR 2018,
    equations 8, 9 and 11.

    Args:
        probabilities: float (N, C), rows that sum to 1 (softmax, not logits).
        labels: int64 (N,), classes 0..C-1 or ``ignore``.
        ignore: the label of a point that has none.

    Returns:
        A scalar in 0..1; 0, with a graph, where no point is labelled.

    Raises:
        ValueError: the shapes or the dtype of the labels do not fit, or a label is neither a class nor ``ignore``; on a
            GPU the labels are not looked at.
    """
    if probabilities.ndim != 2 or labels.shape != probabilities.shape[:1]:
        raise ValueError(
            f"found probabilities {tuple(probabilities.shape)} and labels {tuple(labels.shape)}, expected (N, C) "
            "and (N,)"
        )
    if labels.dtype != torch.int64:
        raise ValueError(f"labels are {labels.dtype}, expected torch.int64")
    labelled = (labels != ignore).nonzero().squeeze(1)
    labels = labels[labelled]
    if len(labels) == 0:
        return probabilities[labelled].sum()
    if labels.device.type == "cpu" and (labels.min() < 0 or labels.max() >= probabilities.shape[1]):
        found = f"{int(labels.min())}..{int(labels.max())}"
        raise ValueError(f"labels lie in {found}, expected 0..{probabilities.shape[1] - 1} or {ignore}")

    # one row a class, contiguous, because sorting along a strided dimension is several times slower
    inside = labels == torch.arange(probabilities.shape[1], device=labels.device)[:, None]
    present = inside.any(1).nonzero().squeeze(1)
    inside = inside[present]
    probability = probabilities[labelled].t()[present]
    error = torch.where(inside, 1 - probability, probability)
    order = descending(error.detach())
    return (error.gather(1, order) * jaccard_steps(inside.gather(1, order)).to(error.dtype)).sum(1).mean()


def descending(error: Tensor) -> Tensor:
    """Order of each row of non-negative floats (K, N), largest first, ties by their place: int64 (K, N)."""
    if error.device.type != "cpu" or error.dtype != torch.float32:
        return error.argsort(dim=1, descending=True, stable=True)
    # numpy sorts whole numbers with vector instructions, about 6 times as fast as torch sorts on the CPU; the bits of
    # non-negative floats are ordered like the floats, and the place in the lower half makes all keys distinct
    places = torch.arange(error.shape[1])
    keys = (~error.contiguous().view(torch.int32)).long() << 32 | places
    return torch.from_numpy(np.sort(keys.numpy(), axis=1)) & 0xFFFFFFFF


def jaccard_steps(inside: Tensor) -> Tensor:
    r"""The steps :math:`J_i - J_{i-1}` of the Jaccard loss as the points of each row turn wrong one by one.

    In closed form, since the difference of two nearly equal quotients loses digits: :math:`1 / U_i` for a point of the
    class, and :math:`I_i / (U_i (U_i - 1))` for another.

    Args:
        inside: bool (K, N), whether the point is of the row's class; each row has at least one.

    Returns:
        float64 (K, N), non-negative; a row sums to 1.
    """
    removed = inside.cumsum(1, dtype=torch.int32)
    size = removed[:, -1:]
    others = torch.arange(1, inside.shape[1] + 1, dtype=torch.int32, device=inside.device) - removed
    left, union = size - removed, (size + others).double()
    # a union of 1 can only be met at a point of the class, which takes the other value
    return torch.where(inside, 1.0, left / (union - 1).clamp(min=1)) / union
