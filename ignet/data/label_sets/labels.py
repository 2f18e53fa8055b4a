"""SemanticKITTI's classes by the names that the rooms use which do not take a label set yet."""

from pathlib import Path

from ignet.data.label_sets.label_set import CITYSCAPES, IGNORE, colorize, load_label_set

SEMANTICKITTI = load_label_set(Path(__file__).parent / "semantickitti.yaml")
CLASSES, COLORS = SEMANTICKITTI.classes, SEMANTICKITTI.colors
CITYSCAPES_CLASSES, CITYSCAPES_COLORS = CITYSCAPES.classes, CITYSCAPES.colors
CITYSCAPES_LABEL_IDS = CITYSCAPES.raw_ids.astype("u1")
to_train_ids, to_raw_ids, lidar_to_cityscapes = (
    SEMANTICKITTI.to_train_ids,
    SEMANTICKITTI.to_raw_ids,
    SEMANTICKITTI.to_camera_ids,
)

__all__ = [
    "CITYSCAPES_CLASSES",
    "CITYSCAPES_COLORS",
    "CITYSCAPES_LABEL_IDS",
    "CLASSES",
    "COLORS",
    "IGNORE",
    "SEMANTICKITTI",
    "colorize",
    "lidar_to_cityscapes",
    "to_raw_ids",
    "to_train_ids",
]
