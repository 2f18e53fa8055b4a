"""The ablation as forest plots: all runs, and the method's gain by slice."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from ignet.config.evaluation import CompareConfig
from ignet.report.comparison import SMALL, WHOLE, Comparison, slice_name
from ignet.report.figures import run_colors
from ignet.report.forest import Row, differences, spread_and_difference
from ignet.report.runs import BENCHMARK, signed_cell
from ignet.report.tables import Interval

_CONTROL_COLOR = "0.5"
_HEADINGS = {WHOLE: "", "range": "distance", "camera": "camera", "boundary": "class boundaries", SMALL: "classes"}
_CERTAIN, _OPEN = "tab:blue", "0.5"


def ablation_figure(runs: Comparison, names: CompareConfig) -> Figure:
    """One row a run, controls below the others and in grey: mIoU of each seed, difference to the baseline."""
    controls = {control.run for control in names.controls}
    colors = run_colors(runs.runs) | dict.fromkeys(controls, _CONTROL_COLOR)
    rows = [run_row(runs, run, names.baseline, colors[run]) for run in runs.runs]
    main, others = (
        [row for run, row in zip(runs.runs, rows, strict=True) if (run in controls) == kind] for kind in (False, True)
    )
    groups = [("", main), ("controls", others)] if others else [("", main)]
    axes = (f"{BENCHMARK}, %", f"difference to {names.baseline}, percentage points")
    return spread_and_difference(groups, axes, f"All runs; {runs.scans} scans; n is the number of seeds")


def run_row(runs: Comparison, run: str, baseline: str, color: str | tuple[float, float, float]) -> Row:
    """A run's seeds, and its difference to the baseline."""
    values = tuple(value for value in runs.miou(run).values() if value is not None)
    difference = None if run == baseline else signed_cell(runs.difference(run, baseline))
    return Row(f"{run} (n = {len(values)})", values, difference, color=color)


def gain_figure(runs: Comparison, names: CompareConfig) -> Figure:
    """What the method gains over the baseline in each slice.

    Slices without a value are left out, which are all where a run is missing.
    """
    slices = {key: [where for where in runs.slices if where.partition(":")[0] == key] for key in _HEADINGS}
    groups = [(heading, _gain_rows(runs, names, slices[key])) for key, heading in _HEADINGS.items()]
    n = len(runs.seeds(names.method, names.baseline))
    title = f"Gain of {names.method} over {names.baseline} by slice; n = {n} seed{'s' * (n != 1)}, {runs.scans} scans"
    return differences(
        [group for group in groups if group[1]],
        "gain in mIoU over the classes that occur, percentage points, with 95 % interval (grey: it includes 0)",
        title,
    )


def _gain_rows(runs: Comparison, names: CompareConfig, slices: Sequence[str]) -> list[Row]:
    if names.method == names.baseline:
        return []
    gains = {where: signed_cell(runs.difference(names.method, names.baseline, where, "occurring")) for where in slices}
    return [
        Row(slice_name(where), (), gain, f"{runs.points(where):,} points".replace(",", " "), _gain_color(gain))
        for where, gain in gains.items()
        if gain
    ]


def _gain_color(gain: Interval) -> str:
    return _CERTAIN if gain.low > 0 or gain.high < 0 else _OPEN
