"""The ``ignet`` command: what a person does outside the workflow."""

import argparse
import os
import sys

from ignet import __version__
from ignet.cli.completion import add_completion
from ignet.cli.data import add_data_commands
from ignet.cli.doctor import add_doctor
from ignet.cli.plan import add_plan, add_why
from ignet.cli.predict import add_predict
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
    add_doctor(commands.add_parser("doctor", help="versions, sparse engines, devices, and what is missing"))
    add_predict(
        commands.add_parser("predict", help="classes of the points of scans, from the weights and the scans alone")
    )
    add_why(commands.add_parser("why", help="what the workflow would run again, and what changed"))
    add_plan(
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
