"""Tables: a DataFrame with title and notes, from which CSV, Markdown, LaTeX and the page's HTML come."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ignet.errors import IgnetError
from ignet.files.atomic import read_json, write_text


class Spread(NamedTuple):
    """A mean over seeds; ``deviation`` is the sample standard deviation (n - 1), None with one seed."""

    mean: float
    deviation: float | None


class Interval(NamedTuple):
    """A value between its bounds; ``sign`` is ``+`` for differences, which show their sign."""

    value: float
    low: float
    high: float
    sign: str = ""


Cell = str | int | float | Spread | Interval | None


@dataclass(frozen=True, eq=False)
class Table:
    """A table.

    Attributes:
        title: of the table.
        frame: the cells (``Cell``), as objects.
        notes: remarks that belong to it.
        formats: how cells of a column are written, where not by :func:`cell_text`.
    """

    title: str
    frame: pd.DataFrame
    notes: tuple[str, ...] = ()
    formats: Mapping[Any, Callable[[Any], str]] = field(default_factory=dict)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(self.frame.columns)

    @property
    def rows(self) -> tuple[tuple[Cell, ...], ...]:
        """The cells, row by row."""
        return tuple(self.frame.itertuples(index=False, name=None))

    @property
    def numeric(self) -> list[bool]:
        """Of each column: it holds no text, so its cells are aligned to the right."""
        return [not any(isinstance(cell, str) for cell in cells) for _, cells in self.frame.items()]

    @property
    def texts(self) -> pd.DataFrame:
        """The cells as they are printed, rounded."""
        return pd.concat([cells.map(self.formats.get(key, cell_text)) for key, cells in self.frame.items()], axis=1)

    @property
    def values(self) -> pd.DataFrame:
        """Unrounded values.

        A column of spreads gets a second one ``... sd``, one of intervals ``... low`` and ``... high``.
        """
        columns = [
            pd.Series([_part(cell, place) for cell in cells], name=f"{name}{suffix}", dtype=object)
            for name, cells in self.frame.items()
            for place, suffix in enumerate(_suffixes(cells))
        ]
        return pd.concat(columns, axis=1)

    @property
    def cells(self) -> list[list[tuple[str, float | None]]]:
        """Row by row, the text of each cell and the number to sort by, None where there is none."""
        texts = self.texts.itertuples(index=False, name=None)
        return [
            [(text, _number(cell)) for text, cell in zip(*row, strict=True)]
            for row in zip(texts, self.rows, strict=True)
        ]

    def only(self, columns: Mapping[str, str]) -> "Table":
        """The table with these of its columns, in their order and under the names they are mapped to; notes stay."""
        return replace(self, frame=self.frame[list(columns)].rename(columns=columns))


def make_table(
    title: str, columns: Iterable[str], rows: Iterable[tuple[Cell, ...]], notes: Iterable[str] = ()
) -> Table:
    """A table from its rows."""
    return Table(title, pd.DataFrame(list(rows), columns=list(columns), dtype=object), tuple(notes))


def spread(values: Iterable[float | None]) -> Spread | None:
    """Mean and sample standard deviation of the values that are known; None where none is."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    return Spread(float(np.mean(known)), float(np.std(known, ddof=1)) if len(known) > 1 else None)


def to_csv(table: Table) -> str:
    """The table's values as CSV, unrounded."""
    return table.values.to_csv(index=False, lineterminator="\n")


def to_markdown(table: Table) -> str:
    """The table as a Markdown section with its notes."""
    texts = table.texts.map(_escape_bar).rename(columns=_escape_bar)
    align = ["right" if numeric else "left" for numeric in table.numeric]
    body = texts.to_markdown(index=False, disable_numparse=True, colalign=align if len(texts) else None)
    return "\n".join(
        [f"### {table.title}\n", body, *([""] if table.notes else []), *(f"- {n}" for n in table.notes), ""]
    )


def to_latex(table: Table) -> str:
    """The table as a LaTeX ``table`` environment; needs the package booktabs."""
    style = table.texts.map(_escape_latex).rename(columns=_escape_latex).style.hide(axis="index")
    text = style.to_latex(
        hrules=True,
        caption=_escape_latex(table.title),
        column_format="".join("r" if numeric else "l" for numeric in table.numeric),
        position_float="centering",
    )
    notes = "".join(f"\\par\\footnotesize {_escape_latex(note)}\n" for note in table.notes)
    return text.replace(r"\end{table}", notes + r"\end{table}")


def write_table(folder: Path, name: str, table: Table) -> None:
    """Write ``name.csv``, ``name.md`` and ``name.tex``, each atomically."""
    for suffix, render in ((".csv", to_csv), (".md", to_markdown), (".tex", to_latex)):
        write_text(folder / f"{name}{suffix}", render(table))


def tables_json(tables: Mapping[str, Table]) -> dict[str, Any]:
    """Tables by name as plain values, which :func:`read_tables` reads."""
    return {
        name: {"title": table.title, "columns": table.columns, "rows": table.rows, "notes": table.notes}
        for name, table in tables.items()
    }


def read_tables(path: Path) -> dict[str, Table]:
    """Tables by name, from a file of :func:`tables_json`.

    Raises:
        IgnetError: the file is missing or holds something else.
    """
    try:
        return {
            name: make_table(
                table["title"], table["columns"], [tuple(map(_read_cell, row)) for row in table["rows"]], table["notes"]
            )
            for name, table in read_json(path).items()
        }
    except (AttributeError, KeyError, TypeError, ValueError):
        raise IgnetError(
            "found something else", "the tables of the comparison", "run the rule compare again", path=path
        ) from None


def cell_text(cell: Cell) -> str:
    """A cell in print: ``50.0 ± 2.5``, ``+1.9 [+0.3, +3.4]``, one decimal of a float, empty where there is nothing."""
    if cell is None:
        return ""
    if isinstance(cell, Spread):
        return f"{cell.mean:.1f}" + ("" if cell.deviation is None else f" ± {cell.deviation:.1f}")
    if isinstance(cell, Interval):
        # rounded first and plus 0, so that nothing reads -0.0
        value, low, high = (f"{round(number, 1) + 0.0:{cell.sign}.1f}" for number in cell[:3])
        return f"{value} [{low}, {high}]"
    return f"{cell:.1f}" if isinstance(cell, float) else str(cell)


def _suffixes(cells: Iterable[Cell]) -> tuple[str, ...]:
    kinds = {type(cell) for cell in cells}
    return ("", " low", " high") if Interval in kinds else ("", " sd") if Spread in kinds else ("",)


def _part(cell: Cell, place: int) -> Any:
    parts = cell if isinstance(cell, tuple) else (cell,)
    return parts[place] if place < len(parts) else None


def _number(cell: Cell) -> float | None:
    value = _part(cell, 0)
    return None if isinstance(value, str) or pd.isna(value) else float(value)


def _read_cell(value: Any) -> Cell:
    return {2: Spread, 4: Interval}[len(value)](*value) if isinstance(value, list) else value


def _escape_bar(text: str) -> str:
    return text.replace("|", r"\|")


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


def _escape_latex(text: str) -> str:
    return text.translate(str.maketrans(_LATEX))
