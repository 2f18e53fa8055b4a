"""The contact sheet shows the world as it is: what is left of the vehicle is left, labels lie at their pixels."""

import runpy
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from ignet.data.formats import kitti
from ignet.data.formats.calibration import read_calibration
from ignet.data.label_sets.label_set import SEMANTICKITTI
from ignet.data.projection.geometry import project

SHEET = runpy.run_path(str(Path(__file__).parents[1] / "workflow/scripts/figures_data.py"))
CAR, ROAD = 0, 8


def test_from_above_left_is_left_and_forward_is_up() -> None:
    panel = Figure().subplots()
    points = np.array([[10, 4, 0, 0], [5, -2, 1, 0], [99, 0, 0, 0]], np.float32)
    SHEET["_draw_from_above"](panel, points, np.array([CAR, ROAD, CAR], np.uint8), 20, SEMANTICKITTI)
    (dots,) = panel.collections
    assert dots.get_offsets().tolist() == [[-4, 10], [2, 5]]
    np.testing.assert_allclose(dots.get_facecolors()[:, :3], SEMANTICKITTI.colors[[CAR, ROAD]] / 255)
    assert (panel.get_xlim(), panel.get_ylim(), panel.get_aspect()) == ((-20, 20), (-20, 20), 1)


def test_labels_lie_at_their_pixels_and_source_labels_below_their_image(tiny_tree: Path) -> None:
    part = Figure().subfigures()
    SHEET["_draw_sequence"](part, tiny_tree, tiny_tree, "00", (2,), 30.0, SEMANTICKITTI)
    panels = {panel.get_xlabel().split(" ")[0]: panel for panel in part.axes}
    frame = "000001"
    points = kitti.read_scan(kitti.scan_path(tiny_tree, "00", frame))
    labels = SEMANTICKITTI.to_train_ids(kitti.read_labels(kitti.label_path(tiny_tree, "00", frame)), "")
    calibration = read_calibration(kitti.calibration_path(tiny_tree, "00"))
    projected = project(points, calibration.projection, calibration.tr, 64, 32)
    seen = projected.inside & (labels != 255)
    (dots,) = panels["points"].collections
    np.testing.assert_allclose(dots.get_offsets(), projected.pixel[seen])
    np.testing.assert_allclose(dots.get_facecolors()[:, :3], SEMANTICKITTI.colors[labels[seen]] / 255)
    assert (panels["points"].get_xlim(), panels["points"].get_ylim()) == ((-0.5, 63.5), (31.5, -0.5))
    np.testing.assert_array_equal(
        panels[""].images[0].get_array(), kitti.read_image(kitti.image_path(tiny_tree, "00", frame))
    )

    image, ids = np.zeros((4, 6, 3), np.uint8), np.full((4, 6), 255, np.uint8)
    image[0, 5], ids[0, 5] = 200, CAR
    part = Figure().subfigures()
    SHEET["_draw_source"](part, [(image, ids)], "source")
    shown = [panel.images[0].get_array() for panel in part.axes if panel.images]
    assert [np.argwhere(np.asarray(picture).any(axis=2)).tolist() for picture in shown] == [[[0, 5]], [[0, 5]]]


def test_share_of_scribbled_points_is_said(tiny_tree: Path) -> None:
    part = Figure().subfigures()
    SHEET["_draw_sequence"](part, tiny_tree, tiny_tree, "00", (2,), 30.0, SEMANTICKITTI)
    labels = SEMANTICKITTI.to_train_ids(kitti.read_labels(kitti.scribble_path(tiny_tree, "00", "000001")), "")
    assert f"scribbles on {(labels != 255).mean():.1%} of the points" in [panel.get_xlabel() for panel in part.axes]
