"""Plots over runs: training curves, IoU of each class."""

import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ignet.errors import IgnetError
from ignet.report.comparison import Comparison
from ignet.report.figures import BOX, new_figure, run_colors, run_lines

Curve: TypeAlias = pd.DataFrame
"""What a training logged: float64 columns by name, ``step`` among them; NaN where a step has no value."""

_PANEL_HEIGHT = 380


def read_curves(path: Path) -> Curve:
    """Read the CSV of a training: float64 columns by name, NaN where a step has no value; ``step`` is one of them.

    Raises:
        IgnetError: the file is missing, has no column ``step``, or holds something that is no number.
    """
    try:
        text = path.read_text(encoding="utf-8")
        if len({line.count(",") for line in text.splitlines()}) > 1:
            raise ValueError("its rows differ in length")
        curve = pd.read_csv(io.StringIO(text), dtype=np.float64)
    except (OSError, ValueError) as error:
        raise IgnetError(
            f"cannot be read as training curves ({error})", remedy="train this run again", path=path
        ) from None
    if "step" not in curve or curve.empty:
        raise IgnetError(
            f"found columns {list(curve)} and {len(curve)} rows",
            "'step' and at least one row",
            "train this run again",
            path=path,
        )
    return curve


def logged(curves: Iterable[Curve]) -> list[str]:
    """Names of all that was logged, the loss first and the learning rate last."""
    names = dict.fromkeys(name for curve in curves for name in curve if name != "step")
    return sorted(names, key=lambda name: {"loss": 0, "learning_rate": 2}.get(name, 1))


def smoothed(curves: Iterable[Curve], name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Running means over 2 % of the steps of one metric.

    Args:
        curves: of each seed.
        name: of the metric.

    Returns:
        Steps (S,) of the first seed that has it, and values (seeds, S), interpolated where a seed logged it at other
        steps, such as a metric that exists only for samples with a pixel. None where no seed has it.
    """
    known = [curve[["step", name]].dropna() for curve in curves if name in curve and curve[name].notna().any()]
    if not known:
        return None
    steps = known[0]["step"].to_numpy()
    means = [curve[name].rolling(max(len(curve) // 50, 1), min_periods=1).mean() for curve in known]
    return steps, np.stack([np.interp(steps, curve["step"], mean) for curve, mean in zip(known, means, strict=True)])


def curve_figure(curves: Mapping[str, Mapping[int, Curve]]) -> Figure:
    """Training curves of all runs: one panel for each metric that a run logged, one line for each run: its seeds' mean.

    A thin band spans the lowest and the highest seed.

    Args:
        curves: by run and seed.
    """
    columns = logged(curve for seeds in curves.values() for curve in seeds.values())
    wide = min(len(columns), 3)
    tall = -(-len(columns) // max(wide, 1))
    figure = new_figure(max(tall, 1) * _PANEL_HEIGHT + 120)
    axes = figure.subplots(max(tall, 1), max(wide, 1), squeeze=False).ravel()
    colors, lines = run_colors(list(curves)), run_lines(list(curves))
    for panel, column in zip(axes, columns, strict=False):
        for run, seeds in curves.items():
            if drawn := smoothed(seeds.values(), column):
                steps, values = drawn
                if len(values) > 1:
                    low, high = values.min(axis=0), values.max(axis=0)
                    panel.fill_between(steps, low, high, color=colors[run], alpha=0.12, linewidth=0)
                panel.plot(steps, values.mean(axis=0), lines[run], color=colors[run], linewidth=1.3)
        panel.set(title=column, xlabel="step")
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
    panel.set(xlim=(-0.6, len(classes) - 0.4), ylim=(0, 100), ylabel="IoU, %")
    panel.grid(axis="y", alpha=0.3)
    panel.set_axisbelow(True)
    several = any(len(runs.seeds(run)) > 1 for run in shown)
    panel.set_title(
        "IoU of each class that occurs" + ("; whiskers: lowest and highest seed" if several else ""), fontsize=14
    )
    figure.legend(loc="outside lower center", ncols=min(len(shown), 8), **BOX)
    return figure
