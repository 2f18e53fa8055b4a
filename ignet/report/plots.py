"""Plots over runs: training curves, IoU of each class."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ignet.errors import IgnetError
from ignet.report.comparison import Comparison
from ignet.report.figures import BOX, new_figure, run_colors, run_lines

Curve = dict[str, NDArray[np.float64]]

_PANEL_HEIGHT = 380


def read_curves(path: Path) -> Curve:
    """Read the CSV of a training: float64 columns by name, NaN where a step has no value; ``step`` is one of them.

    Raises:
        IgnetError: the file is missing, has no column ``step``, or holds something that is no number.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        if any(None in row or None in row.values() for row in rows):
            raise ValueError("its rows differ in length")
        names = list(rows[0]) if rows else []
        columns = {name: np.array([float(row[name] or "nan") for row in rows]) for name in names}
    except (OSError, ValueError, TypeError) as error:
        raise IgnetError(f"{path}: cannot be read as training curves ({error}); train this run again") from None
    if "step" not in columns:
        raise IgnetError(f"{path}: found columns {names}, expected 'step' and at least one row; train this run again")
    return columns


def smooth(values: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """Mean over the last ``window`` values of each place, fewer at the start; (N,) to (N,).

    The values must be finite.
    """
    total = np.concatenate([[0.0], np.cumsum(values)])
    end = np.arange(1, len(values) + 1)
    start = np.maximum(end - window, 0)
    return (total[end] - total[start]) / (end - start)


def curve_figure(curves: Mapping[str, Mapping[int, Curve]]) -> Figure:
    """Training curves of all runs: one panel for each figure that a run logged, one line for each run: its seeds' mean.

    A thin band spans the lowest and the highest seed.

    Args:
        curves: by run and seed.
    """
    columns = list(
        dict.fromkeys(name for seeds in curves.values() for curve in seeds.values() for name in curve if name != "step")
    )
    columns.sort(key=lambda name: {"loss": 0, "learning_rate": 2}.get(name, 1))
    wide = min(len(columns), 3)
    tall = -(-len(columns) // max(wide, 1))
    figure = new_figure(max(tall, 1) * _PANEL_HEIGHT + 120)
    axes = figure.subplots(max(tall, 1), max(wide, 1), squeeze=False).ravel()
    colors, lines = run_colors(list(curves)), run_lines(list(curves))
    for panel, column in zip(axes, columns, strict=False):
        for run, seeds in curves.items():
            _draw_curves(panel, [curve for curve in seeds.values() if column in curve], column, colors[run], lines[run])
        panel.set_title(column)
        panel.set_xlabel("step")
        panel.grid(alpha=0.3)
    for panel in axes[len(columns) :]:
        panel.set_axis_off()
    handles = [
        axes[0].plot([], [], lines[run], color=color, linewidth=2, label=run)[0] for run, color in colors.items()
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 6), **BOX)
    several = any(len(seeds) > 1 for seeds in curves.values())
    spans = "; lines: mean over the seeds, bands: lowest to highest seed" if several else ""
    figure.suptitle(f"Training, running mean over 2 % of the steps{spans}", fontsize=14)
    return figure


def _draw_curves(
    panel: Axes, curves: Sequence[Curve], column: str, color: tuple[float, float, float], line: str
) -> None:
    drawn = [
        (curve["step"][known], curve[column][known]) for curve in curves if (known := np.isfinite(curve[column])).any()
    ]
    if not drawn:
        return
    steps = drawn[0][0]
    # seeds may log a figure at other steps, such as one that exists only for samples with a pixel
    values = np.stack([np.interp(steps, own, smooth(value, max(len(value) // 50, 1))) for own, value in drawn])
    if len(values) > 1:
        panel.fill_between(steps, values.min(axis=0), values.max(axis=0), color=color, alpha=0.12, linewidth=0)
    panel.plot(steps, values.mean(axis=0), line, color=color, linewidth=1.3)


def class_figure(runs: Comparison, shown: Sequence[str]) -> Figure:
    """Bars of the IoU of each class that occurs in the labels, one bar a run; whiskers span the seeds.

    Args:
        runs: the runs.
        shown: names of those that are drawn.
    """
    classes = [name for name, points in runs.points_of_class().items() if points]
    figure = new_figure(620)
    panel = figure.subplots()
    colors, width = run_colors(runs.runs), 0.84 / len(shown)
    for number, run in enumerate(shown):
        values = np.array([[seed[name] for name in classes] for seed in runs.iou(run).values()], np.float64)
        place = np.arange(len(classes)) + (number - (len(shown) - 1) / 2) * width
        mean = values.mean(axis=0)
        reach = np.abs(np.stack([values.min(axis=0), values.max(axis=0)]) - mean) if len(values) > 1 else None
        panel.bar(
            place, mean, width, color=colors[run], label=run, yerr=reach, error_kw={"linewidth": 1, "ecolor": "0.2"}
        )
    panel.set_xticks(range(len(classes)), classes, rotation=35, ha="right")
    panel.set_xlim(-0.6, len(classes) - 0.4)
    panel.set_ylim(0, 100)
    panel.set_ylabel("IoU, %")
    panel.grid(axis="y", alpha=0.3)
    panel.set_axisbelow(True)
    several = any(len(runs.seeds(run)) > 1 for run in shown)
    panel.set_title(
        "IoU of each class that occurs" + ("; whiskers: lowest and highest seed" if several else ""), fontsize=14
    )
    figure.legend(loc="outside lower center", ncols=min(len(shown), 8), **BOX)
    return figure
