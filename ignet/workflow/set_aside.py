"""Finished trainings that a call of the workflow makes again are set aside before Snakemake removes them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ignet.train.finished import allow_restoring, set_aside


def set_trainings_aside(dag: Any, states: Mapping[str, Path]) -> list[str]:
    """Keep the outputs of those trainings that are to run and whose outputs are there and finished.

    Args:
        dag: Snakemake's graph of jobs.
        states: rule of a training -> folder of its states.

    Returns:
        Rule and wildcards of what was set aside.

    Raises:
        IgnetError: the folder of the states cannot be written to.
    """
    for state in states.values():
        allow_restoring(state)
    records, kept = dag.workflow.persistence, []
    for job in dag.needrun_jobs():
        if job.rule.name not in states or any(records.metadata(output) is None for output in job.output):
            continue
        outputs = [Path(job.output.model), Path(job.output.metrics), Path(job.output.curves)]
        # who asks for a training with --forcerun wants it to be done, and not its last result
        if set_aside(states[job.rule.name], outputs, again=bool(dag.reason(job).forced)):
            kept.append(
                " ".join([job.rule.name, *(f"{key}={value}" for key, value in sorted(job.wildcards_dict.items()))])
            )
    return sorted(kept)
