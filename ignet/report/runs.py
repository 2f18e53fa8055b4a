"""Tables over runs. All values are in per cent."""

from collections.abc import Mapping, Sequence

from ignet.config.evaluation import CompareConfig, Control
from ignet.evaluate.statistics import Estimate
from ignet.report.comparison import WHOLE, Comparison, slice_name
from ignet.report.tables import Cell, Interval, Table, make_table, spread

BENCHMARK = "mIoU (benchmark)"
OCCURRING = "mIoU (classes that occur)"
SCANS = "scans count as independent, though neighbours in a drive resemble each other"
_OCCURRING_NOTE = f"{OCCURRING}: the mean over the classes that have labelled points in the slice"

SCRIBBLES_NOTE = (
    "evaluated on held-out scribbles, for want of dense labels: only the points that a scribble covers count, which "
    "seldom lie at the edges of things, so that these values are probably higher than those of all points would be"
)
"""Of tables of an experiment with ``dataset.evaluate_on: scribbles``."""

FEW = 4
"""Up to this many runs, the bars of the classes show them all."""


def run_table(runs: Comparison, names: CompareConfig, split: str = "validation") -> Table:
    """One row a run: seeds, scans, mIoU, mIoU relative to the reference run, and the difference to the baseline."""
    rows = tuple(_run_row(runs, run, names.reference, names.baseline) for run in runs.runs)
    columns = (
        "run",
        "seeds",
        "scans",
        BENCHMARK,
        OCCURRING,
        f"relative to {names.reference}",
        f"difference to {names.baseline}",
    )
    notes = (
        benchmark_note(runs),
        *spread_notes(runs, names.bootstrap_samples, runs.runs),
        *_missing_notes(runs, names.reference, names.baseline),
    )
    return make_table(f"Runs, % on the {split} sequences", columns, rows, notes)


def benchmark_note(runs: Comparison) -> str:
    """What ``BENCHMARK`` is."""
    classes = len(runs.classes)
    return f"{BENCHMARK}: the mean over all {classes} classes, where a class that does not occur counts as 0"


def backbone_note(backbones: Mapping[str, str]) -> str:
    """Which 3D network each run trains, such as 'cylinder3d as_drawn (full, ignet); minkunet (other)'."""
    runs: dict[str, list[str]] = {}
    for run, title in backbones.items():
        runs.setdefault(title, []).append(run)
    return "3D network: " + (
        next(iter(runs)) if len(runs) == 1 else "; ".join(f"{title} ({', '.join(own)})" for title, own in runs.items())
    )


def _run_row(runs: Comparison, run: str, reference: str, baseline: str) -> tuple[Cell, ...]:
    relative: Cell = None
    if run == reference and any(runs.miou(run).values()):
        relative = 100.0
    elif run != reference:
        relative = interval_cell(runs.relative(run, reference))
    difference = None if run == baseline else signed_cell(runs.difference(run, baseline))
    means = (spread(runs.miou(run, mean=mean).values()) for mean in ("official", "occurring"))
    return run, len(runs.seeds(run)), runs.scans, *means, relative, difference


def spread_notes(runs: Comparison, samples: int, shown: Sequence[str]) -> list[str]:
    """What ± and the intervals of the shown runs are."""
    several = any(len(runs.seeds(run)) > 1 for run in shown)
    return [
        *(["± is the sample standard deviation over the seeds"] if several else []),
        *interval_notes(runs, samples, shown),
    ]


def interval_notes(runs: Comparison, samples: int, shown: Sequence[str]) -> list[str]:
    """What the intervals of the shown runs are."""
    notes = [
        f"[low, high]: 95 % interval of a paired bootstrap ({samples} samples) over the seeds that both runs have and "
        f"the {runs.scans} scans; {SCANS}; each interval stands for itself, no correction for their number"
    ]
    if single := [run for run in shown if len(runs.seeds(run)) == 1]:
        notes.append(
            f"one seed only ({', '.join(single)}): the interval holds the spread of the scans, not that of the training"
        )
    return notes


def _missing_notes(runs: Comparison, reference: str, baseline: str) -> list[str]:
    notes = []
    if reference not in runs.runs:
        notes.append(f"no relative mIoU: the reference run '{reference}' is not among the runs")
    elif not any(runs.miou(reference).values()):
        notes.append(f"no relative mIoU: the reference run '{reference}' has an mIoU of 0")
    elif others := [run for run in runs.runs if not runs.same_network(run, reference)]:
        notes.append(
            f"no relative mIoU for {', '.join(others)}: another 3D network than that of '{reference}', "
            f"{runs.networks.get(reference)}"
        )
    if baseline not in runs.runs:
        notes.append(f"no differences: the baseline run '{baseline}' is not among the runs")
    for other, value in ((reference, "relative mIoU"), (baseline, "difference")):
        lonely = [run for run in runs.runs if other in runs.runs and not runs.seeds(run, other)]
        notes += [f"no {value} for '{run}': it shares no seed with '{other}'" for run in lonely]
    return notes


def few_runs(runs: Sequence[str], names: CompareConfig) -> list[str]:
    """All runs, or, where there are too many to tell their bars apart, those that carry the claim."""
    carrying = (names.reference, names.baseline, names.method)
    return list(runs) if len(runs) <= FEW else [run for run in runs if run in carrying] or list(runs[:FEW])


def control_table(runs: Comparison, controls: Sequence[Control], samples: int) -> Table:
    """One row a control: what it changes, both means over the common seeds, and the difference."""
    rows = []
    for control in controls:
        seeds = runs.seeds(control.run, control.against)
        means = [spread(runs.miou(name)[seed] for seed in seeds) for name in (control.run, control.against)]
        difference = signed_cell(runs.difference(control.run, control.against))
        rows.append((control.run, control.text, control.against, len(seeds), runs.scans, *means, difference))
    columns = (
        "control",
        "what it changes",
        "against",
        "seeds",
        "scans",
        "mIoU of control",
        "mIoU of the other",
        "control minus other",
    )
    shown = tuple(dict.fromkeys(name for control in controls for name in (control.run, control.against)))
    notes = (
        benchmark_note(runs),
        "means over the seeds that both runs have",
        *(spread_notes(runs, samples, shown) if shown else ()),
    )
    return make_table("Controls, % on the validation sequences", columns, rows, notes)


def gain_columns(runs: Comparison, names: CompareConfig) -> tuple[str, ...]:
    """Runs whose gains are tabled: the method first, then all others that are neither the baseline nor a control."""
    left_out = {names.baseline, *(control.run for control in names.controls)} - {names.method}
    shown = [
        run
        for run in (names.method, *runs.runs)
        if run in runs.runs and run not in left_out and runs.seeds(run, names.baseline)
    ]
    return tuple(dict.fromkeys(shown))


def gain_table(runs: Comparison, names: CompareConfig) -> Table:
    """One row a slice of the points: how many, and what each run gains over the baseline."""
    columns = gain_columns(runs, names)
    rows = []
    for where in runs.slices:
        gains = [signed_cell(runs.difference(run, names.baseline, where, "occurring")) for run in columns]
        rows.append((slice_name(where), runs.points(where), *gains))
    notes = (*_slice_notes(runs), *_gain_notes(runs, columns, names))
    return make_table(
        f"Gain over {names.baseline} by slice, {OCCURRING} in percentage points",
        ("slice", "points", *columns),
        rows,
        notes,
    )


def class_gain_table(runs: Comparison, names: CompareConfig) -> Table:
    """One row a class that occurs: how many points, and what each run gains over the baseline."""
    columns = gain_columns(runs, names)
    rows = []
    for name, points in runs.points_of_class().items():
        gains = [signed_cell(runs.class_difference(run, names.baseline, name)) for run in columns]
        rows += [(name, points, *gains)] if points else []
    notes = ("classes without labelled points are left out", *_gain_notes(runs, columns, names))
    return make_table(
        f"Gain over {names.baseline} by class, IoU in percentage points",
        ("class", "points", *columns),
        rows,
        notes,
    )


def _gain_notes(runs: Comparison, columns: Sequence[str], names: CompareConfig) -> list[str]:
    if not columns:
        return [f"no gains: no run shares a seed with a baseline run '{names.baseline}'"]
    seeds = ", ".join(f"{run} {len(runs.seeds(run, names.baseline))}" for run in columns)
    return [f"seeds: {seeds}; scans: {runs.scans}", *interval_notes(runs, names.bootstrap_samples, columns)]


def class_table(runs: Comparison) -> Table:
    """One row a class: its IoU in each run, and how many labelled points it has."""
    ious, points = {run: runs.iou(run) for run in runs.runs}, runs.points_of_class()
    rows = [
        (name, points[name], *(spread(seed[name] for seed in ious[run].values()) for run in runs.runs))
        for name in runs.classes
    ]
    note = "empty: the class occurs neither in the labels nor in the predictions"
    return make_table("IoU of each class, %", ("class", "points", *runs.runs), rows, (note,))


def slice_table(runs: Comparison) -> Table:
    """One row a slice (distance, camera coverage, boundaries, small objects): mIoU over its classes."""
    rows = [
        (slice_name(where), runs.points(where), *(spread(runs.miou(run, where).values()) for run in runs.runs))
        for where in runs.slices
        if where != WHOLE
    ]
    return make_table(f"Slices, {OCCURRING} in %", ("slice", "points", *runs.runs), rows, _slice_notes(runs))


def interval_cell(estimate: Estimate | None, sign: str = "") -> Interval | None:
    """A cell of a table."""
    return Interval(estimate.value, estimate.low, estimate.high, sign) if estimate else None


def signed_cell(estimate: Estimate | None) -> Interval | None:
    """A cell that shows its sign."""
    return interval_cell(estimate, "+")


def _slice_notes(runs: Comparison) -> tuple[str, ...]:
    small = [f"small objects: {', '.join(runs.small_objects)}"] if runs.small_objects else []
    return _OCCURRING_NOTE, *small
