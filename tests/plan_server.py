"""Many plans from one start: Snakemake and other people's packages are loaded once, then a process is split off for
each request. Where all are of one project, its code is hashed once, too.

Standard input: a JSON list of requests, each a list of the project's folder, the file to write and Snakemake's
arguments.
"""

import json
import os
import sys
from pathlib import Path

# loaded for the processes that are split off; nothing of the project, of which each may have another copy
import cv2  # noqa: F401
import grimp  # noqa: F401
import h5py  # noqa: F401
import pydantic  # noqa: F401
import scipy.spatial  # noqa: F401
import smart_open  # noqa: F401
import snakemake.api
import snakemake.cli

snakemake.cli.get_argument_parser()  # loads the plug-ins


def load(project: str) -> None:
    """The packages and the hashes of a project."""
    sys.path.insert(0, project)
    from ignet.stage.identity import code_hash
    from ignet.workflow.experiment import load_experiment  # noqa: F401

    for script in Path(project, "workflow", "scripts").glob("*.py"):
        code_hash(script)


def answer(project: str, out: str, arguments: list[str]) -> bool:
    """Write one plan; whether Snakemake ended without a fault."""
    if project not in sys.path:
        sys.path.insert(0, project)
    from ignet.workflow import dag

    assert Path(dag.__file__).is_relative_to(Path(project).resolve())
    return dag.request_plan(dag.Request(out, "--forceall" in arguments), arguments)


def main() -> None:
    requests = json.load(sys.stdin)
    projects = {project for project, *_ in requests}
    if len(projects) == 1:
        load(*projects)
    room = os.cpu_count() or 1
    for project, out, *arguments in requests:
        if room == 0:
            os.wait()
            room += 1
        if os.fork() == 0:
            sys.exit(not answer(project, out, arguments))
        room -= 1
    while True:
        try:
            os.wait()
        except ChildProcessError:
            return


if __name__ == "__main__":
    main()
