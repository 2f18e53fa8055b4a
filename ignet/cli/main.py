"""The ``ignet`` command: what a person does outside the workflow."""

import argparse
import json
import os
import re
import sys
from pathlib import Path

from ignet import __version__
from ignet.cli.completion import add_completion
from ignet.cli.data import add_data_commands, positive
from ignet.cli.view import add_view
from ignet.errors import IgnetError
from ignet.log import speak_any_locale

EXIT_CODES = """\
exit codes: 0 done; 1 a fault, in one line on standard error, or faults that were found and listed; 2 wrong arguments;
130 interrupted (Ctrl-C); 141 the reader of the output went away.
With --json, standard output holds one JSON document, or nothing after a fault.
"""

INTERRUPTED, NOBODY_READS = 128 + 2, 128 + 13  # as shells count SIGINT and SIGPIPE


def make_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="ignet",
        description="LiDAR segmentation from cheap labels, with the help of a camera.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"ignet {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_doctor(commands.add_parser("doctor", help="versions, sparse engines, devices, and what is missing"))
    _add_predict(
        commands.add_parser(
            "predict", help="classes of the points of one scan, from the weights and the .bin file alone"
        )
    )
    _add_why(commands.add_parser("why", help="what the workflow would run again, and what changed"))
    _add_plan(
        commands.add_parser(
            "plan", help="jobs, hours and disk of an experiment, before anything runs and without its data"
        )
    )
    add_data_commands(commands)
    add_view(commands.add_parser("view", help="watch a run in the browser: stages, curves so far, time that is left"))
    add_completion(
        commands.add_parser("completion", help="the script by which a shell completes these commands"), parser
    )
    return parser


def main(arguments: list[str] | None = None) -> None:
    """Run one command; a user's mistake is one line on standard error and exit code 1."""
    speak_any_locale()
    args = make_parser().parse_args(arguments)
    try:
        code = args.run(args)
        sys.stdout.flush()
    except IgnetError as error:
        print(f"error: {error}", file=sys.stderr)
        code = 1
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BrokenPipeError:
        # what is still to be flushed at the end goes nowhere, so that the interpreter says nothing about it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = NOBODY_READS
    sys.exit(code)


def _add_doctor(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="for scripts")
    parser.set_defaults(run=_doctor)


def _doctor(args: argparse.Namespace) -> int:
    from ignet.cli.doctor import main as doctor

    return doctor(["--json"] if args.json else [])


def _add_predict(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--weights", type=Path, required=True, help="model.safetensors of a 3D network")
    parser.add_argument("--scan", type=Path, required=True, help=".bin file: float32 x, y, z [m], remission a point")
    parser.add_argument(
        "--out", type=Path, required=True, help=".label file to write: uint32 SemanticKITTI raw id a point"
    )
    parser.add_argument(
        "--remission-scale",
        type=positive,
        default=1.0,
        help="what stands for a remission of 1 in the scan, such as 255 (default: 1)",
    )
    parser.add_argument(
        "--engine", default="auto", choices=["auto", "torch", "minkowski"], help="sparse engine (default: auto)"
    )
    parser.add_argument("--device", type=_device, default="auto", help="auto, cpu, cuda or cuda:N (default: auto)")
    parser.add_argument("--json", action="store_true", help="for scripts")
    parser.set_defaults(run=_predict)


def _device(text: str) -> str:
    from ignet.config.execution import DEVICE

    if not re.fullmatch(DEVICE, text):
        raise argparse.ArgumentTypeError(f"found {text}, expected auto, cpu, cuda or cuda:N")
    return text


def _predict(args: argparse.Namespace) -> int:
    from ignet.data.formats.kitti import read_live_scan
    from ignet.data.formats.scan_values import scan_doubts
    from ignet.data.label_sets.labels import CLASSES, to_raw_ids
    from ignet.devices import pick_device
    from ignet.files.atomic import atomic, write_array
    from ignet.models.segmentor3d import load_network, predict_live_scan
    from ignet.models.sparse.engine import resolve_engine

    if args.out.is_dir():
        raise IgnetError(f"{args.out}: is a folder, expected the name of the .label file to write")
    device = pick_device(args.device)
    points, there = read_live_scan(args.scan, args.remission_scale)
    for _, doubt in scan_doubts(points[there]):
        print(f"doubt: {args.scan}: {doubt}", file=sys.stderr)
    network, backbone, _ = load_network(args.weights)
    engine = resolve_engine(args.engine, device)
    classes, confidence = predict_live_scan(network.to(device).eval(), backbone, engine, points, there, device)
    with atomic(args.out) as temporary:
        write_array(temporary, to_raw_ids(classes))
    found = {name: count for index, name in enumerate(CLASSES) if (count := int((classes == index).sum()))}
    mean, lost = float(confidence[there].mean()), int((~there).sum())
    if args.json:
        facts = {"points": len(points), "without_return": lost, "mean_confidence": mean, "classes": found}
        print(json.dumps({"out": str(args.out), **facts}, indent=2, allow_nan=False))
        return 0
    print(
        f"{args.out}: {len(points)} points"
        + (f", {lost} of them without a return" if lost else "")
        + f", mean confidence {mean:.3f}"
    )
    for name, count in found.items():
        print(f"  {name:<14}{count:>8}")
    return 0


def _add_why(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("targets", nargs="*", help="rules or files; default: everything")
    parser.add_argument(
        "--configfile",
        nargs="+",
        action="extend",
        default=[],
        metavar="FILE",
        help="experiment files, as for snakemake",
    )
    _add_settings(parser)
    parser.add_argument("--profile", help="profile, as for snakemake")
    parser.add_argument(
        "--directory", type=Path, default=Path("."), help="working directory of the workflow (default: here)"
    )
    parser.add_argument("--json", action="store_true", help="for scripts")
    parser.set_defaults(run=_why)


def _why(args: argparse.Namespace) -> int:
    from ignet.cli.why import why

    given = [
        ("--configfile", args.configfile),
        ("--config", args.config),
        ("--profile", [args.profile] if args.profile else []),
    ]
    options = [word for name, values in given if values for word in (name, *values)]
    return why([*args.targets, *options], args.json, args.directory)


def _add_plan(parser: argparse.ArgumentParser) -> None:
    help_of_files = "experiment file; further ones override it"
    parser.add_argument("--configfile", type=Path, nargs="+", action="extend", required=True, help=help_of_files)
    _add_settings(parser)
    parser.add_argument(
        "--gpus",
        type=int,
        help="GPUs; 0: all runs on the CPU (default: 1 where the experiment's jobs ask for GPUs, else 0)",
    )
    parser.add_argument("--cores", type=int, help="CPU cores (default: those of this machine)")
    parser.add_argument("--rates", type=Path, help="table of throughputs (default: the one that comes with ignet)")
    parser.add_argument("--json", action="store_true", help="for scripts")
    parser.set_defaults(run=_plan)


def _add_settings(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config",
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY=VALUE",
        help="single settings, as for snakemake",
    )


def _plan(args: argparse.Namespace) -> int:
    from ignet.config.experiment import load_experiment
    from ignet.workflow.costs import TABLE, read_rates
    from ignet.workflow.dag import first_plan
    from ignet.workflow.facts import data_facts
    from ignet.workflow.plan import make_plan
    from ignet.workflow.plan_text import plan_text

    gpus, cores = args.gpus, args.cores or os.cpu_count() or 1
    if (gpus or 0) < 0 or cores < 1:
        raise IgnetError(f"plan: found --gpus {gpus} --cores {cores}, expected 0 or more GPUs and at least one core")
    name, files = " ".join(map(str, args.configfile)), [str(file.absolute()) for file in args.configfile]
    found = first_plan(["--configfile", *files, *(["--config", *args.config] if args.config else [])])
    experiment = load_experiment(found.config, name)
    gpus = min(experiment.execution.gpus, 1) if gpus is None else gpus
    rates = read_rates(args.rates or TABLE)
    plan = make_plan(found.schedule, experiment, data_facts(experiment), rates, gpus, cores)
    print(json.dumps(plan.as_json(), indent=2) if args.json else plan_text(plan, name))
    return 0
