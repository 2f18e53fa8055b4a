"""Other data sets and sensors, brought into the workflow's layout."""

import csv
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import TINY_CALIBRATION
from script import SCRIPTS, run_here

from ignet.cli.main import main
from ignet.data.check.dataset import check_dataset, describe
from ignet.data.check.faults import Fault, as_fault
from ignet.data.check.wanted import wanted_at
from ignet.data.formats import kitti
from ignet.data.formats.calibration import Calibration, read_calibration
from ignet.data.importers.convert import convert
from ignet.data.importers.frame import SensorFrame
from ignet.data.importers.kitti_object import kitti_object, read_object_calibration
from ignet.data.importers.registry import LAYOUTS
from ignet.data.label_sets.label_set import IGNORE, SEMANTICKITTI
from ignet.data.projection.correspondence import Correspondence
from ignet.data.projection.geometry import project
from ignet.errors import IgnetError


def rotation(x: float, y: float, z: float) -> np.ndarray:
    return cv2.Rodrigues(np.array([x, y, z]))[0]


def write_object_calibration(path: Path, calibration: Calibration, rectify: np.ndarray) -> None:
    """As KITTI's object data has it: Tr is taken apart into R0_rect and the rest."""
    full = np.eye(4)
    full[:3, :3] = rectify
    to_camera = np.linalg.solve(full, calibration.tr)
    rows = {
        "P0": np.eye(3, 4),
        "P1": np.eye(3, 4),
        "P2": calibration.projection,
        "P3": np.eye(3, 4),
        "R0_rect": rectify,
    }
    rows |= {"Tr_velo_to_cam": to_camera[:3], "Tr_imu_to_velo": np.eye(3, 4)}
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"{key}: {' '.join(f'{value:.12e}' for value in matrix.ravel())}\n" for key, matrix in rows.items()]
    path.write_text("".join(lines) + "\n")  # the published files end with an empty line


def write_object_frame(
    root: Path, name: str, tree: Path, sequence: str, frame: str, calibration: Calibration, rectify: np.ndarray
) -> None:
    """A frame of a tree as the frame ``name`` of KITTI's object data."""
    for source, target in (
        (kitti.scan_path(tree, sequence, frame), root / f"training/velodyne/{name}.bin"),
        (kitti.image_path(tree, sequence, frame), root / f"training/image_2/{name}.png"),
    ):
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(source.read_bytes())
    write_object_calibration(root / f"training/calib/{name}.txt", calibration, rectify)


@pytest.fixture
def object_tree(tiny_tree: Path, tmp_path: Path) -> Path:
    """Four frames in the layout of KITTI's object data; the third has another calibration."""
    root = tmp_path / "object"
    for number, (sequence, frame) in enumerate(
        (("00", "000000"), ("00", "000001"), ("08", "000000"), ("08", "000001"))
    ):
        calibration, rectify = TINY_CALIBRATION, np.eye(3)
        if number == 2:
            moved = TINY_CALIBRATION.projection.copy()
            moved[0, 2] += 1
            calibration, rectify = Calibration(moved, TINY_CALIBRATION.tr), rotation(0.01, -0.02, 0.005)
        write_object_frame(root, f"{number + 3:06d}", tiny_tree, sequence, frame, calibration, rectify)
    return root


def test_rectification_lies_between(tmp_path: Path) -> None:
    rectify = rotation(0.01, -0.02, 0.005)
    write_object_calibration(tmp_path / "000000.txt", TINY_CALIBRATION, rectify)
    read = read_object_calibration(tmp_path / "000000.txt")
    np.testing.assert_allclose(read.projection, TINY_CALIBRATION.projection, rtol=1e-11)
    np.testing.assert_allclose(read.tr, TINY_CALIBRATION.tr, atol=1e-11)
    # by hand: camera = R0_rect (R x + t)
    lines = dict(line.split(": ") for line in (tmp_path / "000000.txt").read_text().splitlines() if line)
    to_camera = np.array([float(value) for value in lines["Tr_velo_to_cam"].split()]).reshape(3, 4)
    point = np.array([12.0, 1.5, -0.7])
    camera = rectify @ (to_camera[:, :3] @ point + to_camera[:, 3])
    u, v, depth = read.projection @ np.append(camera, 1)
    projected = project(point[None], read.projection, read.tr, 64, 32)
    np.testing.assert_allclose(projected.pixel[0], [u / depth, v / depth], rtol=1e-6)
    assert abs(np.abs(to_camera[:, :3] - TINY_CALIBRATION.tr[:3, :3]).max()) > 0.004  # leaving R0_rect out would show


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text.replace("R0_rect", "R_rect"), "line 'R0_rect': found no such line, expected 9 numbers"),
        (lambda text: text.replace("P2: ", "P2: 1 "), "line 'P2': found 13 values, expected 12"),
        (
            lambda text: re.sub("Tr_velo_to_cam: [^ ]+", "Tr_velo_to_cam: nan", text),
            "line 'Tr_velo_to_cam': found 12 values",
        ),
        (lambda text: re.sub("Tr_velo_to_cam: [^ ]+", "Tr_velo_to_cam: 1,0", text), "line 'Tr_velo_to_cam'"),
    ],
)
def test_broken_object_calibration(tmp_path: Path, change: Callable[[str], str], said: str) -> None:
    path = tmp_path / "000000.txt"
    write_object_calibration(path, TINY_CALIBRATION, np.eye(3))
    path.write_text(change(path.read_text()))
    with pytest.raises(IgnetError, match=said):
        read_object_calibration(path)
    path.unlink()
    with pytest.raises(IgnetError, match=r"000000\.txt: cannot be read .* unpack data_object_calib\.zip"):
        read_object_calibration(path)


def test_object_data_becomes_sequences_by_calibration(object_tree: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert convert(kitti_object(object_tree), out, label_set=SEMANTICKITTI).frames == {"00": 3, "01": 1}
    assert [kitti.frame_ids(out, sequence) for sequence in ("00", "01")] == [["000000", "000001", "000002"], ["000000"]]
    np.testing.assert_array_equal(
        kitti.read_scan(kitti.scan_path(out, "01", "000000")),
        kitti.read_scan(object_tree / "training/velodyne/000005.bin"),
    )
    assert kitti.scan_path(out, "01", "000000").is_symlink() and kitti.image_path(out, "00", "000002").is_symlink()
    assert read_calibration(kitti.calibration_path(out, "01")).projection[0, 2] == 32.5
    with (out / "frames.csv").open() as file:
        rows = [tuple(row.values()) for row in csv.DictReader(file)]
    assert rows == [
        ("00", "000000", "training", "000003"),
        ("00", "000001", "training", "000004"),
        ("01", "000000", "training", "000005"),
        ("00", "000002", "training", "000006"),
    ]
    assert check_dataset(out, wanted_at(out, part=True), deep=True, label_set=SEMANTICKITTI).faults == []


def test_labels_of_ones_own(object_tree: Path, tmp_path: Path) -> None:
    (object_tree / "training/labels").mkdir()
    for path in (object_tree / "training/velodyne").iterdir():
        np.full(400, 40, "<u4").tofile(object_tree / f"training/labels/{path.stem}.label")
    convert(kitti_object(object_tree), tmp_path / "out", label_set=SEMANTICKITTI)
    assert (kitti.read_labels(kitti.label_path(tmp_path / "out", "01", "000000"), 400) == 40).all()


def test_faults_leave_nothing(object_tree: Path, tmp_path: Path) -> None:
    out = tmp_path / "below" / "out"
    (object_tree / "training/image_2/000006.png").unlink()
    with pytest.raises(IgnetError, match=r"000006\.png: no such file"):
        convert(kitti_object(object_tree), out, label_set=SEMANTICKITTI)
    assert list(out.parent.iterdir()) == []
    with pytest.raises(IgnetError, match="found no frame"):
        convert([], out, label_set=SEMANTICKITTI)
    with pytest.raises(IgnetError, match=r"velodyne: found no \.bin file"):
        convert(kitti_object(tmp_path), out, label_set=SEMANTICKITTI)
    assert list(out.parent.iterdir()) == []
    out.mkdir()
    with pytest.raises(IgnetError, match="found it there already"):
        convert([], out, label_set=SEMANTICKITTI)


def test_command_line(object_tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def run(*arguments: object) -> int:
        with pytest.raises(SystemExit) as stop:
            main(["import", *map(str, arguments)])
        return int(stop.value.code or 0)

    assert run("kitti_object", object_tree, tmp_path / "out") == 0
    assert "sequence 00: 3 frames, sequence 01: 1 frames" in capsys.readouterr().out
    assert run("kitti_objects", object_tree, tmp_path / "other") == 1
    assert "expected one of kitti_object" in capsys.readouterr().err
    scan = object_tree / "training/velodyne/000005.bin"
    scan.write_bytes(scan.read_bytes()[:-3])
    assert run("kitti_object", object_tree, tmp_path / "faulty") == 1
    assert "sequences/01/velodyne/000000.bin: found 6397 bytes" in capsys.readouterr().out


def test_labels_and_scribbles_lose_the_points_that_have_no_return(tiny_tree: Path, tmp_path: Path) -> None:
    image = kitti.image_path(tiny_tree, "00", "000000")
    points = np.array([[5, 0, 0, 0.5], [0, 0, 0, 0], [7, 1, 0, 0.25]], np.float32)
    frame = SensorFrame(
        "monday",
        "7",
        TINY_CALIBRATION,
        scan=lambda: points,
        image=image,
        labels=lambda: np.array([40, 10, 48], np.uint32),
        scribbles=lambda: np.array([0, 10, 48], np.uint32),
    )
    assert convert([frame], tmp_path / "out", label_set=SEMANTICKITTI).without_return == 1
    np.testing.assert_array_equal(kitti.read_scan(kitti.scan_path(tmp_path / "out", "00", "000000")), points[[0, 2]])
    for path, expected in ((kitti.label_path, [40, 48]), (kitti.scribble_path, [0, 48])):
        assert kitti.read_labels(path(tmp_path / "out", "00", "000000"), 2).tolist() == expected


def test_remedies_speak_of_the_data_at_hand(object_tree: Path, tiny_tree: Path, tmp_path: Path) -> None:
    """A damaged file of SemanticKITTI is unpacked again; no archive holds one of an import or of one's own sequence."""
    out = tmp_path / "out"
    convert(kitti_object(object_tree), out, label_set=SEMANTICKITTI)
    shutil.copytree(tiny_tree, tmp_path / "own")
    (tmp_path / "own/sequences/00").rename(tmp_path / "own/sequences/monday")
    found = {}
    for root, sequence in ((tiny_tree, "00"), (out, "00"), (tmp_path / "own", "monday")):
        folder = kitti.sequence_path(root, sequence)
        scan, image = folder / "velodyne/000000.bin", folder / "image_2/000001.png"
        _cut(scan)
        image.unlink()
        report = check_dataset(root, {sequence: frozenset({"scans", "images"})}, label_set=SEMANTICKITTI)
        assert {fault.path.parent.name for fault in report.faults} == {"velodyne", "image_2"}
        (folder / "calib.txt").rename(folder / "moved")
        report.faults += [_refused(kitti.scan_values, scan), _refused(kitti.read_image, image)]
        report.faults += [_refused(read_calibration, folder / "calib.txt")]
        found[sequence if root != out else "import"] = report
    for name, words in (("00", "unpack"), ("import", "import the recordings again"), ("monday", "copy it again")):
        assert all(words in fault.remedy for fault in found[name].faults), found[name].faults
    assert all(fault.download for fault in found["00"].faults[:2])
    for name in ("import", "monday"):
        assert not any("unpack" in str(fault) or fault.download for fault in found[name].faults)
        assert "downloads that fix them" not in "\n".join(describe(found[name]))


def test_an_emptied_import_asks_for_another(object_tree: Path, tmp_path: Path) -> None:
    root = tmp_path / "out"
    convert(kitti_object(object_tree), root, label_set=SEMANTICKITTI)
    for sequence in (root / "sequences").iterdir():
        shutil.rmtree(sequence)
    (fault,) = check_dataset(root, {}, label_set=SEMANTICKITTI).faults
    assert (fault.kind, fault.remedy, fault.download) == ("no-sequence", "import the recordings again", None)
    shutil.rmtree(root / "sequences")
    (fault,) = check_dataset(root, {}, label_set=SEMANTICKITTI).faults
    assert (fault.kind, fault.remedy, fault.download) == ("root", "import the recordings again", None)


def _refused(read: Callable[[Path], object], path: Path) -> Fault:
    """The error of reading a file."""
    with pytest.raises(IgnetError) as error:
        read(path)
    return as_fault(error.value, "refused", path)


def _cut(path: Path) -> None:
    """Cut a file short; of a link what takes its place, not what it leads to."""
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data[:-3])


def test_a_scan_of_300_000_points(tmp_path: Path) -> None:
    """128 beams and a fine image: imported, checked and projected as any other."""
    rng = np.random.default_rng(0)
    points = rng.uniform([2, -20, -2, 0], [60, 20, 3, 1], (300_000, 4)).astype(np.float32)
    calibration = Calibration(np.array([[900.0, 0, 960, 0], [0, 900, 600, 0], [0, 0, 1, 0]]), TINY_CALIBRATION.tr)
    frame = SensorFrame(
        "monday",
        "0",
        calibration,
        scan=lambda: points,
        image=lambda: np.full((1200, 1920, 3), 90, np.uint8),
        scribbles=lambda: np.where(np.arange(300_000) % 12 == 0, 40, 0).astype(np.uint32),
        sequence="monday",
    )
    out = tmp_path / "out"
    assert convert([frame], out, label_set=SEMANTICKITTI).faults == []
    assert check_dataset(out, wanted_at(out, part=True), deep=True, label_set=SEMANTICKITTI).faults == []
    where = ("--dataset", out, "--sequence", "monday", "--scribbles", out, "--out", tmp_path / "monday.h5")
    run_here([SCRIPTS / "projection.py", "--settings", "{}", "--device", "cpu", *where])
    seen = Correspondence(tmp_path / "monday.h5").read("000000")
    inside = project(points, calibration.projection, calibration.tr, 1920, 1200).inside
    assert seen.points == 300_000 and 10_000 < len(seen.index) <= inside.sum() and inside[seen.index].all()
    assert ((seen.scribble != IGNORE) == (seen.index % 12 == 0)).all()


def test_cameras_of_different_poses_share_one_tr(tiny_tree: Path, tmp_path: Path) -> None:
    """The file has one Tr, so what differs goes into P; pixels stay what they were."""
    other = TINY_CALIBRATION.tr.copy()
    other[:3, :3] = rotation(0, 0.4, 0) @ other[:3, :3]
    given = {0: TINY_CALIBRATION, 1: Calibration(TINY_CALIBRATION.projection, other)}
    image = kitti.image_path(tiny_tree, "00", "000000")
    scan = kitti.scan_path(tiny_tree, "00", "000000")
    convert([SensorFrame("monday", "7", given, scan, {0: image, 1: image})], tmp_path / "out", label_set=SEMANTICKITTI)
    points = kitti.read_scan(scan)
    for number, calibration in given.items():
        found = read_calibration(kitti.calibration_path(tmp_path / "out", "00"), number)
        pixels = [project(points, each.projection, each.tr, 64, 32).pixel for each in (calibration, found)]
        np.testing.assert_allclose(pixels[1], pixels[0], atol=1e-3)
    assert found.tr.tolist() == TINY_CALIBRATION.tr.tolist()


def test_a_layout_that_gives_other_arrays(tiny_tree: Path, tmp_path: Path) -> None:
    image = kitti.image_path(tiny_tree, "00", "000000")
    good = {"scan": lambda: np.ones((3, 4), np.float32), "labels": lambda: np.zeros(3, np.uint32)}
    for wrong, said in (
        ({"scan": lambda: np.zeros((3, 3), np.float32)}, r"found a scan float32 \(3, 3\)"),
        ({"scan": lambda: np.zeros((3, 4))}, r"found a scan float64"),
        ({"labels": lambda: np.zeros(3, np.int64)}, r"found labels int64"),
    ):
        frame = SensorFrame("monday", "7", TINY_CALIBRATION, image=image, **(good | wrong))
        with pytest.raises(IgnetError, match=f"frame 7 of monday: {said}"):
            convert([frame], tmp_path / "out", label_set=SEMANTICKITTI)


def test_a_byte_order_mark_is_no_part_of_a_key(tmp_path: Path) -> None:
    path = tmp_path / "000000.txt"
    write_object_calibration(path, TINY_CALIBRATION, np.eye(3))
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(sorted(lines, key=lambda line: not line.startswith("P2"))), encoding="utf-8-sig")
    np.testing.assert_allclose(read_object_calibration(path).projection, TINY_CALIBRATION.projection)


@pytest.mark.parametrize("sequence", ["00", "05"])
def test_a_real_calibration_taken_apart(kitti_sample: Path, tmp_path: Path, sequence: str) -> None:
    """The same frame in both layouts has the same pixels."""
    calibration = read_calibration(kitti.calibration_path(kitti_sample, sequence))
    write_object_calibration(tmp_path / "calib.txt", calibration, rotation(0.008, -0.01, 0.004))
    other = read_object_calibration(tmp_path / "calib.txt")
    points = kitti.read_scan(kitti.scan_path(kitti_sample, sequence, "000000"))
    size = kitti.image_size(kitti.image_path(kitti_sample, sequence, "000000"))
    expected, found = (project(points, one.projection, one.tr, *size) for one in (calibration, other))
    assert (expected.inside == found.inside).mean() > 0.99999 and found.inside.mean() > 0.14
    both = expected.inside & found.inside
    np.testing.assert_allclose(found.pixel[both], expected.pixel[both], atol=1e-3)


def test_names_of_the_registry() -> None:
    assert all(re.fullmatch("[a-z0-9_]+", name) for name in LAYOUTS)
