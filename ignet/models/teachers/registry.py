"""The kinds of 2D networks that can teach: one line each."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor

from ignet.models.teachers import backbone, efficientnet_lite, segformer
from ignet.models.teachers.base import FrozenTeacher, ImageNetwork, no_network, read_network

TEACHERS: dict[str, Callable[[dict[str, Tensor], dict[str, Any]], ImageNetwork]] = {
    "segformer": segformer.restore,
    "efficientnet_lite": efficientnet_lite.restore,
    "transformers": backbone.restore,
}
"""``model_type`` in a weights file -> function of the file's tensors and shape that gives the network."""


def load_teacher(path: Path | str) -> FrozenTeacher:
    """Read a 2D network of any kind, frozen, on the CPU.

    A file is safetensors whose metadata hold under "network" the network's shape as JSON, with its kind as
    ``model_type``.

    Raises:
        IgnetError: the file is missing, is not safetensors, or is no 2D network of a known kind.
    """
    tensors, shape = read_network(path)
    kind = shape["model_type"]
    if kind not in TEACHERS:
        raise no_network(path, ValueError(f"found the kind {kind!r}, expected one of {', '.join(TEACHERS)}"))
    try:
        return FrozenTeacher(TEACHERS[kind](tensors, shape))
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise no_network(path, error) from None
