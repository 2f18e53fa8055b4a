"""What a scheduler's jobs need to know: when they have to end, and which ran out of memory."""

import os
import re
import time
from collections.abc import Iterable
from pathlib import Path

from ignet.errors import IgnetError

SAFETY, SAFETY_S = 0.2, 300.0
"""How long before a time limit a training stops: this share of the limit, at most so many seconds."""

KILLED = re.compile(r"oom-kill event|oom_kill event|Out Of Memory|Exceeded job memory limit|exceeded memory limit")
"""What SLURM writes into a job's log when the job had too little memory (versions 20 to 24)."""


def out_of_memory(logs: Path, since: float = 0.0) -> list[str]:
    """One line for each job that was killed because it had too little memory.

    Args:
        logs: folder of the SLURM plugin's logs, ``rule_NAME/[wildcards/]JOBID.log`` or ``group_NAME_NAME/JOBID.log``.
        since: only logs that were written after this time (seconds since 1970).

    Returns:
        Lines that name the job and the setting to raise; none where there are no such logs.
    """
    lines = []
    for path in sorted(logs.rglob("*.log"), key=lambda path: path.stat().st_mtime):
        if path.stat().st_mtime >= since and KILLED.search(path.read_text(errors="replace", encoding="utf-8")):
            kind, _, name = path.relative_to(logs).parts[0].partition("_")
            stage = name if kind == "rule" else name.partition("_")[2]
            lines.append(
                f"out of memory: SLURM killed job {path.stem} ({stage}); retries asked for more; "
                f"raise execution.stages.{stage}.mem_mb in the experiment file ({path})"
            )
    return lines


def deadline(max_minutes: float | None, job_start: float | None = None) -> float | None:
    """When a training has to save and exit, in seconds since 1970; none without a limit.

    Args:
        max_minutes: time limit of the scheduler's job.
        job_start: when the job started, in seconds since 1970; none: with this process.
    """
    if max_minutes is None:
        return None
    limit = max_minutes * 60
    return (process_start() if job_start is None else job_start) + limit - min(SAFETY * limit, SAFETY_S)


def process_start() -> float:
    """When this process started, in seconds since 1970."""
    ticks = (
        Path("/proc/self/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[19]
    )  # field 22 of proc(5), in clock ticks after boot
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + int(ticks) / os.sysconf("SC_CLK_TCK")


def check_places(program: str, paths: Iterable[str], arguments: Iterable[str] = ()) -> None:
    """Refuse what does not reach the jobs of a scheduler as it is.

    Snakemake writes a job's command line with Python's ``repr``, and the SLURM plugin puts that into quotes once more.

    Args:
        program: Python's executable, which is not put into quotes at all.
        paths: what jobs are told of: results, the working directory, the project's own folder.
        arguments: of ``--config``.

    Raises:
        IgnetError: one of them is changed, or ends the command line, on its way.
    """
    if not re.fullmatch(r"[\w./+@%:,=-]+", program):
        raise IgnetError(
            f"{program}: a path with white space or a shell's own characters, expected letters, digits and "
            "._+@%:,=-/ where the jobs of a "
            "cluster run it; put the project, or its .venv, into a folder of another name"
        )
    for path in paths:
        if found := [character for character in "'\"$`\\" if character in path]:
            raise IgnetError(
                f"{path}: found {' '.join(found)}, expected none of ' \" $ ` \\ in a path that the jobs of a cluster "
                "are told of; rename it"
            )
    for argument in arguments:
        if any(character in argument for character in "$`\\") or ("'" in argument and '"' in argument):
            raise IgnetError(
                f"--config {argument}: expected no $ ` \\ and one kind of quotes at most, since it is handed on to "
                "the jobs of a cluster; put it into an experiment file"
            )
