"""What the shares of labelled points tell: every kind of labels in the wrong place is named, and other densities are
fine."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ignet.data.check.faults import Fault, Faults
from ignet.data.check.labels import FrameLabels, label_faults, sequence_doubts
from ignet.data.check.sequence import check_sequence
from ignet.data.formats import kitti
from ignet.data.label_sets.label_set import SEMANTICKITTI
from ignet.errors import IgnetError

FOLDER = Path("sequences/00")


def found(labelled: list[float | None], scribbled: list[float | None], **more: object) -> Faults:
    """Of frames with 10,000 points, by their shares."""
    counts = [
        [None if share is None else round(10_000 * share) for share in shares] for shares in (labelled, scribbled)
    ]
    rows = enumerate(zip(*counts, strict=True))
    return label_faults(FOLDER, [FrameLabels(f"{number:06d}", 10_000, *row, **more) for number, row in rows])  # type: ignore[arg-type]


def kinds(faults: Faults) -> tuple[list[str], list[str]]:
    return [fault.kind for fault in faults], [doubt.kind for doubt in faults.doubts]


@pytest.mark.parametrize("share", [0.02, 0.08, 0.2, 0.3])
def test_scribbles_of_any_usual_density_are_fine(share: float) -> None:
    assert kinds(found([0.95, 0.9, 0.97], [share, share / 2, share * 1.5])) == ([], [])
    assert kinds(found([None] * 3, [share, share / 2, share * 1.5])) == ([], [])


@pytest.mark.parametrize(
    ("labelled", "scribbled", "more", "faults", "doubts", "said"),
    [
        # scribbles
        (
            [0.95] * 4,
            [0.95] * 4,
            {"same": True},
            ["dense-scribbles"],
            [],
            "scribbles: found 95% of the points labelled, as in labels/",
        ),
        ([0.3] * 4, [0.3] * 4, {"same": True}, ["dense-scribbles"], [], "as in labels/"),
        ([0.95] * 4, [0.6] * 4, {}, ["dense-scribbles"], [], "scribbles: found 60% of the points labelled, expected"),
        ([None] * 4, [0.95] * 4, {}, ["dense-scribbles"], [], "simulated"),
        (
            [0.08] * 4,
            [0.95] * 4,
            {},
            ["dense-scribbles"],
            ["label-share"],
            "and 8% in labels/, expected scribbles (about 8 %); swap",
        ),
        ([0.95] * 4, [0.08, 0.08, 0.08, 0.9], {}, ["dense-scribbles"], [], "scribbles/000003.label: found 90%"),
        ([0.95] * 4, [0.4] * 4, {}, [], ["scribble-share"], "found 40.00% of the points"),
        ([0.95] * 4, [0.0005, 0.001, 0.001, 0.0], {}, [], ["no-class", "scribble-share"], "found 0.06% of the points"),
        (
            [0.95] * 4,
            [0.08, 0.0, 0.08, 0.0],
            {},
            [],
            ["no-class"],
            "000001.label (and 000003.label): found no point with a class",
        ),
        ([0.95] * 4, [0.0] * 4, {}, ["no-class"], [], "scribbles: found no point with a class"),
        ([0.95] * 4, [0.08, 0.08, 0.27, 0.08], {}, [], ["scribble-share"], "scribbles/000002.label: found 27.0%"),
        ([0.95] * 4, [0.08, 0.02, 0.08, 0.08], {}, [], ["scribble-share"], "scribbles/000001.label: found 2.0%"),
        (
            [0.08] * 4,
            [0.08] * 4,
            {"same": True},
            [],
            ["label-share", "label-share"],
            "found in labels/ the same labels",
        ),
        (
            [0.95] * 4,
            [0.08] * 4,
            {"both": 80, "differing": 30},
            [],
            ["scribble-classes"],
            "on 38% of the scribbled points",
        ),
        ([0.95] * 4, [0.08] * 4, {"both": 80, "differing": 20}, [], [], ""),
        ([0.95] * 4, [0.08, 0.08, 0.2, 0.08], {}, [], [], ""),
        # dense labels
        ([0.95, 0.0, 0.95, 0.95], [None] * 4, {}, ["no-class"], [], "labels/000001.label: found no point with a class"),
        ([0.0] * 4, [None] * 4, {}, ["no-class"], [], "labels: found no point with a class"),
        ([0.08] * 4, [None] * 4, {}, [], ["label-share"], "labels: found 8.0% of the points labelled"),
        ([0.95, 0.95, 0.08, 0.95], [None] * 4, {}, [], ["label-share"], "labels/000002.label: found 8.0%"),
        ([0.95, 0.5, 0.4, 0.95], [None] * 4, {}, [], [], ""),
        (
            [0.1, 0.1, 0.1, 0.4],
            [None] * 4,
            {},
            [],
            ["label-share"],
            "labels: found 17.5%",
        ),  # a file with more of them is none to doubt
        ([None] * 4, [None] * 4, {}, [], [], ""),
    ],
)
def test_shares(
    labelled: list[float | None],
    scribbled: list[float | None],
    more: dict[str, object],
    faults: list[str],
    doubts: list[str],
    said: str,
) -> None:
    result = found(labelled, scribbled, **more)
    assert kinds(result) == (faults, doubts)
    lines = [str(line) for line in [*result, *result.doubts]]
    assert any(said in line for line in lines) or not said, lines
    assert all("\n" not in line and ", expected " in line and "; " in line for line in lines)


def test_only_frames_with_both_say_whether_they_are_the_same() -> None:
    copied, alone = FrameLabels("000000", 10_000, 800, 800, True), FrameLabels("000001", 10_000, None, 800)
    assert [doubt.path.name for doubt in label_faults(FOLDER, [copied, alone]).doubts] == ["scribbles", "labels"]


def test_a_sequence_unlike_the_others() -> None:
    def names(labelled: dict[str, float], scribbled: dict[str, float]) -> list[str]:
        return [f"{doubt.kind} {doubt.path}" for doubt in sequence_doubts(Path("r"), labelled, scribbled)]

    even = {"00": 0.95, "01": 0.93, "02": 0.97, "08": 0.9}
    assert names(even, {"00": 0.08, "01": 0.05, "02": 0.12, "08": 0.0}) == []
    assert names(even | {"02": 0.1}, {}) == ["label-share r/sequences/02/labels"]
    assert names({}, {"00": 0.08, "01": 0.25, "02": 0.08}) == ["scribble-share r/sequences/01/scribbles"]
    assert names({}, {"00": 0.08, "01": 0.02, "02": 0.08}) == ["scribble-share r/sequences/01/scribbles"]
    assert names({}, {"00": 0.08, "01": 0.4}) == []  # of two, which one?
    (doubt,) = sequence_doubts(Path("r"), {}, {"00": 0.08, "01": 0.3, "02": 0.09})
    assert "found 30.0% of the points labelled, expected about 8.5% as in the other sequences" in str(doubt)


@pytest.fixture
def sequence(make_tree: Callable[..., Path]) -> Path:
    return make_tree(sequences=("00",), frames=4) / "sequences/00"


def faults_of(sequence: Path, *wanted: str) -> list[Fault]:
    return list(check_sequence(sequence.parents[1], "00", ("scans", "images", *wanted), label_set=SEMANTICKITTI).faults)


def test_dense_labels_in_the_place_of_scribbles(sequence: Path) -> None:
    """The three ways in which it happens, as the workflow checks a training sequence, and one file alone."""
    scribbles, labels, kept = (sequence / name for name in ("scribbles", "labels", "kept"))
    assert kinds(
        check_sequence(sequence.parents[1], "00", ("scans", "images", "scribbles"), label_set=SEMANTICKITTI).faults
    ) == ([], [])
    frame = scribbles / "000002.label"
    whole = frame.read_bytes()
    frame.write_bytes((labels / "000002.label").read_bytes())
    (fault,) = faults_of(sequence, "scribbles")
    assert (fault.kind, fault.path) == ("dense-scribbles", frame)
    frame.write_bytes(whole)

    scribbles.rename(kept)
    labels.rename(scribbles)
    (fault,) = faults_of(sequence, "scribbles")  # alone
    assert (fault.kind, fault.path) == ("dense-scribbles", scribbles)
    kept.rename(labels)
    (fault,) = faults_of(sequence, "scribbles")  # swapped
    assert fault.kind == "dense-scribbles" and "swap labels/ and scribbles/" in str(fault)
    for path in sorted(scribbles.iterdir()):
        (labels / path.name).write_bytes(path.read_bytes())
    (fault,) = faults_of(sequence, "scribbles")  # copied
    assert fault.kind == "dense-scribbles" and "as in labels/" in str(fault)


def test_scribbles_of_other_classes(sequence: Path) -> None:
    rng = np.random.default_rng(0)
    for path in sorted((sequence / "scribbles").iterdir()):
        raw = np.fromfile(path, "<u4")
        np.where(raw > 0, rng.choice([40, 50, 70], len(raw)), 0).astype("<u4").tofile(path)
    found = check_sequence(sequence.parents[1], "00", ("scans", "images", "scribbles"), label_set=SEMANTICKITTI).faults
    assert kinds(found) == ([], ["scribble-classes"])


@pytest.mark.parametrize("folder", ["labels", "scribbles"])
def test_labels_written_as_floats(sequence: Path, folder: str) -> None:
    path = sequence / folder / "000001.label"
    (np.fromfile(path, "<u4") & 0xFFFF).astype("<f4").tofile(path)
    (fault,) = faults_of(sequence, "scribbles")
    assert (
        str(fault) == f"{path}: found float32 numbers, expected uint32 (class and instance of each point); convert them"
    )
    with pytest.raises(IgnetError, match=r"000001\.label: found float32 numbers"):
        kitti.read_labels(path)


def test_instances_are_no_floats(tmp_path: Path) -> None:
    """Large instance numbers have the exponents of floats."""
    raw = np.array([10 | number << 16 for number in (0, 1, 16256, 17000, 65535)], "<u4")
    for labels in (raw, np.zeros(5, "<u4"), raw[:0]):
        labels.tofile(tmp_path / "000000.label")
        np.testing.assert_array_equal(kitti.read_labels(tmp_path / "000000.label"), labels)
