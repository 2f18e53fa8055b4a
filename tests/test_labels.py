"""Class maps and palettes."""

import numpy as np
import pytest

from ignet.data.label_sets import labels
from ignet.data.label_sets.labels import CITYSCAPES_CLASSES, CLASSES, IGNORE
from ignet.errors import IgnetError

BENCHMARK = {
    "car": {10, 252},
    "other-vehicle": {13, 16, 20, 256, 257, 259},
    "truck": {18, 258},
    "person": {30, 254},
    "bicyclist": {31, 253},
    "motorcyclist": {32, 255},
    "road": {40, 60},
    "traffic-sign": {81},
}


def test_every_raw_class_goes_where_the_benchmark_puts_it() -> None:
    known = [
        0,
        1,
        10,
        11,
        13,
        15,
        16,
        18,
        20,
        30,
        31,
        32,
        40,
        44,
        48,
        49,
        50,
        51,
        52,
        60,
        70,
        71,
        72,
        80,
        81,
        99,
        *range(252, 260),
    ]
    train = labels.to_train_ids(np.array(known, np.uint32))
    assert train.dtype == np.uint8
    for name, raw in BENCHMARK.items():
        assert {r for r, t in zip(known, train, strict=True) if t == CLASSES.index(name)} == raw
    assert {r for r, t in zip(known, train, strict=True) if t == IGNORE} == {0, 1, 52, 99}
    assert len(CLASSES) == len(set(CLASSES)) == 19


def test_instances_do_not_matter() -> None:
    raw = np.array([40 | 9 << 16, 0xFFFF_0000 | 81], np.uint32)
    np.testing.assert_array_equal(labels.to_train_ids(raw), [8, 18])


def test_unknown_class_is_named_with_its_file() -> None:
    with pytest.raises(IgnetError) as error:
        labels.to_train_ids(np.array([10, 12, 12, 300], np.uint32), "sequences/00/labels/000000.label")
    assert str(error.value).startswith("sequences/00/labels/000000.label: found raw class 12, 300 on 3 points")
    assert "\n" not in str(error.value)


def test_inverse_map() -> None:
    train = np.arange(19, dtype=np.uint8)
    raw = labels.to_raw_ids(train)
    assert raw.dtype == np.uint32
    assert raw.tolist() == [10, 11, 15, 18, 20, 30, 31, 32, 40, 44, 48, 49, 50, 51, 70, 71, 72, 80, 81]
    np.testing.assert_array_equal(labels.to_train_ids(raw), train)
    assert labels.to_raw_ids(np.array([[IGNORE]], np.uint8)).tolist() == [[0]]
    with pytest.raises(ValueError, match="found 19"):
        labels.to_raw_ids(np.array([0, 19], np.uint8))


def test_lidar_classes_in_cityscapes() -> None:
    named = {
        CLASSES[i]: (CITYSCAPES_CLASSES[c] if c != IGNORE else None)
        for i, c in enumerate(labels.lidar_to_cityscapes(np.arange(19, dtype=np.uint8)))
    }
    same = {
        "car",
        "bicycle",
        "motorcycle",
        "truck",
        "person",
        "road",
        "sidewalk",
        "building",
        "fence",
        "vegetation",
        "terrain",
        "pole",
    }
    assert {name for name in named if named[name] == name} == same
    assert {name: named[name] for name in named.keys() - same} == {
        "other-vehicle": None,
        "other-ground": None,
        "bicyclist": "rider",
        "motorcyclist": "rider",
        "parking": "road",
        "trunk": "vegetation",
        "traffic-sign": "traffic sign",
    }
    assert labels.lidar_to_cityscapes(np.array([IGNORE], np.uint8)).tolist() == [IGNORE]


def test_palettes_are_rgb() -> None:
    ids = np.array([[0, 8], [18, IGNORE]], np.uint8)
    assert labels.colorize(ids, labels.COLORS).tolist() == [[[100, 150, 245], [255, 0, 255]], [[255, 0, 0], [0, 0, 0]]]
    assert labels.colorize(ids, labels.CITYSCAPES_COLORS).tolist() == [
        [[128, 64, 128], [107, 142, 35]],
        [[119, 11, 32], [0, 0, 0]],
    ]
    for palette in (labels.COLORS, labels.CITYSCAPES_COLORS):
        assert palette.dtype == np.uint8
        assert len(np.unique(palette, axis=0)) == 19
