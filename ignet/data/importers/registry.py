"""The layouts that `ignet import` knows: one line for each."""

from collections.abc import Callable, Iterator

from ignet.data.importers.frame import SensorFrame
from ignet.data.importers.kitti_object import kitti_object
from ignet.data.importers.nuscenes import nuscenes

LAYOUTS: dict[str, Callable[..., Iterator[SensorFrame]]] = {
    "kitti_object": kitti_object,
    "nuscenes": nuscenes,
}
"""Name on the command line -> function that gives the frames below a folder, in their order.

It takes the folder, and ``version`` where the data set has several.
"""

LABEL_SETS = {"nuscenes": "nuscenes"}
"""Name -> label set of its labels, where it is not SemanticKITTI's."""
