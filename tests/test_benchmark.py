"""The benchmark's figures against a second count, written from the definition: raw ids, sets of points, exact
fractions."""

import json
import math
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest
from one_camera import seen_by_one

from ignet.cli.main import main
from ignet.data.formats import kitti
from ignet.data.label_sets.label_set import SEMANTICKITTI
from ignet.data.projection.correspondence import CorrespondenceWriter
from ignet.evaluate.benchmark import DISTANCES, BenchmarkCounts, benchmark_metrics, distance_masks, evaluate

# the benchmark's learning map as published: raw id -> class 1..19, 0 ignored
LEARNING_MAP = {
    0: 0,
    1: 0,
    10: 1,
    11: 2,
    13: 5,
    15: 3,
    16: 5,
    18: 4,
    20: 5,
    30: 6,
    31: 7,
    32: 8,
    40: 9,
    44: 10,
    48: 11,
    49: 12,
    50: 13,
}
LEARNING_MAP |= {51: 14, 52: 0, 60: 9, 70: 15, 71: 16, 72: 17, 80: 18, 81: 19, 99: 0}
LEARNING_MAP |= {252: 1, 253: 7, 254: 6, 255: 8, 256: 5, 257: 5, 258: 4, 259: 5}
NAMES = [
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
]
NAMES += ["other-ground", "building", "fence", "vegetation", "trunk", "terrain", "pole", "traffic-sign"]


def by_definition(pairs: list[tuple[int, int]]) -> dict:
    """The figures of (true raw id, predicted raw id) pairs, one at a time."""
    kept = [(LEARNING_MAP[t & 0xFFFF], LEARNING_MAP[p & 0xFFFF]) for t, p in pairs if LEARNING_MAP[t & 0xFFFF]]
    each = {}
    for number, name in enumerate(NAMES, 1):
        union = sum(number in pair for pair in kept)
        each[name] = Fraction(sum(pair == (number, number) for pair in kept), union) if union else Fraction(0)
    answered = [pair for pair in kept if pair[1]]
    accuracy = Fraction(sum(t == p for t, p in answered), len(answered)) if answered else Fraction(0)
    return {"miou": sum(each.values()) / 19, "accuracy": accuracy, "iou": each}


def assert_same(found: dict, expected: dict) -> None:
    assert list(found["iou"]) == NAMES
    for name in NAMES:
        assert abs(found["iou"][name] - float(expected["iou"][name])) < 1e-12
    assert abs(found["miou"] - float(expected["miou"])) < 1e-12
    assert abs(found["accuracy"] - float(expected["accuracy"])) < 1e-12


def bin_of(point: np.ndarray) -> int | None:
    """Number of the benchmark's distance bin, from float32 arithmetic one operation at a time."""
    squares = [np.float32(x) * np.float32(x) for x in point[:3]]
    distance = np.sqrt((squares[0] + squares[1]) + squares[2])
    return next(
        (i for i, (low, high) in enumerate([(0, 10), (10, 20), (20, 30), (30, 40), (40, 50)]) if low < distance < high),
        None,
    )


@pytest.fixture
def predicted_tree(make_tree: Callable[..., Path]) -> Path:
    """Dataset with all raw ids in sequence 08 and predictions beside it: two thirds right, others any id, 0 and ignored
    ones too."""
    root, rng = make_tree("dataset", ("00", "08"), 3, 900), np.random.default_rng(5)
    ids = np.array(list(LEARNING_MAP), np.uint32)
    for frame in kitti.frame_ids(root, "08"):
        truth = rng.choice(ids, 900) | rng.integers(0, 9, 900).astype(np.uint32) << 16
        truth.astype("<u4").tofile(kitti.label_path(root, "08", frame))
        said = np.where(rng.random(900) < 0.67, truth & 0xFFFF, rng.choice(ids[ids != 15], 900))
        path = root / "sequences/08/predictions" / f"{frame}.label"
        path.parent.mkdir(exist_ok=True)
        said.astype("<u4").tofile(path)
    return root


def read_pairs(root: Path) -> tuple[list[tuple[int, int]], list[list[tuple[int, int]]]]:
    """All pairs of sequence 08, and those of each distance bin."""
    whole: list[tuple[int, int]] = []
    bins: list[list[tuple[int, int]]] = [[] for _ in DISTANCES]
    for path in sorted((root / "sequences/08/velodyne").iterdir()):
        points = np.fromfile(path, "<f4").reshape(-1, 4)
        truth, said = (
            np.fromfile(root / f"sequences/08/{kind}/{path.stem}.label", "<u4").tolist()
            for kind in ("labels", "predictions")
        )
        for point, pair in zip(points, zip(truth, said, strict=True), strict=True):
            whole.append(pair)
            if (number := bin_of(point)) is not None:
                bins[number].append(pair)
    return whole, bins


def test_equal_to_the_definition(predicted_tree: Path) -> None:
    found = evaluate(predicted_tree, predicted_tree, ["08"], label_set=SEMANTICKITTI)
    whole, bins = read_pairs(predicted_tree)
    assert_same(found, by_definition(whole))
    assert 0.3 < found["miou"] < 0.7 and found["frames"] == 3
    assert [(part["low"], part["high"]) for part in found["distance"]] == list(DISTANCES)
    for part, pairs in zip(found["distance"], bins, strict=True):
        assert_same(part, by_definition(pairs))
    assert sum(map(len, bins)) > 1000


def test_metrics_of_the_stage_hold_them(
    predicted_tree: Path,
    tmp_path: Path,
    run_script: Callable[..., CompletedProcess[str]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    with CorrespondenceWriter(tmp_path / "08.h5") as writer:
        for frame in kitti.frame_ids(predicted_tree, "08"):
            none = np.zeros(0, np.int32)
            writer.add(
                frame,
                seen_by_one(none, np.zeros((0, 2), np.float32), none.astype(np.uint8), 900, 64, 32, (-0.5, 0.5)),
            )
    files = ("--out", tmp_path / "m.json", "--confusion", tmp_path / "c.csv", "--tensor", tmp_path / "t.h5")
    places = ("--dataset", predicted_tree, "--predictions", predicted_tree, "--projection", tmp_path)
    done = run_script("evaluate.py", "--sequences", "08", *places, *files)
    assert done.returncode == 0, done.stderr
    metrics = json.loads((tmp_path / "m.json").read_text())
    assert metrics["benchmark"] == evaluate(predicted_tree, predicted_tree, ["08"], label_set=SEMANTICKITTI)
    assert metrics["benchmark"]["miou"] == metrics["miou"]

    arguments = ["evaluate", "--dataset", str(predicted_tree), "--predictions", str(predicted_tree)]
    with pytest.raises(SystemExit) as stop:
        main([*arguments, "--json"])
    assert stop.value.code == 0
    assert json.loads(capsys.readouterr().out) == metrics["benchmark"]
    with pytest.raises(SystemExit):
        main(arguments)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[2:]] == [*NAMES, "mIoU", "accuracy"]
    car = [part["iou"]["car"] for part in (metrics["benchmark"], *metrics["benchmark"]["distance"])]
    assert lines[2].split()[1:] == [f"{100 * value:.2f}" for value in car]
    assert lines[-2].split()[1] == f"{100 * metrics['benchmark']['miou']:.2f}"


def test_a_missing_prediction_is_named(predicted_tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (predicted_tree / "sequences/08/predictions/000001.label").unlink()
    with pytest.raises(SystemExit) as stop:
        main(["evaluate", "--dataset", str(predicted_tree), "--predictions", str(predicted_tree)])
    assert stop.value.code == 1
    assert "error: " in (said := capsys.readouterr().err)
    assert "000001.label: no such file" in said and "Traceback" not in said


def test_bins_are_open_at_both_ends() -> None:
    exact = np.array(
        [[10, 0, 0], [0, 6, 8], [0, 0, 0], [50, 0, 0], [49.999996, 0, 0], [60, 0, 0], [-15, 0, 0]], np.float32
    )
    assert np.argwhere(distance_masks(exact)).tolist() == [[1, 6], [4, 4]]
    # 9.9999999 is 10 in float32, and so in no bin, whatever a float64 distance says
    assert not distance_masks(np.array([[9.9999999, 0, 0]])).any()
    just = np.array([[np.nextafter(np.float32(10), np.float32(0)), 0, 0]], np.float32)
    assert np.argwhere(distance_masks(just)).tolist() == [[0, 0]]
    assert DISTANCES == ((1e-8, 10.0), (10.0, 20.0), (20.0, 30.0), (30.0, 40.0), (40.0, 50.0))
    bright = np.array([[3, 4, 0, 100], [30, 0, 25, 100]], np.float32)  # remission is no part of the distance
    assert np.argwhere(distance_masks(bright)).tolist() == [[0, 0], [3, 1]]


def test_nothing_predicted_and_nothing_labelled() -> None:
    empty = np.zeros((19, 20), np.int64)
    found = benchmark_metrics(empty, SEMANTICKITTI.classes)
    assert found["miou"] == found["accuracy"] == 0 and set(found["iou"].values()) == {0.0}
    missed = empty.copy()
    missed[0, -1] = 7  # seven cars, nothing said
    assert benchmark_metrics(missed, SEMANTICKITTI.classes)["accuracy"] == 0
    missed[0, 0] = 1
    found = benchmark_metrics(missed, SEMANTICKITTI.classes)
    assert found["accuracy"] == 1 and found["iou"]["car"] == 1 / 8 and math.isclose(found["miou"], 1 / 8 / 19)
    assert SEMANTICKITTI.classes[0] == "car"


def test_scans_add_up() -> None:
    rng = np.random.default_rng(1)
    points = rng.uniform(-40, 40, (400, 4)).astype(np.float32)
    truth, said = rng.choice(np.array([*range(19), 255], np.uint8), (2, 400))
    together, apart = BenchmarkCounts(label_set=SEMANTICKITTI), BenchmarkCounts(label_set=SEMANTICKITTI)
    together.add(points, truth, said)
    for half in (slice(200), slice(200, None)):
        apart.add(points[half], truth[half], said[half])
    np.testing.assert_array_equal(together.whole, apart.whole)
    np.testing.assert_array_equal(together.distance, apart.distance)
    assert (together.frames, apart.frames) == (1, 2)
