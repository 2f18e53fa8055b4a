"""Some of many, evenly spaced."""

import numpy as np
from numpy.typing import NDArray


def spaced(count: int, most: int) -> NDArray[np.int64]:
    """Numbers of up to ``most`` of ``count`` things in a row, int64, rising: the first and the last among them, where two fit."""
    return np.linspace(0, count - 1, min(most, count)).round().astype(np.int64)
