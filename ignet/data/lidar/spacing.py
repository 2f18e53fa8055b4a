"""Some of many, evenly spaced."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")


def evenly_spaced_indices(count: int, most: int) -> NDArray[np.int64]:
    """Indices of up to ``most`` of ``count`` things in a row, int64, rising, evenly spaced.

    The first and the last are among them, where two fit.
    """
    return np.linspace(0, count - 1, min(most, count)).round().astype(np.int64)


def middles(things: Sequence[T], most: int) -> list[T]:
    """Up to ``most`` of some things in a row: the middles of equally long parts."""
    count = min(most, len(things))
    return [things[int((part + 0.5) * len(things) / count)] for part in range(count)]
