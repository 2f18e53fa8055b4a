"""The kinds of 2D networks that can teach, one line each; the frozen ones are built from published weights here."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor

from ignet.config.teachers import EfficientNetLiteConfig, FileConfig, TeacherConfig, TransformersConfig
from ignet.files.atomic import write_weights
from ignet.models.teachers import backbone, efficientnet_lite, head, segformer
from ignet.models.teachers.base import FrozenTeacher, ImageNetwork, no_network, read_network, shape_of

TEACHERS: dict[str, Callable[[dict[str, Tensor], dict[str, Any]], ImageNetwork]] = {
    "segformer": segformer.restore,
    "efficientnet_lite": efficientnet_lite.restore,
    "transformers": backbone.restore,
    "head": lambda tensors, shape: head.restore(tensors, shape, TEACHERS),
}
"""``model_type`` in a weights file -> function of the file's tensors and shape that gives the network."""

BUILDERS: dict[str, Callable[[Any], ImageNetwork]] = {
    "efficientnet_lite": efficientnet_lite.build,
    "transformers": backbone.build,
    "file": lambda settings: restore(Path(settings.weights).expanduser()),
}
"""``kind`` in the settings of a frozen teacher -> function of the settings that reads its weights."""


def build_teacher(settings: TeacherConfig) -> ImageNetwork:
    """A frozen teacher with its weights, on the CPU, in evaluation mode.

    Raises:
        IgnetError: the weights are not there, or are no network of this kind.
    """
    return BUILDERS[settings.kind](settings)


def empty_teacher(settings: TeacherConfig) -> ImageNetwork:
    """A frozen teacher's network, for its size alone; nothing is asked of a hub.

    A file that is not there counts as the default EfficientNet-Lite.
    """
    if isinstance(settings, TransformersConfig):
        return backbone.empty(settings)
    if isinstance(settings, FileConfig) and Path(settings.weights).expanduser().is_file():
        return build_teacher(settings).to("meta")
    lite = settings if isinstance(settings, EfficientNetLiteConfig) else EfficientNetLiteConfig()
    return efficientnet_lite.EfficientNetLite(lite.variant, lite.strides).eval()


def save_teacher(path: Path | str, network: ImageNetwork) -> None:
    """Write a frozen teacher as `load_teacher` reads it."""
    write_weights(path, network.state_dict(), {"network": json.dumps(shape_of(network), sort_keys=True)})


def load_teacher(path: Path | str) -> FrozenTeacher:
    """Read a 2D network of any kind, frozen, on the CPU, see `restore`."""
    return FrozenTeacher(restore(path))


def restore(path: Path | str) -> ImageNetwork:
    """Read a 2D network of any kind, on the CPU, in evaluation mode.

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
        network = TEACHERS[kind](tensors, shape)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise no_network(path, error) from None
    if not hasattr(network, "shape"):
        vars(network)["shape"] = shape  # what it is written with again
    return network.eval()
