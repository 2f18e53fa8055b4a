"""A probe: classes of LiDAR points from their stored 2D features, learned from labelled points in view.

A 2D network names Cityscapes classes, which know no parking and one kind of rider, and a network of another origin may
name none at all. Its features often tell such classes apart all the same. Fitting a small classifier to frozen features
is known as probing (Alain and Bengio, "Understanding intermediate layers using linear classifier probes", 2016); that
it teaches the 3D network is this project's choice.
"""

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from ignet.errors import IgnetError
from ignet.losses.weighted_cross_entropy import frequency_weights

_BATCH, _LEARNING_RATE, _WEIGHT_DECAY = 2048, 3e-3, 1e-3
_CLASS_WEIGHT = (
    0.5  # exponent of a class's frequency: between all labels alike, where rare classes vanish, and all classes alike
)


class Probe(nn.Module):
    """Logits of LiDAR classes from 2D features: standardised channels, one hidden layer with ReLU.

    Args:
        mean: float32 (D,), of each channel of the features.
        deviation: float32 (D,), positive.
        hidden: width of the hidden layer.
        classes: C.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, mean: Tensor, deviation: Tensor, hidden: int, classes: int) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation)
        self.layers = nn.Sequential(nn.Linear(len(mean), hidden), nn.ReLU(), nn.Linear(hidden, classes))

    def forward(self, features: Tensor) -> Tensor:
        """Map float (n, D) to float32 (n, C)."""
        return self.layers((features.float() - self.mean) / self.deviation)


def fit_probe(
    features: NDArray[np.float32], labels: NDArray[np.integer], classes: int, hidden: int, steps: int, seed: int
) -> Probe:
    """Fit a probe by cross-entropy, classes weighted by the square root of their rarity.

    Args:
        features: float32 (n, D), of points with a label.
        labels: integers (n,), 0..C-1.
        classes: C.
        hidden: width of the hidden layer.
        steps: of AdamW, on up to 2048 points each.
        seed: of the weights and of the order; the global random numbers are left as they were.

    Returns:
        The probe, on the CPU, frozen.

    Raises:
        IgnetError: there is no labelled point.
        ValueError: features and labels differ in length.
    """
    if len(features) != len(labels):
        raise ValueError(f"found {len(features)} features and {len(labels)} labels, expected as many")
    if not len(labels):
        raise IgnetError(
            "image_guidance.loss: probe_kl fits a probe to labelled points that the camera sees, and found none; "
            "check the scribbles and the projection, or take another loss"
        )
    x, y = torch.from_numpy(features), torch.from_numpy(labels.astype(np.int64))
    weight = frequency_weights(np.bincount(labels, minlength=classes), _CLASS_WEIGHT)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        probe = Probe(x.mean(0), _deviation(x), hidden, classes)
        optimizer = torch.optim.AdamW(probe.parameters(), _LEARNING_RATE, weight_decay=_WEIGHT_DECAY)
        for chosen in _batches(len(y), steps):
            loss = F.cross_entropy(probe(x[chosen]), y[chosen], weight)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    return probe.requires_grad_(False).eval()


def _deviation(features: Tensor) -> Tensor:
    """Standard deviation of each channel; 1 for a constant one, which may vary at the points that have no label."""
    deviation = features.std(0, correction=0)
    return torch.where(deviation > 1e-6 * features.abs().amax(0), deviation, torch.ones_like(deviation))


def _batches(count: int, steps: int) -> list[Tensor]:
    """Points of each step: all of them once, in a new order, before any comes again."""
    batches: list[Tensor] = []
    while len(batches) < steps:
        batches += torch.randperm(count).split(_BATCH)
    return batches[:steps]
