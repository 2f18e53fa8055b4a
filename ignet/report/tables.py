"""Tables as CSV, Markdown and LaTeX."""

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ignet.files.atomic import atomic


class Spread(NamedTuple):
    """A mean over seeds; ``deviation`` is the sample standard deviation (n - 1), None with one seed."""

    mean: float
    deviation: float | None


class Interval(NamedTuple):
    """A figure between its bounds; ``sign`` is ``+`` for differences, which show their sign."""

    value: float
    low: float
    high: float
    sign: str = ""


Cell = str | int | float | Spread | Interval | None


@dataclass(frozen=True)
class Table:
    """A table: a title, the names of its columns, its rows, and remarks that belong to it."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()

    def only(self, columns: Mapping[str, str]) -> "Table":
        """The table with some of its columns, in their order and under their new names; notes stay."""
        places = [self.columns.index(name) for name in columns]
        rows = tuple(tuple(row[place] for place in places) for row in self.rows)
        return replace(self, columns=tuple(columns.values()), rows=rows)


def spread(values: Iterable[float | None]) -> Spread | None:
    """Mean and sample standard deviation of the values that are known; None where none is."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    return Spread(float(np.mean(known)), float(np.std(known, ddof=1)) if len(known) > 1 else None)


def to_csv(table: Table) -> str:
    """The table as CSV, unrounded.

    A column of spreads gets a second one ``... sd``, one of intervals ``... low`` and ``... high``.
    """
    parts = [_parts(table, place) for place in range(len(table.columns))]
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([f"{column}{part}" for column, names in zip(table.columns, parts, strict=True) for part in names])
    for row in table.rows:
        cells: list[Any] = []
        for cell, names in zip(row, parts, strict=True):
            values = cell[: len(names)] if isinstance(cell, Spread | Interval) else (cell,)
            cells += [*values, *[None] * (len(names) - len(values))]
        writer.writerow(["" if cell is None else cell for cell in cells])
    return stream.getvalue()


def to_markdown(table: Table) -> str:
    """The table as a Markdown section with its notes."""
    rows = [[_text(cell).replace("|", r"\|") for cell in row] for row in (table.columns, *table.rows)]
    widths = [max(3, *(len(row[i]) for row in rows)) for i in range(len(table.columns))]
    numeric = _numeric(table)
    lines = [
        " | ".join(c.rjust(w) if n else c.ljust(w) for c, w, n in zip(row, widths, numeric, strict=True))
        for row in rows
    ]
    rule = " | ".join("-" * (w - 1) + (":" if n else "-") for w, n in zip(widths, numeric, strict=True))
    body = "\n".join(f"| {line} |" for line in (lines[0], rule, *lines[1:]))
    return (
        f"### {table.title}\n\n{body}\n"
        + "".join(f"\n- {note}" for note in table.notes)
        + ("\n" if table.notes else "")
    )


def to_latex(table: Table) -> str:
    """The table as a LaTeX ``table`` environment; needs the package booktabs."""
    lines = [" & ".join(_escape(_text(cell)) for cell in row) + r" \\" for row in (table.columns, *table.rows)]
    head = [r"\begin{table}", r"\centering", rf"\caption{{{_escape(table.title)}}}"]
    align = "".join("r" if numeric else "l" for numeric in _numeric(table))
    body = [rf"\begin{{tabular}}{{{align}}}", r"\toprule", lines[0], r"\midrule", *lines[1:]]
    notes = [rf"\par\footnotesize {_escape(note)}" for note in table.notes]
    return "\n".join([*head, *body, r"\bottomrule", r"\end{tabular}", *notes, r"\end{table}"]) + "\n"


def write_table(folder: Path, name: str, table: Table) -> None:
    """Write ``name.csv``, ``name.md`` and ``name.tex``, each atomically."""
    for suffix, render in ((".csv", to_csv), (".md", to_markdown), (".tex", to_latex)):
        with atomic(folder / f"{name}{suffix}") as temporary:
            temporary.write_text(render(table), encoding="utf-8")


def _parts(table: Table, place: int) -> tuple[str, ...]:
    cells = [row[place] for row in table.rows]
    if any(isinstance(cell, Interval) for cell in cells):
        return "", " low", " high"
    return ("", " sd") if any(isinstance(cell, Spread) for cell in cells) else ("",)


def _numeric(table: Table) -> list[bool]:
    return [all(not isinstance(row[place], str) for row in table.rows) for place in range(len(table.columns))]


def _text(cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, Spread):
        return f"{cell.mean:.1f}" + ("" if cell.deviation is None else f" ± {cell.deviation:.1f}")
    if isinstance(cell, Interval):
        return interval_text(cell)
    return f"{cell:.1f}" if isinstance(cell, float) else str(cell)


def interval_text(interval: Interval) -> str:
    """``+1.9 [+0.3, +3.4]``."""
    # rounded first and plus 0, so that nothing reads -0.0
    value, low, high = (f"{round(number, 1) + 0.0:{interval.sign}.1f}" for number in interval[:3])
    return f"{value} [{low}, {high}]"


_LATEX: dict[str, str | int | None] = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "<": r"$<$",
    ">": r"$>$",
    "−": r"$-$",
}


def _escape(text: str) -> str:
    return text.translate(str.maketrans(_LATEX))
