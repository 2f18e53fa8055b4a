"""LiDAR semantic segmentation from cheap labels, with the help of a camera.

``network = ignet.load(path)``, then ``labels, confidence = network.predict(points)``.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ignet.errors import IgnetError

if TYPE_CHECKING:
    from ignet.predict.segmenter import Prediction, Segmenter, load

__version__ = "0.1.0"
__all__ = ["IgnetError", "Prediction", "Segmenter", "load"]


def __getattr__(name: str) -> Any:
    """Import what needs torch when it is used; by a name that the stages' code identity does not follow."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("ignet.predict.segmenter"), name)
