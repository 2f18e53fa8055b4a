"""Features as colours: the first three principal components as red, green and blue."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_SAMPLES = 50_000


class FeatureColors:
    """Maps features to colours, the same for all that are shown, so that equal colours mean alike features.

    Args:
        features: float (n, D) of each frame, D >= 1; at least two features in all.

    The components are those of the centred covariance; each is stretched so that its middle 98 % fill 0..255. Signs are
    fixed (the largest weight of a component is positive), so equal features give equal colours.
    """

    def __init__(self, features: Sequence[NDArray[np.floating]]) -> None:
        taken = np.concatenate([part[:: max(1, len(part) * len(features) // _SAMPLES)] for part in features]).astype(
            np.float64
        )
        self._mean = taken.mean(axis=0)
        centred = taken - self._mean
        values, vectors = np.linalg.eigh(centred.T @ centred / max(len(taken), 1))
        axes = vectors[:, ::-1][:, :3]
        self._axes = axes * np.where(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])] < 0, -1.0, 1.0)
        total = values.clip(0).sum()
        self.explained_variance = float(values[::-1][:3].clip(0).sum() / total) if total > 0 else 0.0
        """Share of the variance that the three components hold, 0..1."""
        self._low, self._high = np.percentile(centred @ self._axes, (1, 99), axis=0)

    def __call__(self, features: NDArray[np.floating]) -> NDArray[np.uint8]:
        """Colours, uint8 (..., 3), of features (..., D)."""
        place = (features - self._mean) @ self._axes
        width = np.where(self._high > self._low, self._high - self._low, 1.0)
        colors = np.zeros((*features.shape[:-1], 3), np.uint8)
        colors[..., : place.shape[-1]] = np.rint(255 * ((place - self._low) / width).clip(0, 1))
        return colors
