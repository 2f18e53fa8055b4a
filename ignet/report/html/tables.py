"""Tables of the comparison, read back: the text of each cell, and the number to sort and draw by."""

import csv
import re
from dataclasses import dataclass
from pathlib import Path

from ignet.errors import IgnetError, reason_of


@dataclass(frozen=True)
class PageCell:
    """One cell: its text, and the number behind it; none: no number."""

    text: str
    value: float | None


@dataclass(frozen=True)
class PageTable:
    """A table of the page.

    Attributes:
        title: of the table.
        columns: their names.
        rows: cells, as many as columns.
        notes: remarks that belong to it.
        numbers: by row, every number that stands in the CSV by its column there, ``... low``, ``... high`` and ``...
            sd`` included.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[PageCell, ...], ...]
    notes: tuple[str, ...]
    numbers: tuple[dict[str, float], ...]

    @property
    def numeric(self) -> tuple[bool, ...]:
        """Of each column: it holds numbers, so its cells stand at the right."""
        return tuple(
            all(row[place].value is not None or not row[place].text for row in self.rows)
            for place in range(len(self.columns))
        )


def read_table(folder: Path, name: str) -> PageTable:
    """Read ``name.md`` and, where it is there, ``name.csv`` of :func:`ignet.report.tables.write_table`.

    Without a CSV file a cell's number is the one that its text begins with.

    Raises:
        IgnetError: the file is missing, or the two are not of one table.
    """
    lines = _read(folder / f"{name}.md").splitlines()
    title = next((line.removeprefix("### ") for line in lines if line.startswith("### ")), name)
    shown = [_cells(line) for line in lines if line.startswith("|")]
    notes = tuple(line.removeprefix("- ") for line in lines if line.startswith("- "))
    columns, texts = (tuple(shown[0]), shown[2:]) if shown else ((), [])
    records: list[dict[str, str]] = [dict(zip(columns, row, strict=False)) for row in texts]
    if (folder / f"{name}.csv").exists():
        records = list(csv.DictReader(_read(folder / f"{name}.csv").splitlines()))
    if len(texts) != len(records) or any(len(row) != len(columns) for row in texts):
        raise IgnetError(
            f"{folder / name}.md: found {len(texts)} rows, expected {len(records)} as in {name}.csv; run the rule "
            "compare again"
        )
    numbers = tuple(
        {key: number for key, text in record.items() if (number := _number(text)) is not None} for record in records
    )
    rows = tuple(
        tuple(PageCell(text, found.get(column)) for column, text in zip(columns, row, strict=True))
        for row, found in zip(texts, numbers, strict=True)
    )
    return PageTable(title, columns, rows, notes, numbers)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise IgnetError(f"{path}: cannot be read ({reason_of(error)}); run the rule compare again") from None


def _cells(line: str) -> list[str]:
    inner = line.strip().removeprefix("|").removesuffix("|")
    return [cell.strip().replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", inner)]


def _number(text: str | None) -> float | None:
    """The number that a text is, or that stands before its interval."""
    try:
        return float((text or "").partition(" [")[0].partition(" ±")[0])
    except ValueError:
        return None
