"""Tables over runs, as CSV, Markdown and LaTeX. All figures are in per cent."""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from ignet.data.labels import CLASSES
from ignet.files import atomic

Metrics = Mapping[str, Mapping[int, Mapping[str, Any]]]
"""What ``evaluate`` wrote, by run and seed."""


class Spread(NamedTuple):
    """A mean over seeds; ``deviation`` is the sample standard deviation (n - 1), None with one seed."""

    mean: float
    deviation: float | None


Cell = str | int | float | Spread | None


@dataclass(frozen=True)
class Table:
    """A table: a title, the names of its columns, its rows, and remarks that belong to it."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()


def spread(values: list[float]) -> Spread | None:
    """Mean and sample standard deviation; None of no values."""
    if not values:
        return None
    return Spread(float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else None)


def interval(differences: list[float], level: float = 0.95) -> tuple[float, float] | None:
    """Student's t interval of the mean of paired differences; None for fewer than two."""
    if len(differences) < 2:
        return None
    reach = stats.t.ppf((1 + level) / 2, len(differences) - 1) * np.std(differences, ddof=1) / np.sqrt(len(differences))
    return float(np.mean(differences) - reach), float(np.mean(differences) + reach)


def run_table(metrics: Metrics, reference: str, baseline: str) -> Table:
    """One row a run: seeds, mIoU, mIoU relative to the reference run, and the paired difference to the baseline.

    Args:
        metrics: at least one run; a run has at least one seed.
        reference: run whose mean mIoU counts as 100 %.
        baseline: run that is subtracted, seed by seed, over the seeds that both runs have.
    """
    official = {run: {seed: 100 * m["miou_official"] for seed, m in seeds.items()} for run, seeds in metrics.items()}
    full = spread(list(official.get(reference, {}).values()))
    notes = ["mIoU (benchmark): the mean over all 19 classes, where a class that does not occur counts as 0"]
    if any(len(seeds) > 1 for seeds in metrics.values()):
        notes.append("± is the sample standard deviation over seeds; the interval is Student's t over the seeds that both runs have")
    if full is None:
        notes.append(f"no relative figures: the reference run '{reference}' is not among the runs")
    elif full.mean == 0:
        notes.append(f"no relative figures: the reference run '{reference}' has an mIoU of 0")
    if baseline not in metrics:
        notes.append(f"no differences: the baseline run '{baseline}' is not among the runs")
    rows: list[tuple[Cell, ...]] = []
    for run, seeds in metrics.items():
        mean = spread(list(official[run].values()))
        occurring = _percent([m["miou_occurring"] for m in seeds.values()])
        relative = 100 * mean.mean / full.mean if mean and full and full.mean else None
        paired = [value - official[baseline][seed] for seed, value in official[run].items() if seed in official.get(baseline, {})]
        if run == baseline:
            paired = []
        elif baseline in metrics and not paired:
            notes.append(f"no difference for '{run}': it shares no seed with '{baseline}'")
        low, high = interval(paired) or (None, None)
        difference = float(np.mean(paired)) if paired else None
        rows.append((run, len(seeds), mean, occurring, relative, difference, low, high))
    columns = ("run", "seeds", "mIoU (benchmark)", "mIoU (classes that occur)", f"relative to {reference}", f"difference to {baseline}")
    return Table("Runs, % on the validation sequences", (*columns, "95 % low", "95 % high"), tuple(rows), tuple(notes))


def class_table(metrics: Metrics) -> Table:
    """One row a class: its IoU in each run, and how many labelled points it has."""
    first = next(iter(next(iter(metrics.values())).values()))
    rows = []
    for name in CLASSES:
        values = [[m["iou"][name] for m in seeds.values()] for seeds in metrics.values()]
        rows.append((name, first["points_of_class"][name], *map(_percent, values)))
    note = "empty: the class occurs neither in the labels nor in the predictions"
    return Table("IoU of each class, %", ("class", "points", *metrics), tuple(rows), (note,))


def slice_table(metrics: Metrics) -> Table:
    """One row a slice of the points (distance, camera coverage, boundaries, small objects): mIoU over the classes that occur in it."""
    first = next(iter(next(iter(metrics.values())).values()))
    small = first["small_objects"]["classes"]
    rows = []
    for key in sorted(first["slices"], reverse=True):
        for number, part in enumerate(first["slices"][key]):
            values = [[m["slices"][key][number]["miou_occurring"] for m in seeds.values()] for seeds in metrics.values()]
            rows.append((part["name"], part["points"], *map(_percent, values)))
    small = first["small_objects"]["classes"]
    values = [[m["small_objects"]["miou_occurring"] for m in seeds.values()] for seeds in metrics.values()]
    rows.append(("small objects", sum(first["points_of_class"][name] for name in small), *map(_percent, values)))
    notes = ("mIoU over the classes that occur in the slice", f"small objects: {', '.join(small)}")
    return Table("Slices, mIoU in %", ("slice", "points", *metrics), tuple(rows), notes)


def network_table(metrics: Mapping[str, Mapping[str, Any]]) -> Table:
    """One row a 2D network: mIoU and accuracy on the target images, as ``evaluate_2d`` wrote them."""
    rows = tuple((name, 100 * m["miou"], 100 * m["accuracy"]) for name, m in metrics.items())
    notes = ("mIoU over the classes that occur, at the pixels that labelled points project to",)
    return Table("2D networks on the target images of the validation sequence, %", ("network", "mIoU", "accuracy"), rows, notes)


def to_csv(table: Table) -> str:
    """The table as CSV, unrounded; a column that holds a spread becomes two, the second one ``... sd``."""
    split = [any(isinstance(row[i], Spread) for row in table.rows) for i in range(len(table.columns))]
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(
        [name for column, two in zip(table.columns, split, strict=True) for name in ([column, f"{column} sd"] if two else [column])]
    )
    for row in table.rows:
        cells: list[Any] = []
        for cell, two in zip(row, split, strict=True):
            cells += list(cell or (None, None)) if two else [cell]  # type: ignore[arg-type]
        writer.writerow(["" if cell is None else cell for cell in cells])
    return stream.getvalue()


def to_markdown(table: Table) -> str:
    """The table as a Markdown section with its notes."""
    rows = [[_text(cell).replace("|", r"\|") for cell in row] for row in (table.columns, *table.rows)]
    widths = [max(3, *(len(row[i]) for row in rows)) for i in range(len(table.columns))]
    numeric = [all(not isinstance(row[i], str) for row in table.rows) for i in range(len(table.columns))]
    lines = [" | ".join(c.rjust(w) if n else c.ljust(w) for c, w, n in zip(row, widths, numeric, strict=True)) for row in rows]
    rule = " | ".join("-" * (w - 1) + (":" if n else "-") for w, n in zip(widths, numeric, strict=True))
    body = "\n".join(f"| {line} |" for line in (lines[0], rule, *lines[1:]))
    return f"### {table.title}\n\n{body}\n" + "".join(f"\n- {note}" for note in table.notes) + ("\n" if table.notes else "")


def to_latex(table: Table) -> str:
    """The table as a LaTeX ``table`` environment; needs the package booktabs."""
    numeric = [all(not isinstance(row[i], str) for row in table.rows) for i in range(len(table.columns))]
    lines = [" & ".join(_escape(_text(cell)) for cell in row) + r" \\" for row in (table.columns, *table.rows)]
    head = [r"\begin{table}", r"\centering", rf"\caption{{{_escape(table.title)}}}"]
    body = [rf"\begin{{tabular}}{{{''.join('r' if n else 'l' for n in numeric)}}}", r"\toprule", lines[0], r"\midrule", *lines[1:]]
    notes = [rf"\par\footnotesize {_escape(note)}" for note in table.notes]
    return "\n".join([*head, *body, r"\bottomrule", r"\end{tabular}", *notes, r"\end{table}"]) + "\n"


def write_table(folder: Path, name: str, table: Table) -> None:
    """Write ``name.csv``, ``name.md`` and ``name.tex``, each atomically."""
    for suffix, render in ((".csv", to_csv), (".md", to_markdown), (".tex", to_latex)):
        with atomic(folder / f"{name}{suffix}") as temporary:
            temporary.write_text(render(table), encoding="utf-8")


def _percent(shares: list[float | None]) -> Spread | None:
    return spread([100 * share for share in shares if share is not None])


def _text(cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, Spread):
        return f"{cell.mean:.1f}" + ("" if cell.deviation is None else f" ± {cell.deviation:.1f}")
    return f"{cell:.1f}" if isinstance(cell, float) else str(cell)


_LATEX: dict[str, str | int | None] = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
}


def _escape(text: str) -> str:
    return text.translate(str.maketrans(_LATEX))
