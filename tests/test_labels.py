"""Label sets: the shipped ones, one of one's own, and every mistake that a file can hold."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from ignet.data.label_sets.label_set import CITYSCAPES, IGNORE, LabelSet, colorize, load_label_set, parse_label_set
from ignet.errors import IgnetError

LABELS = load_label_set("semantickitti")
CLASSES = LABELS.classes

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
    train = LABELS.to_train_ids(np.array(known, np.uint32))
    assert train.dtype == np.uint8
    for name, raw in BENCHMARK.items():
        assert {r for r, t in zip(known, train, strict=True) if t == CLASSES.index(name)} == raw
    assert {r for r, t in zip(known, train, strict=True) if t == IGNORE} == {0, 1, 52, 99}
    assert len(CLASSES) == len(set(CLASSES)) == 19


def test_instances_do_not_matter() -> None:
    raw = np.array([40 | 9 << 16, 0xFFFF_0000 | 81], np.uint32)
    np.testing.assert_array_equal(LABELS.to_train_ids(raw), [8, 18])


def test_unknown_class_is_named_with_its_file() -> None:
    with pytest.raises(IgnetError) as error:
        LABELS.to_train_ids(np.array([10, 12, 12, 300], np.uint32), "sequences/00/labels/000000.label")
    assert str(error.value).startswith("sequences/00/labels/000000.label: found raw class 12, 300 on 3 points")
    assert "\n" not in str(error.value)


def test_inverse_map() -> None:
    train = np.arange(19, dtype=np.uint8)
    raw = LABELS.to_raw_ids(train)
    assert raw.dtype == np.uint32
    assert raw.tolist() == [10, 11, 15, 18, 20, 30, 31, 32, 40, 44, 48, 49, 50, 51, 70, 71, 72, 80, 81]
    np.testing.assert_array_equal(LABELS.to_train_ids(raw), train)
    assert LABELS.to_raw_ids(np.array([[IGNORE]], np.uint8)).tolist() == [[0]]
    with pytest.raises(ValueError, match="found 19"):
        LABELS.to_raw_ids(np.array([0, 19], np.uint8))


def test_lidar_classes_in_cityscapes() -> None:
    named = {
        CLASSES[i]: (CITYSCAPES.classes[c] if c != IGNORE else None)
        for i, c in enumerate(LABELS.to_camera_ids(np.arange(19, dtype=np.uint8)))
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
    assert LABELS.to_camera_ids(np.array([IGNORE], np.uint8)).tolist() == [IGNORE]


def test_palettes_are_rgb() -> None:
    ids = np.array([[0, 8], [18, IGNORE]], np.uint8)
    assert colorize(ids, LABELS.colors).tolist() == [[[100, 150, 245], [255, 0, 255]], [[255, 0, 0], [0, 0, 0]]]
    assert colorize(ids, CITYSCAPES.colors).tolist() == [
        [[128, 64, 128], [107, 142, 35]],
        [[119, 11, 32], [0, 0, 0]],
    ]
    for palette in (LABELS.colors, CITYSCAPES.colors):
        assert palette.dtype == np.uint8
        assert len(np.unique(palette, axis=0)) == 19


def test_nuscenes() -> None:
    nuscenes = load_label_set("nuscenes")
    assert len(nuscenes) == 16
    # one raw id of each class of the challenge, in its order, and one that it ignores
    raw = np.array([9, 14, 16, 17, 18, 21, 4, 12, 22, 23, 24, 25, 26, 27, 28, 30, 31], np.uint32)
    assert nuscenes.to_train_ids(raw).tolist() == [*range(16), IGNORE]
    assert nuscenes.classes[3] == "car"
    assert colorize(np.array([3], np.uint8), nuscenes.colors).tolist() == [[255, 158, 0]]


OWN: dict[str, Any] = {
    "labels": {0: "nothing", 3: "grass", 40000: "tree", 5: "shrub", 7: "water"},
    "color_map": {3: [1, 2, 3], 40000: [0, 128, 0], 7: [255, 0, 0]},
    "learning_map": {0: 0, 3: 10, 40000: 20, 5: 20, 7: 30},
    "learning_map_inv": {0: 0, 10: 3, 20: 40000, 30: 7},
    "learning_ignore": {0: True, 10: False, 20: False, 30: False},
    "camera_map": {"grass": "terrain", "tree": "vegetation", "water": None},
    "small_objects": ["tree"],
}


def own(path: Path, **changes: Any) -> LabelSet:
    path.write_text(yaml.safe_dump(OWN | changes), encoding="utf-8")
    return load_label_set(path)


def test_own_label_set(tmp_path: Path) -> None:
    labels = own(tmp_path / "garden.yaml")
    assert (labels.name, labels.classes, labels.small_objects) == ("garden", ("grass", "tree", "water"), ("tree",))
    assert labels.colors.tolist() == [[3, 2, 1], [0, 128, 0], [0, 0, 255]]
    assert labels.to_train_ids(np.array([0, 3, 40000, 5, 7], np.uint32)).tolist() == [IGNORE, 0, 1, 1, 2]
    assert labels.to_raw_ids(np.array([0, 1, 2, IGNORE], np.uint8)).tolist() == [3, 40000, 7, 0]
    names = [None if each == IGNORE else CITYSCAPES.classes[each] for each in labels.camera_ids]
    assert names == ["terrain", "vegetation", None]
    with pytest.raises(IgnetError, match="found raw class 10 on 1 points, expected raw ids of the label set garden"):
        labels.to_train_ids(np.array([10], np.uint32))

    again = parse_label_set(labels.text, "model.safetensors")
    assert again.identity == labels.identity
    assert again.classes == labels.classes
    assert own(tmp_path / "other.yaml", small_objects=[]).identity != labels.identity


MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"labels": OWN["labels"] | {8: "mud"}}, "learning_map: found no learning id of raw id 8"),
    ({"learning_map": OWN["learning_map"] | {9: 10}}, "labels: found no name of raw id 9"),
    ({"learning_map": OWN["learning_map"] | {7: 40}}, "learning_ignore: found nothing about learning id 40"),
    ({"learning_map_inv": OWN["learning_map_inv"] | {30: 3}}, "learning_map_inv: found no raw id .* to 30"),
    ({"labels": OWN["labels"] | {70000: "x"}}, "labels.70000"),
    ({"color_map": {3: [1, 2, 3], 7: [255, 0, 0]}}, "color_map: found no colour of raw id 40000"),
    ({"color_map": OWN["color_map"] | {7: [256, 0, 0]}}, "color_map.7.0.*256"),
    ({"learning_ignore": dict.fromkeys((0, 10, 20, 30), True)}, "learning_ignore: found 0 classes"),
    ({"class_names": {10: "tree"}}, "class_names: found twice the class tree"),
    ({"class_names": {11: "tree"}}, "class_names: found learning id 11"),
    ({"camera_map": OWN["camera_map"] | {"lawn": None}}, "camera_map, small_objects or surfaces: found class lawn"),
    ({"small_objects": ["flower"]}, "found class flower, expected one of grass, tree, water"),
    ({"camera_map": OWN["camera_map"] | {"water": "lake"}}, "camera_map: found 2D class lake, expected one of road"),
    ({"camera_map": {"grass": "terrain"}}, "camera_map: found nothing about tree"),
    ({"colours": {}}, "unknown key 'colours'"),
    ({"learning_map": OWN["learning_map"] | {0: 10}}, "learning_map: found a class or nothing for raw id 0"),
    (
        {key: {k: v for k, v in OWN[key].items() if k} for key in ("labels", "learning_map")},
        "found a class or nothing for raw id 0, expected an ignored",
    ),
]


def test_mistakes_in_a_label_set(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    for changes, expected in MISTAKES:
        with pytest.raises(IgnetError, match=expected) as error:
            own(path, **changes)
        assert str(error.value).startswith(f"{path}: ")
        assert "\n" not in str(error.value)
    path.write_text("labels:\n  1: a\n  2: b\n  1: c\n", encoding="utf-8")
    with pytest.raises(IgnetError, match="line 4: found the key '1' a second time, after line 2"):
        load_label_set(path)
    with pytest.raises(IgnetError, match="gardens: no such label set, expected cityscapes, nuscenes, semantickitti"):
        load_label_set("gardens")
    with pytest.raises(IgnetError, match="own: found a label set that is no JSON"):
        parse_label_set("{", "own")


def test_the_embedded_world_alone_names_a_label_set_of_points() -> None:
    root = Path(__file__).parents[1]
    modules = [path for folder in ("ignet", "workflow") for path in (root / folder).rglob("*.py")]
    found = {path for path in modules if re.search(r"\bSEMANTICKITTI\b", path.read_text(encoding="utf-8"))}
    # figures that were published for its classes
    found.remove(root / "ignet/report/published.py")
    assert {path.parent.name for path in found} == {"label_sets", "world"}
