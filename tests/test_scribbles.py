"""Simulated scribbles: share, agreement with the labels, distance from other classes, shape."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from ignet.data.formats import kitti
from ignet.data.label_sets.label_set import IGNORE
from ignet.data.label_sets.label_set import SEMANTICKITTI as LABELS
from ignet.data.scribbles.borders import clear_of_others
from ignet.data.scribbles.simulate import segments, simulate_scribbles

ROAD, SIDEWALK, POLE, CAR = (LABELS.classes.index(name) for name in ("road", "sidewalk", "pole", "car"))


def _street(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A road 8 m wide and a sidewalk 3 m wide, 40 m long, a car of 300 points and a pole of 30."""
    ground = np.stack([rng.uniform(-20, 20, 4000), rng.uniform(-4, 7, 4000), rng.normal(0, 0.02, 4000)], axis=1)
    car = rng.uniform((5, -2, 0.2), (9, -0.3, 1.5), (300, 3))
    pole = np.stack([np.full(30, -6.0), np.full(30, 5.5), np.linspace(0.1, 4, 30)], axis=1)
    points = np.concatenate([ground, car, pole]).astype(np.float32)
    labels = np.concatenate([np.where(ground[:, 1] < 4, ROAD, SIDEWALK), np.full(300, CAR), np.full(30, POLE)]).astype(
        np.uint8
    )
    return points, labels, np.where(labels == CAR, 7, 0)


def _nearest_other(points: np.ndarray, labels: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Distance of each row to the nearest point of another class, by brute force."""
    known = labels != IGNORE
    distance = cdist(points[rows, :3].astype(np.float64), points[known, :3].astype(np.float64))
    distance[labels[rows][:, None] == labels[known][None]] = np.inf
    return distance.min(axis=1)


@pytest.mark.parametrize("fraction", [0.03, 0.08, 0.2])
def test_share_agreement_and_margin(fraction: float) -> None:
    points, labels, instances = _street(np.random.default_rng(1))
    scribbles = simulate_scribbles(points, labels, instances, fraction, 0.3, np.random.default_rng(0), label_set=LABELS)
    drawn = np.flatnonzero(scribbles != IGNORE)
    assert scribbles.dtype == np.uint8 and scribbles.shape == labels.shape
    assert len(drawn) / len(points) == pytest.approx(fraction, abs=0.003)
    np.testing.assert_array_equal(scribbles[drawn], labels[drawn])
    assert _nearest_other(points, labels, drawn).min() > 0.3
    assert set(np.unique(scribbles[drawn])) >= {ROAD, SIDEWALK, CAR}


def test_small_objects_get_their_share_and_no_more() -> None:
    """One scan may leave a pole of 30 points without a label; over many the labelled share is that of every other
    class."""
    points, labels, instances = _street(np.random.default_rng(1))
    drawn = [
        simulate_scribbles(points, labels, instances, 0.03, 0.3, np.random.default_rng(seed), label_set=LABELS)
        for seed in range(60)
    ]
    labelled = np.array(
        [[(scribbles[labels == label] != IGNORE).sum() for label in (ROAD, CAR, POLE)] for scribbles in drawn]
    )
    share = labelled.mean(axis=0) / [(labels == label).sum() for label in (ROAD, CAR, POLE)]
    np.testing.assert_allclose(share, 0.03, atol=0.005)
    assert (labelled[:, 2] == 0).any()


def test_scribbles_are_lines() -> None:
    """On a road of 40 m x 8 m the scribble runs along it, within narrow bands."""
    rng = np.random.default_rng(2)
    points = np.stack(
        [rng.uniform(-20, 20, 8000), rng.uniform(-4, 4, 8000), np.zeros(8000), np.zeros(8000)], axis=1
    ).astype(np.float32)
    labels = np.full(8000, ROAD, np.uint8)
    drawn = points[simulate_scribbles(points, labels, np.zeros(8000, int), 0.08, 0.3, rng, label_set=LABELS) != IGNORE]
    assert np.ptp(drawn[:, 0]) > 35
    # slices of 2 m across the road: the covered width is a small part of its 8 m
    for low in range(-18, 18, 6):
        across = drawn[(drawn[:, 0] >= low) & (drawn[:, 0] < low + 2), 1]
        covered = len(np.unique(np.floor(across / 0.2))) * 0.2
        assert 0.1 < covered < 4


def test_repeatable_and_seeded() -> None:
    points, labels, instances = _street(np.random.default_rng(3))
    draws = [
        simulate_scribbles(points, labels, instances, 0.08, 0.3, np.random.default_rng(seed), label_set=LABELS)
        for seed in (0, 0, 1)
    ]
    np.testing.assert_array_equal(draws[0], draws[1])
    assert (draws[0] != draws[2]).any()


def test_clear_by_hand() -> None:
    xyz = np.array([[0, 0, 0], [0.3, 0, 0], [0.61, 0, 0], [5, 0, 0], [5.1, 0, 0]], np.float64)
    labels = np.array([ROAD, ROAD, SIDEWALK, CAR, IGNORE], np.uint8)
    np.testing.assert_array_equal(clear_of_others(xyz, labels, 0.3), [True, True, True, True, False])
    np.testing.assert_array_equal(clear_of_others(xyz, labels, 0.32), [True, False, False, True, False])
    np.testing.assert_array_equal(clear_of_others(xyz, labels, 0.0), labels != IGNORE)


@settings(max_examples=30)
@given(st.integers(0, 2**31), st.floats(0.05, 1.5))
def test_clear_equals_brute_force(seed: int, margin: float) -> None:
    rng = np.random.default_rng(seed)
    xyz = rng.uniform(-2, 2, (150, 3))
    labels = rng.choice(np.array([ROAD, CAR, POLE, IGNORE], np.uint8), 150)
    expected = (labels != IGNORE) & (_nearest_other(xyz, labels, np.arange(150)) > margin)
    np.testing.assert_array_equal(clear_of_others(xyz, labels, margin), expected)


def test_segments() -> None:
    xyz = np.array([[0, 0, 0], [1, 0, 0], [30, 0, 0], [0, 0, 0], [1, 0, 0], [0, 1, 0]], np.float64)
    labels = np.array([ROAD, ROAD, ROAD, CAR, CAR, IGNORE], np.uint8)
    found = segments(xyz, labels, np.array([0, 0, 0, 4, 9, 3]), label_set=LABELS)
    assert found[0] == found[1] and len({found[0], found[2], found[3], found[4]}) == 4
    assert found[5] == -1 and set(found[:5]) == {0, 1, 2, 3}


def test_nothing_labelled_and_no_points() -> None:
    points = np.zeros((5, 4), np.float32)
    nothing = np.full(5, IGNORE, np.uint8)
    np.testing.assert_array_equal(
        simulate_scribbles(points, nothing, np.zeros(5, int), 0.08, 0.3, np.random.default_rng(0), label_set=LABELS),
        nothing,
    )
    assert (
        len(
            simulate_scribbles(
                points[:0], nothing[:0], np.zeros(0, int), 0.08, 0.3, np.random.default_rng(0), label_set=LABELS
            )
        )
        == 0
    )


def test_an_instance_counts_within_its_raw_class() -> None:
    """Car 7 stands, moving-car 7 drives: two objects of one class."""
    raw = np.repeat(np.array([10 | 7 << 16, 252 | 7 << 16, 10], "u4"), 5)
    xyz = np.zeros((15, 3))
    segment = segments(xyz, LABELS.to_train_ids(raw), kitti.instance_ids(raw), label_set=LABELS)
    np.testing.assert_array_equal(segment, np.repeat([0, 1, 2], 5))


def test_lengths_must_agree() -> None:
    with pytest.raises(ValueError, match="5 points, 4 labels"):
        simulate_scribbles(
            np.zeros((5, 4), np.float32),
            np.zeros(4, np.uint8),
            np.zeros(5, int),
            0.08,
            0.3,
            np.random.default_rng(0),
            label_set=LABELS,
        )


@pytest.mark.parametrize("sequence", ["00", "07"])
def test_real_scan(kitti_sample: Path, sequence: str) -> None:
    frame = kitti.frame_ids(kitti_sample, sequence)[0]
    points = kitti.read_scan(kitti.scan_path(kitti_sample, sequence, frame))
    raw = kitti.read_labels(kitti.label_path(kitti_sample, sequence, frame), len(points))
    labels = LABELS.to_train_ids(raw)
    scribbles = simulate_scribbles(
        points, labels, kitti.instance_ids(raw), 0.08, 0.3, np.random.default_rng(0), label_set=LABELS
    )
    drawn = np.flatnonzero(scribbles != IGNORE)
    assert len(drawn) / len(points) == pytest.approx(0.08, abs=0.02)
    np.testing.assert_array_equal(scribbles[drawn], labels[drawn])
    some = np.random.default_rng(0).choice(drawn, 300, replace=False)
    assert _nearest_other(points, labels, some).min() > 0.3
    counts = np.bincount(labels, minlength=256)[:19]
    assert set(np.flatnonzero(counts >= 200)) <= set(np.unique(scribbles))


def test_script_writes_scribble_files(tiny_tree: Path, run_script, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    out = tmp_path / "scribbles" / "sequences" / "00" / "scribbles"
    arguments = ["--dataset", tiny_tree, "--sequence", "00", "--settings", '{"margin": 0.0}', "--out", out]
    done = run_script("scribbles.py", *arguments)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in out.iterdir()) == ["000000.label", "000001.label"]
    raw = kitti.read_labels(kitti.label_path(tiny_tree, "00", "000000"), 400)
    drawn = kitti.read_labels(out / "000000.label", 400)
    assert 0 < (drawn > 0).sum() <= 40
    np.testing.assert_array_equal(LABELS.to_train_ids(drawn)[drawn > 0], LABELS.to_train_ids(raw)[drawn > 0])
