"""A small convolutional head on a frozen network: its last hidden layer is what teaches."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ignet.models.teachers.base import Features, FrozenTeacher, ImageNetwork, shape_of


class Head(nn.Module):
    """Standardised channels, a 1 x 1 and a 3 x 3 convolution with batch norm and ReLU, and a classifier.

    Args:
        inputs: D, channels of the frozen network.
        channels: of the hidden layers.
        classes: C.
    """

    def __init__(self, inputs: int, channels: int, classes: int) -> None:
        super().__init__()
        self.hidden = nn.Sequential(
            nn.BatchNorm2d(inputs, affine=False),  # stages that are joined differ in scale
            nn.Conv2d(inputs, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1, padding_mode="replicate", bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
        )
        self.classifier = nn.Conv2d(channels, classes, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Logits float (B, C, h, w) of features float (B, D, h, w)."""
        return self.classifier(self.hidden(features))


class HeadNetwork(ImageNetwork):
    """A frozen network and the hidden layers of a head, whose output are the features.

    The classifier, whose classes are the LiDAR's and not Cityscapes', is left out: a probe reads such classes.

    Args:
        base: the network below.
        hidden: of a `Head`.
    """

    def __init__(self, base: FrozenTeacher, hidden: nn.Sequential) -> None:
        super().__init__()
        self.base, self.hidden = base, hidden
        self.channels = next(part.out_channels for part in hidden if isinstance(part, nn.Conv2d))

    @property
    def stride(self) -> float:  # type: ignore[override]
        """Of the network below."""
        return self.base.network.stride

    @property
    def offset(self) -> float:
        """Of the network below."""
        return self.base.network.offset

    @property
    def shape(self) -> dict[str, Any]:
        """What a file says of the network: plain values, from which `restore` builds it."""
        return {"model_type": "head", "channels": self.channels, "base": shape_of(self.base.network)}

    def forward(self, images: Tensor) -> Features:
        """Features of images float32 (B, 3, H, W), RGB 0..1."""
        return Features(self.hidden(self.base(images).features))


def restore(
    tensors: dict[str, Tensor],
    shape: dict[str, Any],
    kinds: dict[str, Callable[[dict[str, Tensor], dict[str, Any]], ImageNetwork]],
) -> HeadNetwork:
    """The network of a file's tensors and shape, on the CPU, in evaluation mode.

    Args:
        tensors: of the file.
        shape: of the file.
        kinds: how the network below is restored, by its ``model_type``.

    Raises:
        KeyError, ValueError, RuntimeError: they are no such network's, or do not fit each other.
    """
    below, prefix = shape["base"], "base.network."
    own = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
    base = FrozenTeacher(kinds[below["model_type"]](own, below))
    network = HeadNetwork(base, Head(base.channels, int(shape["channels"]), 1).hidden)
    network.load_state_dict(tensors)
    return network.eval()


def new_head(inputs: int, channels: int, classes: int, seed: int) -> Head:
    """A head with random weights of a seed; the global random numbers are left as they were."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Head(inputs, channels, classes)
