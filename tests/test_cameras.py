"""A rig with several cameras, from its files to correspondence, images and features."""

from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest
from rig import SIZES, YAWS, camera, write_rig

from ignet.config.base import validate
from ignet.config.dataset import DatasetConfig
from ignet.data.check.manifest import write_manifest
from ignet.data.check.sequence import SequenceReport, check_sequence
from ignet.data.formats import kitti
from ignet.data.formats.calibration import Calibration, frame_calibration, read_calibration, write_calibration
from ignet.data.images.target import TargetFrames
from ignet.data.label_sets.label_set import SEMANTICKITTI
from ignet.data.projection.correspondence import Correspondence, CorrespondenceWriter
from ignet.data.projection.geometry import axis_cosine, project, visible
from ignet.data.projection.views import assign_points, look
from ignet.errors import IgnetError
from ignet.files.atomic import write_json

Run = Callable[..., CompletedProcess[str]]


@pytest.fixture
def rig(tmp_path: Path) -> Path:
    """A dataset with cameras 0, 2 and 5; a test may spoil it."""
    return write_rig(tmp_path / "rig")


def check(root: Path, missing: bool = False, deep: bool = True) -> SequenceReport:
    options = {"cameras": (0, 2, 5), "may_lack": ("images",) if missing else (), "label_set": SEMANTICKITTI}
    return check_sequence(root, "00", ("scans", "images"), deep=deep, **options)


def run_projection(run_script: Run, root: Path, out: Path, *more: str, cameras: str = "0 2 5") -> CompletedProcess[str]:
    settings = ("--settings", '{"cell": 2}')
    common = ("--dataset", root, "--sequence", "00", "--scribbles", root, "--out", out, "--cameras", *cameras.split())
    return run_script("projection.py", *common, *settings, *more)


class TestCalibration:
    def test_a_camera_to_the_left_sees_the_left_in_its_middle(self) -> None:
        angle = np.deg2rad(YAWS[2])
        point = np.array([[0.3 + 20 * np.cos(angle), 20 * np.sin(angle), 0.1]])
        seen = project(point, camera(2).projection, camera(2).tr, *SIZES[2])
        # the tiny rig stands 0.3 m ahead of the LiDAR and 0.1 m above or below it
        assert seen.inside.all() and abs(seen.pixel[0, 0] - 31.5) < 0.01
        assert not project(point, camera(5).projection, camera(5).tr, *SIZES[5]).inside.any()

    def test_all_cameras_survive_the_file(self, tmp_path: Path) -> None:
        cameras = {number: camera(number) for number in YAWS}
        write_calibration(tmp_path / "calib.txt", cameras)
        for number, written in cameras.items():
            read = read_calibration(tmp_path / "calib.txt", number)
            np.testing.assert_array_equal(read.projection, written.projection)
            np.testing.assert_array_equal(read.tr, written.tr)
        with pytest.raises(IgnetError, match=r"found P0, P2, P5, Tr, expected a line 'P1:' .*dataset\.cameras"):
            read_calibration(tmp_path / "calib.txt", 1)

    def test_cameras_have_one_tr(self, tmp_path: Path) -> None:
        other = Calibration(camera(2).projection, np.eye(4))
        with pytest.raises(ValueError, match=r"cameras \[0, 2\] differ in tr"):
            write_calibration(tmp_path / "calib.txt", {0: camera(0), 2: other})

    def test_the_file_of_a_frame_replaces_that_of_its_sequence(self, rig: Path) -> None:
        own = kitti.frame_calibration_path(rig, "00", "000001")
        own.parent.mkdir()
        write_calibration(own, {2: camera(2, moved=1)})
        for frame, moved in (("000000", 0), ("000001", 1)):
            found = frame_calibration(rig, "00", frame, 2).projection
            np.testing.assert_array_equal(found, camera(2, moved).projection)
        with pytest.raises(IgnetError, match=r"calib/000001\.txt: found P2, Tr, expected a line 'P0:'"):
            frame_calibration(rig, "00", "000001", 0)  # and does not fall back


class TestAssignment:
    def test_the_cosine_by_hand(self) -> None:
        # 0.3 m ahead of and 0.1 m below the LiDAR's origin is where the rig's cameras stand
        eye = np.array([0.3, 0, -0.1])
        rays = np.array([[10, 0, 0], [10, 10, 0], [0, 5, 0], [-3, 0, 0]]) + eye
        expected = [1, np.sqrt(0.5), 0, -1]
        scan = np.column_stack([rays, np.ones(4)])  # with remission
        for scale in (1, 3):  # of which a projection is free
            found = axis_cosine(scan, scale * camera(0).projection, camera(0).tr)
            np.testing.assert_allclose(found, expected, atol=1e-12)
        angle = np.deg2rad(YAWS[2])
        ray = np.array([[np.cos(angle), np.sin(angle), 0]]) * 7 + eye
        np.testing.assert_allclose(axis_cosine(ray, camera(2).projection, camera(2).tr), 1)

    def test_a_point_that_two_cameras_see_is_the_one_s_whose_axis_is_nearer(self) -> None:
        degrees = np.array([0, 25, 29, 31, 35, 60, 180, 120])
        angle = np.deg2rad(degrees)
        points = np.stack([0.3 + 30 * np.cos(angle), 30 * np.sin(angle), np.zeros(8)], axis=1)
        cameras = {number: look(points, camera(number), *SIZES[number]) for number in YAWS}
        index, number, pixel = assign_points(points, cameras, dict.fromkeys(YAWS, 1), 0.05)
        assert index.tolist() == [0, 1, 2, 3, 4, 5, 6]  # nobody looks at 120 degrees
        assert number.tolist() == [0, 0, 0, 2, 2, 2, 5]
        for camera_number in YAWS:
            rows = number == camera_number
            expected = cameras[camera_number].projected.pixel[index[rows]]
            np.testing.assert_array_equal(pixel[rows], expected)

    def test_of_two_cameras_the_first_has_a_point_that_is_as_near_to_both_axes(self) -> None:
        angle = np.deg2rad([25, 35])  # both cameras see both
        points = np.stack([0.3 + 30 * np.cos(angle), 30 * np.sin(angle), np.zeros(2)], axis=1)
        seen = {number: look(points, camera(number), *SIZES[number]) for number in (2, 0)}
        index, number, _ = assign_points(points, seen, {0: 1, 2: 1}, 0.05)
        assert (index.tolist(), number.tolist()) == ([0, 1], [0, 2])
        for first, second in ((4, 5), (5, 4)):
            _, number, _ = assign_points(points, {first: seen[0], second: seen[0]}, {4: 1, 5: 1}, 0.05)
            assert number.tolist() == [first, first]

    def test_what_one_camera_does_not_see_behind_a_post_another_may(self) -> None:
        # nearer to the axis of camera 0, but hidden from it
        angle = np.deg2rad(28.0)
        far = np.array([0.3 + 30 * np.cos(angle), 30 * np.sin(angle), 0])
        post = np.array([0.3, 0, -0.1]) + (far - [0.3, 0, -0.1]) * 0.1
        points = np.stack([far, post])
        cameras = {number: look(points, camera(number), *SIZES[number]) for number in (0, 2)}
        hidden = [visible(seen.projected, *SIZES[n], 2, 0.05).tolist() for n, seen in cameras.items()]
        assert hidden == [[False, True], [False, True]]  # both stand in one place
        moved = {0: cameras[0], 2: look(points, camera(2, moved=2.0), *SIZES[2])}
        index, number, _ = assign_points(points, moved, {0: 2, 2: 2}, 0.05)
        assert dict(zip(index.tolist(), number.tolist(), strict=True)) == {0: 2, 1: 2}  # the post stands in front of it


class TestProjection:
    @pytest.mark.parametrize("per_frame", [False, True])
    def test_the_script_projects_into_each_image_with_the_frame_s_calibration(
        self, tmp_path: Path, run_script: Run, per_frame: bool
    ) -> None:
        root = write_rig(tmp_path / "rig", per_frame=per_frame)
        done = run_projection(run_script, root, tmp_path / "00.h5")
        assert done.returncode == 0, done.stderr
        assert "in an image of 3 cameras" in done.stderr and "z-buffer cells of 2, 2, 2 pixels" in done.stderr
        stored = Correspondence(tmp_path / "00.h5")
        assert stored.cameras == (0, 2, 5) and stored.attributes["cells"] == "2 2 2"
        found = stored.read("000001")
        assert {number: view[:2] for number, view in found.views.items()} == SIZES
        points = kitti.read_scan(kitti.scan_path(root, "00", "000001"))
        cameras = {number: look(points, camera(number, 0.5 * per_frame), *SIZES[number]) for number in YAWS}
        index, number, pixel = assign_points(points, cameras, dict.fromkeys(YAWS, 2), 0.05)
        np.testing.assert_array_equal(found.index, index)
        np.testing.assert_array_equal(found.camera, number)
        np.testing.assert_allclose(found.pixel, pixel, atol=1e-4)
        assert min(len(found.rows(camera_number)) for camera_number in YAWS) > 20
        middle = np.rad2deg([(low + high) / 2 for low, high in (found.sectors[0], found.sectors[2])])
        np.testing.assert_allclose(middle, [0, 60], atol=0.1)
        assert found.sectors[5][0] > found.sectors[5][1]  # over the back

    def test_one_camera_is_as_before(self, rig: Path, tmp_path: Path, run_script: Run) -> None:
        done = run_projection(run_script, rig, tmp_path / "00.h5", cameras="2")
        assert done.returncode == 0, done.stderr
        found = Correspondence(tmp_path / "00.h5").read("000000")
        points = kitti.read_scan(kitti.scan_path(rig, "00", "000000"))
        seen = project(points, camera(2).projection, camera(2).tr, 64, 32)
        index = np.flatnonzero(visible(seen, 64, 32, 2, 0.05))
        np.testing.assert_array_equal(found.index, index)
        np.testing.assert_array_equal(found.pixel, seen.pixel[index])
        assert set(found.camera.tolist()) == {2} and set(found.views) == {2}

    def test_a_missing_image_is_refused_or_counted(self, rig: Path, tmp_path: Path, run_script: Run) -> None:
        kitti.image_path(rig, "00", "000001", 5).unlink()
        failed = run_projection(run_script, rig, tmp_path / "00.h5")
        assert failed.returncode == 1 and "image_5/000001.png: no such file" in failed.stderr
        done = run_projection(run_script, rig, tmp_path / "00.h5", "--missing-images", "allow")
        assert done.returncode == 0, done.stderr
        assert "1 of 2 images of camera 5 are missing" in done.stderr
        stored = Correspondence(tmp_path / "00.h5")
        assert set(stored.views("000000")) == {0, 2, 5} and set(stored.views("000001")) == {0, 2}
        assert not len(stored.read("000001").rows(5)) and set(stored.read("000001").sectors) == {0, 2}
        frames = TargetFrames(rig, {"00": tmp_path / "00.h5"}, "scribbles", label_set=SEMANTICKITTI)
        expected = [("000000", 0), ("000000", 2), ("000000", 5), ("000001", 0), ("000001", 2)]
        assert [(frame, number) for _, frame, number in frames.items] == expected

    def test_figures_of_all_cameras(self, rig: Path, tmp_path: Path, run_script: Run) -> None:
        run_projection(run_script, rig, tmp_path / "00.h5")
        drawn = run_script(
            "figures_projection.py", "--dataset", rig, "--sequence", "00", "--projection", tmp_path / "00.h5",
            "--out", tmp_path / "00.png",
        )  # fmt: skip
        assert drawn.returncode == 0, drawn.stderr
        # side by side, small images enlarged to about 1024 pixels
        assert kitti.read_image(tmp_path / "00.png").shape[1] == 3 * 1024

    def test_a_file_holds_its_own_cameras_alone(self, rig: Path, tmp_path: Path, run_script: Run) -> None:
        run_projection(run_script, rig, tmp_path / "00.h5")
        frame = Correspondence(tmp_path / "00.h5").read("000000")
        with (
            pytest.raises(ValueError, match=r"found cameras \[0, 5\], expected some of \[2\]"),
            CorrespondenceWriter(tmp_path / "other.h5") as writer,
        ):
            writer.add("000000", frame)


class TestTargetFrames:
    def test_each_image_has_the_labels_of_its_own_points(self, rig: Path, tmp_path: Path, run_script: Run) -> None:
        run_projection(run_script, rig, tmp_path / "00.h5")
        frames = TargetFrames(rig, {"00": tmp_path / "00.h5"}, "dense", [("00", "000001")], label_set=SEMANTICKITTI)
        assert [len(pool) for pool in frames.pools] == [3, 3] and frames.pools[0].tolist() == [3, 4, 5]
        points, counts = Correspondence(tmp_path / "00.h5").read("000001"), frames.class_counts()
        assert counts.shape == (6, 19) and not counts[:3].any()
        raw = kitti.read_labels(kitti.label_path(rig, "00", "000001"))
        ids = SEMANTICKITTI.to_camera_ids(SEMANTICKITTI.to_train_ids(raw))[points.index]
        for item, number in ((3, 0), (4, 2), (5, 5)):
            image, labels = frames.read(item)
            assert image.shape[:2] == labels.shape == SIZES[number][::-1]
            rows = points.rows(number)
            assert counts[item].sum() == (ids[rows] != 255).sum() > 0
            columns, lines = np.floor(points.pixel[rows] + 0.5).astype(int).T
            assert set(labels[lines, columns]) <= set(ids[rows])
            assert (labels != 255).sum() == len({*zip(columns[ids[rows] != 255], lines[ids[rows] != 255], strict=True)})

    def test_an_image_of_another_size_is_refused(self, rig: Path, tmp_path: Path, run_script: Run) -> None:
        run_projection(run_script, rig, tmp_path / "00.h5")
        path = kitti.image_path(rig, "00", "000000", 5)
        path.write_bytes(kitti.image_path(rig, "00", "000000", 2).read_bytes())
        frames = TargetFrames(rig, {"00": tmp_path / "00.h5"}, "none", label_set=SEMANTICKITTI)
        with pytest.raises(IgnetError, match=r"image_5/000000\.png: found 64x32 pixels, expected 48x24"):
            frames.read(2)


class TestCheck:
    @pytest.mark.parametrize("per_frame", [False, True])
    def test_a_whole_rig_has_no_fault(self, tmp_path: Path, per_frame: bool) -> None:
        report = check(write_rig(tmp_path / "rig", per_frame=per_frame))
        assert not report.faults and not report.faults.doubts, list(report.faults)
        assert [facts.sizes for facts in report.frames] == [tuple(SIZES.values())] * 2

    def test_a_camera_that_is_not_in_the_calibration(self, rig: Path) -> None:
        write_calibration(kitti.calibration_path(rig, "00"), {0: camera(0), 2: camera(2)})
        (fault,) = check(rig).faults
        assert fault.kind == "calibration" and "expected a line 'P5:'" in str(fault)
        assert "take it out of dataset.cameras" in str(fault)

    def test_a_folder_of_images_that_is_not_there(self, rig: Path) -> None:
        for path in (rig / "sequences/00/image_5").iterdir():
            path.unlink()
        (rig / "sequences/00/image_5").rmdir()
        (fault,) = check(rig).faults
        assert fault.kind == "no-folder" and fault.path.name == "image_5"

    def test_a_missing_image_is_a_fault_or_a_doubt(self, rig: Path, tmp_path: Path) -> None:
        kitti.image_path(rig, "00", "000001", 5).unlink()
        (fault,) = check(rig).faults
        assert fault.kind == "missing" and fault.path.parent.name == "image_5"
        report = check(rig, missing=True)
        assert not report.faults
        (doubt,) = report.faults.doubts
        assert "found no image of camera 5 for 1 of 2 scans" in str(doubt)
        write_json(tmp_path / "00.json", {"role": "train", **report.as_json()})
        assert write_manifest(tmp_path / "m.csv", [tmp_path / "00.json"], label_set=SEMANTICKITTI) == [str(doubt)]
        head, *rows = (line.split(",") for line in (tmp_path / "m.csv").read_text().splitlines())
        assert head[7:13] == ["width_0", "height_0", "width_2", "height_2", "width_5", "height_5"]
        assert [row[7:13] for row in rows] == [["64", "32"] * 2 + ["48", "24"], ["64", "32"] * 2 + ["", ""]]

    def test_sizes_within_a_camera_differ_only_with_calibrations_of_their_own(self, tmp_path: Path) -> None:
        root = write_rig(tmp_path / "rig", frames=3)
        other = kitti.image_path(root, "00", "000002", 2)
        other.write_bytes(kitti.image_path(root, "00", "000002", 5).read_bytes())
        (fault,) = check(root).faults
        assert fault.kind == "image-size" and fault.path == other and "found 48x24" in str(fault)
        own = kitti.frame_calibration_path(root, "00", "000002")
        own.parent.mkdir()
        scaled = {0: camera(0), 2: Calibration(np.diag([0.75, 0.75, 1]) @ camera(2).projection, camera(2).tr)}
        write_calibration(own, {**scaled, 5: camera(5)})
        assert not check(root).faults

    def test_faults_of_a_frame_s_calibration(self, tmp_path: Path) -> None:
        root = write_rig(tmp_path / "rig", per_frame=True)
        own = kitti.frame_calibration_path(root, "00", "000001")
        mirrored = Calibration(-camera(5).projection, camera(5).tr)
        write_calibration(own, {0: camera(0), 5: mirrored})
        lines = [str(fault) for fault in check(root).faults]
        assert len(lines) == 2 and all(line.startswith(f"{own}: ") for line in lines)
        assert "expected a line 'P2:'" in lines[0] and "line 'P5': found a mirrored image" in lines[1]
        # a calibration for all is not needed where each frame has its own
        write_calibration(own, {number: camera(number) for number in YAWS})
        kitti.calibration_path(root, "00").unlink()
        assert not check(root).faults

    def test_a_camera_that_sees_nothing(self, rig: Path) -> None:
        inverse = Calibration(camera(5).projection @ np.diag([1.0, 1, 1, 1]), camera(5).tr)
        far = inverse.projection.copy()
        far[:, 3] += far[:, :3] @ [0, -40, 0]  # 40 m above everything
        write_calibration(
            kitti.calibration_path(rig, "00"),
            {0: camera(0), 2: camera(2), 5: Calibration(far, camera(5).tr)},
        )
        (fault,) = check(rig).faults
        assert fault.kind == "calibration-view" and "found P5 and Tr that bring no point" in str(fault)


@pytest.mark.parametrize(
    ("cameras", "said"),
    [
        ([2, 0], r"expected each camera once and in order, such as \[0, 2\]"),
        ([1, 1], r"such as \[1\]"),
        ([], "at least 1"),
    ],
)
def test_cameras_are_distinct_and_in_order(cameras: list[int], said: str) -> None:
    with pytest.raises(IgnetError, match=said):
        validate(DatasetConfig, {"cameras": cameras}, "dataset")


def test_one_camera_changes_no_identity() -> None:
    assert "cameras" not in DatasetConfig().identity() and "missing_images" not in DatasetConfig().identity()
    several = DatasetConfig(cameras=(0, 1), missing_images="allow").of_check()
    assert (several["cameras"], several["missing_images"]) == ([0, 1], "allow")
    assert "missing_labels" not in several and DatasetConfig(missing_labels="allow").of_check()["missing_labels"]
