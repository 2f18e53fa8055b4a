"""A trained 3D network that segments points in memory."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from ignet.config.backbones import BackboneConfig
from ignet.data.formats.scan_values import check_live_scan
from ignet.devices import pick_device
from ignet.errors import IgnetError
from ignet.models.segmentor3d import Network3D, load_network, predict_live_scan
from ignet.models.sparse.engine import resolve_engine

WEIGHTS = "model.safetensors"


class ClassInfo(NamedTuple):
    """A class: its name, its colour (RGB, 0-255) and the raw id that stands for it in label files."""

    name: str
    color: tuple[int, int, int]
    raw_id: int


class Prediction(NamedTuple):
    """What a network says of N points.

    Attributes:
        labels: uint8 (N,), each an index into the network's ``classes``; 255 for a point without a return.
        confidence: float32 (N,), the softmax probability of the label; 0 for a point without a return.
    """

    labels: NDArray[np.uint8]
    confidence: NDArray[np.float32]


class Segmenter:
    """A trained network, ready to segment scans; made by `load`.

    Attributes:
        label_set: the classes that it was trained on.
        classes: a `ClassInfo` for each of them; labels are indices into it.
        engine: the sparse engine that runs.
        device: the device that computes.
    """

    def __init__(self, network: Network3D, backbone: BackboneConfig, engine: str, device: torch.device) -> None:
        """Take what `ignet.models.segmentor3d.load_network` reads, an engine that runs on the device, and it."""
        self.label_set, self.engine, self.device = network.label_set, engine, device
        self.classes = tuple(
            ClassInfo(name, tuple(color), raw_id)
            for name, color, raw_id in zip(
                self.label_set.classes, self.label_set.colors.tolist(), self.label_set.raw_ids.tolist(), strict=True
            )
        )
        self._network, self._backbone = network.to(device).eval(), backbone

    def predict(self, points: ArrayLike, remission_scale: float = 1.0) -> Prediction:
        """Segment one scan.

        Args:
            points: (N, 4), used as float32: x forward, y left, z up in metres from the sensor, remission. A point with
                a NaN, or at exactly 0 0 0, has no return: it gets no label and does not change those of the others.
            remission_scale: what stands for a remission of 1, such as 255.

        Raises:
            IgnetError: another shape, or values that no scan can have (`ignet.data.formats.scan_values`).
        """
        values = np.asarray(points, np.float32)
        if values.ndim != 2 or values.shape[1] != 4:
            raise IgnetError(f"points: found shape {values.shape}", "(N, 4): x, y, z [m], remission")
        there = check_live_scan(values, remission_scale) if len(values) else np.zeros(0, bool)
        return self.segment(values, there, remission_scale)

    def segment(
        self, points: NDArray[np.float32], there: NDArray[np.bool_], remission_scale: float = 1.0
    ) -> Prediction:
        """Segment a scan that was checked: as `predict`, with ``there`` of `check_live_scan`."""
        scaled = points.copy()
        scaled[:, 3] /= remission_scale
        return Prediction(*predict_live_scan(self._network, self._backbone, self.engine, scaled, there, self.device))


def load(path: Path | str, device: str = "auto", engine: str = "auto") -> Segmenter:
    """Load a trained 3D network.

    Args:
        path: a run's ``model.safetensors``, or the folder that holds it.
        device: ``auto`` (CUDA where there is one), ``cpu``, ``cuda`` or ``cuda:N``.
        engine: sparse engine: ``auto``, ``torch`` or ``minkowski``.

    Raises:
        IgnetError: no such file, no 3D network, or a device or an engine that is not there.
    """
    chosen = pick_device(device)
    network, backbone, _ = load_network(weights_file(path))
    return Segmenter(network, backbone, resolve_engine(engine, chosen), chosen)


def weights_file(path: Path | str) -> Path:
    """The file of weights that a path names: itself, or ``model.safetensors`` in a folder."""
    return Path(path) / WEIGHTS if Path(path).is_dir() else Path(path)
