"""How far a call of the workflow is, from its files alone: what is done, what runs, how long the rest will take."""

import csv
import os
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ignet.config.experiment import ExperimentConfig
from ignet.workflow.costs import Rate, cost
from ignet.workflow.facts import Facts
from ignet.workflow.lock import LOCK
from ignet.workflow.plan import CPU, list_schedule
from ignet.workflow.schedule import Schedule, Scheduled
from ignet.workflow.work import Workload

DONE, RUNNING, WAITING, STOPPED = "done", "running", "waiting", "stopped"
_STEPS = re.compile(r"(\d+)/(\d+), about (\d+) s left")
_TAIL = 4000  # bytes of a log that hold its last lines


@dataclass(frozen=True)
class JobProgress:
    """One job.

    Attributes:
        job: the job.
        state: done, running, waiting, or stopped: begun by a workflow that is no more.
        share: of it that is done, 0..1, as far as its log tells.
        seconds: it took, where it is done and its time was recorded; while it runs, since its start.
        left: seconds that its log foretells; None where it foretells none.
        words: the last line of its log.
    """

    job: Scheduled
    state: str
    share: float = 0.0
    seconds: float | None = None
    left: float | None = None
    words: str = ""


@dataclass(frozen=True)
class Progress:
    """A whole call.

    Attributes:
        alive: the workflow runs.
        jobs: all of them, those too that needed not run.
        left: seconds until the end; None where it does not run.
        guessed: rules that wait, have not run here before, and whose time comes from the table of throughputs, or is
            not known.
    """

    alive: bool
    jobs: tuple[JobProgress, ...]
    left: float | None
    guessed: tuple[str, ...]


def look(
    schedule: Schedule,
    results: Path,
    rates: Sequence[Rate],
    facts: Facts | None,
    experiment: ExperimentConfig,
    now: float,
) -> Progress:
    """Read the state of every job and foretell the end.

    Args:
        schedule: of the call.
        results: folder of the results.
        rates: measured throughputs, for rules that have not run here.
        facts: size of the data; none where the data cannot be counted.
        experiment: the settings.
        now: the time, in seconds since 1970.
    """
    alive = is_locked(results / LOCK)
    folder = Path(schedule.directory)
    jobs = tuple(job_progress(job, folder, schedule.started, alive, now) for job in schedule.jobs)
    if not alive:
        return Progress(False, jobs, None, ())
    known = measured_seconds(jobs, folder)
    workload = Workload(experiment, facts) if facts else None
    left, guessed = {}, set()
    for number, found in enumerate(jobs):
        if found.state == DONE:
            continue
        if found.left is not None:
            left[number] = found.left
            continue
        expected = known.get(_key(found.job), known.get(found.job.rule))
        if expected is None:
            guessed.add(found.job.rule)
            expected = _from_table(found.job, workload, rates)
        spent = (found.seconds or 0.0) if found.state == RUNNING else 0.0
        left[number] = max(expected - spent, 1.0)
    return Progress(True, jobs, _end(schedule, left), tuple(sorted(guessed)))


def job_progress(job: Scheduled, folder: Path, started: float, alive: bool, now: float) -> JobProgress:
    """State of one job.

    Args:
        job: the job.
        folder: working directory of the workflow.
        started: when the call began; what is older was made before. In seconds since 1970, as ``now``.
        alive: the workflow runs.
        now: the time.
    """
    if not job.needed or _made(job, folder, started):
        return JobProgress(job, DONE, 1.0, _recorded(folder / job.benchmark) if job.benchmark else None)
    log = folder / job.log
    # Snakemake removes a log before the job that writes it; a second of leave for coarse clocks of file systems
    if not job.log or not log.exists() or log.stat().st_mtime < started - 1:
        return JobProgress(job, WAITING)
    words = _tail(log)
    steps = [match for line in words if (match := _STEPS.search(line))]
    share, left = 0.0, None
    if steps:
        done, total, foretold = map(int, steps[-1].groups())
        share, left = done / max(total, 1), max(foretold - (now - log.stat().st_mtime), 1.0)
    began = log.stat().st_ctime if not words else _began(log)
    state = RUNNING if alive else STOPPED
    return JobProgress(job, state, share, max(now - began, 0.0), left if alive else None, words[-1] if words else "")


def measured_seconds(jobs: Sequence[JobProgress], folder: Path) -> dict[str, float]:
    """Seconds of jobs that have run here: of each by rule and run or network, and the mean of each rule by its name."""
    by_key: dict[str, list[float]] = {}
    for found in jobs:
        seconds = (
            found.seconds
            if found.state == DONE
            else _recorded(folder / found.job.benchmark)
            if found.job.benchmark
            else None
        )
        if seconds is not None:
            for key in {found.job.rule, _key(found.job)}:
                by_key.setdefault(key, []).append(seconds)
    return {key: sum(values) / len(values) for key, values in by_key.items()}


def is_locked(path: Path) -> bool:
    """Whether a process of this machine locks a file.

    Asked of the kernel: to try the lock could keep a workflow from starting.
    """
    try:
        status, table = path.stat(), Path("/proc/locks").read_text(encoding="utf-8")
    except OSError:
        return False
    device = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    return any(device in line.split() for line in table.splitlines())


def _end(schedule: Schedule, left: Mapping[int, float]) -> float:
    """Seconds until all is done: each free slot takes the waiting job with the longest path behind it."""
    graph = {number: [other for other in schedule.jobs[number].after if other in left] for number in sorted(left)}
    return list_schedule(graph, left, dict.fromkeys(graph, CPU), {CPU: max(schedule.slots, 1)})


def _from_table(job: Scheduled, workload: Workload | None, rates: Sequence[Rate]) -> float:
    if workload is None:
        return 0.0
    parts = [cost(work, rates, CPU) for work in workload.units(job)]
    return max((part.start for part in parts), default=0.0) + sum(part.seconds or 0.0 for part in parts)


def _key(job: Scheduled) -> str:
    return " ".join([job.rule, job.wildcards.get("run", ""), job.wildcards.get("network", "")])


def _made(job: Scheduled, folder: Path, started: float) -> bool:
    """All outputs are there, and none is older than the call."""
    times = []
    for path in (folder / output for output in job.outputs):
        stamp = path / ".snakemake_timestamp" if path.is_dir() else path
        if not stamp.exists():
            return False
        # what comes from a cache is a new link to an old file
        times.append(max(stamp.stat().st_mtime, path.lstat().st_mtime if path.is_symlink() else 0.0))
    return bool(times) and min(times) >= started - 1


def _recorded(path: Path) -> float | None:
    """Wall seconds of a benchmark file's last row."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return float(list(csv.DictReader(file, delimiter="\t"))[-1]["s"])
    except (OSError, ValueError, KeyError, IndexError):
        return None  # not there yet, or being written


def _tail(log: Path) -> list[str]:
    with log.open("rb") as file:
        file.seek(max(file.seek(0, os.SEEK_END) - _TAIL, 0))
        text = file.read().decode(errors="replace")
    return [line.strip() for line in text.splitlines() if line.strip()]


def _began(log: Path) -> float:
    """Time of the first line of a log, which says it as HH:MM:SS; the day is that of the file, or the day before."""
    with log.open(errors="replace", encoding="utf-8") as file:
        match = re.match(r"(\d\d):(\d\d):(\d\d) ", file.readline())
    last = log.stat().st_mtime
    if not match:
        return last
    hours, minutes, seconds = map(int, match.groups())
    day = time.localtime(last)
    began = time.mktime((*day[:3], hours, minutes, seconds, *day[6:8], -1))
    return began if began <= last + 1 else began - 86400
