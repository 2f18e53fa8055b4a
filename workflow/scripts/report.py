"""The report: one HTML file with tables, charts, scans and a 3D viewer, which opens from disk and needs no network."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from ignet.config.base import validate
from ignet.config.evaluation import CompareConfig
from ignet.config.report import ReportConfig
from ignet.errors import IgnetError
from ignet.files.atomic import read_json
from ignet.log import log
from ignet.models.teachers.registry import load_teacher
from ignet.report.arguments import name_and_path, run_and_seed
from ignet.report.html.assets import assets_hash
from ignet.report.html.background import costs, data, settings
from ignet.report.html.costs import made_files, read_costs, read_made
from ignet.report.html.frames import Sources, choose_frames, feature_colors, frame_json, read_frames
from ignet.report.html.page import write_page
from ignet.report.html.sections import (
    Section,
    ablation,
    classes,
    confusion,
    gains,
    headline,
    published,
    read_confusions,
    scans,
    training,
)
from ignet.report.plots import read_curves
from ignet.report.tables import read_tables
from ignet.stage.script import Stage, command


def read_arguments() -> tuple[Stage, argparse.Namespace, ReportConfig]:
    stage = Stage("report", ReportConfig, __doc__)
    stage.add_common("dataset", "networks-2d", "label-set", "evaluate-on", out="HTML file to make")
    stage.add("--results", type=Path, required=True, help="folder of the experiment's results")
    stage.add(
        "--runs",
        nargs="+",
        required=True,
        metavar="RUN:SEED",
        help="trained runs; of each, the first seed's predictions are shown",
    )
    stage.add(
        "--val", nargs="+", required=True, metavar="NN=FILE", help="validation sequences and their correspondence files"
    )
    stage.add(
        "--train",
        nargs="*",
        default=[],
        metavar="NN=FILE",
        help="training sequences to show, and their correspondence files",
    )
    stage.add(
        "--scribbles",
        type=Path,
        required=True,
        help="folder whose sequences/NN/scribbles are shown, where they are there",
    )
    stage.add("--features-of", default="", help="the 2D network whose features are shown")
    stage.add("--shared", type=Path, help="folder of results that experiments share; default: that of the results")
    stage.add(
        "--records", nargs="*", default=[], metavar="STEM", help="benchmark files, below benchmarks/ in one of the two"
    )
    stage.add("--note", default="", help="a remark on the data")
    stage.add(
        "--assets",
        help="identity of the page's scripts and styles that this job was planned with; refused if they have changed",
    )
    return stage, *stage.start()


@command
def main() -> None:
    stage, args, config = read_arguments()
    if args.assets and args.assets != assets_hash():
        raise IgnetError(
            f"the page's scripts and styles are {assets_hash()} now, expected {args.assets}; start the workflow again"
        )

    compared = args.results / "compare/settings.json"
    names = validate(CompareConfig, read_json(compared)["settings"], str(compared))
    networks, runs = dict(map(name_and_path, args.networks_2d)), dict[str, list[int]]()
    for run, seed in map(run_and_seed, args.runs):
        runs.setdefault(run, []).append(seed)
    val, train = (dict(map(name_and_path, texts)) for texts in (args.val, args.train))
    predictions = {run: args.results / f"predict/{run}/seed{seeds[0]}" for run, seeds in runs.items()}
    models = {name: load_teacher(path).to(args.device) for name, path in networks.items()}
    shown = (args.label_set, args.evaluate_on, args.features_of)
    sources = Sources(args.dataset, args.scribbles, val | train, predictions, models, *shown)
    frames = read_frames(sources, choose_frames(sources, list(val), list(train), config), args.device)
    colors = feature_colors(frames)

    explained = colors.explained_variance if colors else None
    # a frozen teacher is there for its features, and segments nothing
    segmenting = [name for name, model in models.items() if model.classifier() is not None]
    sections = make_sections(args, config, names, runs, networks, segmenting, val, explained)
    carrying = [run for run in (names.reference, names.baseline, names.method) if run in runs] or list(runs)[:3]
    options = {"extent": config.radius, "runs": list(runs), "headline": carrying, "networks": segmenting}
    title = f"ignet: {args.results.name}"
    subtitle = f"{len(runs)} runs, {sum(map(len, runs.values()))} trained 3D networks, {len(networks)} 2D networks"
    shown = (frame_json(frame, colors, config) for frame in frames)
    write_page(args.out, title, subtitle, sections, shown, {"options": options}, args.label_set)
    stage.write_settings(
        args.out.with_suffix(".settings.json"), frames=[f"{frame.sequence}/{frame.frame}" for frame in frames]
    )
    log.info("%s: %.1f MB, %d scans", args.out, args.out.stat().st_size / 1e6, len(frames))


def make_sections(
    args: argparse.Namespace,
    config: ReportConfig,
    names: CompareConfig,
    runs: Mapping[str, Sequence[int]],
    networks: Mapping[str, Path],
    segmenting: Sequence[str],
    val: Mapping[str, Path],
    explained_variance: float | None,
) -> list[Section]:
    """The page's sections, of the runs' seeds, the 2D networks' weights and the validation's correspondence files.

    ``segmenting`` are the 2D networks that name classes.
    """
    results = args.results

    def by_run(pattern: str) -> dict[str, list[Path]]:
        return {run: [results / pattern.format(run, seed) for seed in seeds] for run, seeds in runs.items()}

    tables = read_tables(results / "compare/tables.json")
    curves = {run: list(map(read_curves, files)) for run, files in by_run("train_3d/{}/seed{}/curves.csv").items()}
    # a frozen teacher has none
    curves_2d = {
        name: [read_curves(path)] for name, file in networks.items() if (path := file.with_name("curves.csv")).exists()
    }
    doubts = (results / "dataset/doubts.txt").read_text(encoding="utf-8").splitlines()
    notes = [args.note, *(f"Doubtful: {doubt}" for doubt in doubts)]
    records = [folder / "benchmarks" for folder in (results, args.shared or results)]
    return [
        headline(tables, names, read_json(results / "compare/statements.json")["paragraph"]),
        ablation(tables),
        gains(tables, names, list(runs)),
        classes(tables, names, list(runs)),
        confusion(read_confusions(by_run("evaluate/{}/seed{}/confusion.csv")), names.method),
        training(curves, curves_2d, config.curve_points),
        *scans(tables, segmenting, args.features_of, explained_variance),
        published(tables),
        data(results / "dataset/manifest.csv", results / "figures/data.png", config.image_quality, notes),
        costs(read_costs(records, args.records)),
        settings(read_made(made_files(results, runs, networks, val))),
    ]


if __name__ == "__main__":
    main()
