"""What an experiment costs before it runs: jobs, hours, wall time on given machines, disk.

Pure: settings, facts and rates in.
"""

import heapq
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ignet.config.experiment import ExperimentConfig
from ignet.workflow.costs import Cost, Rate, cost
from ignet.workflow.facts import Facts
from ignet.workflow.jobs import GPU_RULES, Job, plan_jobs
from ignet.workflow.work import DISK_KINDS, Workload

CPU, GPU = "cpu", "cuda"
Graph = Mapping[Job, tuple[Job, ...]]


@dataclass(frozen=True)
class Stage:
    """All jobs of one rule.

    Attributes:
        rule: the rule.
        jobs: how many.
        device: cpu or cuda: where they run.
        seconds: all of them, one after the other; what is not measured counts as 0.
        costs: the parts of the jobs' work.
    """

    rule: str
    jobs: int
    device: str
    seconds: float
    costs: tuple[Cost, ...]

    @property
    def bases(self) -> tuple[str, ...]:
        """How the time is known, see `ignet.workflow.costs.Cost`; each once."""
        return tuple(sorted({cost.basis for cost in self.costs}))


@dataclass(frozen=True)
class Plan:
    """An experiment's cost.

    Attributes:
        stages: one a rule, in the order in which the workflow reaches them.
        gpus: GPUs that the jobs of `GPU_RULES` run on, one each; 0: these run on cores.
        cores: CPU cores for all other jobs, one each.
        wall: seconds from start to end, by list scheduling: a free machine takes the waiting job with the longest path
            behind it.
        longest_path: seconds that no number of machines can undercut.
        disk: bytes by kind, see `DISK_KINDS`; the training state at its peak.
        facts: the data that was counted.
    """

    stages: tuple[Stage, ...]
    gpus: int
    cores: int
    wall: float
    longest_path: float
    disk: dict[str, float]
    facts: Facts

    @property
    def jobs(self) -> int:
        """Number of jobs."""
        return sum(stage.jobs for stage in self.stages)

    def seconds(self, device: str) -> float:
        """Time of all jobs that run on a device."""
        return sum(stage.seconds for stage in self.stages if stage.device == device)

    def rules(self, basis: str) -> list[str]:
        """Rules of which some work is known in this way."""
        return [stage.rule for stage in self.stages if basis in stage.bases]

    @property
    def rates(self) -> list[Rate]:
        """The measured rows that the plan rests on."""
        used = [cost.rate for stage in self.stages for cost in stage.costs if cost.rate]
        return list({rate.key: rate for rate in used}.values())

    def as_json(self) -> dict[str, Any]:
        """Plain values; hours of GPUs only where a GPU was measured."""
        borrowed = self.rules("other device")
        hours = self.seconds(GPU) / 3600
        return {
            "jobs": {stage.rule: stage.jobs for stage in self.stages},
            "stages": {
                stage.rule: {"device": stage.device, "hours": stage.seconds / 3600, "basis": list(stage.bases)}
                for stage in self.stages
            },
            "gpus": self.gpus,
            "cores": self.cores,
            "gpu_hours": None if borrowed else hours,
            "gpu_jobs_at_the_rate_of_one_cpu_thread_hours": hours if borrowed else None,
            "cpu_hours": self.seconds(CPU) / 3600,
            "wall_hours": self.wall / 3600,
            "longest_path_hours": self.longest_path / 3600,
            "other_device": borrowed,
            "not_measured": self.rules("not measured"),
            "disk_bytes": {kind: round(size) for kind, size in self.disk.items()},
            "data": {
                "frames": self.facts.frames,
                "source_images": self.facts.source_images,
                "notes": list(self.facts.notes),
            },
        }


def make_plan(experiment: ExperimentConfig, facts: Facts, rates: Sequence[Rate], gpus: int, cores: int) -> Plan:
    """Plan a first run of an experiment.

    Args:
        experiment: validated settings.
        facts: what its data holds.
        rates: measured throughputs.
        gpus: number of GPUs; 0: none.
        cores: number of CPU cores, at least 1.
    """
    graph, workload = plan_jobs(experiment), Workload(experiment, facts)
    device = {job: GPU if gpus and job.rule in GPU_RULES else CPU for job in graph}
    costs = {job: tuple(cost(work, rates, device[job]) for work in workload.of(job)) for job in graph}
    seconds = {job: _seconds(parts) for job, parts in costs.items()}
    depth = _depths(graph)
    stages = tuple(
        Stage(rule, count, CPU if rule not in GPU_RULES or not gpus else GPU, *_together(rule, seconds, costs))
        for rule, count in sorted(Counter(job.rule for job in graph).items(), key=lambda item: depth[item[0]])
    )
    machines = {GPU: gpus, CPU: cores}
    wall = list_schedule(graph, seconds, device, machines)
    return Plan(
        stages, gpus, cores, wall, max(paths(graph, seconds).values()), _disk(graph, workload, gpus or cores), facts
    )


def paths(graph: Graph, seconds: Mapping[Job, float]) -> dict[Job, float]:
    """Time from the start of each job to the end of the longest chain of jobs behind it, itself included."""
    behind: dict[Job, float] = {}
    # readers stand behind their inputs, so backwards all readers of a job are done before it
    after: dict[Job, float] = defaultdict(float)
    for job in reversed(list(graph)):
        behind[job] = seconds[job] + after[job]
        for each in graph[job]:
            after[each] = max(after[each], behind[job])
    return behind


def list_schedule(
    graph: Graph, seconds: Mapping[Job, float], device: Mapping[Job, str], machines: Mapping[str, int]
) -> float:
    """Time from start to end when each free machine takes the ready job with the longest path behind it.

    Args:
        graph: what each job waits for.
        seconds: of each job.
        device: the kind of machine that each job needs.
        machines: how many there are of each kind.
    """
    priority = paths(graph, seconds)
    order = {job: number for number, job in enumerate(graph)}
    waits = {job: len(found) for job, found in graph.items()}
    readers: dict[Job, list[Job]] = defaultdict(list)
    for job, found in graph.items():
        for each in found:
            readers[each].append(job)
    ready: dict[str, list[tuple[float, int, Job]]] = {kind: [] for kind in machines}
    running: list[tuple[float, int, Job]] = []
    free, now = dict(machines), 0.0

    def release(job: Job) -> None:
        heapq.heappush(ready[device[job]], (-priority[job], order[job], job))

    for job, count in waits.items():
        if not count:
            release(job)
    while any(ready.values()) or running:
        for kind, queue in ready.items():
            while queue and free[kind]:
                _, number, job = heapq.heappop(queue)
                free[kind] -= 1
                heapq.heappush(running, (now + seconds[job], number, job))
        now, _, done = heapq.heappop(running)
        free[device[done]] += 1
        for job in readers[done]:
            waits[job] -= 1
            if not waits[job]:
                release(job)
    return now


def _seconds(parts: Sequence[Cost]) -> float:
    return max(part.start for part in parts) + sum(part.seconds or 0.0 for part in parts)


def _depths(graph: Graph) -> dict[str, int]:
    """Jobs in the longest chain up to the first job of each rule: the order in which the workflow reaches the rules."""
    depth: dict[Job, int] = {}
    for job, found in graph.items():
        depth[job] = 1 + max((depth[each] for each in found), default=0)
    return {rule: min(depth[job] for job in graph if job.rule == rule) for rule in {job.rule for job in graph}}


def _together(
    rule: str, seconds: Mapping[Job, float], costs: Mapping[Job, tuple[Cost, ...]]
) -> tuple[float, tuple[Cost, ...]]:
    jobs = [job for job in seconds if job.rule == rule]
    return sum(seconds[job] for job in jobs), tuple(part for job in jobs for part in costs[job])


def _disk(graph: Graph, workload: Workload, trainings: int) -> dict[str, float]:
    left = [workload.disk(job) for job in graph]
    total = {kind: sum(each.get(kind, 0.0) for each in left) for kind in DISK_KINDS}
    states = sorted((each.get("training state", 0.0) for each in left), reverse=True)
    total["training state"] = sum(states[:trainings])  # at most so many train at the same time
    return {kind: size for kind, size in total.items() if size}
