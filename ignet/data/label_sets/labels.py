"""Class maps and palettes: SemanticKITTI raw ids, its 19 benchmark classes, and the 19 Cityscapes classes.

LiDAR train ids are 0..18 (the benchmark's 1..19 minus one), Cityscapes train ids 0..18; 255 is ignored in both.
The raw ids and their map to benchmark classes are those of the SemanticKITTI benchmark.
"""

import numpy as np
from numpy.typing import NDArray

from ignet.errors import IgnetError

IGNORE = 255
_UNKNOWN = 254

CLASSES: tuple[str, ...] = (
    "car",
    "bicycle",
    "motorcycle",
    "truck",
    "other-vehicle",
    "person",
    "bicyclist",
    "motorcyclist",
    "road",
    "parking",
    "sidewalk",
    "other-ground",
    "building",
    "fence",
    "vegetation",
    "trunk",
    "terrain",
    "pole",
    "traffic-sign",
)

# The first raw id of each class is the one that predictions are written with.
_RAW_IDS: dict[str, tuple[int, ...]] = {
    "car": (10, 252),
    "bicycle": (11,),
    "motorcycle": (15,),
    "truck": (18, 258),
    "other-vehicle": (20, 13, 16, 256, 257, 259),
    "person": (30, 254),
    "bicyclist": (31, 253),
    "motorcyclist": (32, 255),
    "road": (40, 60),
    "parking": (44,),
    "sidewalk": (48,),
    "other-ground": (49,),
    "building": (50,),
    "fence": (51,),
    "vegetation": (70,),
    "trunk": (71,),
    "terrain": (72,),
    "pole": (80,),
    "traffic-sign": (81,),
}
_IGNORED_RAW_IDS = (0, 1, 52, 99)  # unlabeled, outlier, other-structure, other-object

COLORS: NDArray[np.uint8] = np.array(
    [
        (100, 150, 245),
        (100, 230, 245),
        (30, 60, 150),
        (80, 30, 180),
        (0, 0, 255),
        (255, 30, 30),
        (255, 40, 200),
        (150, 30, 90),
        (255, 0, 255),
        (255, 150, 255),
        (75, 0, 75),
        (175, 0, 75),
        (255, 200, 0),
        (255, 120, 50),
        (0, 175, 0),
        (135, 60, 0),
        (150, 240, 80),
        (255, 240, 150),
        (255, 0, 0),
    ],
    dtype=np.uint8,
)
"""uint8 (19, 3), RGB: the benchmark's colours (its file has them as BGR)."""

CITYSCAPES_CLASSES: tuple[str, ...] = (
    "road",
    "sidewalk",
    "building",
    "wall",
    "fence",
    "pole",
    "traffic light",
    "traffic sign",
    "vegetation",
    "terrain",
    "sky",
    "person",
    "rider",
    "car",
    "truck",
    "bus",
    "train",
    "motorcycle",
    "bicycle",
)

CITYSCAPES_LABEL_IDS: NDArray[np.uint8] = np.array(
    [7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33], dtype=np.uint8
)
"""uint8 (19,): Cityscapes *label* id of each train id, as label images of Cityscapes and GTA-V store them."""

CITYSCAPES_COLORS: NDArray[np.uint8] = np.array(
    [
        (128, 64, 128),
        (244, 35, 232),
        (70, 70, 70),
        (102, 102, 156),
        (190, 153, 153),
        (153, 153, 153),
        (250, 170, 30),
        (220, 220, 0),
        (107, 142, 35),
        (152, 251, 152),
        (70, 130, 180),
        (220, 20, 60),
        (255, 0, 0),
        (0, 0, 142),
        (0, 0, 70),
        (0, 60, 100),
        (0, 80, 100),
        (0, 0, 230),
        (119, 11, 32),
    ],
    dtype=np.uint8,
)
"""uint8 (19, 3), RGB: the colours of Cityscapes (and of GTA-V's labels)."""

_CITYSCAPES_OF: dict[str, str] = {
    "car": "car",
    "bicycle": "bicycle",
    "motorcycle": "motorcycle",
    "truck": "truck",
    "person": "person",
    "bicyclist": "rider",
    "motorcyclist": "rider",
    "road": "road",
    "parking": "road",
    "sidewalk": "sidewalk",
    "building": "building",
    "fence": "fence",
    "vegetation": "vegetation",
    "trunk": "vegetation",
    "terrain": "terrain",
    "pole": "pole",
    "traffic-sign": "traffic sign",
}

LIDAR_TO_CITYSCAPES: NDArray[np.uint8] = np.array(
    [CITYSCAPES_CLASSES.index(_CITYSCAPES_OF[name]) if name in _CITYSCAPES_OF else IGNORE for name in CLASSES],
    dtype=np.uint8,
)
"""uint8 (19,): Cityscapes train id of each LiDAR class; other-vehicle and other-ground have none (255)."""


def _train_table() -> NDArray[np.uint8]:
    table = np.full(65536, _UNKNOWN, dtype=np.uint8)
    table[list(_IGNORED_RAW_IDS)] = IGNORE
    for train_id, name in enumerate(CLASSES):
        table[list(_RAW_IDS[name])] = train_id
    return table


_TO_TRAIN = _train_table()
_TO_RAW = np.array([_RAW_IDS[name][0] for name in CLASSES], dtype=np.uint32)


def to_train_ids(raw: NDArray[np.unsignedinteger], where: str = "labels") -> NDArray[np.uint8]:
    """LiDAR train ids of raw labels.

    Args:
        raw: uint32 (...,) labels (the instance in the high 16 bits is dropped), or uint16 classes.
        where: the file that they come from, for the error.

    Returns:
        uint8 (...,): 0..18, or 255 where the benchmark ignores the class.

    Raises:
        IgnetError: a raw class that SemanticKITTI does not define.
    """
    classes = np.asarray(raw) & 0xFFFF
    train = _TO_TRAIN[classes]
    unknown = train == _UNKNOWN
    if unknown.any():
        ids = [str(value) for value in np.unique(classes[unknown])]
        listed = ", ".join(ids[:8]) + (f" and {len(ids) - 8} more" if len(ids) > 8 else "")
        raise IgnetError(
            f"{where}: found raw class {listed} on {int(unknown.sum())} points, expected SemanticKITTI's raw "
            "classes, such as 10 for "
            "car and 40 for road; unpack labels of SemanticKITTI or convert these"
        )
    return train


def is_raw_class(raw: int) -> bool:
    """Whether SemanticKITTI defines a raw class."""
    return bool(_TO_TRAIN[raw] != _UNKNOWN)


def to_raw_ids(train: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """Raw classes, uint32 (...,), of LiDAR train ids by the benchmark's inverse map; 255 becomes 0 (unlabeled).

    Raises:
        ValueError: an id that is neither 0..18 nor 255.
    """
    return _look_up(np.append(_TO_RAW, np.uint32(0)), train)


def lidar_to_cityscapes(train: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Cityscapes train ids, uint8 (...,), of LiDAR train ids; 255 where the class has none.

    Raises:
        ValueError: an id that is neither 0..18 nor 255.
    """
    return _look_up(np.append(LIDAR_TO_CITYSCAPES, np.uint8(IGNORE)), train)


def colorize(ids: NDArray[np.uint8], palette: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Colours, uint8 (..., 3) RGB, of ids (...,) by a palette (K, 3); 255 is black.

    Raises:
        ValueError: an id that is neither 0..K-1 nor 255.
    """
    return _look_up(np.vstack([palette, np.zeros((1, 3), np.uint8)]), ids)


def _look_up(table: NDArray, ids: NDArray[np.uint8]) -> NDArray:
    """Rows of ``table`` by id; its last row is the one of `IGNORE`."""
    ids = np.asarray(ids)
    last = len(table) - 1
    if ((ids >= last) & (ids != IGNORE)).any():
        raise ValueError(
            f"class ids must be 0..{last - 1} or {IGNORE}, found {int(ids[(ids >= last) & (ids != IGNORE)].max())}"
        )
    return table[np.where(ids == IGNORE, last, ids)]
