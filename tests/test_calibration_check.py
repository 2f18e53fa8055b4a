"""What a right calibration shows: every wrong one is named, and no right one is refused, however odd its rig."""

from pathlib import Path

import numpy as np
import pytest
from calibration_variants import WRONG
from conftest import TINY_CALIBRATION

from ignet.data.check.calibration import calibration_faults, copied_doubts, decompose, view_faults
from ignet.data.check.faults import Faults
from ignet.data.check.sequence import check_sequence
from ignet.data.formats import kitti
from ignet.data.formats.calibration import Calibration, read_calibration
from ignet.data.label_sets.label_set import SEMANTICKITTI
from ignet.world.camera import KITTI_RIG, VAN_RIG, Rig

CALIB = Path("calib.txt")
TINY = (64, 32)
FORWARD = np.array([[0.0, -1, 0], [0, 0, -1], [1, 0, 0]])  # axes of a LiDAR to those of a camera that looks ahead


def about(axis: int, degrees: float) -> np.ndarray:
    """Rotation about the x, y or z axis, by hand."""
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    one, other = [number for number in range(3) if number != axis]
    matrix = np.eye(3)
    matrix[[one, other], [one, other]] = c
    matrix[one, other], matrix[other, one] = (s, -s) if axis == 1 else (-s, s)
    return matrix


def rig(
    yaw: float = 0,
    pitch: float = 0,
    roll: float = 0,
    view: float = 82,
    size: tuple[int, int] = (1241, 376),
    centre: tuple[float, float] = (0.5, 0.5),
    place: tuple[float, float, float] = (0.3, 0, -0.1),
) -> Calibration:
    """A camera at ``place`` in the LiDAR's frame, turned left by ``yaw``, down by ``pitch``, about its axis by ``roll``
    (degrees)."""
    rotation = about(2, roll) @ about(0, pitch) @ FORWARD @ about(2, -yaw)
    focal = size[0] / 2 / np.tan(np.deg2rad(view) / 2)
    tr = np.eye(4)
    tr[:3, :3], tr[:3, 3] = rotation, -rotation @ place
    return Calibration(
        np.array([[focal, 0, centre[0] * size[0], 0], [0, focal, centre[1] * size[1], 0], [0, 0, 1, 0]]), tr
    )


def kinds(found: Faults) -> tuple[list[str], list[str]]:
    return [fault.kind for fault in found], [doubt.kind for doubt in found.doubts]


def test_the_rig_by_hand() -> None:
    ahead, left, down = rig(), rig(yaw=90), rig(pitch=90)
    np.testing.assert_allclose(ahead.tr @ [10, 0, 0, 1], [0, -0.1, 9.7, 1], atol=1e-12)
    np.testing.assert_allclose(
        left.tr[:3, :3] @ [0, 1, 0], [0, 0, 1], atol=1e-12
    )  # what is on the left lies ahead of it
    np.testing.assert_allclose(down.tr[:3, :3] @ [0, 0, -1], [0, 0, 1], atol=1e-12)


@pytest.mark.parametrize("name", WRONG)
def test_wrong_ones_are_named(name: str) -> None:
    kind, spoil = WRONG[name]
    found = calibration_faults(spoil(TINY_CALIBRATION), CALIB, TINY)
    assert kind in [fault.kind for fault in found]
    for fault in found:
        text = str(fault)
        assert text.startswith("calib.txt: ") and ", expected " in text and "; " in text and "\n" not in text


@pytest.mark.parametrize("yaw", range(0, 360, 45))
@pytest.mark.parametrize("pitch", [-30, 0, 30])
def test_a_camera_may_look_anywhere(yaw: float, pitch: float) -> None:
    right = rig(yaw, pitch, roll=10)
    assert kinds(calibration_faults(right, CALIB, (1241, 376))) == ([], [])
    # the same camera the wrong way round, but for one that looks to the right: there the inverse of a rotation is the
    # rotation itself
    inverted = Calibration(right.projection, np.linalg.inv(right.tr))
    faults, doubts = kinds(calibration_faults(inverted, CALIB, (1241, 376)))
    if yaw == 270:
        assert (faults, doubts) == ([], [])
    elif yaw in (225, 315):  # askew, as a camera may be
        assert (faults or doubts) == ["calibration-axes"]
    else:
        assert faults == ["calibration-axes"]


@pytest.mark.parametrize(
    ("right", "size", "doubts"),
    [
        (rig(view=120), (1241, 376), []),
        (rig(view=140), (1241, 376), ["calibration-p2"]),
        (rig(view=8), (1241, 376), []),
        (rig(view=3), (1241, 376), ["calibration-p2"]),
        (rig(size=(2448, 2048), view=65, place=(1.5, 0.4, -1)), (2448, 2048), []),
        (rig(centre=(0.5, 0.25)), (1241, 376), []),  # a third of the image cut from the top
        (rig(centre=(0.5, 0.1)), (1241, 376), ["calibration-p2"]),
        (rig(centre=(0.5, 1.6)), (1241, 376), ["calibration-p2"]),  # only the sky was kept
        (rig(centre=(0.2, 0.5)), (1241, 376), []),
        (rig(centre=(0.45, 0.43)), (1241, 376), []),
        (rig(roll=90), (1241, 376), ["calibration-axes"]),  # on its side
        (rig(yaw=180, roll=-90), (1241, 376), ["calibration-axes"]),
        (rig(pitch=80), (1241, 376), ["calibration-axes"]),  # at the ground
        (rig(place=(8, 1, -1)), (1241, 376), ["calibration-distance"]),  # a long vehicle
    ],
)
def test_odd_rigs_are_doubted_at_most(right: Calibration, size: tuple[int, int], doubts: list[str]) -> None:
    assert kinds(calibration_faults(right, CALIB, size)) == ([], doubts)


@pytest.mark.parametrize("world", [KITTI_RIG, VAN_RIG])
@pytest.mark.parametrize("size", [(1241, 376), (256, 96), (512, 160)])
def test_cameras_of_the_embedded_world(world: Rig, size: tuple[int, int]) -> None:
    camera = world.camera(*size)
    right = Calibration(camera.p["P2"], camera.tr)
    assert kinds(calibration_faults(right, CALIB, size)) == ([], [])
    for name, (kind, spoil) in WRONG.items():
        assert kind in kinds(calibration_faults(spoil(right), CALIB, size))[0], name


def test_no_made_up_rig_is_refused() -> None:
    rng = np.random.default_rng(0)
    for _ in range(2000):
        size = ((1241, 376), (1920, 1080), (1600, 900), (1550, 2048), (640, 480))[rng.integers(5)]
        turned = {"yaw": rng.uniform(0, 360), "pitch": rng.uniform(-40, 40), "roll": rng.uniform(-20, 20)}
        cut = (rng.uniform(0.42, 0.58), rng.uniform(0.05, 0.95))  # at the top or at the bottom
        right = rig(**turned, view=rng.uniform(10, 120), size=size, centre=cut, place=tuple(rng.uniform(-2, 2, 3)))
        assert list(calibration_faults(right, CALIB, size)) == [], turned


def test_p2_may_turn_and_move_the_camera() -> None:
    """As P = K [R | t] of a rig whose Tr leads to another camera."""
    whole = rig(yaw=70)
    k, rotation, offset = whole.projection[:, :3], about(1, 50), np.array([0.2, 0.0, 0.1])
    tr = np.eye(4)
    tr[:3, :3] = rotation.T @ whole.tr[:3, :3]
    right = Calibration(np.c_[k @ rotation, k @ offset], tr)
    assert kinds(calibration_faults(right, CALIB, (1241, 376))) == ([], [])
    parts = decompose(right.projection)
    np.testing.assert_allclose(parts.k, k, atol=1e-9)
    np.testing.assert_allclose(parts.rotation, rotation, atol=1e-12)
    upside_down = Calibration(np.c_[k @ about(2, 180) @ rotation, k @ offset], tr)
    assert kinds(calibration_faults(upside_down, CALIB, (1241, 376))) == (["calibration-axes"], [])


def test_the_distance_is_that_of_both_matrices() -> None:
    right = rig(yaw=40, place=(3, 4, 0))
    p2 = right.projection.copy()
    p2[:, 3] = p2[:, :3] @ [0, 0, -2]  # two metres ahead, along its axis
    (doubt,) = calibration_faults(Calibration(p2, right.tr), CALIB, (1241, 376)).doubts
    distance = np.hypot(3 + 2 * np.cos(np.deg2rad(40)), 4 + 2 * np.sin(np.deg2rad(40)))
    assert f"found a camera {distance:.3g} m from" in str(doubt)


@pytest.mark.parametrize(
    ("matrix", "fault"),
    [
        ([[700, 0, 620, 0], [0, 500, 188, 0], [0, 0, 1, 0]], False),  # resized to other proportions
        ([[700, 0, 620, 0], [0, 100, 188, 0], [0, 0, 1, 0]], True),
        ([[700, 20, 620, 0], [0, 700, 188, 0], [0, 0, 1, 0]], False),  # sheared
        ([[700, 300, 620, 0], [0, 700, 188, 0], [0, 0, 1, 0]], True),
    ],
)
def test_a_lens_whose_parts_do_not_fit(matrix: list[list[float]], fault: bool) -> None:
    found = kinds(calibration_faults(Calibration(np.array(matrix, float), rig().tr), CALIB, (1241, 376)))
    assert bool(found[0]) == fault and bool(found[1]) != fault


def test_an_image_cut_at_a_corner_says_its_size() -> None:
    """A principal point at a corner looks like a calibration of another size; the file can say that it is none."""
    right = rig(centre=(0.9, 0.9))
    (fault,) = calibration_faults(right, CALIB, (1241, 376))
    assert "as of an image of 2234x677" in str(fault) and "S_rect_02: 1241 376" in str(fault)
    assert not calibration_faults(Calibration(right.projection, right.tr, (1241, 376)), CALIB, (1241, 376))
    (fault,) = calibration_faults(Calibration(right.projection, right.tr, (2482, 752)), CALIB, (1241, 376))
    assert "found images of 1241x376 pixels, expected 2482x752" in str(fault)


def test_without_images_the_size_is_not_asked() -> None:
    _, spoil = WRONG["P2 of half the size"]
    assert kinds(calibration_faults(spoil(TINY_CALIBRATION), CALIB, None)) == ([], [])


def test_a_calibration_copied_from_a_sequence_of_other_images() -> None:
    one, other = rig(), rig(view=70)
    found = {"00": (one, (1241, 376)), "01": (one, (1241, 376)), "04": (one, (1226, 370)), "05": (other, (1226, 370))}
    (doubt,) = copied_doubts(Path("r"), found)
    assert str(doubt.path) == "r/sequences/04/calib.txt"
    assert (
        "found the P2 of sequence 00, whose images have 1241x376 pixels, expected one of images of 1226x370; "
        in str(doubt)
    )
    assert copied_doubts(Path("r"), found | {"04": (other, (1226, 370))}) == []


def test_the_share_of_points_in_the_image() -> None:
    assert kinds(view_faults(0, 1000, 5, CALIB)) == (["calibration-view"], [])
    assert kinds(view_faults(9, 1000, 5, CALIB)) == ([], ["calibration-view"])
    assert kinds(view_faults(10, 1000, 5, CALIB)) == ([], [])
    assert kinds(view_faults(0, 0, 0, CALIB)) == ([], [])


def test_the_first_scans_may_see_nothing(make_tree) -> None:
    """A car in a queue, a sensor that starts late: other scans are looked at before the calibration is refused."""
    root = make_tree(sequences=("00",), frames=12)
    for frame in kitti.frame_ids(root, "00"):
        path = kitti.scan_path(root, "00", frame)
        points = kitti.read_scan(path)
        if frame != "000003":  # not among the first scans that are looked at
            points[:, 0] = -np.abs(points[:, 0]) - 1
        points.tofile(path)
    assert kinds(check_sequence(root, "00", ("scans", "images"), deep=False, label_set=SEMANTICKITTI).faults) == (
        [],
        [],
    )
    path = kitti.scan_path(root, "00", "000003")
    points = kitti.read_scan(path)
    points[:, 0] = -np.abs(points[:, 0]) - 1
    points.tofile(path)
    (fault,) = check_sequence(root, "00", ("scans", "images"), deep=False, label_set=SEMANTICKITTI).faults
    assert fault.kind == "calibration-view" and "no point of 12 scans" in str(fault)


def test_real_calibrations(kitti_sample: Path) -> None:
    """Every wrong variant of every real calibration is found, and none of the right ones."""
    for folder in sorted((kitti_sample / "sequences").iterdir()):
        right = read_calibration(folder / "calib.txt")
        size = kitti.image_size(folder / "image_2/000000.png")
        assert kinds(calibration_faults(right, CALIB, size)) == ([], [])
        for name, (kind, spoil) in WRONG.items():
            assert kind in kinds(calibration_faults(spoil(right), CALIB, size))[0], (folder.name, name)
