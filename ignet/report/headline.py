"""The rows that carry the claim, of several experiments or of the folds of one cross-validation."""

from collections.abc import Mapping
from pathlib import Path

from matplotlib.figure import Figure

from ignet.config.evaluation import CompareConfig
from ignet.errors import IgnetError
from ignet.evaluate.tensor import join, read_tensor
from ignet.report.ablation import run_row
from ignet.report.comparison import Comparison, read_comparison
from ignet.report.figures import run_colors
from ignet.report.forest import spread_and_difference
from ignet.report.networks_2d import how_to_finish
from ignet.report.runs import (
    BENCHMARK,
    SCANS,
    benchmark_note,
    run_table,
    signed_cell,
    spread_notes,
)
from ignet.report.statements import FAILS, HOLDS, MANY, OPEN, verdict
from ignet.report.tables import Cell, Table, cell_text, make_table, spread

Files = dict[str, dict[int, Path]]
"""``confusion.h5`` by run and seed."""

POOLED = "all folds"


def headline_runs(names: CompareConfig) -> tuple[str, ...]:
    """Full supervision, the baseline and the method, in the order of the tables."""
    return tuple(dict.fromkeys((names.reference, names.baseline, names.method)))


def find_confusions(results: Path, names: CompareConfig) -> Files:
    """The evaluations of a finished experiment's headline rows.

    Args:
        results: the experiment's folder, its key ``results``.
        names: which runs.

    Raises:
        IgnetError: there is no such folder, or one of its seeds is not evaluated.
    """
    if not results.is_dir():
        raise IgnetError(f"{results}: no such folder, expected the results of an experiment; {how_to_finish(results)}")
    return {run: _seed_confusions(results, run) for run in headline_runs(names)}


def _seed_confusions(results: Path, run: str) -> dict[int, Path]:
    # a seed whose training has begun counts, so that an unfinished experiment is not taken for one with fewer seeds
    folders = [folder for stage in ("train_3d", "evaluate") for folder in results.glob(f"{stage}/{run}/seed*")]
    seeds = sorted({int(folder.name[4:]) for folder in folders if folder.name[4:].isdecimal()})
    if not seeds:
        raise IgnetError(
            f"{results}: found no run '{run}', expected evaluate/{run}/seed*/confusion.h5; {how_to_finish(results)}"
        )
    files = {seed: results / "evaluate" / run / f"seed{seed}" / "confusion.h5" for seed in seeds}
    for path in files.values():
        if not path.is_file():
            raise IgnetError(
                f"{path}: no such file, expected the evaluation of a finished run; {how_to_finish(results)}"
            )
    return files


def pool(folds: Mapping[str, Files], samples: int, seed: int) -> Comparison:
    """One comparison over the scans of all folds, seed by seed.

    Raises:
        IgnetError: the folds differ in the seeds of a run, or share a scan.
    """
    runs = next(iter(folds.values()))
    for run in runs:
        seeds = {name: sorted(files[run]) for name, files in folds.items()}
        if len({tuple(own) for own in seeds.values()}) > 1:
            raise IgnetError(
                f"run '{run}': found seeds {seeds}, expected the same in all folds; train the missing ones"
            )
    tensors = (
        (run, number, join([read_tensor(files[run][number]) for files in folds.values()]))
        for run, seeds in runs.items()
        for number in seeds
    )
    return Comparison(tensors, samples, seed)


def compare_all(experiments: Mapping[str, Files], names: CompareConfig, pooled: bool) -> dict[str, Comparison]:
    """The comparison within each experiment; with ``pooled``, that over all of them comes first, as ``POOLED``."""
    together = {POOLED: pool(experiments, names.bootstrap_samples, names.seed)} if pooled else {}
    options = names.bootstrap_samples, names.seed
    return together | {name: read_comparison(files, *options) for name, files in experiments.items()}


def headline_table(experiments: Mapping[str, Comparison], names: CompareConfig) -> Table:
    """One row for each experiment and run; the columns of ``run_table``."""
    rows: list[tuple[Cell, ...]] = []
    for name, runs in experiments.items():
        table = run_table(runs, names)
        rows += [(name, *row) for row in table.rows]
    each = [
        note
        for runs in experiments.values()
        for note in spread_notes(runs, names.bootstrap_samples, runs.runs)
        if not note.startswith("[")
    ]
    interval = (
        f"[low, high]: 95 % interval of a paired bootstrap ({names.bootstrap_samples} samples) over the seeds that "
        f"both runs have and the scans; {SCANS}"
    )
    notes = (*dict.fromkeys(map(benchmark_note, experiments.values())), *dict.fromkeys(each), interval)
    if POOLED in experiments:
        notes += (f"{POOLED}: their scans together; a seed stands for one network of each fold",)
    return make_table("Headline rows, % on the validation sequences", ("experiment", *table.columns), rows, notes)


def headline_figure(experiments: Mapping[str, Comparison], names: CompareConfig) -> Figure:
    """One row for each run, by experiment: mIoU of each seed, difference to the baseline."""
    colors = run_colors(headline_runs(names))
    groups = [
        (f"{name}, {runs.scans} scans", [run_row(runs, run, names.baseline, colors[run]) for run in runs.runs])
        for name, runs in experiments.items()
    ]
    axes = (f"{BENCHMARK}, %", f"difference to {names.baseline}, percentage points")
    return spread_and_difference(groups, axes, "Headline rows; n is the number of seeds")


def ordering(experiments: Mapping[str, Comparison], names: CompareConfig) -> list[str]:
    """Whether reference > method > baseline holds, and how surely: a sentence an experiment and one for all."""
    claim = f"{names.reference} > {names.method} > {names.baseline}"
    sentences, holding = [], []
    for name, runs in experiments.items():
        holds = _in_order(runs, names)
        holding += [name] if holds else []
        sentences.append(
            f"{name}: the ordering {claim} {HOLDS if holds else FAILS} by the means; {_certainty(runs, names)}."
        )
    separate = [name for name in experiments if name != POOLED]
    count = len([name for name in holding if name != POOLED])
    return [
        *sentences,
        f"The ordering {HOLDS} in {count} of {len(separate)} {'folds' if POOLED in experiments else 'experiments'}.",
    ]


def _in_order(runs: Comparison, names: CompareConfig) -> bool:
    means = [spread(runs.miou(run).values()) for run in (names.reference, names.method, names.baseline)]
    known = [mean.mean for mean in means if mean]
    return len(known) == len(means) and known == sorted(known, reverse=True) and len(set(known)) == len(known)


def _certainty(runs: Comparison, names: CompareConfig) -> str:
    return " and ".join(
        _pair(runs, *pair) for pair in ((names.reference, names.method), (names.method, names.baseline))
    )


def _pair(runs: Comparison, run: str, against: str) -> str:
    difference = runs.difference(run, against)
    cell = signed_cell(difference)
    undecided = "one seed is not conclusive" if difference and difference.seeds < MANY else "interval includes 0"
    words = {HOLDS: "interval above 0", FAILS: "interval below 0", OPEN: undecided}[verdict(difference)]
    return f"{run} minus {against} is {cell_text(cell)} ({words})" if cell else f"{run} minus {against} has no value"
