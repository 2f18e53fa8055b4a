"""Results by the share of labelled scans, beside what others published for the same shares."""

import re
from collections.abc import Mapping

from ignet.report.comparison import Comparison
from ignet.report.published import SEMI_RESULTS, SHARES, are_comparable
from ignet.report.runs import benchmark_note
from ignet.report.tables import Cell, Spread, Table, make_table, spread

ALL = 100
"""The share where all scans are labelled."""

OURS = "this experiment"


def share_table(runs: Comparison, shares: Mapping[str, int]) -> Table:
    """One row a method, one column a share of labelled scans: mIoU in per cent, ours and then the published ones.

    Published ones stand there where the dataset has SemanticKITTI's classes. Runs whose names differ in their share
    alone (``ignet_10`` and ``ignet_50``, or ``ignet`` for all scans) are one method.

    Args:
        runs: all runs.
        shares: per cent of labelled scans, by run; runs that are not named, such as those with other labels, have no
            row.
    """
    methods: dict[str, dict[int, Spread | None]] = {}
    for run in (run for run in runs.runs if run in shares):
        share = shares[run]
        method = re.sub(rf"[_-]{share}$", "", run) or run
        # two names that come to the same row and column keep rows of their own
        row = method if share not in methods.get(method, {}) else run
        methods.setdefault(row, {})[share] = spread(runs.miou(run).values())
    rows: list[tuple[Cell, ...]] = [
        (method, OURS, *(cells.get(share) for share in (*SHARES, ALL))) for method, cells in methods.items()
    ]
    notes = [benchmark_note(runs)]
    if are_comparable(runs.classes):
        rows += [(method, source, *values, None) for method, values, source in SEMI_RESULTS]
        notes += [
            f"{OURS}: {runs.scans} validation scans of its own dataset, comparable only where that is SemanticKITTI "
            "with the published lists",
            "published results: SemanticKITTI, val; not measured by this project",
        ]
    columns = ("method", "source", *share_names().values())
    return make_table("mIoU by share of labelled scans, %", columns, rows, tuple(notes))


def share_names() -> dict[int, str]:
    """Names of the columns, by share."""
    return {share: f"{share} %" for share in (*SHARES, ALL)}
