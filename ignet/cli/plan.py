"""The commands about the workflow before it runs: ``ignet plan`` and ``ignet why``."""

import argparse
import json
import os
from pathlib import Path

from ignet.errors import IgnetError


def add_plan(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``ignet plan``."""
    help_of_files = "experiment file; further ones override it"
    parser.add_argument("--configfile", type=Path, nargs="+", action="extend", required=True, help=help_of_files)
    _add_settings(parser)
    parser.add_argument(
        "--gpus",
        type=int,
        help="GPUs; 0: all runs on the CPU (default: 1 where the experiment's jobs ask for GPUs, else 0)",
    )
    parser.add_argument(
        "--gpu",
        choices=["a100", "h100", "rtx4090"],
        help="the model for which GPU stages are estimated where none was measured (default: each of them)",
    )
    parser.add_argument("--cores", type=int, help="CPU cores (default: those of this machine)")
    parser.add_argument("--rates", type=Path, help="table of throughputs (default: the one that comes with ignet)")
    parser.add_argument("--json", action="store_true", help="for scripts")
    parser.set_defaults(run=_plan)


def _plan(args: argparse.Namespace) -> int:
    from ignet.config.base import read_yaml
    from ignet.workflow.costs import GPUS, TABLE, read_rates
    from ignet.workflow.dag import first_plan
    from ignet.workflow.experiment import load_experiment
    from ignet.workflow.facts import data_facts
    from ignet.workflow.plan import make_plan
    from ignet.workflow.plan_text import plan_text

    gpus, cores = args.gpus, args.cores or os.cpu_count() or 1
    if (gpus or 0) < 0 or cores < 1:
        raise IgnetError(f"plan: found --gpus {gpus} --cores {cores}, expected 0 or more GPUs and at least one core")
    name, files = " ".join(map(str, args.configfile)), [str(file.absolute()) for file in args.configfile]
    for file in args.configfile:
        read_yaml(file)  # what it says of a file that is none is clearer than what Snakemake does
    rates = read_rates(args.rates or TABLE)
    first = first_plan(["--configfile", *files, *(["--config", *args.config] if args.config else [])])
    experiment = load_experiment(first.config, name)
    gpus = min(experiment.execution.gpus, 1) if gpus is None else gpus
    models = [name for name in GPUS if args.gpu in (None, name.lower().replace(" ", ""))]
    plan = make_plan(first.schedule, experiment, data_facts(experiment), rates, gpus, cores, models)
    print(json.dumps(plan.as_json(), indent=2) if args.json else plan_text(plan, name))
    return 0


def add_why(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``ignet why``."""
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


def _add_settings(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config",
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY=VALUE",
        help="single settings, as for snakemake",
    )
