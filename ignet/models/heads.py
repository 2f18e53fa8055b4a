"""Heads that exist during training alone; inference needs the backbone and its classifier only."""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from ignet.losses.contrastive import prototypes, update_prototypes

Pool = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""From the class means (C, D) and counts (C,) of one process to those of all."""


def _mlp(inputs: int, outputs: int) -> nn.Sequential:
    # no normalisation layer: batch statistics would mix what the camera sees with what it does not
    return nn.Sequential(nn.Linear(inputs, inputs), nn.ReLU(), nn.Linear(inputs, outputs))


class GuidanceHead(nn.Module):
    """g: predicts the stored 2D feature of a point from its 3D feature.

    Args:
        inputs: channels of the 3D network's last point features.
        outputs: channels D of the feature store.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.layers = _mlp(inputs, outputs)

    def forward(self, features: Tensor) -> Tensor:
        """Map float (N, inputs) to float (N, outputs)."""
        return self.layers(features)


class ProjectionHead(nn.Module):
    """h: brings point features to the unit sphere on which the contrastive loss compares them.

    Args:
        inputs: channels of the 3D network's last point features.
        outputs: channels of z.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.layers = _mlp(inputs, outputs)

    def forward(self, features: Tensor) -> Tensor:
        """Map float (N, inputs) to float (N, outputs), rows of unit length."""
        return F.normalize(self.layers(features), dim=1)


class FrozenClassifier(nn.Module):
    """The 2D network's classifier, which nothing trains.

    Args:
        weight: float32 (C, D).
        bias: float32 (C,).
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, weight: NDArray[np.float32], bias: NDArray[np.float32]) -> None:
        super().__init__()
        self.register_buffer("weight", torch.from_numpy(weight))
        self.register_buffer("bias", torch.from_numpy(bias))


class PrototypeMemory(nn.Module):
    """The class prototypes, as buffers: they are saved with the training state and have no gradient.

    Args:
        classes: C.
        channels: channels of z.
        momentum: of the moving average over steps.
    """

    prototypes: Tensor
    seen: Tensor

    def __init__(self, classes: int, channels: int, momentum: float) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("prototypes", torch.zeros(classes, channels))
        self.register_buffer("seen", torch.zeros(classes, dtype=torch.bool))

    @torch.no_grad()
    def update(self, z: Tensor, classes: Tensor, valid: Tensor, pool: Pool | None = None) -> None:
        """Take one step's points into the averages.

        Args:
            z: float (N, channels), unit rows, of the EMA teacher.
            classes: int64 (N,).
            valid: bool (N,), in-FOV points whose class is known.
            pool: joins the class means of several processes that share a step; none: the points here are all.
        """
        new, count = prototypes(z.to(self.prototypes.dtype), classes, valid, len(self.seen))
        if pool:
            new, count = pool(new, count)
        averaged, seen = update_prototypes(self.prototypes, self.seen, new, count, self.momentum)
        self.prototypes.copy_(averaged)
        self.seen.copy_(seen)
