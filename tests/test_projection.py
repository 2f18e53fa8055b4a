"""Projection, z-buffer, the camera's sector, and the correspondence file."""

import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from one_camera import seen_by_one

from ignet.data.formats import kitti
from ignet.data.formats.calibration import read_calibration
from ignet.data.projection.correspondence import Correspondence, CorrespondenceWriter, FrameCorrespondence, View
from ignet.data.projection.geometry import (
    Projected,
    axis_cosine,
    camera_sector,
    in_sector,
    point_spacing,
    project,
    visible,
    wrap,
)
from ignet.errors import IgnetError
from ignet.files.atomic import read_json

P2 = np.array([[100.0, 0, 50, 0], [0, 100, 20, 0], [0, 0, 1, 0]])
FORWARD = np.array([[0.0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]])
WIDTH, HEIGHT = 101, 41


def turned(yaw: float, pitch: float = 0.0, roll: float = 0.0) -> np.ndarray:
    """LiDAR to camera, for a camera at the origin that is turned to the left by yaw, down by pitch, and rolled."""
    cy, sy, cp, sp, cr, sr = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch), np.cos(roll), np.sin(roll)
    body = np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1]]) @ np.array([[cp, 0, sp], [0, 1, 0], [-sp, 0, cp]])
    body = body @ np.array([[1, 0, 0], [0, cr, -sr], [0, sr, cr]])
    tr = np.eye(4)
    tr[:3, :3] = FORWARD[:3, :3] @ body.T
    return tr


def test_worked_by_hand() -> None:
    points = np.array(
        [[10, 0, 0, 0.3], [10, 1, -1, 0], [-10, 0, 0, 0], [0, 1, 1, 0], [10, 5.0, 0, 0], [10, 4.99, 0, 0]], np.float32
    )
    projected = project(points, P2, FORWARD, WIDTH, HEIGHT)
    np.testing.assert_allclose(projected.pixel[[0, 1, 5]], [[50, 20], [40, 30], [0.1, 20]], atol=1e-5)
    np.testing.assert_array_equal(projected.pixel[2:4], [[-1, -1]] * 2)  # behind the camera, beside it
    np.testing.assert_allclose(projected.depth, [10, 10, -10, 0, 10, 10])
    assert projected.inside.tolist() == [True, True, False, False, False, True]  # the fifth falls exactly on the edge
    assert (projected.pixel.dtype, projected.depth.dtype) == (np.float32, np.float32)


def test_translations_of_tr_and_p2() -> None:
    tr, p2 = FORWARD.copy(), P2.copy()
    tr[2, 3] = -0.5  # the camera is half a metre in front of the LiDAR
    p2[:, 3] = (10, 20, 0.5)
    projected = project(np.array([[10.0, 0, 0]]), p2, tr, WIDTH, HEIGHT)
    np.testing.assert_allclose(projected.depth, [10])
    np.testing.assert_allclose(projected.pixel, [[(50 * 9.5 + 10) / 10, (20 * 9.5 + 20) / 10]])


def test_broken_points_are_outside() -> None:
    points = np.array([[np.nan, 0, 0], [np.inf, 0, 0], [1e-30, 1, 1], [10, np.nan, 0]])
    assert not project(points, P2, FORWARD, WIDTH, HEIGHT).inside.any()


def _buffer(pixels: list[tuple[float, float]], depth: list[float], inside: list[bool] | None = None) -> Projected:
    mask = np.ones(len(depth), bool) if inside is None else np.array(inside)
    return Projected(np.array(pixels, np.float32), np.array(depth, np.float32), mask)


def test_occlusion_worked_by_hand() -> None:
    pixels = [(0.1, 0.1), (3.4, 3.4), (3.6, 0.1), (0.2, 0.2), (0.3, 0.3)]  # cells of 4 pixels end at 3.5
    seen = visible(
        _buffer(pixels, [10.0, 10.4, 90.0, 10.6, 1.0], [True, True, True, True, False]), WIDTH, HEIGHT, 4, 0.05
    )
    assert seen.tolist() == [True, True, True, False, False]
    assert visible(_buffer(pixels[:2], [10.0, 10.4]), WIDTH, HEIGHT, 4, 0.0).tolist() == [True, False]
    assert visible(_buffer(pixels[:2], [10.0, 10.0]), WIDTH, HEIGHT, 4, 0.0).tolist() == [True, True]


@pytest.mark.parametrize("cell", [1, 3, 4, 200])
def test_cells_at_the_far_corner(cell: int) -> None:
    seen = visible(
        _buffer([(WIDTH - 1.01, HEIGHT - 1.01), (0.01, HEIGHT - 1.01)], [5.0, 9.0]), WIDTH, HEIGHT, cell, 0.05
    )
    assert seen.tolist() == [True, cell < 200]


def test_spacing_is_the_side_of_the_square_of_one_point() -> None:
    """On a grid of 2 x 8 pixels a point has 16 square pixels to itself."""
    u, v = np.meshgrid(np.arange(1, 100, 2.0), np.arange(1, 400, 8.0))
    grid = _buffer(list(zip(u.ravel(), v.ravel(), strict=True)), [5.0] * u.size)
    assert point_spacing(grid) == pytest.approx(4, rel=0.1)
    larger = grid._replace(pixel=3 * grid.pixel)
    assert point_spacing(larger) == pytest.approx(3 * point_spacing(grid))
    few = grid.inside.copy()
    few[1500:] = False  # what is outside the image does not count, nor does the rest of the image
    assert point_spacing(grid._replace(inside=few)) == pytest.approx(4, rel=0.1)


def test_spacing_of_few_points() -> None:
    assert point_spacing(_buffer([(1.0, 1.0), (1.0, 4.0)], [5.0, 5.0])) == pytest.approx(3 * np.sqrt(np.pi))
    assert point_spacing(_buffer([(1.0, 1.0), (9.0, 9.0)], [5.0, 5.0], [True, False])) is None


@pytest.mark.parametrize("sequence", ["00", "01", "02", "04", "05", "06", "07", "09", "10"])
def test_spacing_of_real_frames_is_the_cell_that_results_were_measured_with(kitti_sample: Path, sequence: str) -> None:
    calibration = read_calibration(kitti.calibration_path(kitti_sample, sequence))
    for frame in kitti.frame_ids(kitti_sample, sequence):
        size = kitti.image_size(kitti.image_path(kitti_sample, sequence, frame))
        points = kitti.read_positions(kitti.scan_path(kitti_sample, sequence, frame))
        spacing = point_spacing(project(points, calibration.projection, calibration.tr, *size))
        assert spacing is not None and round(spacing) == 4


def test_cells_of_a_wide_image_hide_what_cells_of_kitti_do_not() -> None:
    """A wall behind a fence of beams 30 pixels apart, as of 32 beams in an image of 1600 pixels."""
    u, v = np.meshgrid(np.arange(10, 1590, 7.0), np.arange(10, 890, 30.0))
    near = np.stack([u.ravel(), v.ravel()], axis=1)
    wall = np.random.default_rng(0).uniform([10, 10], [1580, 880], near.shape)
    pixels, depth = np.concatenate([near, wall]), np.repeat([5.0, 30.0], len(near))
    scene = _buffer(pixels.tolist(), depth.tolist())
    cell = round(point_spacing(_buffer(near.tolist(), [5.0] * len(near))))
    assert cell == pytest.approx(np.sqrt(7 * 30), rel=0.1)
    hidden = {side: int((~visible(scene, 1600, 900, side, 0.05)).sum()) for side in (4, cell)}
    assert hidden[cell] > 0.5 * len(near) and hidden[4] < 0.1 * len(near)


clouds = st.integers(0, 2**32 - 1).map(lambda seed: np.random.default_rng(seed).normal(0, [20, 10, 3], (300, 3)))


@given(clouds, st.integers(1, 9), st.floats(0, 0.5))
def test_visible_points_are_the_near_ones(points: np.ndarray, cell: int, tolerance: float) -> None:
    projected = project(points, P2, FORWARD, WIDTH, HEIGHT)
    seen = visible(projected, WIDTH, HEIGHT, cell, tolerance)
    assert not (seen & ~projected.inside).any()
    cells: dict[tuple[int, ...], list[int]] = {}
    for i in np.flatnonzero(projected.inside):
        cells.setdefault(tuple(int((x + 0.5) // cell) for x in projected.pixel[i].astype(float)), []).append(int(i))
    for members in cells.values():
        nearest = min(float(projected.depth[i]) for i in members)
        for i in members:
            assert seen[i] == (float(projected.depth[i]) <= (1 + tolerance) * nearest)


@given(clouds, st.floats(-3.1, 3.1), st.floats(-0.2, 0.2), st.floats(-0.2, 0.2))
def test_a_camera_in_the_lidar_sees_only_its_sector(points: np.ndarray, yaw: float, pitch: float, roll: float) -> None:
    tr = turned(yaw, pitch, roll)
    low, high = camera_sector(P2, tr, WIDTH, HEIGHT)
    inside = project(points, P2, tr, WIDTH, HEIGHT).inside
    assert in_sector(points[inside], low, high).all()


@given(st.floats(-3.14, 3.14))
def test_sector_turns_with_the_camera(yaw: float) -> None:
    low, high = camera_sector(P2, turned(yaw), WIDTH, HEIGHT)
    half = np.arctan(0.5)
    np.testing.assert_allclose(wrap(np.array([low, high]) - yaw - [-half, half]), 0, atol=1e-9)
    turn = np.linspace(-np.pi, np.pi, 73, endpoint=False)
    points = np.stack([np.cos(yaw + turn), np.sin(yaw + turn), np.zeros(73)], axis=1)
    np.testing.assert_array_equal(in_sector(points, low, high), np.abs(turn) < half)


def test_a_pixel_on_the_image_s_edge_is_outside_and_one_beside_it_inside() -> None:
    edge = np.array([[2, -1, 0], [5, 0, -1], [2, 1, 0], [5, 0, 1]])
    found = project(edge, P2, FORWARD, WIDTH, HEIGHT)
    assert found.pixel.tolist() == [[WIDTH - 1, 20], [50, HEIGHT - 1], [0, 20], [50, 0]]
    assert not found.inside.any()
    assert project(edge * [1, 0.99, 0.99], P2, FORWARD, WIDTH, HEIGHT).inside.all()
    assert project(np.array([[0.01, 0, 0]]), P2, FORWARD, WIDTH, HEIGHT).inside.all(), "however near it is"
    with warnings.catch_warnings(action="error"):  # a pixel that no float32 holds
        assert not project(np.array([[1e-10, 1e30, 0]]), P2, FORWARD, WIDTH, HEIGHT).inside.any()


def test_a_sector_has_its_edges_and_may_be_more_than_half_of_the_circle() -> None:
    points = np.array([[1.0, 0], [0, 1], [1, -0.01], [-0.01, 1]])
    assert in_sector(points, 0, np.pi / 2).tolist() == [True, True, False, False]
    assert in_sector(np.array([[1.0, 0], [0, 1], [0, -1], [-1, 0]]), -2, 2).tolist() == [True, True, True, False]


@pytest.mark.parametrize("yaw", np.linspace(-3, 3, 13))
@pytest.mark.parametrize("pitch", [0.0, 0.5, -0.5])
def test_the_sector_of_a_wide_camera_by_hand(yaw: float, pitch: float) -> None:
    wide = P2 * [[0.25], [0.25], [1]] + [[0, 0, 37.5, 0], [0, 0, 15, 0], [0, 0, 0, 0]]  # a quarter of the focal length
    half = np.arctan2(50 / 25, np.cos(pitch) - np.abs(np.sin(pitch)) * 20 / 25)
    edges = np.array(camera_sector(wide, turned(yaw, pitch), WIDTH, HEIGHT))
    np.testing.assert_allclose(wrap(edges - yaw), [-half, half], atol=1e-9)


@pytest.mark.parametrize(("pitch", "row"), [(0.3, HEIGHT - 1), (-0.3, 0)])
def test_a_tilted_camera_s_sector_by_hand(pitch: float, row: int) -> None:
    """Looking down it is widest at the bottom of the image, looking up at the top."""
    low, high = camera_sector(P2, turned(0.0, pitch), WIDTH, HEIGHT)
    half = np.arctan2(50 / 100, np.cos(pitch) - np.sin(pitch) * (row - 20) / 100)
    np.testing.assert_allclose([low, high], [-half, half], atol=1e-12)
    axis = 7 * np.array([[np.cos(pitch), 0, -np.sin(pitch)]])
    np.testing.assert_allclose(axis_cosine(axis, P2, turned(0.0, pitch)), 1)


def test_sector_across_the_back() -> None:
    low, high = camera_sector(P2, turned(np.pi), WIDTH, HEIGHT)
    assert low > 0 > high
    assert in_sector(np.array([[-1, 0.0], [-1, 0.1], [-1, -0.1], [1, 0.0], [-1, 2]]), low, high).tolist() == [
        True,
        True,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize("sequence", ["00", "01", "02", "04", "05", "06", "07", "09", "10"])
def test_real_frames(kitti_sample: Path, sequence: str) -> None:
    calibration = read_calibration(kitti.calibration_path(kitti_sample, sequence))
    width, height = kitti.image_size(kitti.image_path(kitti_sample, sequence, "000000"))
    points = kitti.read_scan(kitti.scan_path(kitti_sample, sequence, "000000"))
    projected = project(points, calibration.projection, calibration.tr, width, height)
    assert 0.13 < projected.inside.mean() < 0.17
    for i in range(0, len(points), 997):
        x, y, z = (float(value) for value in points[i, :3])
        camera = [row[0] * x + row[1] * y + row[2] * z + row[3] for row in calibration.tr.tolist()]
        u, v, depth = (sum(a * b for a, b in zip(row, camera, strict=True)) for row in calibration.projection.tolist())
        assert projected.depth[i] == pytest.approx(depth, rel=1e-5, abs=1e-5)
        assert projected.inside[i] == (depth > 0 and 0 < u / depth < width - 1 and 0 < v / depth < height - 1)
        if projected.inside[i]:
            assert projected.pixel[i] == pytest.approx([u / depth, v / depth], rel=1e-5)
    seen = visible(projected, width, height, 4, 0.05)
    assert 0.9 < seen.sum() / projected.inside.sum() < 1
    low, high = camera_sector(calibration.projection, calibration.tr, width, height)
    assert np.degrees(high - low) == pytest.approx(81.8, abs=0.5)
    assert in_sector(points[projected.inside], low, high).mean() > 0.999


def _frame(rng: np.random.Generator, count: int) -> FrameCorrespondence:
    index = np.sort(rng.choice(1000, count, replace=False)).astype(np.int32)
    pixel, scribble = rng.random((count, 2)).astype(np.float32), rng.integers(0, 19, count).astype(np.uint8)
    return seen_by_one(index, pixel, scribble, 1000, WIDTH, HEIGHT, (-0.5, 0.75))


def test_correspondence_survives_writing(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    written = {f"{number:06d}": _frame(rng, count) for number, count in ((3, 20), (40, 0), (5, 7))}
    with CorrespondenceWriter(tmp_path / "00.h5", {"settings": "{}"}) as writer:
        for frame, found in written.items():
            writer.add(frame, found)
    for reader in (Correspondence(tmp_path / "00.h5"), pickle.loads(pickle.dumps(Correspondence(tmp_path / "00.h5")))):
        assert reader.frames == ["000003", "000040", "000005"]
        assert reader.attributes == {"settings": "{}", "cameras": "2"} and reader.cameras == (2,)
        for frame, expected in written.items():
            found = reader.read(frame)
            for name in ("index", "camera", "pixel", "scribble"):
                np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
                assert getattr(found, name).dtype == getattr(expected, name).dtype
            assert (found.points, found.views) == (1000, {2: View(WIDTH, HEIGHT, (-0.5, 0.75))})
    with pytest.raises(IgnetError, match="found no frame 000009 among its 3"):
        reader.read("000009")


def test_the_script_finds_its_cell_and_says_so(
    tiny_tree: Path, tmp_path: Path, run_script: Callable[..., CompletedProcess[str]]
) -> None:
    out = tmp_path / "00.h5"
    done = run_script("projection.py", "--dataset", tiny_tree, "--sequence", "00", "--out", out)
    calibration, spacings = read_calibration(kitti.calibration_path(tiny_tree, "00")), []
    for frame in ("000000", "000001"):
        points = kitti.read_positions(kitti.scan_path(tiny_tree, "00", frame))
        spacings.append(point_spacing(project(points, calibration.projection, calibration.tr, 64, 32)))
    cell = round(np.median(spacings))
    assert cell > 1 and f"z-buffer cells of {cell} pixels" in done.stderr, done.stderr
    assert Correspondence(out).attributes["cells"] == str(cell)
    assert read_json(out.with_suffix(".settings.json"))["cells"] == {"2": cell}


def test_script_projects_points_and_scribbles(
    tiny_tree: Path, tmp_path: Path, run_script: Callable[..., CompletedProcess[str]]
) -> None:
    out, picture = tmp_path / "out" / "00.h5", tmp_path / "out" / "00.png"
    common = ("--dataset", tiny_tree, "--sequence", "00", "--settings", '{"cell": 1, "tolerance": 0}', "--out", out)
    done = run_script("projection.py", *common, "--scribbles", tiny_tree)
    assert done.returncode == 0, done.stderr
    drawn = run_script("figures_projection.py", *common[:4], "--projection", out, "--out", picture)
    assert drawn.returncode == 0, drawn.stderr
    assert kitti.read_image(picture).shape[1] == 1024
    stored = Correspondence(out)
    assert stored.attributes["cells"] == "1"
    assert stored.frames == ["000000", "000001"]
    found = stored.read("000001")
    points = kitti.read_scan(kitti.scan_path(tiny_tree, "00", "000001"))
    calibration = read_calibration(kitti.calibration_path(tiny_tree, "00"))
    projected = project(points, calibration.projection, calibration.tr, 64, 32)
    np.testing.assert_array_equal(found.index, np.flatnonzero(visible(projected, 64, 32, 1, 0)))
    np.testing.assert_array_equal(found.pixel, projected.pixel[found.index])
    assert len(found.index) > 20
    raw = kitti.read_labels(kitti.label_path(tiny_tree, "00", "000001")) & 0xFFFF
    cityscapes = {0: 255, 10: 13, 252: 13, 30: 11, 40: 0, 48: 1, 50: 2, 70: 8}
    expected = [cityscapes[int(raw[i])] if i % 10 == 0 else 255 for i in found.index]
    assert found.scribble.tolist() == expected

    label = kitti.scribble_path(tiny_tree, "00", "000001")
    label.write_bytes(label.read_bytes()[:-4])
    failed = run_script("projection.py", *common, "--scribbles", tiny_tree)
    assert failed.returncode == 1
    assert f"error: {label}: found 399 labels, expected 400" in failed.stderr
    assert "Traceback" not in failed.stderr
    np.testing.assert_array_equal(
        Correspondence(out).read("000001").index, found.index
    )  # the older result is untouched
