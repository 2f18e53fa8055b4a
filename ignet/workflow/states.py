"""The states of finished trainings.

They stay until Snakemake has recorded the results, whatever ends it before, and hold the results of trainings that a
call of the workflow makes again, which Snakemake removes.
"""

import logging
import shutil
from collections.abc import Callable, Collection, Iterable, Mapping, Set
from contextlib import suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ignet.files.atomic import file_hash
from ignet.train.finished import FOLDER, allow_restoring, set_aside
from ignet.train.outputs import NOTE, noted_outputs
from ignet.workflow.planned import job_name

LOCK = "lock"


def remove_booked_states(roots: Iterable[Path], recorded: Set[str]) -> list[Path]:
    """Remove the states of finished trainings whose results are there and recorded; returns the states' folders.

    All others stay: those of unfinished trainings, those whose results are gone or were made by another training since,
    and those that a training uses now.

    Args:
        roots: folders of results, which hold ``state/STAGE/IDENTITY``.
        recorded: absolute paths of the outputs that Snakemake has a record of.
    """
    booked = []
    for folder in sorted({note.parent for root in roots for note in root.glob(f"state/*/*/{NOTE}")}):
        outputs = noted_outputs(folder)
        if not outputs.keys() & recorded:
            continue
        lock = FileLock(folder / LOCK)
        with suppress(Timeout, OSError):
            lock.acquire(timeout=0)
            try:
                if all(Path(path).is_file() and file_hash(path) == digest for path, digest in outputs.items()):
                    _empty(folder, outputs.values())
                    booked.append(folder)
            finally:
                lock.release()
    return booked


def _empty(folder: Path, digests: Collection[str]) -> None:
    """Remove a state, but for results that were set aside there and that are not in their place.

    The caller holds its lock.
    """
    kept = folder / FOLDER
    if all(file_hash(weights) in digests for weights in kept.glob("*.safetensors")):
        # under the lock, so that a training that waits for it finds its lock file gone, and makes the folder anew
        shutil.rmtree(folder)
        return
    for path in folder.iterdir():
        if path not in (kept, folder / LOCK):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


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
            kept.append(job_name(job))
    return sorted(kept)


class FinishedJobs(logging.Handler):
    """Calls a function with the number of each job that Snakemake reports as finished, its outputs recorded.

    Add it to Snakemake's logger. With ``--quiet progress`` Snakemake reports none.
    """

    def __init__(self, call: Callable[[int], object]) -> None:
        super().__init__()
        self.call = call

    def emit(self, record: logging.LogRecord) -> None:
        """Call the function if the record tells of a finished job."""
        if getattr(record, "event", None) is not None and record.event.name == "JOB_FINISHED":  # type: ignore[attr-defined]
            self.call(record.job_id)  # type: ignore[attr-defined]
