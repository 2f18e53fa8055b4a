"""The page's sections over the comparison: what each shows, or in which words it is left out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from ignet.config.evaluation import CompareConfig
from ignet.report.html.charts import (
    chart,
    class_chart,
    confusion_chart,
    curve_charts,
    gain_chart,
    interval_chart,
    run_styles,
)
from ignet.report.plots import Curve
from ignet.report.runs import OCCURRING, few_runs
from ignet.report.tables import Table

Tables = Mapping[str, Table]
"""Of the comparison, by name."""


@dataclass
class Section:
    """A part of the page that folds.

    Attributes:
        id: its anchor.
        title: its heading.
        text: paragraphs above the rest.
        absent: why it is empty; '' where it is not.
        table_first: the first table stands above the charts.
        tables: tables, each sorted by a click on a column's head.
        charts: plotly figures by name.
        widget: name of a part that the template itself draws; '' for none.
        data: what that part needs, for the template.
    """

    id: str
    title: str
    text: list[str] = field(default_factory=list)
    absent: str = ""
    table_first: bool = False
    tables: list[Table] = field(default_factory=list)
    charts: dict[str, dict[str, Any]] = field(default_factory=dict)
    widget: str = ""
    data: Any = None


def headline(tables: Tables, names: CompareConfig, words: str) -> Section:
    """The runs side by side, and the paragraph about them."""
    section = Section(
        "headline",
        "Results",
        [line for line in words.splitlines() if line],
        tables=[tables["table"]],
        table_first=True,
    )
    difference = interval_chart(
        section.tables[0], "run", f"difference to {names.baseline}", f"mIoU minus {names.baseline}, points"
    )
    if difference:
        section.charts["difference"] = chart(difference)
    more = [tables[name] for name in ("test", "statements", "labelled_frames") if name in tables]
    section.tables += [table for table in more if len(table.frame)]
    return section


def published(tables: Tables) -> Section:
    """Results of others, each with its source."""
    table = tables["published"]
    if table.frame.empty:
        return Section("published", "Published results", absent=table.notes[0])
    return Section("published", "Published results", tables=[table])


def ablation(tables: Tables) -> Section:
    """Runs that remove or replace one part of the method."""
    controls = tables["controls"]
    if controls.frame.empty:
        return Section("ablation", "Ablation", absent="this experiment names no controls (compare.controls)")
    section = Section("ablation", "Ablation", tables=[controls], table_first=True)
    drawn = interval_chart(controls, "control", "control minus other", "mIoU, control minus the other run, points")
    if drawn:
        section.charts["controls"] = chart(drawn)
    return section


def gains(tables: Tables, names: CompareConfig, runs: Sequence[str]) -> Section:
    """What runs gain over the baseline, by slice of the points."""
    table = tables["gains"]
    columns = [run for run in table.columns[2:] if f"{run} low" in table.values]
    if not columns:
        why = f"no run has seeds in common with a baseline run '{names.baseline}'"
        return Section("gains", "Gains by slice", absent=why, tables=[tables["slices"]])
    shown = names.method if names.method in columns else columns[0]
    text = (
        f"Gains over {names.baseline} by distance, boundary, camera view, and for small objects. The legend "
        "shows and hides runs."
    )
    drawn = gain_chart(table, columns, shown, run_styles(runs), f"{OCCURRING}: gain, points")
    charts = {"gains": chart(drawn)} if drawn else {}
    return Section("gains", "Gains by slice", [text], tables=[table, tables["slices"]], charts=charts)


def classes(tables: Tables, names: CompareConfig, runs: Sequence[str]) -> Section:
    """IoU of each class."""
    table, shown = tables["per_class"], few_runs(runs, names)
    section = Section("classes", "IoU of each class", tables=[table, tables["gains_per_class"]])
    section.charts["per_class"] = chart(class_chart(table, runs, shown, run_styles(runs)))
    return section


def confusion(matrices: Mapping[str, pd.DataFrame], first: str) -> Section:
    """What each class was taken for; one chart a run, of which one is seen."""
    order = sorted(matrices, key=lambda run: run != first)
    text = "Share of the points of each true class that a run took for each class; all seeds together."
    charts = {run: chart(confusion_chart(matrices[run])) for run in order if matrices[run].to_numpy().any()}
    return Section("confusion", "Confusion matrix", [text], charts=charts, widget="choice", data="run")


def training(curves: Mapping[str, Sequence[Curve]], curves_2d: Mapping[str, Sequence[Curve]], points: int) -> Section:
    """Training curves of all networks."""
    groups = [("3D networks", curves), ("2D networks", curves_2d)]
    data = []
    section = Section(
        "curves",
        "Training curves",
        ["Running means over 2 % of the steps; bands span the lowest and the highest seed."],
    )
    for title, group in groups:
        if not group:
            continue
        styles = run_styles(list(group))
        drawn = {f"{title}: {name}": chart(figure) for name, figure in curve_charts(group, styles, points).items()}
        section.charts |= drawn
        data.append({"title": title, "runs": [(run, *styles[run]) for run in group], "charts": list(drawn)})
    section.widget, section.data = "curves", data
    return section


def scans(tables: Tables, networks: Sequence[str], features: str, explained_variance: float | None) -> list[Section]:
    """What is drawn from single scans; the page's scripts do so.

    Args:
        tables: of the comparison.
        networks: 2D networks that name classes, in the order of their columns.
        features: the network whose features are shown.
        explained_variance: share of the features' variance that the colours hold; none: no features.
    """
    words = "The camera image, projected labels and scribbles, and what each 2D network that names classes makes of it."
    if explained_variance is not None:
        words += (
            f" Features of '{features}': their first three principal components ({explained_variance:.0%} of the "
            "variance) as red, green, blue."
        )
    title = "2D segmentation before and after adaptation" if networks else "Camera images and their features"
    images = Section("images", title, [words], widget="images", data=list(networks))
    images.tables += [tables[name] for name in ("networks_2d", "probes_2d") if name in tables]
    if not networks and explained_variance is None:
        images.absent = "this experiment has no 2D networks"
    above = Section(
        "above",
        "Scans from above",
        ["Forward is up; the sector is the camera's. Each scan stands for itself: these are no averages."],
        widget="above",
    )
    viewer = Section("viewer", "3D viewer", widget="viewer")
    return [images, above, viewer]


def read_confusions(files: Mapping[str, Sequence[Path]]) -> dict[str, pd.DataFrame]:
    """Confusion matrices with the classes' names, of ``confusion.csv`` files, summed over the seeds of each run."""
    return {run: sum(pd.read_csv(path, index_col=0, na_filter=False) for path in paths) for run, paths in files.items()}
