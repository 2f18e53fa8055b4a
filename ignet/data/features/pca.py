"""Fewer channels for stored features: an orthonormal basis of principal components that keeps what the training reads.

Its span holds the mean feature and the rows of the 2D network's classifier, so that the class logits of a feature do
not change; the remaining directions are those of the largest variance. Coordinates keep inner products, and so cosines
and distances, up to the variance that is left out. Keeping the classifier's rows is this project's choice; without it
this is principal component analysis.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ignet.errors import IgnetError
from ignet.files.atomic import read_weights, write_weights


class Classifier(NamedTuple):
    """A linear layer: logits = weight @ feature + bias.

    Attributes:
        weight: float32 (C, D).
        bias: float32 (C,).
    """

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]


class PCA(NamedTuple):
    """K orthonormal directions in the space of D channels, and the point that they start from.

    Attributes:
        mean: float32 (D,), mean of the features that it was fitted to.
        components: float32 (K, D), orthonormal rows, by falling variance.
    """

    mean: NDArray[np.float32]
    components: NDArray[np.float32]

    @property
    def offset(self) -> NDArray[np.float32]:
        """Coordinates of the mean, float32 (K,)."""
        return (self.components.astype(np.float64) @ self.mean).astype(np.float32)

    def reduce(self, feature: NDArray[np.float32]) -> NDArray[np.float32]:
        """Coordinates of features (n, D) from the mean on, float32 (n, K).

        With `offset` added they are ``components @ feature``.
        """
        return ((feature - self.mean) @ self.components.T).astype(np.float32)

    def restore(self, coordinates: NDArray[np.float32]) -> NDArray[np.float32]:
        """Features (n, D) of coordinates (n, K) with the offset; what was left out is as in the mean."""
        return np.asarray((coordinates - self.offset) @ self.components + self.mean, np.float32)

    def compose(self, classifier: Classifier) -> Classifier:
        """The classifier for coordinates with the offset: it gives the logits of `restore`'s features."""
        weight, components = classifier.weight.astype(np.float64), self.components.astype(np.float64)
        left_out = self.mean - components.T @ (components @ self.mean)
        return Classifier(
            (weight @ components.T).astype(np.float32), (classifier.bias + weight @ left_out).astype(np.float32)
        )


class Moments:
    """Sums from which a PCA is fitted, float64; frames are added one after the other."""

    def __init__(self, channels: int) -> None:
        """Args: channels: D."""
        self.count, self.sum, self.products = 0, np.zeros(channels), np.zeros((channels, channels))

    def add(self, feature: NDArray[np.float32]) -> None:
        """Take the features (n, D) of a frame in."""
        wide = feature.astype(np.float64)
        self.count += len(wide)
        self.sum += wide.sum(axis=0)
        self.products += wide.T @ wide

    @property
    def mean(self) -> NDArray[np.float64]:
        """Mean of each channel, float64 (D,)."""
        return self.sum / max(self.count, 1)

    @property
    def covariance(self) -> NDArray[np.float64]:
        """float64 (D, D)."""
        return self.products / max(self.count, 1) - np.outer(self.mean, self.mean)


def fit_pca(moments: Moments, channels: int, classifier: Classifier | None = None) -> PCA:
    """Fit ``channels`` directions that keep the mean, the classifier's rows and then the largest variance.

    Args:
        moments: of the features.
        channels: K.
        classifier: whose logits must not change; None: plain principal components.

    Raises:
        ValueError: K exceeds the number of channels, or is less than what must be kept.
    """
    covariance = moments.covariance
    kept = (
        np.zeros((0, len(covariance)))
        if classifier is None
        else np.vstack([moments.mean, classifier.weight.astype(np.float64)])
    )
    span = _row_space(kept)
    if not len(span) <= channels <= len(covariance):
        raise ValueError(f"found {channels} channels, expected {len(span)} to {len(covariance)}")
    outside = np.eye(len(covariance)) - span.T @ span
    rest = _principal(outside @ covariance @ outside)[: channels - len(span)]
    # once more orthogonal to what is kept: directions without variance may lie anywhere
    directions = np.linalg.qr(np.vstack([span, rest]).T)[0].T
    components = _principal(directions @ covariance @ directions.T) @ directions
    largest = components[np.arange(channels), np.abs(components).argmax(axis=1)]
    return PCA(moments.mean.astype(np.float32), (components * np.sign(largest)[:, None]).astype(np.float32))


def _row_space(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Orthonormal rows with the same span."""
    if not len(rows):
        return rows
    _, size, directions = np.linalg.svd(rows, full_matrices=False)
    return directions[size > 1e-9 * size[0]]


def _principal(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Eigenvectors as rows, by falling eigenvalue."""
    return np.linalg.eigh((covariance + covariance.T) / 2)[1].T[::-1]


def write_pca(path: Path, pca: PCA, network: str) -> None:
    """Write a PCA as safetensors, atomically.

    Args:
        path: the file.
        pca: what to write.
        network: hash of the 2D network that it was fitted to.
    """
    import torch

    tensors = {name: torch.from_numpy(values.copy()) for name, values in pca._asdict().items()}
    write_weights(path, tensors, {"network": network})


def read_pca(path: Path, network: str) -> PCA:
    """Read what `write_pca` wrote.

    Raises:
        IgnetError: the file is missing, is no PCA, or belongs to another network than the one with hash ``network``.
    """
    tensors, metadata = read_weights(path)
    remedy = "run the rule features_pca again"
    if set(tensors) != set(PCA._fields):
        raise IgnetError(
            f"{path}: found {', '.join(sorted(tensors)) or 'nothing'}, expected mean and components of features; "
            f"{remedy}"
        )
    if metadata.get("network") != network:
        found = metadata.get("network", "none")[:12]
        raise IgnetError(
            f"{path}: was fitted to the 2D network {found}, expected {network[:12]}, the one in use; {remedy}"
        )
    return PCA(**{name: tensor.numpy() for name, tensor in tensors.items()})
