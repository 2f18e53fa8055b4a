"""The preset `surround`: six cameras that see all round, and a calibration for each frame."""

from pathlib import Path

import numpy as np
import pytest

from ignet.config.world import WorldConfig
from ignet.data.formats import kitti
from ignet.data.label_sets.label_set import IGNORE
from ignet.data.label_sets.label_set import SEMANTICKITTI as LABELS
from ignet.data.projection.geometry import project, visible
from ignet.world.camera import Camera
from ignet.world.drive import FRAME_SECONDS, source_drive, target_drive
from ignet.world.files import write_sequence
from ignet.world.presets import PRESETS
from ignet.world.surround import SURROUND_RIG

SMALL = WorldConfig(preset="surround", frames=2, azimuths=450, image_width=320, image_height=180)


def _pixel(camera: Camera, *point: float) -> np.ndarray:
    u, v, depth = camera.matrix @ np.array([*point, 1.0])
    return np.array([u / depth, v / depth, depth])


@pytest.mark.parametrize("number", range(6))
def test_a_camera_looks_where_its_mount_says(number: int) -> None:
    """What lies on its axis is in the middle column; half of the angle of view further left it is at the left edge."""
    mount, camera = SURROUND_RIG.mounts[number], SURROUND_RIG.cameras(1600, 900)[number]
    assert camera.number == number and mount.view == (110 if number == 3 else 70)
    middle, edge = (np.radians(mount.azimuth + turn) for turn in (0, mount.view / 2))
    for angle, column, depth in ((middle, 799.5, 20.0), (edge, -0.5, 20 * np.cos(np.radians(mount.view / 2)))):
        # in the camera's own level plane, which is tilted by less than a degree
        x, y, z = np.array(mount.position) + 20 * np.array([np.cos(angle), np.sin(angle), 0])
        found = _pixel(camera, x, y, z)
        assert found[0] == pytest.approx(column, abs=0.2) and found[2] == pytest.approx(depth, rel=2e-3)
    # looks down a little: the horizon is above the middle row, 449.5
    focal = 800 / np.tan(np.radians(mount.view / 2))
    x, y, z = np.array(mount.position) + 20 * np.array([np.cos(middle), np.sin(middle), 0])
    assert _pixel(camera, x, y, z)[1] == pytest.approx(449.5 - focal * np.tan(np.radians(mount.down)), abs=0.01)


def test_every_direction_is_seen_and_neighbours_overlap() -> None:
    around = np.radians(np.arange(0, 360, 0.5))
    far = np.stack([1e3 * np.cos(around), 1e3 * np.sin(around), np.zeros_like(around)], axis=1).astype(np.float32)
    cameras = SURROUND_RIG.cameras(1600, 900)
    seen = sum(project(far, camera.p[camera.key], camera.tr, 1600, 900).inside.astype(int) for camera in cameras)
    assert seen.min() == 1 and seen.max() == 2 and 0.2 < (seen == 2).mean() < 0.3


def test_a_frames_calibration_moves_the_points_as_the_vehicle_moved() -> None:
    """At 10 m/s a camera exposed 35 ms before the sweep was 0.35 m behind: all things were that much farther."""
    drive = target_drive(SMALL, 8)
    speed = SMALL.spacing / FRAME_SECONDS
    for still, moved in zip(drive.rig, drive.cameras(1), strict=True):
        mount = SURROUND_RIG.mounts[still.number]
        angle = np.radians(mount.azimuth)
        point = np.array(mount.position) + np.array([0.5 + 15 * np.cos(angle), 15 * np.sin(angle), 0])
        expected = _pixel(still, point[0] - speed * still.delay, *point[1:])
        # the street bends a little
        np.testing.assert_allclose(_pixel(moved, *point), expected, atol=0.5)
        assert (np.abs(_pixel(moved, *point) - _pixel(still, *point))[:2].max() > 0.1) == (
            still.number not in (0, 3, 4)
        )
    np.testing.assert_array_equal(drive.cameras(1)[4].p["P4"], drive.rig[4].p["P4"])


def test_cameras_and_lidar_see_the_same_world() -> None:
    """With the frame's calibration; with the sequence's one, points lie beside what they are of."""
    drive = target_drive(SMALL.model_copy(update={"image_width": 640, "image_height": 360}), 8)
    sweep = drive.scan(1)
    labels = LABELS.to_train_ids(sweep.label)
    shares = {"frame": [], "sequence": []}
    for number, moved in enumerate(drive.cameras(1)):
        picture = drive.picture(1, number)
        seen_by_camera = LABELS.to_train_ids(picture.raw)
        for name, camera in (("frame", moved), ("sequence", drive.rig[number])):
            projected = project(sweep.points, camera.p[camera.key], camera.tr, 640, 360)
            assert 0.12 < projected.inside.mean() < 0.28
            rows = visible(projected, 640, 360, 4, 0.05) & (labels != IGNORE)
            u, v = np.rint(projected.pixel[rows]).astype(int).T
            agree = labels[rows] == seen_by_camera[v, u]
            shares[name].append(agree.mean())
            if name == "frame":
                depth = picture.depth[v, u][agree]
                assert np.median(np.abs(depth / projected.depth[rows][agree] - 1)) < 0.01
    assert min(shares["frame"]) > 0.88 and np.mean(shares["frame"]) > 0.95
    assert np.mean(shares["sequence"]) < np.mean(shares["frame"]) - 0.02


def test_files(tmp_path: Path) -> None:
    folder = tmp_path / "sequences" / "08"
    write_sequence(SMALL, "08", folder)
    images = [f"image_{number}" for number in range(6)]
    files = ["calib", "calib.txt", *images, "labels", "poses.txt", "scribbles", "times.txt", "velodyne"]
    assert sorted(path.name for path in folder.iterdir()) == files
    for name in images:
        assert [path.name for path in sorted((folder / name).iterdir())] == ["000000.png", "000001.png"]
        assert kitti.read_image(folder / name / "000001.png").shape == (180, 320, 3)
    drive = target_drive(SMALL, 8)
    for path, cameras in (("calib.txt", drive.rig), ("calib/000001.txt", drive.cameras(1))):
        lines = dict(line.split(": ") for line in (folder / path).read_text().splitlines())
        assert list(lines) == ["P0", "P1", "P2", "P3", "P4", "P5", "Tr"]
        for camera in cameras:
            found = np.array(lines[camera.key].split(), float).reshape(3, 4)
            np.testing.assert_array_equal(found, camera.p[camera.key])
        np.testing.assert_array_equal(np.array(lines["Tr"].split(), float).reshape(3, 4), drive.camera.tr[:3])
    write_sequence(SMALL, "08", tmp_path / "again")
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        assert (tmp_path / "again" / path.relative_to(folder)).read_bytes() == path.read_bytes(), path


def test_street_and_beams_are_the_avenues_and_the_source_set_is_that_of_all() -> None:
    surround, avenue = PRESETS["surround"], PRESETS["avenue"]
    assert (surround.layout, surround.look) == (avenue.layout, avenue.look)
    np.testing.assert_array_equal(surround.lidar.elevations(32), avenue.lidar.elevations(32))
    small = WorldConfig(image_width=256, image_height=80)
    pictures = [
        source_drive(config, 0).picture(1, sway=0.03).image
        for config in (small, small.model_copy(update={"preset": "surround"}))
    ]
    np.testing.assert_array_equal(*pictures)
