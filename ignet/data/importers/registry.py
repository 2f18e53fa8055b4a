"""The layouts that `ignet import` knows: one line for each."""

from collections.abc import Callable, Iterator
from pathlib import Path

from ignet.data.importers.frame import SensorFrame
from ignet.data.importers.kitti_object import kitti_object

LAYOUTS: dict[str, Callable[[Path], Iterator[SensorFrame]]] = {
    "kitti_object": kitti_object,
}
"""Name on the command line -> function that gives the frames below a folder, in their order."""
