"""Pictures and plots: what they draw, where, and in which colours."""

import numpy as np
import pandas as pd
import pytest
from confusions import by_seed, tensor
from matplotlib.image import imread

from ignet.data.label_sets.label_set import CITYSCAPES
from ignet.data.label_sets.label_set import SEMANTICKITTI as LABELS
from ignet.errors import IgnetError
from ignet.report.comparison import Comparison
from ignet.report.figures import run_colors, save_figure
from ignet.report.plots import class_figure, curve_figure, read_curves, smoothed
from ignet.report.scan_figures import before_after, class_colors, error_colors, from_above, in_image

CAR, ROAD, POLE = (LABELS.classes.index(name) for name in ("car", "road", "pole"))


def legend_of(where):
    return [text.get_text() for text in where.get_texts()]


def test_colours_by_hand():
    ids = np.array([CAR, 255, POLE], np.uint8)
    assert class_colors(ids, LABELS.colors).tolist() == [
        LABELS.colors[CAR].tolist(),
        [225, 225, 225],
        LABELS.colors[POLE].tolist(),
    ]
    truth, predicted = np.array([CAR, CAR, 255, CAR], np.uint8), np.array([CAR, ROAD, CAR, 255], np.uint8)
    assert error_colors(truth, predicted).tolist() == [[185] * 3, [214, 20, 20], [225] * 3, [214, 20, 20]]


def test_from_above_places_points_and_names_only_classes_that_occur():
    points = np.array([[10, 4, -1, 0], [0, -8, 2, 0], [3, 1, 0, 0], [80, 0, 0, 0]], np.float32)
    truth = np.array([CAR, ROAD, 255, CAR], np.uint8)
    wrong = np.array([CAR, POLE, POLE, CAR], np.uint8)
    runs = [("a", truth), ("b", wrong), ("c", wrong)]
    figure = from_above(points, truth, runs, [(-0.7, 0.7)], LABELS, "title", extent=20)
    panels = {panel.get_title(): panel for panel in figure.axes if panel.get_title()}
    # of three labelled points one is wrong
    assert list(panels) == ["labels", "a", "b", "c", "a: 0.0% wrong", "b: 33.3% wrong", "c: 33.3% wrong"]
    scatter = panels["labels"].collections[0]
    # forward is up and left is left; lower points come first; what is farther than the extent is left out
    assert scatter.get_offsets().tolist() == [[-4, 10], [-1, 3], [8, 0]]
    np.testing.assert_allclose(scatter.get_facecolors()[0, :3], LABELS.colors[CAR] / 255)
    assert panels["labels"].get_aspect() == 1 and panels["labels"].get_xlim() == panels["labels"].get_ylim() == (
        -20,
        20,
    )
    (legend,) = [panel.get_legend() for panel in figure.axes if panel.get_legend()]
    assert legend_of(legend) == ["car", "road", "pole", "no label", "right", "wrong"]
    # a sector of 0.7 rad to each side of forward, which is up
    wedge = panels["a"].patches[0]
    assert (wedge.theta1, wedge.theta2) == pytest.approx((90 - np.degrees(0.7), 90 + np.degrees(0.7)))


@pytest.mark.parametrize("runs", [1, 2, 5, 8])
def test_from_above_has_a_place_for_every_run(runs):
    points, ids = np.zeros((1, 4), np.float32), np.zeros(1, np.uint8)
    figure = from_above(points, ids, [(str(n), ids) for n in range(runs)], [(-0.7, 0.7)], LABELS, "title")
    drawn = [panel.get_title() for panel in figure.axes if panel.collections]
    assert sorted(drawn) == sorted(
        ["labels", *(f"{n}" for n in range(runs)), *(f"{n}: 0.0% wrong" for n in range(runs))]
    )


def test_points_in_the_image():
    image = np.full((20, 60, 3), 90, np.uint8)
    pixel, truth = np.array([[5, 6], [50, 10], [30, 3]], np.float32), np.array([CAR, 255, ROAD], np.uint8)
    runs = [("run", np.array([CAR, POLE, POLE], np.uint8))]
    figure = in_image(image, pixel, truth, runs, LABELS, "title", "a remark")
    labels, run = figure.axes[:2]
    assert labels.collections[0].get_offsets().tolist() == [[5, 6], [30, 3]]
    assert run.get_title() == "run: 50.0% wrong" and len(run.collections[0].get_offsets()) == 3
    assert legend_of(figure.legends[0]) == ["car", "road", "pole"]
    assert figure._supxlabel.get_text() == "a remark"


def test_before_after_compares_at_the_points():
    image = np.zeros((20, 60, 3), np.uint8)
    prediction = np.zeros((20, 60), np.uint8)
    prediction[:, 30:] = 13
    pixel, truth = np.array([[29.4, 6], [29.6, 10], [58, 3], [2, 2]], np.float32), np.array([0, 0, 13, 255], np.uint8)
    figure = before_after(
        image, pixel, truth, [("source", prediction), ("adapted", np.zeros_like(prediction))], "title"
    )
    titles = [panel.get_title() for panel in figure.axes]
    assert titles[2:] == ["source: 33.3% wrong", "adapted: 33.3% wrong"]
    assert legend_of(figure.legends[0]) == ["road", "car"]
    shown = figure.axes[2].images[0].get_array()
    # black becomes 255 - 0.45 * 255 = 140 before it is blended, 0.35 : 0.65
    assert shown[0, 59].tolist() == [int(0.35 * 140 + 0.65 * c) for c in CITYSCAPES.colors[13]]


def test_files_are_1600_pixels_wide_and_repeatable(tmp_path):
    ids = np.zeros(2, np.uint8)
    for name in ("a", "b"):
        save_figure(
            tmp_path / f"{name}.png",
            from_above(np.ones((2, 4), np.float32), ids, [("run", ids)], [(-0.7, 0.7)], LABELS, "title"),
        )
    assert imread(tmp_path / "a.png").shape[1] == 1600
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_running_means_by_hand():
    # the mean over 2 % of 100 steps is that of two values, of one at the first
    curve = pd.DataFrame({"step": np.arange(100.0), "loss": 2.0 * np.arange(100)})
    steps, values = smoothed([curve, curve.iloc[::2]], "loss")
    assert steps.tolist() == list(range(100))
    assert values[0].tolist() == [0, *(2.0 * step - 1 for step in range(1, 100))]
    # a seed that logged every other step: its own values, between them on a line
    assert values[1, :4].tolist() == [0, 2, 4, 6]
    assert smoothed([curve], "image") is None


def test_curves(tmp_path):
    (tmp_path / "a.csv").write_text("step,image,loss\n0,,2\n1,0.5,1\n")
    (tmp_path / "b.csv").write_text("step,loss\n0,4\n1,3\n")
    a, b = read_curves(tmp_path / "a.csv"), read_curves(tmp_path / "b.csv")
    np.testing.assert_array_equal(a["image"], [np.nan, 0.5])
    figure = curve_figure({"one": {0: a, 1: b}, "two": {0: b}})
    panels = {panel.get_title(): panel for panel in figure.axes}
    assert list(panels) == ["loss", "image"]
    lines = [line.get_xydata().tolist() for line in panels["loss"].lines if len(line.get_xydata())]
    assert lines == [[[0, 3], [1, 2]], [[0, 4], [1, 3]]]  # of the seeds the mean
    (band,) = panels["loss"].collections  # of one seed no band
    assert band.get_paths()[0].get_extents().extents.tolist() == [0, 1, 1, 4]
    assert panels["image"].lines[0].get_xydata().tolist() == [[1, 0.5]]
    assert legend_of(figure.legends[0]) == ["one", "two"]


@pytest.mark.parametrize("text", ["", "step,loss\n", "loss\n1\n", "step,loss\n0,many\n", "step,loss\n0\n1,2,3\n"])
def test_curves_that_are_none(tmp_path, text):
    (tmp_path / "curves.csv").write_text(text)
    with pytest.raises(IgnetError, match=r"curves\.csv.*train this run again"):
        read_curves(tmp_path / "curves.csv")
    with pytest.raises(IgnetError, match="none"):
        read_curves(tmp_path / "none.csv")


def test_class_bars():
    runs = Comparison(
        by_seed(
            {
                "one": {0: tensor(0.5, 0.1), 1: tensor(0.7, 0.1)},
                "left out": {0: tensor(0.3)},
                "two": {0: tensor(0.2, 1.0)},
            }
        )
    )
    figure = class_figure(runs, ["one", "two"])
    (panel,) = figure.axes
    assert [tick.get_text() for tick in panel.get_xticklabels()] == ["car", "pole"]
    assert [bar.get_height() for bar in panel.patches] == pytest.approx([60, 10, 20, 100])
    assert legend_of(figure.legends[0]) == ["one", "two"]


def test_runs_have_their_own_colours():
    colors = run_colors([str(number) for number in range(16)])
    assert len(set(colors.values())) == 16
