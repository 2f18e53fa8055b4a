"""What an experiment costs before it runs: jobs, hours, wall time on given machines, disk.

Pure: jobs, settings, facts and rates in.
"""

import heapq
from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from ignet.config.execution import GPU_STAGES
from ignet.config.experiment import ExperimentConfig
from ignet.workflow.costs import GPUS, Cost, Rate, cost
from ignet.workflow.experiment import network_title
from ignet.workflow.facts import Facts
from ignet.workflow.schedule import Scheduled
from ignet.workflow.work import DISK_KINDS, Workload

CPU, GPU = "cpu", "cuda"
Range = tuple[float, float]
"""Seconds at best and at worst; equal where nothing is estimated."""
J = TypeVar("J", bound=Hashable)


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
    seconds: Range
    costs: tuple[Cost, ...]

    @property
    def bases(self) -> tuple[str, ...]:
        """How the time is known, see `ignet.workflow.costs.Cost`; each once."""
        return tuple(sorted({cost.basis for cost in self.costs}))


@dataclass(frozen=True)
class Times:
    """How long an experiment takes.

    Attributes:
        gpu: the GPU of `GPUS` for which unmeasured stages are estimated; '' where there is no such stage.
        stages: one a rule, in the order in which the workflow reaches them.
        wall: from start to end, by list scheduling: a free machine takes the waiting job with the longest path behind
            it.
        longest_path: what no number of machines can undercut.
    """

    gpu: str
    stages: tuple[Stage, ...]
    wall: Range
    longest_path: Range

    def on(self, device: str) -> Range:
        """Time of all jobs that run on a device."""
        own = [stage.seconds for stage in self.stages if stage.device == device]
        return sum(low for low, _ in own), sum(high for _, high in own)

    def as_json(self) -> dict[str, Any]:
        """Plain values in hours: a number, or where something is estimated [at best, at worst]."""
        return {
            "stages": {
                stage.rule: {"device": stage.device, "hours": _hours(stage.seconds), "basis": list(stage.bases)}
                for stage in self.stages
            },
            "gpu_hours": _hours(self.on(GPU)),
            "cpu_hours": _hours(self.on(CPU)),
            "wall_hours": _hours(self.wall),
            "longest_path_hours": _hours(self.longest_path),
        }


@dataclass(frozen=True)
class Plan:
    """An experiment's cost.

    Attributes:
        times: one, or where stages of GPUs are estimated one for each model that was asked for.
        gpus: GPUs that the jobs of `GPU_STAGES` run on, one each; 0: these run on cores.
        cores: CPU cores for all other jobs, one each.
        disk: bytes by kind, see `DISK_KINDS`; the training state at its peak.
        facts: the data that was counted.
        networks: 3D networks that the runs train.
    """

    times: tuple[Times, ...]
    gpus: int
    cores: int
    disk: dict[str, float]
    facts: Facts
    networks: tuple[str, ...]

    @property
    def stages(self) -> tuple[Stage, ...]:
        """One a rule, with the times on the first GPU."""
        return self.times[0].stages

    @property
    def jobs(self) -> int:
        """Number of jobs."""
        return sum(stage.jobs for stage in self.stages)

    def rules(self, basis: str) -> list[str]:
        """Rules of which some work is known in this way."""
        return [stage.rule for stage in self.stages if basis in stage.bases]

    @property
    def rates(self) -> list[Rate]:
        """The measured rows that the plan rests on."""
        used = [cost.rate for stage in self.stages for cost in stage.costs if cost.rate]
        return list({rate.key: rate for rate in used}.values())

    def as_json(self) -> dict[str, Any]:
        """Plain values; what is estimated stands by the GPU under ``estimated`` and nowhere else."""
        estimated = self.rules("estimate")
        return {
            "jobs": {stage.rule: stage.jobs for stage in self.stages},
            "networks_3d": list(self.networks),
            "gpus": self.gpus,
            "cores": self.cores,
            **({} if estimated else self.times[0].as_json()),
            "estimated": {times.gpu: times.as_json() for times in self.times} if estimated else {},
            "not_measured": self.rules("not measured"),
            "disk_bytes": {kind: round(size) for kind, size in self.disk.items()},
            "data": {
                "frames": self.facts.frames,
                "source_images": self.facts.source_images,
                "notes": list(self.facts.notes),
            },
        }


def make_plan(
    jobs: Sequence[Scheduled],
    experiment: ExperimentConfig,
    facts: Facts,
    rates: Sequence[Rate],
    gpus: int,
    cores: int,
    models: Sequence[str] = tuple(GPUS),
) -> Plan:
    """Plan a first run of an experiment.

    Args:
        jobs: all of the experiment, each after those that it waits for.
        experiment: validated settings.
        facts: what its data holds.
        rates: measured throughputs.
        gpus: number of GPUs; 0: none.
        cores: number of CPU cores, at least 1.
        models: the GPUs of `GPUS` for which unmeasured stages are estimated.
    """
    workload = Workload(experiment, facts)
    graph = {number: job.after for number, job in enumerate(jobs)}
    device = {number: GPU if gpus and job.rule in GPU_STAGES else CPU for number, job in enumerate(jobs)}
    works = [workload.units(job) for job in jobs]
    depth: list[int] = []  # jobs in the longest chain up to each
    for job in jobs:
        depth.append(1 + max((depth[other] for other in job.after), default=0))
    rules = sorted(
        {job.rule for job in jobs},
        key=lambda rule: min(d for d, job in zip(depth, jobs, strict=True) if job.rule == rule),
    )

    def times(gpu: str) -> Times:
        ends = []
        for best in (True, False):
            costs = [
                tuple(cost(work, rates, device[number], gpu, best) for work in parts)
                for number, parts in enumerate(works)
            ]
            ends.append((costs, {number: _seconds(parts) for number, parts in enumerate(costs)}))
        stages = []
        for rule in rules:
            own = [number for number, job in enumerate(jobs) if job.rule == rule]
            low, high = (sum(seconds[number] for number in own) for _, seconds in ends)
            known = tuple(part for number in own for part in ends[0][0][number])
            stages.append(Stage(rule, len(own), device[own[0]], (low, high), known))
        wall = [list_schedule(graph, seconds, device, {GPU: gpus, CPU: cores}) for _, seconds in ends]
        longest = [max(paths(graph, seconds).values(), default=0.0) for _, seconds in ends]
        return Times(gpu, tuple(stages), (wall[0], wall[1]), (longest[0], longest[1]))

    found = [times(models[0])]
    if any("estimate" in stage.bases for stage in found[0].stages):
        found += [times(gpu) for gpu in models[1:]]
    networks = tuple(dict.fromkeys(network_title(experiment.run(run).backbone) for run in experiment.runs))
    return Plan(tuple(found), gpus, cores, _disk(jobs, workload, gpus or cores), facts, networks)


def paths(graph: Mapping[J, Sequence[J]], seconds: Mapping[J, float]) -> dict[J, float]:
    """Time from the start of each job to the end of the longest chain of jobs behind it, itself included."""
    behind: dict[J, float] = {}
    # readers stand behind their inputs, so backwards all readers of a job are done before it
    after: dict[J, float] = defaultdict(float)
    for job in reversed(list(graph)):
        behind[job] = seconds[job] + after[job]
        for each in graph[job]:
            after[each] = max(after[each], behind[job])
    return behind


def list_schedule(
    graph: Mapping[J, Sequence[J]], seconds: Mapping[J, float], device: Mapping[J, str], machines: Mapping[str, int]
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
    readers: dict[J, list[J]] = defaultdict(list)
    for job, found in graph.items():
        for each in found:
            readers[each].append(job)
    ready: dict[str, list[tuple[float, int, J]]] = {kind: [] for kind in machines}
    running: list[tuple[float, int, J]] = []
    free, now = dict(machines), 0.0

    def release(job: J) -> None:
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


def _disk(jobs: Sequence[Scheduled], workload: Workload, trainings: int) -> dict[str, float]:
    left = [workload.disk(job) for job in jobs]
    total = {kind: sum(each.get(kind, 0.0) for each in left) for kind in DISK_KINDS}
    states = sorted((each.get("training state", 0.0) for each in left), reverse=True)
    total["training state"] = sum(states[:trainings])  # at most so many train at the same time
    return {kind: size for kind, size in total.items() if size}


def _hours(seconds: Range) -> float | list[float]:
    low, high = (each / 3600 for each in seconds)
    return low if low == high else [low, high]
