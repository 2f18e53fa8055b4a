"""Image guidance: distillation of stored 2D features."""

from typing import Literal

import torch.nn.functional as F
from torch import Tensor

Distance = Literal["cosine", "smooth_l1", "l2"]


def class_guidance(predicted: Tensor, target: Tensor, weight: Tensor, bias: Tensor, confidence: float = 0.0) -> Tensor:
    r"""Distance of features as their own network's classifier sees it.

    .. math::
        L_{img} = \frac{1}{n} \sum_i [\max_c p_{ic} \ge \theta] \, KL(p_i \,\|\, softmax(W g(f_i) + b)), \quad p_i =
        softmax(W t_i + b)

    What of a feature the classes do not depend on (colour, texture, light), and a LiDAR cannot know, is free. This
    project's choice.

    Args:
        predicted: float (n, D), the guidance head's output g(f_i).
        target: float (n, D), the stored features t_i; no gradient flows to them.
        weight: float (C, D), W of the 2D network's frozen classifier.
        bias: float (C,), b.
        confidence: theta, the probability from which a point counts: features at the border of a thin object are a
            mixture with what stands behind it.

    Returns:
        A scalar; 0, with a graph, where n is 0.

    Raises:
        ValueError: the shapes do not fit.
    """
    if predicted.ndim != 2 or target.shape != predicted.shape or weight.shape != (len(bias), predicted.shape[1]):
        raise ValueError(
            f"found predicted {tuple(predicted.shape)}, target {tuple(target.shape)}, weight {tuple(weight.shape)} "
            f"and bias {tuple(bias.shape)}, expected (n, D) twice, (C, D) and (C,)"
        )
    weight, bias = weight.detach().to(predicted.dtype), bias.detach().to(predicted.dtype)
    ours, theirs = (F.linear(features, weight, bias) for features in (predicted, target.to(predicted.dtype)))
    return label_guidance(ours, theirs, confidence)


def label_guidance(logits: Tensor, target: Tensor, confidence: float = 0.0) -> Tensor:
    r"""Divergence of the 3D network's classes from those that a probe reads from the stored 2D features.

    .. math::
        L_{img} = \frac{1}{n} \sum_i [\max_c p_{ic} \ge \theta] \, KL(p_i \,\|\, softmax(x_i)), \quad p_i = softmax(y_i)

    Distillation of class probabilities: Hinton et al., "Distilling the knowledge in a neural network", 2015. That a
    probe of the 2D features is the one who teaches is this project's choice.

    Args:
        logits: float (n, C), the 3D network's x_i.
        target: float (n, C), the probe's y_i; no gradient flows to them.
        confidence: theta, the probability of the likeliest class from which a point counts.

    Returns:
        A scalar; 0, with a graph, where n is 0.

    Raises:
        ValueError: the shapes do not fit.
    """
    if logits.ndim != 2 or target.shape != logits.shape:
        raise ValueError(f"found logits {tuple(logits.shape)} and target {tuple(target.shape)}, expected (n, C) twice")
    ours, theirs = F.log_softmax(logits, dim=1), F.log_softmax(target.detach().to(logits.dtype), dim=1)
    sure = (theirs.max(dim=1).values.exp() >= confidence).nonzero().squeeze(1)
    return F.kl_div(ours[sure], theirs[sure], reduction="sum", log_target=True) / max(len(logits), 1)


def guidance(predicted: Tensor, target: Tensor, distance: Distance = "cosine") -> Tensor:
    r"""Mean distance between predicted and stored features of the points that the camera sees.

    .. math::
        L_{img} = \frac{1}{n} \sum_i d(g(f_i), t_i)

    with d one of

    - ``cosine``: :math:`1 - \langle g, t \rangle / (\lVert g \rVert \lVert t \rVert)`, in 0..2;
    - ``smooth_l1``: Huber's loss with threshold 1, mean over the channels;
    - ``l2``: the squared difference, mean over the channels.

    Source: the image guidance of IGNet (Unal et al., WACV 2024); the three distances and their scales are this
        project's choice.

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
        raise ValueError(
            f"found predicted {tuple(predicted.shape)} and target {tuple(target.shape)}, expected (n, D) twice"
        )
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
