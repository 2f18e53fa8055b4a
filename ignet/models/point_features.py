"""A frozen 2D network's features at the points in view: whole images, bilinear at sub-pixel positions."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ignet.data.features.pca import Classifier
from ignet.data.formats.kitti import image_path
from ignet.data.images.target import read_view
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
        self.teacher = load_teacher(network).to(device)

    @property
    def channels(self) -> int:
        """D."""
        return self.teacher.channels

    @property
    def classifier(self) -> Classifier | None:
        """The network's own last layer, from features to logits; None where it has none."""
        return self.teacher.classifier()

    def extract(
        self, sequence: str, correspondence: Correspondence, frames: Iterable[str]
    ) -> Iterator[tuple[str, NDArray[np.int32], NDArray[np.float32]]]:
        """Name, point numbers int32 (n,) and features float32 (n, D) of each frame.

        Raises:
            IgnetError: an image is missing, broken, or of another size than in its projection.
        """
        for frame in frames:
            points = correspondence.read(frame)
            # channel by channel, as samples come: the order of a sum over points, and so its last digit, depends on it
            feature = np.zeros((len(points.index), self.channels), np.float32, order="F")
            for camera, view in points.views.items():
                path, rows = image_path(self.dataset, sequence, frame, camera), points.rows(camera)
                feature[rows] = self._sample(read_view(path, view), points.pixel[rows])
            yield frame, points.index, feature

    def _sample(self, image: NDArray[np.uint8], pixel: NDArray[np.float32]) -> NDArray[np.float32]:
        with autocast(self.device):
            features = self.teacher(image_batch(image, self.device)).features[0]
        return self.teacher.sample(features.float(), torch.from_numpy(pixel).to(self.device)).cpu().numpy()
