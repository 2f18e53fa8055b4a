"""Put all runs side by side: tables (CSV, Markdown, LaTeX) of mIoU, of each class and of slices of the points, and plots.

Figures that others published stand in a table of their own.
"""

from pathlib import Path
from typing import Any

from ignet.config.evaluation import CompareConfig
from ignet.console import log
from ignet.errors import IgnetError
from ignet.files import atomic, read_json
from ignet.report.arguments import name_and_path
from ignet.report.figures import save_figure
from ignet.report.plots import class_figure, curve_figure, read_curves
from ignet.report.published import published_table
from ignet.report.tables import class_table, network_table, run_table, slice_table, to_markdown, write_table
from ignet.stage import Stage, command


@command
def main() -> None:
    stage = Stage("compare", CompareConfig, __doc__)
    stage.add("--metrics", nargs="+", required=True, metavar="RUN:SEED=FILE", help="metrics.json of each trained run")
    stage.add("--curves", nargs="*", default=[], metavar="RUN:SEED=FILE", help="curves.csv of each trained run")
    stage.add("--metrics-2d", nargs="*", default=[], metavar="NAME=FILE", help="metrics.json of each 2D network")
    stage.add("--out", type=Path, required=True, help="folder of the tables and plots")
    args, settings = stage.start()

    metrics = {run: {seed: read_json(path) for seed, path in seeds.items()} for run, seeds in by_run(args.metrics).items()}
    check_same_points(metrics)
    runs = run_table(metrics, settings.reference, settings.baseline)
    write_table(args.out, "table", runs)
    write_table(args.out, "per_class", class_table(metrics))
    write_table(args.out, "slices", slice_table(metrics))
    write_table(args.out, "published", published_table())
    save_figure(args.out / "per_class.png", class_figure(metrics))
    networks = network_table({name: read_json(path) for name, path in map(name_and_path, args.metrics_2d)})
    write_table(args.out, "networks_2d", networks)
    if args.curves:
        curves = {run: {seed: read_curves(path) for seed, path in seeds.items()} for run, seeds in by_run(args.curves).items()}
        save_figure(args.out / "curves.png", curve_figure(curves))
    summary = "\n".join(to_markdown(table) for table in (runs, networks))
    with atomic(args.out / "summary.txt") as temporary:
        temporary.write_text(summary, encoding="utf-8")
    stage.write_settings(args.out / "settings.json")
    log.info("tables and plots of %d runs in %s", len(metrics), args.out)
    print(summary)


def by_run(texts: list[str]) -> dict[str, dict[int, Path]]:
    """Files by run and seed, of arguments ``RUN:SEED=FILE``."""
    files: dict[str, dict[int, Path]] = {}
    for text in texts:
        name, path = name_and_path(text)
        run, colon, seed = name.rpartition(":")
        if not (run and colon and seed.isdecimal()):
            raise IgnetError(f"'{text}': expected RUN:SEED=FILE, where SEED is a number")
        if int(seed) in files.setdefault(run, {}):
            raise IgnetError(f"'{text}': seed {seed} of run {run} is given twice; give each file once")
        files[run][int(seed)] = path
    return files


def check_same_points(metrics: dict[str, dict[int, Any]]) -> None:
    """Raise an error where the runs were not evaluated on the same points."""
    found = {(run, seed): m["points_of_class"] for run, seeds in metrics.items() for seed, m in seeds.items()}
    (first, expected), *others = found.items()
    for (run, seed), points in others:
        if points != expected:
            raise IgnetError(
                f"run {run} seed {seed} was evaluated on {sum(points.values())} points, run {first[0]} seed {first[1]} on "
                f"{sum(expected.values())} or on other classes of them; evaluate both on the same sequences and labels"
            )


if __name__ == "__main__":
    main()
