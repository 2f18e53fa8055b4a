"""What is printed after a workflow: narrow tables and a paragraph, as plain text."""

import textwrap
from collections.abc import Iterable
from dataclasses import replace

from ignet.config.evaluation import CompareConfig
from ignet.report.runs import BENCHMARK, OCCURRING
from ignet.report.tables import Table, to_markdown

WIDTH = 100
"""Columns of text."""


def run_summary(
    runs: Table,
    networks: Table,
    words: str,
    names: CompareConfig,
    shares: Table | None = None,
    test: Table | None = None,
) -> str:
    """The table of all runs, narrowed, that of the 2D networks, and what they say.

    Args:
        runs: of ``run_table``.
        networks: of ``network_table``.
        words: of ``paragraph``.
        names: which runs are the reference and the baseline.
        shares: of ``share_table``, where runs have unlabelled scans.
        test: of ``run_table``, where there are test sequences.
    """
    columns = headline_columns(names)
    for name in ("experiment", "scans"):  # one experiment, whose scans the notes name
        del columns[name]
    by_share = [shares.only({name: name for name in shares.columns if name != "source"})] if shares else []
    narrow = networks.only({name: "mIoU (occurring)" if name == OCCURRING else name for name in networks.columns})
    return as_text([runs.only(columns), *([test.only(columns)] if test else []), *by_share, narrow], words)


def headline_columns(names: CompareConfig) -> dict[str, str]:
    """Columns of the headline table that fit a terminal, with short names."""
    relative, difference = f"relative to {names.reference}", f"difference to {names.baseline}"
    same = {name: name for name in ("experiment", "run", "seeds", "scans")}
    return {**same, BENCHMARK: "mIoU", relative: f"% of {names.reference}", difference: f"minus {names.baseline}"}


def as_text(tables: Iterable[Table], words: str) -> str:
    """Tables as Markdown, their notes and the paragraph wrapped to ``WIDTH`` columns."""
    parts = [_wrapped(table) for table in tables if len(table.frame)]
    paragraphs = [textwrap.fill(part, WIDTH) for part in words.splitlines() if part]
    return "\n".join([*parts, *paragraphs, ""])


def _wrapped(table: Table) -> str:
    notes = [textwrap.fill(note, WIDTH, initial_indent="- ", subsequent_indent="  ") for note in table.notes]
    return to_markdown(replace(table, notes=())) + "\n" + "\n".join([*notes, ""])
