"""What every teacher is: a frozen network that turns images into features at known places of the image."""

import copy
import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ignet.data.features.pca import Classifier
from ignet.errors import IgnetError
from ignet.files.atomic import read_weights


class Features(NamedTuple):
    """What a network gives that names no classes: features float (B, D, h, w), see `ImageNetwork`."""

    features: Tensor
    logits: None = None


class ImageNetwork(nn.Module):
    """A network that turns images float32 (B, 3, H, W), RGB 0..1, of any size into features, and possibly logits.

    It normalises and pads images itself. Cell (i, j) of the features is centred at column ``stride * j + offset`` and
    row ``stride * i + offset``, where (0, 0) is the centre of the top-left pixel.

    Attributes:
        channels: D.
        stride: image pixels along one side of a cell of the features.
    """

    channels: int
    stride: float

    @property
    def offset(self) -> float:
        """Pixel at which cell 0 is centred; by default the first cell begins where the image does."""
        return (self.stride - 1) / 2

    def linear_classifier(self) -> nn.Conv2d | None:
        """The 1 x 1 convolution with bias from features to logits; None by default: the network has none."""
        return None

    def forward(self, images: Tensor) -> Any:
        """Features and logits of images.

        Returns:
            A named tuple that holds at least ``features``, float (B, D, h, w), and ``logits``, float (B, 19, H, W) of
            Cityscapes' classes; None: the network names none.
        """
        raise NotImplementedError


class FrozenTeacher(nn.Module):
    """A copy of an image network that cannot be trained: always in evaluation mode, with buffers for parameters.

    Neither ``train``, ``requires_grad_`` nor an optimiser reaches it, even as a part of another module.
    """

    def __init__(self, network: ImageNetwork) -> None:
        super().__init__()
        self.network = copy.deepcopy(network)
        for part in self.network.modules():
            for name, weight in list(part.named_parameters(recurse=False)):
                delattr(part, name)
                part.register_buffer(name, weight.detach())
        super().train(False)

    @property
    def channels(self) -> int:
        """D, the channels of the features."""
        return self.network.channels

    @torch.no_grad()
    def forward(self, images: Tensor) -> Any:
        """As :meth:`ImageNetwork.forward`, without gradients."""
        return self.network(images)

    def sample(self, features: Tensor, pixel: Tensor) -> Tensor:
        """`sample_features` of one image's features (D, h, w), float (n, D), with this network's stride and offset."""
        return sample_features(features, pixel, self.network.stride, self.network.offset)

    def classifier(self) -> Classifier | None:
        """Weight float32 (C, D) and bias float32 (C,) from features to logits; None where the network has none."""
        layer = self.network.linear_classifier()
        if layer is None:
            return None
        assert layer.bias is not None
        return Classifier(layer.weight.flatten(1).float().cpu().numpy(), layer.bias.float().cpu().numpy())

    def train(self, mode: bool = True) -> "FrozenTeacher":
        """Has no effect."""
        return self


def image_batch(image: np.ndarray, device: torch.device) -> Tensor:
    """What an image network takes: float32 (1, 3, H, W), 0..1, on ``device``, of an image uint8 (H, W, 3) RGB."""
    return torch.from_numpy(image).to(device).permute(2, 0, 1)[None].float() / 255


def sample_features(features: Tensor, pixel: Tensor, stride: float, offset: float) -> Tensor:
    """Bilinear values of one image's features at sub-pixel positions.

    Args:
        features: float (D, h, w).
        pixel: float (n, 2), columns u and rows v; the centre of the top-left pixel is (0, 0).
        stride: pixels between the centres of neighbouring cells.
        offset: pixel at which cell 0 is centred, in both directions.

    Returns:
        float (n, D). Pixel u lies at cell (u - offset) / stride. Beyond the outermost centres the border's value holds.
        With offset (stride - 1) / 2 this is the alignment by which bilinear interpolation with ``align_corners=False``
        enlarges a map by ``stride``, so that a linear classifier on the sampled features gives the logits of that
        pixel.
    """
    rows, columns = features.shape[-2:]
    size = torch.tensor([columns * stride, rows * stride], dtype=pixel.dtype, device=pixel.device)
    # grid_sample's -1 and 1 are the outer edges of the map, half a cell before the first centre and after the last
    grid = (2 * (pixel + (stride / 2 - offset)) / size - 1).view(1, 1, -1, 2).to(features.dtype)
    sampled = functional.grid_sample(features[None], grid, mode="bilinear", padding_mode="border", align_corners=False)
    return sampled[0, :, 0].T


def at_pixels(maps: Tensor, stride: float, offset: float, height: int, width: int) -> Tensor:
    """`sample_features` at every pixel of images: float (B, D, height, width) of maps float (B, D, h, w)."""
    v, u = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    pixel = torch.stack([u, v], -1).view(-1, 2).to(maps)
    return torch.stack([sample_features(each, pixel, stride, offset).T.reshape(-1, height, width) for each in maps])


def read_network(path: Path | str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and shape of a 2D network's file; ``model_type`` of the shape names its kind.

    Raises:
        IgnetError: the file is missing, is not safetensors, or is no 2D network.
    """
    tensors, metadata = read_weights(path)
    try:
        shape = json.loads(metadata["network"])
        return tensors, {**shape, "model_type": shape["model_type"]}
    except (KeyError, TypeError, ValueError) as error:
        raise no_network(path, error) from None


def no_network(path: Path | str, error: Exception) -> IgnetError:
    """The error of a file that holds no 2D network of a known kind."""
    reason = " ".join(str(error).split())[:200]
    return IgnetError(
        f"{path}: no 2D network ({reason}); give a model.safetensors of pretrain_2d, adapt_2d or teachers"
    )


def shape_of(network: Any) -> dict[str, Any]:
    """What a file says of a network: plain values, with its kind as ``model_type``."""
    return network.shape if isinstance(network.shape, dict) else network.shape.to_dict()


def content_hash(network: nn.Module) -> str:
    """SHA-256 of all tensors of a network, their names, types and shapes, in hexadecimal digits."""
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.detach().cpu().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
