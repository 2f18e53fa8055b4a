"""Vision transformers of the library transformers, such as DINOv2.

A patch covers its square of pixels, so a cell is centred at the middle of its patch. Class and register tokens are left
out. Other backbones, whose cells may lie elsewhere (overlapping convolutions) or whose strides differ, are refused.
"""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import AutoBackbone, AutoConfig, Dinov2Config
from transformers.utils import logging as transformers_logging

from ignet.config.teachers import TransformersConfig, is_folder
from ignet.errors import IgnetError
from ignet.models.teachers.base import Features, ImageNetwork

PATCHES = ("dinov2", "dinov2_with_registers", "dinov3_vit")
"""``model_type`` of the vision transformers whose backbones give one cell for each patch."""

_IMAGENET = {"image_mean": (0.485, 0.456, 0.406), "image_std": (0.229, 0.224, 0.225)}


class Backbone(ImageNetwork):
    """Some layers of a vision transformer, joined.

    Args:
        network: what ``AutoBackbone`` gives, with the layers wanted as its ``out_features``.
        normalization: mean and deviation of the colours, RGB 0..1, three each.
        scale: factor by which images are resized first.
        origin: kept in the file, see `shape`.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(
        self, network: Any, normalization: dict[str, list[float]], scale: float, origin: dict[str, str] | None = None
    ) -> None:
        super().__init__()
        self.network, self.scale, self.origin = network, scale, origin or {}
        self.normalization = normalization
        for name, key in (("mean", "image_mean"), ("deviation", "image_std")):
            self.register_buffer(name, torch.tensor(normalization[key]).view(1, 3, 1, 1), persistent=False)
        self.patch = int(network.config.patch_size)
        self.channels = sum(network.channels)

    @property
    def stride(self) -> float:  # type: ignore[override]
        """Pixels of the image as it comes, not as it is resized."""
        return self.patch / self.scale

    @property
    def shape(self) -> dict[str, Any]:
        """What a file says of the network: plain values, from which `restore` builds it."""
        return {
            "model_type": "transformers",
            "backbone": json.loads(self.network.config.to_json_string(use_diff=False)),
            "normalization": self.normalization,
            "scale": self.scale,
            "origin": self.origin,
        }

    def forward(self, images: Tensor) -> Features:
        """Features of images float32 (B, 3, H, W), RGB 0..1.

        Images are resized by ``scale``, bilinearly, and padded at the right and the bottom with their own border to a
        multiple of the patch.
        """
        x = (images - self.mean) / self.deviation
        if self.scale != 1:
            x = functional.interpolate(
                x, scale_factor=self.scale, mode="bilinear", align_corners=False, recompute_scale_factor=False
            )
        height, width = x.shape[-2:]
        padded = functional.pad(x, (0, -width % self.patch, 0, -height % self.patch), mode="replicate")
        return Features(torch.cat(self.network(padded).feature_maps, 1))


def build(config: TransformersConfig) -> Backbone:
    """The network with the weights of a local folder or of the hub.

    Raises:
        IgnetError: there is no such checkpoint, it holds no safetensors, its weights do not fit, or it is none of
            `PATCHES`.
    """
    where, name = f"teachers, weights '{config.weights}'", config.weights
    if is_folder(name):
        folder = Path(name).expanduser()
        for file in ("config.json", "model.safetensors"):
            if not (folder / file).is_file():
                raise IgnetError(
                    f"{where}: found no {file} there, expected a checkpoint of transformers; weights are never read "
                    "from pickles (*.bin, *.pth)"
                )
        name = str(folder)
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    source = {"revision": config.revision} if config.revision else {}
    try:
        shape = AutoConfig.from_pretrained(name, **source)
        _check_kind(shape)
        stages = len(shape.stage_names)
        outside = [layer for layer in config.layers if not -stages <= layer < stages]
        if outside:
            raise ValueError(f"layers has {outside[0]}, and the network has 0 to {stages - 1}")
        chosen = sorted({layer % stages for layer in config.layers})
        shape.out_indices = chosen
        with torch.device("meta"):  # the class alone: AutoBackbone itself reads from the hub and no folder
            kind: Any = type(AutoBackbone.from_config(shape))
        network, loading = kind.from_pretrained(
            name, config=shape, use_safetensors=True, output_loading_info=True, dtype=torch.float32, **source
        )
    except (OSError, ValueError, RuntimeError, ImportError) as error:
        reason = " ".join(str(error).split())[:300]
        raise IgnetError(f"{where}: not loaded ({reason}); give a folder with safetensors, or a hub id") from None
    if wrong := [*sorted(loading["missing_keys"]), *(str(key[0]) for key in loading["mismatched_keys"])]:
        raise IgnetError(f"{where}: {len(wrong)} tensors are missing or do not fit, such as {wrong[0]}; take another")
    commit = getattr(network.config, "_commit_hash", None) or getattr(shape, "_commit_hash", None)
    origin = {"weights": config.weights if is_folder(config.weights) else f"{config.weights}, commit {commit}"}
    return Backbone(network.eval(), _normalization(name, is_folder(config.weights), source), config.scale, origin)


def empty(config: TransformersConfig) -> Backbone:
    """The network of a local folder's shape with random weights; that of a hub id counts as DINOv2-S."""
    folder = Path(config.weights).expanduser()
    local = is_folder(config.weights) and (folder / "config.json").is_file()
    shape = AutoConfig.from_pretrained(str(folder)) if local else Dinov2Config(hidden_size=384, num_attention_heads=6)
    shape.out_indices = sorted({layer % len(shape.stage_names) for layer in config.layers})
    normalization = {key: list(value) for key, value in _IMAGENET.items()}
    return Backbone(AutoBackbone.from_config(shape).eval(), normalization, config.scale)


def restore(tensors: dict[str, Tensor], shape: dict[str, Any]) -> Backbone:
    """The network of a file's tensors and shape, on the CPU, in evaluation mode.

    Raises:
        KeyError, ValueError, RuntimeError: they are no backbone's, or do not fit each other.
    """
    values = dict(shape["backbone"])
    config = AutoConfig.for_model(values.pop("model_type"), **values)
    _check_kind(config)
    network = Backbone(AutoBackbone.from_config(config), shape["normalization"], shape["scale"], shape.get("origin"))
    network.load_state_dict(tensors)
    return network.eval()


def _check_kind(config: Any) -> None:
    if config.model_type not in PATCHES:
        raise ValueError(f"its model_type is {config.model_type}, expected one of {', '.join(PATCHES)}")


def _normalization(name: str, local: bool, source: dict[str, str]) -> dict[str, list[float]]:
    """The colours' mean and deviation that the checkpoint names, else ImageNet's."""
    from transformers.utils import cached_file

    named: dict[str, Any] = {}
    try:
        path = cached_file(name, "preprocessor_config.json", local_files_only=local, **source)
        named = json.loads(Path(path).read_text(encoding="utf-8")) if path else {}
    except (OSError, ValueError):
        pass  # a checkpoint need not name them
    return {key: list(named.get(key, default)) for key, default in _IMAGENET.items()}
