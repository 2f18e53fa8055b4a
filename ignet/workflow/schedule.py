"""What a call of the workflow has to do, written when it starts: jobs, files and order, for observers."""

import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ignet.errors import IgnetError
from ignet.files.atomic import read_json, write_json

FILE = "progress/schedule.json"
"""In the folder of the results."""

TARGET_RULE = "all"


@dataclass(frozen=True)
class Scheduled:
    """One job of a call.

    Attributes:
        rule: its name.
        wildcards: name -> value; ``network`` is the network's name also where the path has a key.
        needed: it has to run; otherwise its results were there before.
        outputs: files and folders that it makes.
        log: its log; '' for none.
        benchmark: the record of its time; '' for none.
        after: places, in the call's list, of the jobs that it waits for.
    """

    rule: str
    wildcards: dict[str, str]
    needed: bool
    outputs: list[str]
    log: str
    benchmark: str
    after: list[int]

    @property
    def name(self) -> str:
        """Rule and wildcards' values, such as ``predict full 0 08``."""
        return " ".join([self.rule, *(self.wildcards[key] for key in sorted(self.wildcards) if key != "projection")])


@dataclass(frozen=True)
class Schedule:
    """One call of the workflow.

    Attributes:
        started: seconds since 1970.
        slots: jobs that can run at the same time, at most.
        directory: working directory, to which the files' paths are relative.
        experiment: all settings.
        jobs: each after those that it waits for.
    """

    started: float
    slots: int
    directory: str
    experiment: dict[str, Any]
    jobs: tuple[Scheduled, ...]


def record_schedule(results: Path, dag: Any, slots: int, experiment: dict[str, Any]) -> None:
    """Write what this call has to do.

    Args:
        results: folder of the results.
        dag: Snakemake's graph of jobs.
        slots: as in :class:`Schedule`.
        experiment: plain values of all settings.
    """
    jobs = [asdict(job) for job in list_jobs(dag)]
    values = {"started": time.time(), "slots": slots, "directory": os.getcwd(), "experiment": experiment, "jobs": jobs}
    write_json(results / FILE, values)


def list_jobs(dag: Any) -> list[Scheduled]:
    """The jobs of Snakemake's graph, each after those that it waits for, without the target rule's."""
    order = {job: number for number, job in enumerate(in_order(dag))}
    return [_describe(job, dag, order) for job in order]


def in_order(dag: Any) -> list[Any]:
    """Snakemake's jobs but the target rule's in topological order, ties by name: the order is always the same."""
    order: dict[Any, None] = {}

    def visit(jobs: Any) -> None:
        for job in sorted(jobs, key=lambda job: (job.rule.name, str(job.wildcards_dict))):
            if job not in order and job.rule.name != TARGET_RULE:
                visit(dag.dependencies[job])
                order[job] = None

    visit(dag.jobs)
    return list(order)


def read_schedule(results: Path) -> Schedule:
    """What the latest call had to do.

    Raises:
        IgnetError: there is no record of a call, or it is damaged.
    """
    path = results / FILE
    if not path.exists():
        raise IgnetError(
            f"{results}: holds no {FILE}, expected the folder of results of a workflow that was started; give its path"
        )
    values = read_json(path)
    try:
        jobs = tuple(Scheduled(**job) for job in values["jobs"])
        return Schedule(float(values["started"]), int(values["slots"]), values["directory"], values["experiment"], jobs)
    except (KeyError, TypeError, ValueError) as error:
        raise IgnetError(f"{path}: not a record of a workflow's start ({error}); start the workflow again") from None


def _describe(job: Any, dag: Any, order: dict[Any, int]) -> Scheduled:
    wildcards = {key: str(value) for key, value in job.wildcards_dict.items()}
    if "network" in wildcards and isinstance(job.resources.get("network"), str):
        wildcards["network"] = job.resources["network"]
    return Scheduled(
        job.rule.name,
        wildcards,
        bool(dag.needrun(job)),
        [str(path) for path in job.output],
        next((str(path) for path in job.log), ""),
        str(job.benchmark or ""),
        sorted(order[other] for other in dag.dependencies[job] if other in order),
    )
