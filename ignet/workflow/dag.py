"""What Snakemake would run now: its own plan, read as data.

Snakemake prints its plan for people: without the rules' names where rules have messages, and with reasons that are
sentences. So its command line is run in a process of its own, with all that a user may say (profile, configuration,
targets), and a request in the configuration, upon which the workflow writes the jobs of its graph to a file instead of
running them. An attribute that a later Snakemake renames stops this with an error; a parser of printed text would
continue with half of the truth.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ignet.errors import IgnetError
from ignet.workflow.schedule import Scheduled, in_order, list_jobs

PROJECT = Path(__file__).resolve().parents[2]

KEY = "plan_request"
"""Key of a request in the configuration; no experiment file has it."""


@dataclass(frozen=True)
class Request:
    """Asks a process of Snakemake for its plan; outputs without a record are no errors in it.

    Attributes:
        out: the file to write the plan to.
        without_data: the datasets need not be there.
    """

    out: str
    without_data: bool = False


@dataclass(frozen=True)
class Job:
    """One job that Snakemake would run.

    Attributes:
        rule: its name.
        wildcards: name -> value.
        inputs: its input files.
        outputs: its output files.
        params: name -> value as Snakemake compares it, ``repr`` of the value.
        recorded_params: values of the params when the output was made, without names; none: no record of it.
        recorded_inputs: input files when the output was made.
        recorded_command: the shell command that made the output.
        recorded_end: seconds since 1970 at which the output was finished.
        missing: outputs that are not there.
        updated_inputs: inputs that are newer than the output, and that no other job of the plan makes.
        made_inputs: inputs that another job of the plan makes.
        reasons: Snakemake's other reasons: forced, incomplete, command, inputs, params, software. It stops to look for
            more where an input is made again, so compare the recorded values.
    """

    rule: str
    wildcards: dict[str, str]
    inputs: list[str]
    outputs: list[str]
    params: dict[str, str]
    recorded_params: list[str] | None = None
    recorded_inputs: list[str] = field(default_factory=list)
    recorded_command: str = ""
    recorded_end: float = 0.0
    missing: list[str] = field(default_factory=list)
    updated_inputs: list[str] = field(default_factory=list)
    made_inputs: list[str] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Rule and wildcards, such as ``predict run=full seed=0 sequence=08``."""
        return " ".join([self.rule, *(f"{key}={self.wildcards[key]}" for key in sorted(self.wildcards))])


@dataclass(frozen=True)
class Plan:
    """What Snakemake would run.

    Attributes:
        jobs: those that would run, each after those that it waits for, without the target rule.
        config: the whole configuration.
        without_record: outputs that are there and that no job makes again, although nothing says how they were made.
        schedule: the jobs, and those that need not run.
    """

    jobs: list[Job]
    config: dict[str, Any]
    without_record: list[str] = field(default_factory=list)
    schedule: list[Scheduled] = field(default_factory=list)


def first_plan(arguments: Sequence[str]) -> Plan:
    """What Snakemake would run if nothing were there: no results, and not even the datasets.

    Raises:
        IgnetError: Snakemake found a fault; its words are in the message.
    """
    with tempfile.TemporaryDirectory() as empty:
        return make_plan([*arguments, "--forceall"], directory=empty, without_data=True)


def make_plan(
    arguments: Sequence[str] = (),
    snakefile: Path = PROJECT / "Snakefile",
    directory: Path | str = ".",
    without_data: bool = False,
) -> Plan:
    """What Snakemake would run.

    Args:
        arguments: of Snakemake's command line, such as ``--configfile config/demo.yaml``.
        snakefile: the workflow.
        directory: the working directory, to which ``results`` is relative.
        without_data: the datasets need not be there.

    Raises:
        IgnetError: Snakemake found a fault; its words are in the message.
    """
    with tempfile.TemporaryDirectory() as folder:
        request = Request(str(Path(folder, "plan.json")), without_data)
        command = [sys.executable, "-P", "-c", "from ignet.workflow import dag; dag.main()"]
        command += [json.dumps(asdict(request)), "--snakefile", str(snakefile), "--directory", str(directory)]
        # the package of the workflow's own folder, also where another copy of it is installed or lies in the current
        # folder (-P)
        paths = os.pathsep.join(
            part for part in (str(Path(snakefile).resolve().parent), os.getenv("PYTHONPATH", "")) if part
        )
        environment = {**os.environ, "PYTHONPATH": paths}
        done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False, env=environment)
        if done.returncode or not Path(request.out).exists():
            raise IgnetError(f"Snakemake has no plan: {_last_words(done.stderr, done.stdout)}")
        return read_plan(Path(request.out))


def read_plan(path: Path) -> Plan:
    """What ``answer_request`` wrote."""
    values = json.loads(path.read_text(encoding="utf-8"))
    jobs, schedule = [Job(**each) for each in values["jobs"]], [Scheduled(**each) for each in values["schedule"]]
    return Plan(jobs, values["config"], values["without_record"], schedule)


def _last_words(*texts: str) -> str:
    """The reason in what Snakemake said: this project's own line, else its last exception.

    Some exceptions stand in the standard output.
    """
    lines = [line.strip() for text in texts for line in text.splitlines() if line.strip()]
    if own := [line for line in lines if line.startswith("error: ")]:
        return own[0].removeprefix("error: ")
    faults = [number for number, line in enumerate(lines) if re.match(r"\w*(Error|Exception)\b.*:", line)]
    return " ".join(lines[faults[-1] if faults else -5 :][:5]) or "it said nothing"


def _describe(job: Any, dag: Any) -> Job:
    reason, records = dag.reason(job), dag.workflow.persistence
    made = {str(file) for file in reason.updated_input_run}
    recorded = next((entry for entry in map(records.metadata, job.output) if entry is not None), None)
    flags = {
        "forced": reason.forced,
        "incomplete": reason.incomplete_output,
        "command": reason.code_changed,
        "inputs": reason.input_changed,
        "params": reason.params_changed,
        "software": reason.software_stack_changed,
    }
    known = {}
    if recorded is not None:
        known = {
            "recorded_params": recorded.params,
            "recorded_inputs": recorded.input or [],
            "recorded_command": recorded.shellcmd or "",
            "recorded_end": recorded.endtime or 0.0,
        }
    return Job(
        job.rule.name,
        dict(job.wildcards_dict),
        [str(file) for file in job.input],
        [str(file) for file in job.output],
        {name: repr(value) for name, value in job.params.items()},
        missing=sorted(map(str, reason.missing_output)),
        updated_inputs=sorted({str(file) for file in reason.updated_input} - made),
        made_inputs=sorted(made),
        reasons=[name for name, is_so in flags.items() if is_so],
        **known,
    )


def take_request(config: dict[str, Any]) -> Request | None:
    """Take the request out of a configuration; none where the workflow is to run."""
    values = config.pop(KEY, None)
    # nested values of --config come as text
    return Request(values["out"], values["without_data"] == "true") if values else None


def answer_request(request: Request, dag: Any, without_record: list[str]) -> None:
    """Write the plan of Snakemake's graph of jobs, for ``read_plan``."""
    jobs = [_describe(job, dag) for job in in_order(dag) if dag.needrun(job)]
    plan = Plan(jobs, dag.workflow.globals["config"], without_record, list_jobs(dag))
    Path(request.out).write_text(json.dumps(asdict(plan)), encoding="utf-8")


def request_setting(request: Request) -> str:
    """The request as an argument of Snakemake's ``--config``."""
    return f"{KEY}={json.dumps(asdict(request))}"


def request_plan(request: Request, arguments: list[str]) -> bool:
    """Run Snakemake's command line as a dry-run that gets a request; whether it ended without a fault."""
    from snakemake import cli

    parser, args = cli.parse_args(arguments)
    args.config = [*(args.config or []), request_setting(request)]
    # a plan is only read, so it may be asked for while the workflow runs
    args.dryrun, args.nolock = True, True
    return bool(cli.args_to_api(args, parser))


def main() -> None:
    """Answer a request: it and Snakemake's arguments stand on the command line."""
    sys.exit(not request_plan(Request(**json.loads(sys.argv[1])), sys.argv[2:]))
