"""What a 3D network takes, as far as the loading of samples knows of it."""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray


class Input(Protocol):
    """Tensors of a batch of scans that move together."""

    def to(self, device: torch.device) -> "Input":
        """The same on ``device``."""
        ...


Collate = Callable[[Sequence[NDArray[np.float32]], Sequence[NDArray[np.uint8] | None] | None], Input]
"""(scans float32 (N_i, 4), labels uint8 (N_i,) or None each, or None) -> the network's input; runs in the workers."""
