"""The tiny DAG as Snakemake leaves it, without the hours of a real one: empty outputs that it marks as made by the
present rules.

What reruns what depends on Snakemake's records and on times alone, not on what stands in the files; test_workflow.py
looks at a state that was really computed.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

from snakemake_command import snakemake_command

from ignet.workflow.dag import Plan, make_plan, read_plan

ROOT = Path(__file__).parents[1]
CONFIG = ROOT / "config" / "tiny.yaml"


def plan(folder: Path, *arguments: str, project: Path = ROOT, config: Path = CONFIG) -> Plan:
    """What Snakemake would run in ``folder``, with the rules and the code of ``project``."""
    return make_plan(["--configfile", str(config), *arguments], project / "Snakefile", folder)


def first_plans(scratch: Path, wanted: dict[str, tuple[str, ...]]) -> dict[str, Plan]:
    """Plans of all jobs of shipped experiments, without their data: name -> names of files in config/, or changes."""
    arguments = {}
    for name, parts in wanted.items():
        files = [str(ROOT / "config" / f"{part}.yaml") for part in parts if "=" not in part]
        changes = [part for part in parts if "=" in part]
        more = ["--config", *changes] if changes else []
        arguments[name] = (scratch / "none", ("--forceall", "--configfile", *files, *more))
    (scratch / "none").mkdir()
    return plans(scratch, arguments)


def plans(
    scratch: Path, wanted: dict[str, tuple[Path, tuple[str, ...]]], projects: dict[str, Path] | None = None
) -> dict[str, Plan]:
    """Many plans: name -> (folder, arguments), of the project as it is or of the copy named in ``projects``.

    See plan_server.py for how they are made in little time.
    """
    of = {name: (projects or {}).get(name, ROOT) for name in wanted}
    requests = [
        [
            str(of[name]),
            str(scratch / f"{number}.json"),
            "--snakefile",
            str(of[name] / "Snakefile"),
            "--directory",
            str(folder),
            *([] if "--configfile" in more else ["--configfile", str(CONFIG)]),
            *more,
        ]
        for number, (name, (folder, more)) in enumerate(wanted.items())
    ]
    command = [sys.executable, str(Path(__file__).with_name("plan_server.py"))]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, input=json.dumps(requests), capture_output=True, text=True, check=False, env=environment
    )
    missing = [name for name, (_, out, *_) in zip(wanted, requests, strict=True) if not Path(out).exists()]
    assert not missing, (
        missing,
        [line for line in done.stderr.splitlines() if line.startswith(("error", "Traceback"))],
    )
    return {name: read_plan(Path(out)) for name, (_, out, *_) in zip(wanted, requests, strict=True)}


def names(found: Plan) -> set[str]:
    """Rule and the wildcards' values of each job, such as ``predict ignet 0 08``."""
    return {" ".join([job.rule, *(job.wildcards[key] for key in sorted(job.wildcards))]) for job in found.jobs}


def finish(folder: Path, *arguments: str, config: Path = CONFIG) -> Path:
    """Make every output in ``folder`` and let Snakemake take them for finished."""
    for job in plan(folder, *arguments, config=config).jobs:
        for output in job.outputs:
            path = folder / output
            # folders are what the rules declare with directory(): of all outputs those without a suffix
            path.mkdir(parents=True) if not path.suffix else path.parent.mkdir(parents=True, exist_ok=True)
            path.touch() if path.suffix else None
    command = snakemake_command(folder, "--configfile", config)
    done = subprocess.run(
        [str(part) for part in (*command, *arguments, "--touch", "--forceall", "--cores", "1")],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder
