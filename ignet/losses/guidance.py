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


def info_nce(predicted: Tensor, targets: Tensor, own: Tensor, temperature: float = 0.07) -> Tensor:
    r"""Contrast of points and pixels: a prediction shall resemble its own pixel's feature more than those of others.

    .. math::
        L_{img} = -\frac{1}{n} \sum_i \log
            \frac{\exp(\hat g_i \cdot \hat t_{o_i} / \tau)}{\sum_j \exp(\hat g_i \cdot \hat t_j / \tau)}

    with :math:`\hat{\ }` for unit length. What all pixels have in common is free.

    Source: InfoNCE (van den Oord et al., 2018) of points and pixels, as in PPKT (Liu et al., 2021) and, with means over
    superpixels and this temperature, SLidR (Sautier et al., CVPR 2022).

    Args:
        predicted: float (n, D), the guidance head's output g(f_i).
        targets: float (m, D), the stored features t_j of all points that are compared; no gradient flows to them.
        own: int64 (n,), o_i, the row of ``targets`` that belongs to each prediction.
        temperature: :math:`\tau`.

    Returns:
        A scalar; 0, with a graph, where n is 0.

    Raises:
        ValueError: the shapes do not fit, or the temperature is not positive.
    """
    if predicted.ndim != 2 or targets.shape[1:] != predicted.shape[1:] or own.shape != predicted.shape[:1]:
        raise ValueError(
            f"found predicted {tuple(predicted.shape)}, targets {tuple(targets.shape)} and own {tuple(own.shape)}, "
            "expected (n, D), (m, D) and (n,)"
        )
    if temperature <= 0:
        raise ValueError(f"temperature is {temperature}, expected more than 0")
    directions = F.normalize(targets.detach().to(predicted.dtype), dim=1)
    logits = F.normalize(predicted, dim=1) @ directions.t() / temperature
    return F.cross_entropy(logits, own, reduction="sum") / max(len(predicted), 1)
