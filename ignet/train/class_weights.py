"""Whose class frequencies weigh which pixels in the adaptation."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ignet.losses.weighted_cross_entropy import frequency_weights

WeightsOf = Literal["target", "each"]

_PIXELS = 10**9  # shares become counts: a class below a billionth of the source counts as one that it does not have


def domain_weights(
    source_share: NDArray[np.float64], target_counts: NDArray[np.integer], exponent: float, of: WeightsOf
) -> tuple[Tensor, Tensor]:
    """Class weights of source and target pixels, see :func:`ignet.losses.weighted_cross_entropy.frequency_weights`.

    A class of which the target's few frames have a handful of labels weighs dozens of times as much as the mean label.
    On source images, where it may fill whole objects, most of the loss can then be that class's. With ``each`` the mean
    weight of a labelled pixel is 1 in either domain.

    Args:
        source_share: (C,), share of each class in the source's labelled pixels.
        target_counts: (C,), labels of each class in the target images.
        exponent: e.
        of: target: the target's frequencies for all pixels; each: each domain's own for its pixels.

    Returns:
        float32 (C,) for source pixels, and float32 (C,) for target pixels.
    """
    target = frequency_weights(target_counts, exponent)
    if of == "target":
        return target, target
    return frequency_weights(np.rint(source_share * _PIXELS).astype(np.int64), exponent), target


def weight_each(labels: Tensor, weights: Tensor) -> Tensor:
    """Weight of each pixel's class: float, shaped like ``labels`` (int64).

    What an ignored pixel (255) gets is of no account.
    """
    return weights[labels.clamp(max=len(weights) - 1)]
