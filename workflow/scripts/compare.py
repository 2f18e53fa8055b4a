"""Put all runs side by side: tables (CSV, Markdown, LaTeX), plots, and verdicts on the experiment's statements.

Differences between runs stand with intervals of a paired bootstrap over seeds and scans. Metrics that others published
stand in a table of their own.
"""

import argparse
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ignet.config.evaluation import CompareConfig
from ignet.files.atomic import read_json, write_json, write_text
from ignet.log import log
from ignet.report.ablation import ablation_figure, gain_figure
from ignet.report.arguments import by_run, name_and_number, name_and_path
from ignet.report.comparison import Comparison, read_comparison
from ignet.report.figures import save_figure
from ignet.report.labelled_frames import share_table
from ignet.report.networks_2d import network_table, probe_table
from ignet.report.plots import class_figure, curve_figure, read_curves
from ignet.report.published import published_table
from ignet.report.runs import (
    SCRIBBLES_NOTE,
    backbone_note,
    class_gain_table,
    class_table,
    control_table,
    few_runs,
    gain_table,
    run_table,
    slice_table,
)
from ignet.report.statements import findings_json, judge, paragraph, statement_table
from ignet.report.summary import run_summary
from ignet.report.tables import Table, tables_json, to_markdown, write_table
from ignet.stage.script import Stage, command


def read_arguments() -> tuple[Stage, argparse.Namespace, CompareConfig]:
    stage = Stage("compare", CompareConfig, __doc__)
    stage.add_common("evaluate-on", out="folder of the tables and plots")
    stage.add(
        "--confusions", nargs="+", required=True, metavar="RUN:SEED=FILE", help="confusion.h5 of each trained run"
    )
    stage.add(
        "--test-confusions", nargs="*", default=[], metavar="RUN:SEED=FILE", help="the same of the test sequences"
    )
    stage.add("--curves", nargs="*", default=[], metavar="RUN:SEED=FILE", help="curves.csv of each trained run")
    stage.add("--metrics-2d", nargs="*", default=[], metavar="NAME=FILE", help="metrics.json of each 2D network")
    stage.add("--supervision-2d", nargs="*", default=[], metavar="NAME=KIND", help="what each 2D network learnt from")
    stage.add(
        "--metrics-source",
        type=Path,
        nargs="?",
        help="metrics.json of the source pretraining, of the images that it held out",
    )
    stage.add(
        "--labelled-frames",
        nargs="*",
        default=[],
        metavar="RUN=PERCENT",
        help="share of labelled scans, of runs that have others",
    )
    stage.add(
        "--backbones", nargs="*", default=[], metavar="RUN=NETWORK", help="3D networks, where not all are MinkUNets"
    )
    return stage, *stage.start()


@command
def main() -> None:
    stage, args, settings = read_arguments()
    networks = {run: str(title) for run, title in map(name_and_path, args.backbones)}
    runs = read_comparison(by_run(args.confusions), settings.bootstrap_samples, settings.seed, networks)
    metrics_2d = {name: read_json(path) for name, path in map(name_and_path, args.metrics_2d)}
    findings = judge(settings.statements, runs, metrics_2d)
    words = paragraph(findings, runs, settings)

    tables = make_tables(args, runs, metrics_2d, settings)
    for name, table in tables.items():
        write_table(args.out, name, table)
    tables["statements"] = statement_table(findings)
    write_json(args.out / "tables.json", tables_json(tables))
    write_text(args.out / "statements.md", f"{to_markdown(tables['statements'])}\n{words}\n")
    write_json(args.out / "statements.json", findings_json(findings, runs, settings, words))

    save_figure(args.out / "ablation.png", ablation_figure(runs, settings))
    save_figure(args.out / "gains.png", gain_figure(runs, settings))
    save_figure(args.out / "per_class.png", class_figure(runs, few_runs(runs.runs, settings)))
    if args.curves:
        curves = {
            run: {seed: read_curves(path) for seed, path in seeds.items()} for run, seeds in by_run(args.curves).items()
        }
        save_figure(args.out / "curves.png", curve_figure(curves))

    shares, test = tables.get("labelled_frames"), tables.get("test")
    summary = run_summary(tables["table"], tables["networks_2d"], words, settings, shares, test)
    write_text(args.out / "summary.txt", summary)
    stage.write_settings(args.out / "settings.json")
    log.info("tables and plots of %d runs in %s", len(runs.runs), args.out)
    print(summary)


def make_tables(
    args: argparse.Namespace, runs: Comparison, metrics_2d: Mapping[str, Any], settings: CompareConfig
) -> dict[str, Table]:
    """All tables by name, but that of the statements."""
    supervision = {name: str(kind) for name, kind in map(name_and_path, args.supervision_2d)}
    held_out = read_json(args.metrics_source) if args.metrics_source else None
    tables = {
        "table": run_table(runs, settings),
        "controls": control_table(runs, settings.controls, settings.bootstrap_samples),
        "gains": gain_table(runs, settings),
        "gains_per_class": class_gain_table(runs, settings),
        "per_class": class_table(runs),
        "slices": slice_table(runs),
        "networks_2d": network_table(metrics_2d, supervision, held_out),
        "published": published_table(runs.classes),
    }
    if probes := probe_table(metrics_2d, runs.classes):
        tables["probes_2d"] = probes
    if args.labelled_frames:
        tables["labelled_frames"] = share_table(runs, dict(map(name_and_number, args.labelled_frames)))
    if args.test_confusions:
        test = read_comparison(by_run(args.test_confusions), settings.bootstrap_samples, settings.seed, runs.networks)
        tables["test"] = run_table(test, settings, "test")
    if runs.networks:
        note = backbone_note(runs.networks)
        tables |= {
            name: replace(table, notes=(*table.notes, note))
            for name, table in tables.items()
            if name not in ("networks_2d", "probes_2d", "published")
        }
    if args.evaluate_on == "scribbles":
        tables = {
            name: table if name == "published" else replace(table, notes=(SCRIBBLES_NOTE, *table.notes))
            for name, table in tables.items()
        }
    return tables


if __name__ == "__main__":
    main()
