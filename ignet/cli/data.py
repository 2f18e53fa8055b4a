"""The commands for data sets and predictions: ``ignet check``, ``import``, ``evaluate`` and ``submit``."""

import argparse
import json
import os
import sys
from inspect import signature
from pathlib import Path
from typing import Any

from ignet.errors import IgnetError
from ignet.files.names import Sequences
from ignet.log import start_logging


def add_data_commands(commands: Any) -> None:
    """Add them to the subparsers of the command line."""
    _add_check(commands.add_parser("check", help="every fault of a dataset, and the download that fixes it"))
    _add_import(
        commands.add_parser("import", help="bring another data set or sensor into the layout that the workflow reads")
    )
    _add_evaluate(
        commands.add_parser("evaluate", help="the SemanticKITTI benchmark's metrics of a folder of predictions")
    )
    _add_submit(commands.add_parser("submit", help="write the benchmark's zip file from predictions, or check one"))


def _add_check(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "root", nargs="?", type=Path, help="folder that holds sequences/: all of SemanticKITTI is expected there"
    )
    parser.add_argument(
        "--config",
        type=Path,
        nargs="+",
        action="extend",
        metavar="FILE",
        help="experiment files: what they read is expected, and no more",
    )
    parser.add_argument(
        "--part", action="store_true", help="with ROOT: a part of SemanticKITTI, or another dataset in its layout"
    )
    parser.add_argument("--deep", action="store_true", help="read every file (default: names, sizes and headers)")
    parser.add_argument(
        "--remission-scale",
        type=positive,
        default=1.0,
        help="with ROOT: what stands for a remission of 1 in the scans (default: 1)",
    )
    parser.add_argument("--label-set", default="semantickitti", help="with ROOT: of its labels, name or YAML file")
    parser.add_argument(
        "--cameras", type=int, nargs="+", default=[2], help="with ROOT: numbers K of the cameras, of folders image_K"
    )
    parser.add_argument(
        "--may-lack",
        choices=("images", "labels"),
        nargs="+",
        default=(),
        help="with ROOT: a scan may be without an image of a camera, or without labels; they are counted",
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="threads that read (default: all cores)")
    parser.add_argument("--json", action="store_true", help="for scripts")
    parser.set_defaults(run=_check)


def _check(args: argparse.Namespace) -> int:
    from ignet.data.check.dataset import check_dataset, describe
    from ignet.data.check.faults import format_faults
    from ignet.data.check.source import check_source
    from ignet.data.check.wanted import may_lack, wanted_at
    from ignet.data.label_sets.label_set import load_label_set

    if (args.root is None) == (args.config is None):
        raise IgnetError("check: found neither or both of ROOT and --config, expected one of them")
    if args.jobs < 1:
        raise IgnetError(f"check: found --jobs {args.jobs}, expected at least 1")
    start_logging()
    if args.config:
        root, wanted, data, source = _from_experiment(args.config)
        complete, remission_scale, label_set = data.require_all_scans, data.remission_scale, data.labels
        cameras, lacking = data.cameras, may_lack(data)
    else:
        cameras, lacking = tuple(args.cameras), args.may_lack
        root, wanted, complete, source = args.root, wanted_at(args.root, args.part, cameras), not args.part, None
        remission_scale, label_set = args.remission_scale, args.label_set
    options = complete, args.deep, args.jobs, remission_scale, cameras, lacking
    report = check_dataset(root, wanted, *options, label_set=load_label_set(label_set))
    if source:
        report.source = check_source(Path(source.root), source.layout, args.deep, args.jobs)
        report.faults += report.source.faults
    if not args.config and not any("scribbles" in kinds for kinds in wanted.values()):
        report.notes.append("no scribbles: unpack scribblekitti.zip, or set dataset.scribbles to simulated")
    if args.json:
        print(json.dumps(report.as_json(), indent=2))
    else:
        for line in format_faults(report.faults):
            print(line)
        print(describe(report))
    return 1 if report.faults else 0


def _from_experiment(files: list[Path]) -> tuple[Path, Any, Any, Any]:
    """Root, required parts, the section ``dataset`` and, with a source dataset, the section ``source``."""
    from functools import reduce

    from ignet.config.base import merge, read_yaml
    from ignet.data.check.wanted import wanted_files
    from ignet.workflow.experiment import load_experiment

    name = " ".join(map(str, files))
    experiment = load_experiment(reduce(merge, map(read_yaml, files)), name)
    if not experiment.dataset.root:
        raise IgnetError(
            f"{name}: found no dataset.root, expected one: the embedded world is made by the workflow, and "
            "checked there"
        )
    source = experiment.source if experiment.source.root else None
    return Path(experiment.dataset.root), wanted_files(experiment), experiment.dataset, source


def positive(text: str) -> float:
    """A number above 0 on the command line."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"found {text}, expected a number above 0")
    return value


def _add_import(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("layout", help="name of a module in ignet/data/importers, such as kitti_object")
    parser.add_argument("root", type=Path, help="folder of the data set; only read")
    parser.add_argument(
        "out", type=Path, help="folder to make; it holds sequences/ then, with links to files that fit as they are"
    )
    parser.add_argument("--version", help="of the data set, where it has several: v1.0-mini of nuscenes")
    parser.add_argument("--label-set", help="of its labels: name or YAML file (default: the layout's own)")
    parser.add_argument("--json", action="store_true", help="for scripts")
    parser.set_defaults(run=_import)


def _import(args: argparse.Namespace) -> int:
    from ignet.data.check.dataset import check_dataset
    from ignet.data.check.faults import format_faults
    from ignet.data.check.wanted import wanted_at
    from ignet.data.importers.convert import convert
    from ignet.data.importers.registry import LABEL_SETS, LAYOUTS
    from ignet.data.label_sets.label_set import load_label_set

    if args.layout not in LAYOUTS:
        raise IgnetError(
            f"import: found layout '{args.layout}', expected one of {', '.join(LAYOUTS)}; see docs/your-own-sensor.md"
        )
    layout = LAYOUTS[args.layout]
    if args.version and "version" not in signature(layout).parameters:
        raise IgnetError(f"import: found --version, which the layout '{args.layout}' has none of; leave it out")
    start_logging()
    label_set = load_label_set(args.label_set or LABEL_SETS.get(args.layout, "semantickitti"))
    done = convert(layout(args.root, **({"version": args.version} if args.version else {})), args.out, label_set)
    faults = done.faults
    cameras = tuple(sorted(done.cameras))
    wanted = wanted_at(args.out, True, cameras)
    # a scan is without labels where the importer gave none: that is told, and no fault of what was written
    found = check_dataset(args.out, wanted, cameras=cameras, may_lack=("labels",), label_set=label_set)
    faults.add_others(found.faults)
    if args.json:
        findings = {
            "faults": [fault.as_json() for fault in faults],
            "doubts": [doubt.as_json() for doubt in faults.doubts],
        }
        facts = {"frames": done.frames, "points_without_return": done.without_return, "linked_files": done.linked}
        print(json.dumps({"out": str(args.out), **facts, **findings}, indent=2))
        return 1 if faults else 0
    print(f"{args.out}: " + ", ".join(f"sequence {name}: {count} frames" for name, count in done.frames.items()))
    if done.without_return:
        print(f"left out: {done.without_return} points without a return (NaN, or 0 0 0)")
    if done.linked:
        print(
            f"{done.linked} files are links, of which a few scans were read; ignet check {args.out} --part --deep "
            "reads all"
        )
    for line in format_faults(faults):
        print(line)
    return 1 if faults else 0


def _add_evaluate(parser: argparse.ArgumentParser) -> None:
    _add_dataset(parser, "with the scans and the dense labels")
    parser.add_argument(
        "--predictions", type=Path, required=True, help="folder that holds sequences/NN/predictions/*.label"
    )
    parser.add_argument(
        "--sequences", action=Sequences, nargs="+", default=["08"], help="sequences to evaluate on (default: 08)"
    )
    parser.add_argument("--label-set", default="semantickitti", help="of labels and predictions: name or YAML file")
    parser.add_argument("--json", action="store_true", help="for scripts")
    parser.set_defaults(run=_evaluate)


def _evaluate(args: argparse.Namespace) -> int:
    from ignet.data.label_sets.label_set import load_label_set
    from ignet.evaluate.benchmark import describe, evaluate

    start_logging()
    metrics = evaluate(args.dataset, args.predictions, args.sequences, load_label_set(args.label_set))
    print(json.dumps(metrics, indent=2) if args.json else describe(metrics))
    return 0


def _add_submit(parser: argparse.ArgumentParser) -> None:
    _add_dataset(parser, "with the scans: their sizes say how many labels each file needs")
    parser.add_argument("--predictions", type=Path, help="folder that holds sequences/NN/predictions/*.label")
    parser.add_argument("--out", type=Path, help="zip file to write")
    parser.add_argument("--description", type=Path, help="text that goes along as description.txt")
    parser.add_argument("--label-set", default="semantickitti", help="of the predictions: name or YAML file")
    parser.add_argument("--check", type=Path, metavar="FILE", help="check this zip file; write nothing")
    parser.add_argument(
        "--sequences",
        action=Sequences,
        nargs="+",
        help="other sequences than the benchmark's 11 to 21, which must be complete",
    )
    parser.add_argument("--json", action="store_true", help="for scripts")
    parser.set_defaults(run=_submit)


def _submit(args: argparse.Namespace) -> int:
    from ignet.data.label_sets.label_set import load_label_set
    from ignet.evaluate.submission import RefusedError, check_submission, list_scans, write_submission

    if args.check is None and not (args.predictions and args.out):
        raise IgnetError("submit: found no --predictions and --out, expected both, or --check FILE")
    if args.check and (args.predictions or args.out or args.description):
        raise IgnetError("submit: found --check beside options of writing, expected one or the other")
    if args.label_set != "semantickitti" and not args.sequences:
        raise IgnetError(
            f"submit: found --label-set {args.label_set} and no --sequences",
            "the sequences to pack: the benchmark's 11 to 21 are SemanticKITTI's alone",
        )
    start_logging()
    scans, label_set = list_scans(args.dataset, args.sequences), load_label_set(args.label_set)
    file = args.check or args.out
    try:
        if args.check and (faults := check_submission(args.check, scans, label_set)):
            raise RefusedError(args.check, faults)
        if args.out:
            write_submission(args.out, args.predictions, scans, label_set, args.description)
    except RefusedError as error:
        if args.json:
            print(json.dumps({"file": str(file), "ready": False, "faults": error.faults}, indent=2))
        else:
            _print_faults(error.faults)
        raise
    count = sum(map(len, scans.values()))
    if args.json:
        size = file.stat().st_size
        print(
            json.dumps(
                {
                    "file": str(file),
                    "ready": True,
                    "faults": [],
                    "scans": count,
                    "sequences": list(scans),
                    "bytes": size,
                },
                indent=2,
            )
        )
        return 0
    print(f"{file}: ready, {count} scans of sequences {' '.join(scans)}, {file.stat().st_size / 1e6:.1f} MB")
    return 0


def _print_faults(faults: list[str], most: int = 50) -> None:
    """The first ones on standard error, one a line."""
    for fault in faults[:most]:
        print(fault, file=sys.stderr)
    if len(faults) > most:
        print(f"... and {len(faults) - most} more", file=sys.stderr)


def _add_dataset(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument("--dataset", type=Path, required=True, help=f"folder that holds sequences/, {what}")
