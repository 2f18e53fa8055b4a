"""Presets of the target world: a street's layout, its look, and the sensors that see it."""

from dataclasses import dataclass, replace

from ignet.world.camera import KITTI_RIG, VAN_RIG, Rig
from ignet.world.layout import AVENUE_LAYOUT, RESIDENTIAL_LAYOUT, SOURCE_LAYOUT, Layout
from ignet.world.lidar import HDL_32E, HDL_64E, Lidar
from ignet.world.looks import AVENUE_LOOK, RESIDENTIAL_LOOK, SOURCE_LOOK, Look
from ignet.world.surround import SURROUND_RIG, SurroundRig


@dataclass(frozen=True)
class Preset:
    """One kind of world."""

    layout: Layout
    look: Look
    lidar: Lidar
    rig: Rig | SurroundRig


# by their names in the settings, see ignet.config.world
PRESETS = {
    "residential": Preset(RESIDENTIAL_LAYOUT, RESIDENTIAL_LOOK, HDL_64E, KITTI_RIG),
    "avenue": Preset(AVENUE_LAYOUT, AVENUE_LOOK, HDL_32E, VAN_RIG),
    # the avenue's street, so that a comparison of the two is one of their cameras
    "surround": Preset(AVENUE_LAYOUT, AVENUE_LOOK, replace(HDL_32E, height=1.84), SURROUND_RIG),
}
# the game that all of them learn from: labelled images only
SOURCE = Preset(SOURCE_LAYOUT, SOURCE_LOOK, HDL_64E, KITTI_RIG)
