"""Every sequence is checked before a job reads it, whatever target was named.

The check of a sequence is no input of the jobs that read it: Snakemake would run all of them again whenever the check
runs again, and with an input that is marked as old it would overlook their other changes. So its jobs are added to the
plan, and the order of the two is a part of this call's plan alone, which no record keeps.
"""

from collections.abc import Callable, Iterable
from typing import Any

from ignet.workflow.internals import start_after

CHECK = "dataset_check"

_MAKERS = {"world_target", CHECK}
"""Rules whose sequence is what they make, or check."""


def sequences_read(job: Any) -> set[str]:
    """The sequences that a job of Snakemake reads: its wildcard ``sequence`` and its param ``sequences``."""
    if job.rule.name in _MAKERS:
        return set()
    named = dict(job.wildcards.items()).get("sequence")
    listed: Iterable[str] = job.params.get("sequences", ())
    return {*listed, *([named] if named else [])}


def add_checks(workflow: Any, file_of: Callable[[str], str]) -> None:
    """Add the checks of all sequences that jobs of the plan read, and let these jobs wait for them.

    A check that is done and up to date stays so. Where a check fails, nothing that waits for it runs.

    Args:
        workflow: Snakemake's, planned.
        file_of: sequence -> the file that its check makes.
    """
    dag = workflow.dag
    readers = {job: found for job in dag.needrun_jobs() if (found := sequences_read(job))}
    checks = {job.wildcards["sequence"]: job for job in dag.jobs if job.rule.name == CHECK}
    wanted = set().union(*readers.values())
    missing = sorted(
        wanted - {sequence for sequence, job in checks.items() if job in dag.targetjobs or _leads_to_a_target(dag, job)}
    )
    if missing:
        workflow.async_run(_add(dag, [file_of(sequence) for sequence in missing]))
        checks = {job.wildcards["sequence"]: job for job in dag.jobs if job.rule.name == CHECK}
    for job, sequences in readers.items():
        for sequence in sequences:
            if dag.needrun(checks[sequence]):
                start_after(dag, job, checks[sequence])


def _leads_to_a_target(dag: Any, job: Any) -> bool:
    return any(other in dag.targetjobs for other in dag.bfs(dag.depending, job))


async def _add(dag: Any, files: Iterable[str]) -> None:
    """Make files targets of a plan, as if they had been named."""
    for file in files:
        job = await dag.update(await dag.file2jobs(file), file=file, create_inventory=True)
        dag.targetfiles.add(file)
        dag.targetjobs.add(job)
    dag.cleanup()
    await dag.check_incomplete()
    await dag.update_needrun(create_inventory=True)
    dag.update_jobids()
