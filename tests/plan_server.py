"""Many plans from one start: Snakemake is loaded and the code hashed once, then a process is split off for each
request.

Standard input: a JSON list of requests, each a list of the file to write and Snakemake's arguments.
"""

import json
import os
import sys
from pathlib import Path

import snakemake.api
import snakemake.cli  # noqa: F401  loaded for the processes that are split off

from ignet.stage.identity import code_hash
from ignet.workflow.dag import Request, request_plan
from ignet.workflow.experiment import load_experiment  # noqa: F401

SCRIPTS = Path(__file__).parents[1] / "workflow" / "scripts"


def main() -> None:
    for script in SCRIPTS.glob("*.py"):
        code_hash(script)
    room = os.cpu_count() or 1
    for out, *arguments in json.load(sys.stdin):
        if room == 0:
            os.wait()
            room += 1
        if os.fork() == 0:
            sys.exit(not request_plan(Request(out, "--forceall" in arguments), arguments))
        room -= 1
    while True:
        try:
            os.wait()
        except ChildProcessError:
            return


if __name__ == "__main__":
    main()
