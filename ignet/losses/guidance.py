"""Image guidance: distillation of stored 2D features."""

from typing import Literal

import torch.nn.functional as F
from torch import Tensor

Distance = Literal["cosine", "smooth_l1", "l2"]


def guidance(predicted: Tensor, target: Tensor, distance: Distance = "cosine") -> Tensor:
    r"""Mean distance between predicted and stored features of the points that the camera sees.

    .. math::
        L_{img} = \frac{1}{n} \sum_i d(g(f_i), t_i)

    with d one of

    - ``cosine``: :math:`1 - \langle g, t \rangle / (\lVert g \rVert \lVert t \rVert)`, in 0..2;
    - ``smooth_l1``: Huber's loss with threshold 1, mean over the channels;
    - ``l2``: the squared difference, mean over the channels.

    Source: the image guidance of IGNet (Unal et al., WACV 2024); the three distances and their scales are this project's choice.

    Args:
        predicted: float (n, D), the guidance head's output g(f_i).
        target: float (n, D), the stored features t_i; no gradient flows to them.
        distance: which d.

    Returns:
        A scalar; 0, with a graph, where n is 0.

    Raises:
        ValueError: the shapes do not fit, or the distance is unknown.
    """
    if predicted.ndim != 2 or target.shape != predicted.shape:
        raise ValueError(f"found predicted {tuple(predicted.shape)} and target {tuple(target.shape)}, expected (n, D) twice")
    target = target.detach().to(predicted.dtype)
    if distance == "cosine":
        total = (1 - F.cosine_similarity(predicted, target, dim=1)).sum()
    elif distance == "smooth_l1":
        total = F.smooth_l1_loss(predicted, target, reduction="sum") / predicted.shape[1]
    elif distance == "l2":
        total = F.mse_loss(predicted, target, reduction="sum") / predicted.shape[1]
    else:
        raise ValueError(f"distance is {distance!r}, expected cosine, smooth_l1 or l2")
    return total / max(len(predicted), 1)
