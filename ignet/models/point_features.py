"""A frozen 2D network's features at the points in view: whole images, bilinear at sub-pixel positions."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ignet.data.features.pca import Classifier
from ignet.data.formats.kitti import image_path, read_image
from ignet.data.images.target import check_size
from ignet.data.projection.correspondence import Correspondence
from ignet.devices import autocast
from ignet.models.teachers.base import image_batch
from ignet.models.teachers.registry import load_teacher


class PointFeatures:
    """The features of one 2D network.

    Args:
        network: weights of a 2D network of any kind in `ignet.models.teachers.registry`.
        dataset: folder of the target dataset.
        device: computes.

    Raises:
        IgnetError: the weights are missing or are no 2D network.
    """

    def __init__(self, network: Path, dataset: Path, device: torch.device) -> None:
        self.dataset, self.device = Path(dataset), device
        self._teacher = load_teacher(network).to(device)

    @property
    def channels(self) -> int:
        """D."""
        return self._teacher.channels

    @property
    def classifier(self) -> Classifier | None:
        """The network's own last layer, from features to logits; None where it has none."""
        return self._teacher.classifier()

    def extract(
        self, sequence: str, correspondence: Correspondence, frames: Iterable[str]
    ) -> Iterator[tuple[str, NDArray[np.int32], NDArray[np.float32]]]:
        """Name, point numbers int32 (n,) and features float32 (n, D) of each frame.

        Raises:
            IgnetError: an image is missing, broken, or of another size than in its projection.
        """
        for frame in frames:
            path, points = image_path(self.dataset, sequence, frame), correspondence.read(frame)
            image = read_image(path)
            check_size(image, points, path)
            with autocast(self.device):
                features = self._teacher(image_batch(image, self.device)).features[0]
            pixel = torch.from_numpy(points.pixel).to(self.device)
            yield frame, points.index, self._teacher.sample(features.float(), pixel).cpu().numpy()
