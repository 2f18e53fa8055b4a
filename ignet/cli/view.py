"""The command ``ignet view``."""

import argparse
import json
import webbrowser
from pathlib import Path

from ignet.errors import IgnetError


def add_view(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "results",
        nargs="?",
        type=Path,
        help="folder of results (default: of those below results/, the one started last)",
    )
    parser.add_argument("--no-browser", action="store_true", help="print the address and open nothing")
    parser.add_argument("--port", type=_port, default=0, help="port on this machine (default: a free one)")
    parser.add_argument("--json", action="store_true", help="print the address as JSON, for scripts")
    parser.set_defaults(run=view)


def view(args: argparse.Namespace) -> int:
    """Serve the view until it is interrupted.

    Raises:
        IgnetError: there are no results, or the port is taken.
    """
    from ignet.view.server import HOST, make_server
    from ignet.workflow.schedule import read_schedule

    results = args.results or latest(Path("results"))
    read_schedule(results)
    with make_server(results, args.port) as server:
        address = f"http://{HOST}:{server.server_address[1]}/"
        plain = f"{results}: {address} (this machine alone; Ctrl-C ends it)"
        print(json.dumps({"results": str(results), "address": address}) if args.json else plain, flush=True)
        if not args.no_browser:
            webbrowser.open(address)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()
    return 0


def _port(text: str) -> int:
    if not (text.isdecimal() and int(text) < 65536):
        raise argparse.ArgumentTypeError(f"found {text}, expected a number from 0 to 65535")
    return int(text)


def latest(below: Path) -> Path:
    """The folder of results whose workflow was started last.

    Raises:
        IgnetError: none was.
    """
    from ignet.workflow.schedule import FILE

    schedules = sorted(below.rglob(FILE), key=lambda path: path.stat().st_mtime) if below.is_dir() else []
    if not schedules:
        raise IgnetError(
            f"{below}: found no results of a workflow that was started, expected {FILE} in a folder below it; give "
            "its path"
        )
    return schedules[-1].parents[1]
