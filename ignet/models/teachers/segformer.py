"""SegFormer as a segmenter that also gives its features, and its weights on disk.

Architecture: Xie et al., "SegFormer", NeurIPS 2021, by the library transformers. The features are what the decoder's
classifier sees: the fused maps of the four stages after batch norm and ReLU, at a quarter of the image's size.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import SegformerConfig as Shape
from transformers import SegformerForSemanticSegmentation
from transformers.utils import logging as transformers_logging

from ignet.config.training_2d import SegformerConfig
from ignet.data.label_sets.label_set import CITYSCAPES
from ignet.errors import IgnetError
from ignet.files.atomic import write_weights
from ignet.log import log
from ignet.models.teachers.base import ImageNetwork, no_network, read_network

STRIDE = 4
"""Image pixels along one side of a feature cell."""

ENCODER_STRIDE = 32
"""Image pixels along one side of a cell of the encoder's last stage."""

IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_KINDS = "random, a folder with config.json and model.safetensors, or a hub id"


class Segmentation(NamedTuple):
    """What a segmenter gives for images (B, 3, H, W).

    Attributes:
        logits: float (B, C, H, W), the classifier's output enlarged bilinearly.
        features: float (B, D, ceil(H/4), ceil(W/4)), not negative. Cell (i, j) covers rows 4i..4i+3 and columns
            4j..4j+3, so its centre is pixel (u, v) = (4j + 1.5, 4i + 1.5).
        deep: float (B, C, ceil(H/32), ceil(W/32)), the encoder's last stage.
    """

    logits: Tensor
    features: Tensor
    deep: Tensor


class Segmenter(ImageNetwork):
    """SegFormer with the 19 Cityscapes classes; takes images of any size, RGB 0..1."""

    stride = STRIDE
    mean: Tensor
    std: Tensor

    def __init__(self, network: SegformerForSemanticSegmentation) -> None:
        super().__init__()
        self.shape: Shape = network.config
        self.encoder, self.head = network.segformer, network.decode_head
        # the library's head ends with its classifier; taking both apart gives the features without writing the head
        # anew
        self.dropout, self.classifier = self.head.dropout, self.head.classifier
        for taken in ("dropout", "classifier"):
            setattr(self.head, taken, nn.Identity())
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(_IMAGENET_STD).view(1, 3, 1, 1), persistent=False)

    @property
    def channels(self) -> int:  # type: ignore[override]
        """D, the channels of the features."""
        return int(self.shape.decoder_hidden_size)

    def linear_classifier(self) -> nn.Conv2d:
        """The decoder's last layer."""
        return self.classifier

    def forward(self, images: Tensor) -> Segmentation:
        """Segment images.

        Args:
            images: float32 (B, 3, H, W), RGB 0..1. They are normalised by ImageNet's mean and deviation, and padded at
                the right and the bottom to a multiple of 32 with their own border.
        """
        height, width = images.shape[-2:]
        rows, columns = -(-height // STRIDE), -(-width // STRIDE)
        padding = (0, -width % ENCODER_STRIDE, 0, -height % ENCODER_STRIDE)
        padded = functional.pad((images - self.mean) / self.std, padding, mode="replicate")
        stages = self.encoder(padded, output_hidden_states=True).hidden_states
        # cut before enlarging: the logits at a pixel are then the classifier on the features sampled at that pixel, at
        # every border
        features = self.head(stages)[..., :rows, :columns]
        logits = functional.interpolate(
            self.classifier(self.dropout(features)), scale_factor=STRIDE, mode="bilinear", align_corners=False
        )
        return Segmentation(logits[..., :height, :width], features, stages[-1])


def build_segmenter(config: SegformerConfig) -> Segmenter:
    """Build a segmenter with random weights or those of a transformers checkpoint.

    Random weights come from torch's global generator. A checkpoint brings its own shape: of ``config`` only
    ``weights``, ``dropout`` and ``drop_path`` count then. Its classifier is replaced where it has other classes than
    the 19 of Cityscapes; what it lacks is random.

    Raises:
        IgnetError: the checkpoint is not there, is no SegFormer, or holds no safetensors.
    """
    common = {
        "num_labels": len(CITYSCAPES.classes),
        "classifier_dropout_prob": config.dropout,
        "drop_path_rate": config.drop_path,
    }
    if config.weights != "random":
        return Segmenter(_from_pretrained(config.weights, common))
    sizes = {
        "hidden_sizes": list(config.hidden_sizes),
        "depths": list(config.depths),
        "decoder_hidden_size": config.decoder_channels,
    }
    shape = Shape.from_dict({**sizes, **common})
    network = SegformerForSemanticSegmentation(shape)
    for part in network.modules():
        if isinstance(part, nn.Conv2d):
            # variance 2 / fan-out, as in the authors' code; the library's 0.02 everywhere makes training from nothing
            # slow
            fan_out = part.weight[0, 0].numel() * part.out_channels // part.groups
            nn.init.normal_(part.weight, 0.0, (2 / fan_out) ** 0.5)
    return Segmenter(network)


def save_segmenter(path: Path | str, model: Segmenter, config: SegformerConfig | None = None) -> None:
    """Write a segmenter as safetensors whose metadata hold its shape in transformers' form under "network".

    Args:
        path: the file to write.
        model: the network.
        config: where its first weights came from, which is kept in the shape; none: what the shape says already.
    """
    shape = model.shape.to_dict()
    if config is not None:
        shape["_name_or_path"] = config.weights
    # one key alone: safetensors writes several in random order, and equal networks would give unequal files
    write_weights(path, model.state_dict(), {"network": json.dumps(shape, sort_keys=True)})


def load_segmenter(path: Path | str) -> Segmenter:
    """Read a segmenter that `save_segmenter` wrote; it is on the CPU, in evaluation mode.

    Raises:
        IgnetError: the file is missing, is not safetensors, or is no segmenter.
    """
    tensors, shape = read_network(path)
    try:
        return restore(tensors, shape)
    except (KeyError, ValueError, RuntimeError) as error:
        raise no_network(path, error) from None


def restore(tensors: dict[str, Tensor], shape: dict[str, Any]) -> Segmenter:
    """The segmenter of a file's tensors and shape, on the CPU, in evaluation mode.

    Raises:
        KeyError, ValueError, RuntimeError: they are no SegFormer's, or do not fit each other.
    """
    if shape["model_type"] != Shape.model_type:
        raise ValueError(f"found the kind {shape['model_type']!r}, expected {Shape.model_type!r}")
    model = Segmenter(SegformerForSemanticSegmentation(Shape.from_dict(shape)))
    model.load_state_dict(tensors)
    return model.eval()


def untrained_like(model: Segmenter) -> Segmenter:
    """A segmenter with random weights from torch's global generator, on the CPU, in evaluation mode."""
    return Segmenter(SegformerForSemanticSegmentation(model.shape)).eval()


def _from_pretrained(name: str, changes: dict[str, Any]) -> SegformerForSemanticSegmentation:
    if Path(name).is_absolute() or name.startswith((".", "~")):
        folder = Path(name).expanduser()
        if not (folder / "config.json").is_file():
            raise IgnetError(
                f"{folder}: found no config.json there, expected a transformers SegFormer; set network.weights to "
                f"{_KINDS}"
            )
        name = str(folder)
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()  # its table of missing tensors; what matters of it is said below
    try:
        kind = Shape.get_config_dict(name)[0].get("model_type")
        if kind != "segformer":
            raise ValueError(f"its model_type is {kind}")
        shape = Shape.from_pretrained(name, **changes)
        loaded: Any = SegformerForSemanticSegmentation.from_pretrained(
            name, config=shape, ignore_mismatched_sizes=True, output_loading_info=True, use_safetensors=True
        )
    except (OSError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise IgnetError(
            f"network.weights '{name}': not loaded ({reason}); set it to {_KINDS} of a SegFormer"
        ) from None
    network, loading = loaded
    wrong = sorted(key for key in loading["missing_keys"] if key.startswith("segformer."))
    wrong += [str(key[0]) for key in loading["mismatched_keys"] if not str(key[0]).startswith("decode_head.classifier")]
    if wrong:
        raise IgnetError(
            f"network.weights '{name}': {len(wrong)} tensors do not fit, such as {wrong[0]}; set it to {_KINDS} of a "
            "SegFormer"
        )
    log.info("weights of %s; random: %s", name, ", ".join(sorted(loading["missing_keys"])) or "nothing")
    return network
