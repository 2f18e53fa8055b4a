"""What a scheduler's own logs say of jobs that it killed: Snakemake sees no more than a job that failed."""

import re
from pathlib import Path

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
        if path.stat().st_mtime >= since and KILLED.search(path.read_text(errors="replace")):
            kind, _, name = path.relative_to(logs).parts[0].partition("_")
            stage = name if kind == "rule" else name.partition("_")[2]
            lines.append(
                f"out of memory: SLURM killed job {path.stem} ({stage}); retries asked for more; "
                f"raise execution.stages.{stage}.mem_mb in the experiment file ({path})"
            )
    return lines
