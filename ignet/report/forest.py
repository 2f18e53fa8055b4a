"""Forest plots: values with their intervals, one row each."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ignet.report.figures import BOX, new_figure
from ignet.report.tables import Interval

Color = str | tuple[float, float, float]

_ROW_HEIGHT = 34
_MARGIN = 150


@dataclass(frozen=True)
class Row:
    """One row: a label, the values of the seeds, a value with its interval, a remark at the right, a colour."""

    label: str
    values: tuple[float, ...] = ()
    interval: Interval | None = None
    remark: str = ""
    color: Color = "tab:blue"


Group = tuple[str, Sequence[Row]]
"""A heading, empty for none, and the rows below it."""


def spread_and_difference(groups: Sequence[Group], axes: tuple[str, str], title: str) -> Figure:
    """Two panels with the same rows: the values of all seeds with their mean, and a difference with its interval.

    Args:
        groups: rows by group, from top to bottom.
        axes: what the two panels' axes show.
        title: of the figure.
    """
    places = _places(groups)
    figure = new_figure(_height(groups))
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(1, 1))
    for place, row in places:
        if row.values:
            mean = sum(row.values) / len(row.values)
            left.plot(
                row.values, [place] * len(row.values), "o", color=row.color, alpha=0.45, markersize=6, markeredgewidth=0
            )
            left.plot([mean], [place], "|", color=row.color, markersize=18, markeredgewidth=2.5)
        _draw_interval(right, place, row)
    right.axvline(0, color="0.35", linewidth=1.0, zorder=1)
    for panel, name in zip((left, right), axes, strict=True):
        panel.set_xlabel(name)
        panel.grid(axis="x", alpha=0.3)
        panel.set_axisbelow(True)
    _label_rows(left, groups, places)
    right.tick_params(axis="y", length=0)
    figure.suptitle(title, fontsize=14)
    handles = [
        Line2D([], [], linestyle="", marker="o", color="0.4", alpha=0.6, markersize=6, label="one seed"),
        Line2D(
            [],
            [],
            linestyle="",
            marker="|",
            color="0.3",
            markersize=14,
            markeredgewidth=2.5,
            label="mean over the seeds",
        ),
        Line2D(
            [],
            [],
            marker="o",
            color="0.3",
            linewidth=2,
            markersize=7,
            label="difference, 95 % interval over seeds and scans",
        ),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, **BOX)
    return figure


def differences(groups: Sequence[Group], axis: str, title: str) -> Figure:
    """One panel: a difference with its interval a row, and the row's remark at the right.

    Args:
        groups: rows by group, from top to bottom.
        axis: what the axis shows.
        title: of the figure.
    """
    places = _places(groups)
    figure = new_figure(_height(groups))
    panel = figure.subplots()
    for place, row in places:
        _draw_interval(panel, place, row)
        panel.annotate(
            row.remark, (1.01, place), xycoords=("axes fraction", "data"), va="center", color="0.35", fontsize=10
        )
    panel.axvline(0, color="0.35", linewidth=1.0, zorder=1)
    panel.set_xlabel(axis)
    panel.grid(axis="x", alpha=0.3)
    _label_rows(panel, groups, places)
    figure.suptitle(title, fontsize=14)
    return figure


def _draw_interval(panel: Axes, place: float, row: Row) -> None:
    if row.interval is None:
        return
    value, low, high, _ = row.interval
    panel.plot([low, high], [place, place], color=row.color, linewidth=2.2, solid_capstyle="butt")
    panel.plot([low, high], [place, place], "|", color=row.color, markersize=9, markeredgewidth=2)
    panel.plot([value], [place], "o", color=row.color, markersize=7.5)


def _places(groups: Sequence[Group]) -> list[tuple[float, Row]]:
    """Heights of the rows, downwards; a heading takes a row of its own."""
    places, place = [], 0.0
    for heading, rows in groups:
        place -= 1.0 if heading else 0.0
        for row in rows:
            places.append((place, row))
            place -= 1.0
    return places


def _height(groups: Sequence[Group]) -> float:
    return _MARGIN + _ROW_HEIGHT * sum(len(rows) + bool(heading) for heading, rows in groups)


def _label_rows(panel: Axes, groups: Sequence[Group], places: Sequence[tuple[float, Row]]) -> None:
    """Labels at the left, headings in bold above their rows, and a line between two groups."""
    starts = np.cumsum([0, *(len(rows) for _, rows in groups)])
    heads = [(places[n][0] + 1, text, "bold") for n, (text, rows) in zip(starts, groups, strict=False) if text and rows]
    labels = sorted([*heads, *((place, row.label, "normal") for place, row in places)], reverse=True)
    if not labels:
        panel.text(0.5, 0.5, "nothing to compare", transform=panel.transAxes, ha="center", color="0.35")
        panel.set_yticks([])
        return
    ticks, texts, weights = zip(*labels, strict=True)
    panel.set_yticks(ticks, texts, fontsize=11)
    panel.tick_params(axis="y", length=0)
    for label, weight in zip(panel.get_yticklabels(), weights, strict=True):
        label.set_fontweight(weight)
    panel.set_ylim(ticks[-1] - 0.6, ticks[0] + 0.6)
