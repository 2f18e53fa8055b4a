"""The 3D network of one run: backbone and classifier, its file, and prediction from a scan alone."""

import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ignet.config.backbones import BackboneConfig
from ignet.config.base import validate
from ignet.data.label_sets.label_set import IGNORE, LabelSet, parse_label_set
from ignet.data.lidar.network_input import Input
from ignet.errors import IgnetError
from ignet.files.atomic import read_weights, write_weights
from ignet.models.backbones.registry import BACKBONES, collate_for
from ignet.models.sparse.engine import Engine


class Network3D(nn.Module):
    """A backbone and a linear classifier: all that inference needs. Train-only heads live outside of it."""

    def __init__(self, backbone: nn.Module, channels: int, label_set: LabelSet):
        """Take a `ignet.models.backbones.registry.Backbone` the width of its features, and the classes."""
        super().__init__()
        self.backbone = backbone
        self.classifier = nn.Linear(channels, len(label_set))
        self.channels, self.label_set = channels, label_set

    def forward(self, batch: Input, engine: Engine) -> tuple[Tensor, Tensor]:
        """Segment the N points of a batch.

        Args:
            batch: what the backbone's ``collate`` made of the scans.
            engine: from `ignet.models.sparse.engine.resolve_engine`.

        Returns:
            logits (N, classes) and the backbone's features (N, channels).
        """
        hidden, row = self.backbone(batch, engine)
        # classified before they are spread: a row may be many points
        logits = self.classifier(hidden)
        return (logits, hidden) if row is None else (logits.index_select(0, row), hidden.index_select(0, row))


def build_network(config: BackboneConfig, label_set: LabelSet) -> Network3D:
    """A network with fresh weights, drawn from torch's global generator."""
    backbone = BACKBONES[config.name].build(config, len(label_set))
    return Network3D(backbone, backbone.channels, label_set)


def save_network(
    path: Path | str,
    network: Network3D,
    config: BackboneConfig,
    engine: str,
    extra_metadata: dict[str, str] | None = None,
) -> None:
    """Write weights as safetensors with what is needed to build the network again.

    Metadata: ``backbone`` (the settings as JSON), ``engine`` (the sparse engine that ran), ``label_set`` (as JSON), and
        ``extra_metadata``.
    """
    metadata = {"backbone": config.canonical(), "engine": engine, "label_set": network.label_set.text}
    write_weights(path, network.state_dict(), {**(extra_metadata or {}), **metadata})


def load_network(path: Path | str) -> tuple[Network3D, BackboneConfig, str]:
    """Read what `save_network` wrote.

    Returns the network on the CPU in evaluation mode, its settings, and the engine that it was trained with.

    Raises:
        IgnetError: the file is missing, no safetensors, or holds another network.
    """
    state, metadata = read_weights(path)
    try:
        settings, engine, label_set = json.loads(metadata["backbone"]), metadata["engine"], metadata["label_set"]
    except (KeyError, ValueError) as error:
        raise IgnetError(
            f"{path}: metadata lacks a readable {error}, expected a 3D network written by train_3d; train it again"
        ) from None
    if (name := settings.get("name")) not in BACKBONES:
        raise IgnetError(f"{path}: found the backbone '{name}', expected {' or '.join(BACKBONES)}; update ignet")
    config = validate(BACKBONES[name].settings, settings, f"{path}: backbone")
    network = build_network(config, parse_label_set(label_set, str(path)))
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        fault = " ".join(str(error).split())[:300]
        raise IgnetError(
            f"{path}: weights do not fit the backbone named in the file ({fault}); train it again"
        ) from None
    return network.eval(), config, engine


@torch.no_grad()
def predict_scan(
    network: Network3D,
    config: BackboneConfig,
    engine: str,
    points: np.ndarray,
    device: torch.device,
    labels: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Segment one scan, from the LiDAR alone.

    Args:
        network: on ``device``; put into evaluation mode, and left in it.
        config: of the backbone.
        engine: from `ignet.models.sparse.engine.resolve_engine`.
        points: float32 (N, 4): x, y, z in metres, remission.
        device: computes.
        labels: uint8 (N,), train ids, 255 where there is none, of a training scan that is to be labelled further; only
            a network with a local context reads them, and it can do without.

    Returns:
        train ids uint8 (N,) and the softmax probability of each, float32 (N,).

    Raises:
        IgnetError: points that are not finite or too far away, or a network that gives no probabilities.
    """
    if len(points) == 0:
        return np.zeros(0, np.uint8), np.zeros(0, np.float32)
    batch = collate_for(config, network.label_set)([points], [labels]).to(device)
    logits, _ = network.eval()(batch, engine)
    confidence, ids = logits.float().softmax(1).max(1)
    if not torch.isfinite(confidence).all():
        raise IgnetError(
            "network: found probabilities that are not finite, expected 0 to 1; its weights are spoilt: train it again"
        )
    return ids.byte().cpu().numpy(), confidence.cpu().numpy()


def predict_live_scan(
    network: Network3D,
    config: BackboneConfig,
    engine: str,
    points: np.ndarray,
    there: np.ndarray,
    device: torch.device,
) -> tuple[np.ndarray, np.ndarray]:
    """Segment one scan as a sensor gives it: a point without a return takes no part and gets no class.

    Args:
        network: as of `predict_scan`, as are ``config``, ``engine`` and ``device``.
        config: as there.
        engine: as there.
        points: float32 (N, 4); those without a return may hold anything.
        there: bool (N,), true for a point with a return.
        device: as there.

    Returns:
        train ids uint8 (N,) and the softmax probability of each, float32 (N,): 255 and 0 for a point without a return.

    Raises:
        IgnetError: as `predict_scan`.
    """
    ids, confidence = np.full(len(points), IGNORE, np.uint8), np.zeros(len(points), np.float32)
    ids[there], confidence[there] = predict_scan(network, config, engine, points[there], device)
    return ids, confidence
