"""Charts of the page as plotly's figures; the page's script gives them the colours of its theme."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray

from ignet.data.lidar.spacing import evenly_spaced_indices
from ignet.report.plots import Curve, logged, smoothed
from ignet.report.tables import Table

COLORS = (
    "#4c78a8",
    "#f58518",
    "#54a24b",
    "#e45756",
    "#b279a2",
    "#9d755d",
    "#72b7b2",
    "#eeca3b",
    "#ff9da6",
    "#8c8c8c",
    "#2f9fd0",
    "#a3a847",
)
"""Of the runs, by their place; all can be seen on white and on black."""

DASHES = ("solid", "dash", "dot", "dashdot")


def run_styles(runs: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Colour and line style of each run; the style changes where the colours are used up."""
    return {run: (COLORS[n % len(COLORS)], DASHES[n // len(COLORS) % len(DASHES)]) for n, run in enumerate(runs)}


def chart(figure: go.Figure) -> dict[str, Any]:
    """A figure as plain values."""
    return json.loads(figure.to_json())


def interval_chart(table: Table, label: str, value: str, title: str) -> go.Figure | None:
    """Each row's value as a dot between its bounds.

    Rows without bounds are left out, and with none of them there is no chart.

    Args:
        table: with ``value``, ``value low`` and ``value high`` among its values.
        label: column that names the rows.
        value: column that is drawn.
        title: of the horizontal axis.
    """
    rows = _with_interval(table, value)
    if rows.empty:
        return None
    figure = go.Figure(_dots(rows[label], rows, value, "", COLORS[0]))
    _horizontal(figure, title, len(rows))
    return figure


def gain_chart(
    table: Table, columns: Sequence[str], shown: str, styles: Mapping[str, tuple[str, str]], title: str
) -> go.Figure | None:
    """Gains by slice or class with their intervals, one series a run.

    Only ``shown`` is drawn at first, the legend brings the others.
    """
    traces = []
    for run in columns:
        rows = _with_interval(table, run)
        trace = _dots(rows[table.columns[0]], rows, run, run, styles.get(run, (COLORS[0], ""))[0])
        traces.append(trace.update(visible=True if run == shown else "legendonly"))
    if not any(len(trace.x) for trace in traces):
        return None
    figure = go.Figure(traces)
    _horizontal(figure, title, len(table.frame))
    return figure.update_layout(showlegend=len(traces) > 1, scattermode="group")


def class_chart(
    table: Table, runs: Sequence[str], shown: Sequence[str], styles: Mapping[str, tuple[str, str]]
) -> go.Figure:
    """Bars of each class's IoU, one colour a run; runs beyond ``shown`` wait in the legend.

    Whiskers are standard deviations over seeds.
    """
    rows = table.values[table.values["points"] > 0]
    figure = go.Figure()
    for run in runs:
        deviations = rows.get(f"{run} sd")
        figure.add_bar(
            x=rows["class"].tolist(),
            y=rows[run].tolist(),
            name=run,
            marker_color=styles[run][0],
            error_y=None if deviations is None else {"array": deviations.tolist(), "thickness": 1, "width": 0},
            hovertemplate="%{x}: %{y:.1f} %",
            visible=True if run in shown else "legendonly",
        )
    return figure.update_layout(
        barmode="group", yaxis={"title": "IoU, %", "range": [0, 100]}, xaxis={"tickangle": -40}, height=420
    )


def confusion_chart(confusion: pd.DataFrame) -> go.Figure:
    """Shares of each true class that were taken for each class, in per cent.

    Classes that occur on neither side are left out.

    Args:
        confusion: counts, a row for each true class and a column for each predicted one; the last one is nothing.
    """
    all_counts = confusion.to_numpy(np.int64)
    true, predicted = all_counts.sum(axis=1), all_counts.sum(axis=0)
    classes = np.flatnonzero((true > 0) | (predicted[:-1] > 0))
    columns = np.append(classes, len(true)) if predicted[-1] else classes
    counts = all_counts[np.ix_(classes, columns)]
    shares = 100 * counts / np.maximum(true[classes], 1)[:, None]
    heatmap = go.Heatmap(
        z=shares.round(2),
        customdata=counts,
        x=confusion.columns[columns].tolist(),
        y=confusion.index[classes].tolist(),
        zmin=0,
        zmax=100,
        # clear at 0, so that it fits a light page and a dark one
        colorscale=[[0, "rgba(76,130,190,0)"], [1, "rgb(76,130,190)"]],
        text=np.where(shares >= 1, np.char.mod("%.0f", shares), ""),
        texttemplate="%{text}",
        xgap=1,
        ygap=1,
        colorbar={"title": "%", "thickness": 12},
        hovertemplate="true %{y}, predicted %{x}: %{z:.1f} % (%{customdata:,} points)<extra></extra>",
    )
    figure = go.Figure(heatmap).update_layout(height=560)
    figure.update_yaxes(title="true", autorange="reversed", showgrid=False)
    return figure.update_xaxes(title="predicted", tickangle=-45, showgrid=False)


def curve_charts(
    curves: Mapping[str, Sequence[Curve]], styles: Mapping[str, tuple[str, str]], points: int
) -> dict[str, go.Figure]:
    """One chart for each logged metric, one line a training: mean of its seeds, band from lowest to highest.

    Args:
        curves: of each training, its seeds' curves.
        styles: colour and line style of each training.
        points: at most so many a line are drawn.
    """
    names = logged(curve for seeds in curves.values() for curve in seeds)
    charts = {}
    for name in names:
        figure = go.Figure()
        for run, seeds in curves.items():
            figure.add_traces(_curve(seeds, name, run, styles[run], points))
        charts[name] = figure.update_layout(
            height=260, showlegend=False, xaxis_title="step", title={"text": name, "font": {"size": 13}}
        )
    return charts


def _curve(curves: Sequence[Curve], name: str, run: str, style: tuple[str, str], points: int) -> list[go.Scatter]:
    drawn = smoothed(curves, name)
    if not drawn:
        return []
    steps, values = drawn
    kept = evenly_spaced_indices(len(steps), points)
    steps, values = steps[kept].astype(int), _digits(values[:, kept])
    common: dict[str, Any] = {"legendgroup": run, "name": run, "mode": "lines"}
    line = {"color": style[0], "dash": style[1], "width": 1.5}
    traces = [go.Scatter(x=steps, y=_digits(values.mean(axis=0)), line=line, hovertemplate="%{y:.4g}", **common)]
    if len(values) > 1:
        band = {
            "x": np.concatenate([steps, steps[::-1]]),
            "y": np.concatenate([values.min(axis=0), values.max(axis=0)[::-1]]),
        }
        hidden = {"line": {"width": 0}, "hoverinfo": "skip", "fill": "toself", "fillcolor": style[0], "opacity": 0.15}
        traces.insert(0, go.Scatter(**band, **hidden, **common))
    return traces


def _digits(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Four digits are more than a chart shows; the page keeps the text of each number."""
    scale = 10.0 ** (4 - np.ceil(np.log10(np.maximum(np.abs(values), 1e-30))))
    return np.where(values == 0, 0, np.round(values * scale) / scale)


def _with_interval(table: Table, value: str) -> pd.DataFrame:
    """Rows that have an interval in this column."""
    values = table.values
    return values.dropna(subset=[f"{value} low"]) if f"{value} low" in values else values.iloc[:0]


def _dots(names: Iterable[str], rows: pd.DataFrame, value: str, run: str, color: str) -> go.Scatter:
    middle, low, high = (rows.get(f"{value}{part}", rows[value]).astype(float) for part in ("", " low", " high"))
    reach = {
        "type": "data",
        "symmetric": False,
        "array": (high - middle).tolist(),
        "arrayminus": (middle - low).tolist(),
        "thickness": 1.6,
        "width": 0,
    }
    bounds = np.stack([low, high], axis=1).tolist()
    hover = "%{y}: %{x:+.1f} [%{customdata[0]:+.1f}, %{customdata[1]:+.1f}]<extra></extra>"
    marker = {"color": color, "size": 9}
    return go.Scatter(
        x=middle.tolist(),
        y=list(names),
        mode="markers",
        name=run,
        marker=marker,
        error_x=reach,
        customdata=bounds,
        hovertemplate=hover,
    )


def _horizontal(figure: go.Figure, title: str, rows: int) -> None:
    axes = {
        "yaxis": {"autorange": "reversed", "automargin": True},
        "xaxis": {"title": title, "zeroline": True, "zerolinewidth": 2},
    }
    figure.update_layout(height=110 + 26 * max(rows, 2), showlegend=False, **axes)
