"""The confusion tensor against counts of each slice by itself, and its file."""

import csv
import fcntl
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ignet.config.evaluation import EvaluateConfig
from ignet.data.label_sets.label_set import SEMANTICKITTI as LABELS
from ignet.errors import IgnetError
from ignet.evaluate.confusion import confusion_matrix, mean_iou_occurring
from ignet.evaluate.metrics import metrics, write_confusion
from ignet.evaluate.slices import BOUNDARY_SLICES, CAMERA_SLICES, NO_SLICE, distance_names
from ignet.evaluate.tensor import ConfusionTensor, count_cells, join, read_tensor, write_tensor

NAMES = {"range": distance_names((0, 10, 50)), "camera": CAMERA_SLICES, "boundary": BOUNDARY_SLICES}
SIZES = (3, 2, 2)
CLASSES = {3: (("soil", "Rübe", "weed"), ("weed",)), 4: (("soil", "Rübe", "weed", "fence"), ())}


def random_scan(rng, points, classes):
    ids = np.array([*range(classes), 255], np.uint8)
    truth, predicted = rng.choice(ids, points), rng.choice(ids, points)
    slices = [rng.integers(0, size, points).astype(np.uint8) for size in SIZES]
    slices[2][truth == 255] = NO_SLICE  # as boundary_points says it
    return truth, predicted, slices


def random_tensor(frames=("08/000000", "08/000001"), classes=3, points=200, seed=0):
    rng = np.random.default_rng(seed)
    scans = [random_scan(rng, points, classes) for _ in frames]
    counts = np.stack([count_cells(*scan, SIZES, classes) for scan in scans])
    return ConfusionTensor(tuple(frames), NAMES, counts, *CLASSES.get(classes, (LABELS.classes, LABELS.small_objects)))


def test_count_cells_by_hand():
    truth = np.array([0, 0, 1, 1, 255], np.uint8)
    predicted = np.array([0, 1, 1, 255, 0], np.uint8)
    near, seen = np.array([0, 2, 2, 0, 0], np.uint8), np.array([1, 0, 0, 1, 0], np.uint8)
    counts = count_cells(truth, predicted, (near, seen), (3, 2), 2)
    assert counts.shape == (3, 2, 2, 3) and counts.sum() == 4
    assert counts[0, 1].tolist() == [[1, 0, 0], [0, 0, 1]] and counts[2, 0].tolist() == [[0, 1, 0], [0, 1, 0]]


@given(st.integers(0, 80), st.integers(0, 2**32 - 1))
def test_every_slice_is_what_counting_it_alone_gives(points, seed):
    truth, predicted, slices = random_scan(np.random.default_rng(seed), points, 4)
    counts = count_cells(truth, predicted, slices, SIZES, 4)[None]
    tensor = ConfusionTensor(("08/000000",), NAMES, counts, tuple("abcd"))
    np.testing.assert_array_equal(tensor.whole()[0], confusion_matrix(truth, predicted, 4))
    for (axis, names), numbers in zip(NAMES.items(), slices, strict=True):
        for number, name in enumerate(names):
            member = numbers == number
            np.testing.assert_array_equal(
                tensor.slice(axis, name)[0], confusion_matrix(truth[member], predicted[member], 4)
            )
        np.testing.assert_array_equal(sum(tensor.slice(axis, name) for name in names), tensor.whole())
    far_unseen_inside = (slices[0] == 2) & (slices[1] == 1) & (slices[2] == 1)
    alone = confusion_matrix(truth[far_unseen_inside], predicted[far_unseen_inside], 4)
    np.testing.assert_array_equal(tensor.counts[0, 2, 1, 1], alone)


@pytest.mark.parametrize(("truth", "predicted", "number"), [(3, 0, 0), (0, 3, 0), (0, 0, 2), (0, 0, NO_SLICE)])
def test_points_outside_the_tensor_are_refused(truth, predicted, number):
    one = [np.array([value], np.uint8) for value in (truth, predicted, number)]
    with pytest.raises(ValueError, match="neither a class|invalid entry"):
        count_cells(one[0], one[1], (one[2],), (2,), 3)


def test_unknown_slices_are_named():
    with pytest.raises(
        IgnetError, match=r"slice 'range:99 m': found no slice .* one of 'range:0-10 m', .*'boundary:interior'"
    ):
        random_tensor().slice("range", "99 m")
    with pytest.raises(IgnetError, match="slice 'height:low'"):
        random_tensor().slice("height", "low")


def test_a_tensor_refuses_what_does_not_fit():
    tensor = random_tensor()
    with pytest.raises(ValueError, match="expected"):
        replace(tensor, frames=("08/000000",))
    with pytest.raises(ValueError, match="expected"):
        replace(tensor, names=dict(reversed(NAMES.items())))
    with pytest.raises(ValueError, match="twice"):
        replace(tensor, frames=("08/000000",) * 2)
    for shape in ((4,), (2, *SIZES, 4, 5)):
        with pytest.raises(ValueError, match=r"expected \(2, 3, 2, 2, 3, 4\) for the axes"):
            replace(tensor, counts=np.zeros(shape, np.int64))


@pytest.mark.parametrize(("largest", "dtype"), [(255, "uint8"), (256, "uint16"), (70_000, "uint32")])
def test_file_round_trip(tmp_path, largest, dtype):
    tensor = random_tensor()
    tensor.counts[1, 0, 0, 0, 0, 0] = largest
    path, again = tmp_path / "confusion.h5", tmp_path / "again.h5"
    write_tensor(path, tensor)
    found = read_tensor(path)
    assert found.frames == tensor.frames and found.names == NAMES and tuple(found.names) == tuple(NAMES)
    assert (found.classes, found.small_objects) == (("soil", "Rübe", "weed"), ("weed",))
    assert found.counts.dtype == np.int64
    np.testing.assert_array_equal(found.counts, tensor.counts)
    with h5py.File(path) as file:
        counts = file["counts"]
        assert counts.dtype == dtype and counts.compression == "gzip" and counts.shuffle and counts.chunks[0] == 1
    write_tensor(again, found)
    assert again.read_bytes() == path.read_bytes()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["again.h5", "confusion.h5"]


def test_a_tensor_without_scans_keeps_its_shape(tmp_path):
    path, counts = tmp_path / "confusion.h5", np.zeros((0, *SIZES, 3, 4), np.int64)
    write_tensor(path, ConfusionTensor((), NAMES, counts, CLASSES[3][0]))
    assert read_tensor(path).counts.shape == counts.shape
    with h5py.File(path) as file:
        assert file["counts"].dtype == "uint8"


def test_a_file_that_somebody_locked_is_read(tmp_path):
    """Complete files never change, and shared file systems often cannot lock."""
    path = tmp_path / "confusion.h5"
    write_tensor(path, random_tensor())
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert read_tensor(path).counts.sum() > 0


def test_broken_files_are_named(tmp_path):
    path = tmp_path / "confusion.h5"
    with pytest.raises(IgnetError, match=r"confusion.h5: no such file, expected .* run the rule evaluate"):
        read_tensor(path)
    write_tensor(path, random_tensor())
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(IgnetError, match="confusion.h5: cannot be read") as error:
        read_tensor(path)
    assert "\n" not in str(error.value)
    path.write_bytes(content)
    with h5py.File(path, "a") as file:
        del file["names/camera"]
    with pytest.raises(IgnetError, match="confusion.h5: cannot be read"):
        read_tensor(path)
    with h5py.File(path, "a") as file:
        file.attrs["version"] = 1
    expected = "found layout confusion version 1, expected a whole confusion file of version 2"
    with pytest.raises(IgnetError, match=expected):
        read_tensor(path)
    with h5py.File(path, "a") as file:
        del file.attrs["version"]
    with pytest.raises(IgnetError, match="found layout confusion version 0, expected"):
        read_tensor(path)


def test_join_pools_frames():
    first, second = random_tensor(), random_tensor(("10/000004",), seed=1)
    joined = join([first, second])
    assert joined.frames == ("08/000000", "08/000001", "10/000004")
    np.testing.assert_array_equal(joined.whole(), np.concatenate([first.whole(), second.whole()]))
    np.testing.assert_array_equal(join([second]).counts, second.counts)
    with pytest.raises(IgnetError, match="found frame 08/000000 2 times"):
        join([first, first])
    with pytest.raises(IgnetError, match="found slices"):
        join([first, replace(second, names={**NAMES, "camera": ("in", "out")})])
    with pytest.raises(IgnetError, match="'Rübe', 'weed', 'fence'"):
        join([first, random_tensor(("10/000004",), classes=4)])
    with pytest.raises(IgnetError, match="'tare'"):
        join([first, replace(second, classes=("soil", "Rübe", "tare"))])


def test_metrics_sum_the_tensor_up():
    tensor = random_tensor(classes=19, points=3000)
    figures = metrics(tensor)
    assert figures["frames"] == 2 and figures["points"] == tensor.counts.sum()
    assert [part["name"] for part in figures["slices"]["range"]] == list(NAMES["range"])
    seen = tensor.slice("camera", "in-FOV").sum(axis=0)
    assert figures["slices"]["camera"][0]["miou_occurring"] == mean_iou_occurring(seen)
    assert figures["slices"]["camera"][0]["iou"]["car"] == seen[0, 0] / (seen[0].sum() + seen[:, 0].sum() - seen[0, 0])
    small = [figures["iou"][name] for name in figures["small_objects"]["classes"]]
    assert len(small) == 8 and figures["small_objects"]["miou_occurring"] == pytest.approx(np.mean(small))

    only_cars = replace(tensor, counts=np.where(np.arange(len(LABELS.classes))[:, None] == 0, tensor.counts, 0))
    assert metrics(only_cars)["small_objects"]["miou_occurring"] is None


@pytest.mark.parametrize("ranges", [(5, 10), (-1, 10), (0, 10, 10), ()])
def test_the_distance_bins_must_hold_every_point(ranges):
    with pytest.raises(ValidationError):
        EvaluateConfig(ranges=ranges)
    assert EvaluateConfig(ranges=(0, 25)).ranges == (0, 25)


def test_the_table_of_confusions_has_a_row_and_a_column_for_each_class(tmp_path: Path) -> None:
    counts = np.arange(19 * 20).reshape(19, 20)
    write_confusion(tmp_path / "confusion.csv", counts, LABELS.classes)
    text = (tmp_path / "confusion.csv").read_bytes().decode()
    rows = list(csv.reader(text.splitlines()))
    assert rows[0] == ["truth", *LABELS.classes, "nothing"]
    assert rows[1:] == [[name, *map(str, row)] for name, row in zip(LABELS.classes, counts.tolist(), strict=True)]
    assert text.count("\r\n") == text.count("\n") == 20
    with pytest.raises(ValueError):
        write_confusion(tmp_path / "short.csv", counts[:18], LABELS.classes)
    assert not (tmp_path / "short.csv").exists()
