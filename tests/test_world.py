"""The embedded world: intersections by hand, sensors that agree, files in the public layouts, repeatable bytes."""

from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from PIL import Image

from ignet.config.world import WorldConfig
from ignet.data.check.sequence import check_sequence
from ignet.data.formats import kitti
from ignet.data.formats.calibration import read_calibration
from ignet.data.formats.source_images import SourceDataset
from ignet.data.label_sets.label_set import CITYSCAPES, IGNORE
from ignet.data.label_sets.label_set import SEMANTICKITTI as LABELS
from ignet.data.projection.geometry import project, visible
from ignet.world import files
from ignet.world.camera import KITTI_RIG, camera_rays, camera_windows, pose_matrix
from ignet.world.drive import source_drive, target_drive
from ignet.world.files import write_sequence, write_source
from ignet.world.lidar import HDL_64E
from ignet.world.raycast import GROUND, NOTHING, Rays, Windows, cast
from ignet.world.solids import CYLINDER, ELLIPSOID, PRISM, Solids, hit_cylinder, hit_ellipsoid, hit_prism, surface
from ignet.world.street import MARKING, ROAD, SIDEWALK, Street

SMALL = WorldConfig(frames=3, source_images=4, beams=24, azimuths=450, image_width=256, image_height=80)


def _d(x: float, y: float, z: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return np.array([x]), np.array([y]), np.array([z])


def _solids(kind: int, center: tuple, half: tuple, yaw: float = 0.0, taper: tuple = (0.0, 0.0)) -> Solids:
    def one(value: object, dtype: type = np.float32) -> np.ndarray:
        return np.array([value], dtype)

    return Solids(
        one(kind, np.uint8), one(center), one(half), one(yaw), one(taper), one(0, np.uint8), one(50, np.uint16),
        one(11, np.uint8), one(0, np.uint16), one((0.5, 0.5, 0.5)), one(0, np.uint8), one(0.3), one(0.0),
    )  # fmt: skip


def _road() -> Street:
    street = Street(-100, 100, np.random.default_rng(0), 0.0)
    street.paint(ROAD, (-100, 100), (-45, 45))
    return street


def test_sphere() -> None:
    assert hit_ellipsoid(np.array([-3.0, 0, 0]), *_d(1, 0, 0)) == pytest.approx(2)
    assert hit_ellipsoid(np.array([-3.0, 0.6, 0]), *_d(1, 0, 0)) == pytest.approx(2.2)
    assert hit_ellipsoid(np.array([-3.0, 0, 0]), *_d(2, 0, 0), 0.5) == pytest.approx(1.25)
    assert np.isinf(hit_ellipsoid(np.array([-3.0, 1.1, 0]), *_d(1, 0, 0)))
    assert np.isinf(hit_ellipsoid(np.array([3.0, 0, 0]), *_d(1, 0, 0)))


def test_cylinder() -> None:
    assert hit_cylinder(np.array([-2.0, 0, 0.5]), *_d(1, 0, 0)) == pytest.approx(1)
    assert hit_cylinder(np.array([-2.0, 0.8, 0.5]), *_d(1, 0, 0)) == pytest.approx(1.4)
    assert hit_cylinder(np.array([0.2, 0, 5.0]), *_d(0, 0, -2)) == pytest.approx(2)
    # over the rim at z = 1.5 and down: through the lid
    assert hit_cylinder(np.array([-2.0, 0, 2.0]), *_d(1, 0, -0.5)) == pytest.approx(2)
    assert np.isinf(hit_cylinder(np.array([-2.0, 0, 1.5]), *_d(1, 0, 0)))


def test_prism() -> None:
    assert hit_prism(np.array([-4.0, 0.3, 0.2]), *_d(1, 0, 0)) == pytest.approx(3)
    assert np.isinf(hit_prism(np.array([-4.0, 1.2, 0.2]), *_d(1, 0, 0)))
    assert np.isinf(hit_prism(np.array([0.0, 0, 0]), *_d(1, 0, 0)))
    # a gable: at half height it is half as wide, at the top it is a line
    assert hit_prism(np.array([0.0, -3, 0]), *_d(0, 1, 0), (0, 1)) == pytest.approx(2.5)
    assert hit_prism(np.array([0.0, 0.5, 4]), *_d(0, 0, -1), (0, 1)) == pytest.approx(4)
    # a car's windscreen: taper 0.4 along x, at the top |x| <= 0.6
    assert hit_prism(np.array([-3.0, 0, 0.999999]), *_d(1, 0, 0), (0.4, 0)) == pytest.approx(2.4, abs=1e-5)


def test_turned_box_and_its_normal() -> None:
    solids = _solids(PRISM, (10, 0, 1), (2, 1, 1), np.pi / 2)
    rays = Rays(
        np.array([0, 0, 1], np.float32),
        np.array([[[1.0, 1.0, 0.0]], [[0.0, 0.3, 0.0]], [[0.0, 0.0, -1.0]]], np.float32),
    )
    hits = cast(solids, _road(), rays, Windows(np.array([0]), np.array([[0, 1, 0, 3]]), np.array([0.0])), 80)
    # ahead: x = 9, since the turn lays the box's 4 m along y; beside it: |y| = 2.7 > 2, no hit; down: the road
    np.testing.assert_allclose(hits.t, [[9, np.inf, 1]], rtol=1e-5)
    np.testing.assert_array_equal(hits.solid, [[0, NOTHING, GROUND]])
    met = surface(solids, np.array([0]), np.array([[9, 0.5, 1.5]], np.float32))
    np.testing.assert_allclose(met.normal, [[-1, 0, 0]], atol=1e-6)
    np.testing.assert_allclose(met.local, [[0.25, 1, 0.5]], atol=1e-6)
    assert met.face[0] == 1


def test_normals_of_round_and_sloped_solids() -> None:
    ball = surface(_solids(ELLIPSOID, (0, 0, 5), (2, 2, 2)), np.array([0]), np.array([[0, 0, 7]], np.float32))
    np.testing.assert_allclose(ball.normal, [[0, 0, 1]], atol=1e-6)
    post = surface(_solids(CYLINDER, (0, 0, 2), (0.1, 0.1, 2)), np.array([0]), np.array([[0.06, 0.08, 3]], np.float32))
    np.testing.assert_allclose(post.normal, [[0.6, 0.8, 0]], atol=1e-5)
    # a gable of half width 1 and half height 1 rises 2 m over 1 m: its slope's normal is (0, 2, 1) / sqrt 5
    roof = surface(
        _solids(PRISM, (0, 0, 1), (3, 1, 1), taper=(0, 1)), np.array([0]), np.array([[0, 0.5, 1]], np.float32)
    )
    np.testing.assert_allclose(roof.normal, [[0, 2 / np.sqrt(5), 1 / np.sqrt(5)]], atol=1e-6)


def test_lowest_beam_meets_the_road() -> None:
    angle = HDL_64E.elevations(32)[-1]
    assert np.degrees(HDL_64E.elevations(64)[[0, -1]]) == pytest.approx([2, -24.8])
    direction = np.array([np.cos(angle), 0, np.sin(angle)], np.float32).reshape(3, 1, 1)
    none = Windows(np.zeros(0, int), np.zeros((0, 4), int), np.zeros(0))
    hits = cast(
        _solids(PRISM, (0, 50, 0), (1, 1, 1)), _road(), Rays(np.array([0, 0, 1.73], np.float32), direction), none, 80
    )
    assert hits.t[0, 0] == pytest.approx(1.73 / np.sin(np.radians(24.8)), rel=1e-5)


def test_street_coordinates() -> None:
    street = Street(0, 100, np.random.default_rng(5), 0.2)
    street.paint(SIDEWALK, (20, 30), (4, 6))
    street.paint(MARKING, (20, 30), (-0.1, 0.1))
    for s, d, code in ((25, 5, SIDEWALK), (25, 0, MARKING)):
        x, y, _ = street.place(s, d)
        found = street.locate(np.array([x]), np.array([y]))
        np.testing.assert_allclose(np.concatenate(found), [s, d], atol=1e-9)
        assert street.ground(np.array([x]), np.array([y]))[0] == code


def test_camera_is_kittis_and_its_rays_invert_the_projection() -> None:
    camera = KITTI_RIG.camera(512, 160)
    focal = camera.p["P2"][0, 0]
    assert np.degrees(2 * np.arctan(256 / focal)) == pytest.approx(81.6, abs=0.2)
    rays = camera_rays(camera, np.eye(4))
    np.testing.assert_allclose(rays.origin, [0.27, 0.06, -0.08], atol=0.02)
    depth = np.linspace(3, 60, 160 * 512).reshape(160, 512)
    points = (rays.origin[:, None, None] + rays.direction * depth).reshape(3, -1).T
    back = project(points.astype(np.float32), camera.p["P2"], camera.tr, 512, 160)
    v, u = np.mgrid[:160, :512]
    np.testing.assert_allclose(back.pixel, np.stack([u.ravel(), v.ravel()], axis=1), atol=2e-2)
    np.testing.assert_allclose(back.depth, depth.ravel(), rtol=1e-3)


@pytest.mark.parametrize("center", [(12, 3, 1), (4, -3.5, 0.5), (1, 2.5, 1)])
def test_windows_hold_every_hit(center: tuple) -> None:
    """A solid cast on its window alone looks as it does cast on the whole image, also where it reaches behind the
    camera."""
    camera, pose = KITTI_RIG.camera(256, 80), pose_matrix(0, 0, 0, 1.73)
    solids, rays = _solids(PRISM, center, (4, 1, 1), 0.4), camera_rays(camera, pose)
    whole = Windows(np.array([0]), np.array([[0, 80, 0, 256]]), np.array([0.0]))
    one = cast(solids, _road(), rays, camera_windows(camera, pose, solids), 100)
    two = cast(solids, _road(), rays, whole, 100)
    assert (two.solid == 0).any()
    np.testing.assert_array_equal(one.t, two.t)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sequence 08 of the small world."""
    root = tmp_path_factory.mktemp("world")
    write_sequence(SMALL, "08", root / "sequences" / "08")
    return root


def test_sequence_layout(tree: Path) -> None:
    folder = tree / "sequences" / "08"
    assert sorted(p.name for p in folder.iterdir()) == sorted(
        ["velodyne", "labels", "scribbles", "image_2", "calib.txt", "poses.txt", "times.txt"]
    )
    frames = kitti.frame_ids(tree, "08")
    assert frames == ["000000", "000001", "000002"]
    for frame in frames:
        points = kitti.read_scan(kitti.scan_path(tree, "08", frame))
        assert 0.8 * 24 * 450 < len(points) < 24 * 450
        assert np.linalg.norm(points[:, :3], axis=1).max() < 82 and points[:, 3].min() >= 0 and points[:, 3].max() < 1
        raw = kitti.read_labels(kitti.label_path(tree, "08", frame), len(points))
        things = np.isin(LABELS.to_train_ids(raw), np.arange(8))
        assert (kitti.instance_ids(raw)[things] > 0).all() and (kitti.instance_ids(raw)[~things] == 0).all()
        assert kitti.read_image(kitti.image_path(tree, "08", frame)).shape == (80, 256, 3)
    calibration, camera = read_calibration(kitti.calibration_path(tree, "08")), KITTI_RIG.camera(256, 80)
    np.testing.assert_array_equal(calibration.projection, camera.p["P2"])
    np.testing.assert_array_equal(calibration.tr, camera.tr)
    poses = np.loadtxt(folder / "poses.txt").reshape(-1, 3, 4)
    np.testing.assert_allclose(poses[0], np.eye(4)[:3], atol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(np.diff(poses[:, :, 3], axis=0), axis=1), SMALL.spacing, rtol=0.02)
    assert len(np.loadtxt(folder / "times.txt")) == 3


def test_the_check_has_no_fault_and_no_doubt(tree: Path) -> None:
    found = check_sequence(tree, "08", ("scans", "images", "labels", "scribbles"), label_set=LABELS).faults
    assert [str(line) for line in [*found, *found.doubts]] == []


def test_sequence_bytes_repeat(tree: Path, tmp_path: Path) -> None:
    write_sequence(SMALL, "08", tmp_path / "08")
    first = tree / "sequences" / "08"
    written = sorted(p.relative_to(first) for p in first.rglob("*") if p.is_file())
    assert len(written) == 4 * 3 + 3
    for path in written:
        assert (tmp_path / "08" / path).read_bytes() == (first / path).read_bytes(), path


def test_frames_do_not_depend_on_their_order() -> None:
    forward, backward = target_drive(SMALL, 8), target_drive(SMALL, 8)
    later = backward.picture(2).image
    backward.picture(0)
    forward.scan(0)
    np.testing.assert_array_equal(forward.picture(2).image, later)


def test_sequences_and_seeds_differ() -> None:
    other_seed = SMALL.model_copy(update={"seed": 1})
    images = [
        target_drive(config, number).picture(0).image for config, number in ((SMALL, 8), (SMALL, 0), (other_seed, 8))
    ]
    for i, j in ((0, 1), (0, 2), (1, 2)):
        assert (images[i] != images[j]).mean() > 0.5


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("sequence", [0, 8])
def test_classes_present(seed: int, sequence: int) -> None:
    """At least 14 of 19 classes in a sequence, each with enough points to be worth evaluating (our bar: 10)."""
    drive = target_drive(SMALL.model_copy(update={"seed": seed}), sequence)
    counts = sum(
        np.bincount(LABELS.to_train_ids(drive.scan(frame).label), minlength=256)[:19] for frame in range(SMALL.frames)
    )
    assert (counts >= 10).sum() >= 14


def test_scribbles_of_the_world(tree: Path) -> None:
    for frame in kitti.frame_ids(tree, "08"):
        points = kitti.read_scan(kitti.scan_path(tree, "08", frame))
        labels = LABELS.to_train_ids(kitti.read_labels(kitti.label_path(tree, "08", frame)))
        scribbles = LABELS.to_train_ids(kitti.read_labels(kitti.scribble_path(tree, "08", frame), len(points)))
        drawn = scribbles != IGNORE
        assert 0.06 <= drawn.mean() <= 0.10
        np.testing.assert_array_equal(scribbles[drawn], labels[drawn])
        for label in np.unique(scribbles[drawn]):
            own, other = points[drawn & (labels == label), :3], points[(labels != label) & (labels != IGNORE), :3]
            nearest = np.sqrt(((own[:, None].astype(np.float64) - other[None]) ** 2).sum(axis=2).min(axis=1))
            assert nearest.min() > SMALL.scribble_margin


@pytest.mark.parametrize("preset", ["residential", "avenue"])
def test_camera_and_lidar_see_the_same_world(preset: Literal["residential", "avenue"]) -> None:
    """Visible points land on pixels of their own class, away from the borders of the image's classes."""
    drive = target_drive(WorldConfig(preset=preset, frames=2), 8)
    for frame in range(2):
        sweep, picture = drive.scan(frame), drive.picture(frame)
        seen_by_camera, labels = LABELS.to_train_ids(picture.raw), LABELS.to_train_ids(sweep.label)
        projected = project(sweep.points, drive.camera.p["P2"], drive.camera.tr, 512, 160)
        assert 0.10 < projected.inside.mean() < 0.22
        rows = visible(projected, 512, 160, 4, 0.05) & (labels != IGNORE)
        u, v = np.rint(projected.pixel[rows]).astype(int).T
        around = np.stack(
            [seen_by_camera[np.clip(v + dv, 0, 159), np.clip(u + du, 0, 511)] for dv in (-1, 0, 1) for du in (-1, 0, 1)]
        )
        interior = (around == around[4]).all(axis=0)
        agree = labels[rows] == seen_by_camera[v, u]
        assert agree.mean() > 0.9 and agree[interior].mean() > 0.95
        # depths agree too: the picture's depth at the pixel is the point's
        depth = picture.depth[v, u][interior & agree]
        assert np.median(np.abs(depth / projected.depth[rows][interior & agree] - 1)) < 0.02


def test_surfaces_are_told_apart_by_colour_not_by_remission() -> None:
    """Road, sidewalk and terrain: remission overlaps, and the image separates them."""
    drive = target_drive(WorldConfig(frames=4), 8)
    remission: dict[int, list] = {40: [], 48: [], 72: []}
    color: dict[int, list] = {40: [], 48: [], 72: []}
    for frame in range(4):
        sweep, picture = drive.scan(frame), drive.picture(frame)
        for raw in remission:
            remission[raw].append(sweep.points[(sweep.label & 0xFFFF) == raw, 3])
            color[raw].append(picture.image[(picture.raw == raw) & (picture.depth < 20)].astype(float))
    for a, b in ((40, 48), (40, 72), (48, 72)):
        first, second = np.concatenate(remission[a]), np.concatenate(remission[b])
        assert abs(first.mean() - second.mean()) < first.std() + second.std()
    hue = {raw: (np.concatenate(parts)[:, 1] - np.concatenate(parts)[:, 2]).mean() for raw, parts in color.items()}
    assert hue[72] > hue[40] + 10 and hue[72] > hue[48] + 10


def test_source_set(tmp_path: Path) -> None:
    write_source(SMALL, tmp_path / "source")
    source = SourceDataset(tmp_path / "source", "gtav")
    assert len(source) == 4
    frequencies = source.class_frequencies()
    assert (frequencies > 0).sum() >= 14
    with Image.open(tmp_path / "source" / "labels" / "00001.png") as picture:
        assert picture.mode == "P" and set(np.unique(picture)) <= {
            *CITYSCAPES.raw_ids.tolist(),
            files._GROUND,
            files._TRAILER,
        }
        road = np.asarray(picture.convert("RGB"))[np.asarray(picture) == 7]
    np.testing.assert_array_equal(np.unique(road, axis=0), [[128, 64, 128]])
    write_source(SMALL, tmp_path / "again")
    for path in sorted((tmp_path / "source").rglob("*.png")):
        assert (tmp_path / "again" / path.relative_to(tmp_path / "source")).read_bytes() == path.read_bytes()


def test_looks_differ() -> None:
    """The game's days differ, most have a blue sky and a clean image; the street's sky is pale and its image has
    grain."""
    blue, grain, road_colour = [], [], []
    for drive in (
        *(source_drive(SMALL, street) for street in range(6)),
        target_drive(SMALL, 0),
        target_drive(SMALL, 1),
    ):
        picture = drive.picture(0)
        image, sky, road = picture.image.astype(float), picture.city == 23, (picture.raw == 40) & (picture.depth < 20)
        blue.append((image[sky, 2] - image[sky, 0]).mean())
        beside = road[:, 1:] & road[:, :-1]
        grain.append(np.median(np.abs(np.diff(image, axis=1))[beside]))
        road_colour.append(image[road].mean())
    game, street = slice(0, 6), slice(6, 8)
    assert np.mean(blue[game]) > 40 and max(blue[street]) < 25
    assert np.mean(grain[game]) < min(grain[street])
    assert np.ptp(blue[game]) > 40 and np.ptp(road_colour[game]) > 10


def test_no_half_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def full_disk(path: Path, image: np.ndarray) -> None:
        calls.append(path)
        if len(calls) == 2:
            raise OSError("no space left on device")

    monkeypatch.setattr(files, "write_png", full_disk)
    with pytest.raises(OSError, match="no space"):
        write_sequence(SMALL, "08", tmp_path / "08")
    assert list(tmp_path.iterdir()) == []


def test_scripts(tmp_path: Path, run_script) -> None:  # type: ignore[no-untyped-def]
    settings = SMALL.model_copy(update={"frames": 1, "source_images": 1}).canonical()
    done = run_script("world_source.py", "--settings", settings, "--out", tmp_path / "source")
    assert done.returncode == 0, done.stderr
    done = run_script(
        "world_target.py", "--settings", settings, "--sequence", "08", "--out", tmp_path / "target/sequences/08"
    )
    assert done.returncode == 0, done.stderr
    arguments = [
        "--source",
        tmp_path / "source",
        "--target",
        tmp_path / "target",
        "--sequences",
        "08",
        "--out",
        tmp_path / "sheet.png",
    ]
    done = run_script("figures_data.py", *arguments)
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width == 1600 and sheet.height > 600
