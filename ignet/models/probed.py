"""A 2D network with a probe for a classifier: what its features tell about LiDAR classes, as an image."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ignet.config.training_3d import ProbeConfig
from ignet.data.formats.kitti import scribble_path
from ignet.data.images.target import class_labels
from ignet.data.label_sets.label_set import IGNORE, LabelSet
from ignet.data.lidar.spacing import evenly_spaced_indices
from ignet.data.projection.correspondence import Correspondence
from ignet.models.point_features import PointFeatures
from ignet.models.probe import Probe, fit_probe
from ignet.models.teachers.base import FrozenTeacher, at_pixels


class Probed(NamedTuple):
    """What a probed network gives: logits float32 (1, C, H, W) of LiDAR classes."""

    logits: Tensor


class ProbedNetwork(nn.Module):
    """A frozen network whose features a probe reads: at each cell, and bilinearly in between.

    Args:
        teacher: the network.
        probe: of its features.
    """

    def __init__(self, teacher: FrozenTeacher, probe: Probe) -> None:
        super().__init__()
        self.teacher, self.probe = teacher, probe

    @torch.no_grad()
    def forward(self, image: Tensor) -> Probed:
        """Logits at every pixel of an image float32 (1, 3, H, W), RGB 0..1."""
        height, width = image.shape[-2:]
        features = self.teacher(image).features[0].float()
        cells = self.probe(features.flatten(1).T).T.view(1, -1, *features.shape[1:])
        network = self.teacher.network
        return Probed(at_pixels(cells, network.stride, network.offset, height, width))


def probe_network(
    network: PointFeatures,
    files: Mapping[str, Correspondence],
    scribbles: Path,
    label_set: LabelSet,
    settings: ProbeConfig,
) -> ProbedNetwork:
    """Fit a probe to a network's features at the projected scribbles.

    Args:
        network: the network at the points of the training sequences.
        files: correspondence of each training sequence.
        scribbles: folder that holds ``sequences/NN/scribbles``.
        label_set: of the scribbles, which gives the classes.
        settings: of the probe; ``scans`` frames at most are read, evenly spaced.

    Raises:
        IgnetError: an image or a scribble file is missing or does not fit, or no scribble is in view.
    """
    frames = [(sequence, frame) for sequence, file in files.items() for frame in file.frames]
    chosen = [frames[i] for i in evenly_spaced_indices(len(frames), settings.scans)]
    features, labels = zip(*_labelled(network, files, scribbles, label_set, chosen), strict=True)
    probe = fit_probe(
        np.concatenate(features), np.concatenate(labels), len(label_set), settings.hidden, settings.steps, seed=0
    )
    return ProbedNetwork(network.teacher, probe).to(network.device)


def _labelled(
    network: PointFeatures,
    files: Mapping[str, Correspondence],
    scribbles: Path,
    label_set: LabelSet,
    chosen: Iterable[tuple[str, str]],
) -> Iterable[tuple[NDArray[np.float32], NDArray[np.uint8]]]:
    for sequence, frame in chosen:
        points = files[sequence].read(frame)
        labels = class_labels(scribble_path(scribbles, sequence, frame), points, label_set)
        for _, _, feature in network.extract(sequence, files[sequence], [frame]):
            yield feature[labels != IGNORE], labels[labels != IGNORE]
