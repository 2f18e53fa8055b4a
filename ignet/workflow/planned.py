"""What was planned, kept for jobs that start later.

A scheduler's job reads settings, code and data anew when its turn comes.

Snakemake books a job under what its main process planned, so a job that made something else would leave a wrong result
that nothing notices. The main process therefore writes its plan to a file in the results that is never changed, and
hands this to its jobs in the place of the experiment file. A job takes its settings from there and refuses where
anything else has changed since.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ignet.errors import IgnetError
from ignet.files.atomic import write_text

FOLDER = "identity/plans"
"""Folder in the results; its files are named by the hash of their content."""

KEY = "planned"
"""Key of a plan that no experiment file has; all others are the experiment's."""

KEPT = 20
"""Plans that are kept, the newest: jobs of an older one may still be queued when the workflow is started again."""

_WORDS = {
    "settings": "its settings",
    "data": "files of the dataset",
    "source": "files of the source dataset",
    "weights": "its weights",
}


@dataclass(frozen=True)
class Planned:
    """What the jobs of a plan have to find.

    Attributes:
        code: script -> its code identity.
        jobs: rule and wildcards -> what the job depends on (params, input files, command) -> hash.
    """

    code: Mapping[str, str]
    jobs: Mapping[str, Mapping[str, str]]


def write_plan(results: Path, experiment: Mapping[str, Any], code: Mapping[str, str], jobs: Iterable[Any]) -> Path:
    """Keep a plan.

    Args:
        results: folder of the results.
        experiment: plain values of all settings.
        code: script -> code identity.
        jobs: Snakemake's jobs that would run.

    Returns:
        A file that Snakemake reads like an experiment file.
    """
    known = {job_name(job): job_parts(job) for job in jobs}
    values = {**experiment, KEY: {"code": dict(code), "jobs": known}}
    text = json.dumps(values)  # in this order, which is that of the runs in tables
    path = results / FOLDER / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"
    write_text(path, text)
    _remove_old(path.parent)
    return path


def take_plan(config: dict[str, Any]) -> Planned | None:
    """Take the plan out of a configuration; none where it comes from an experiment file."""
    plan = config.pop(KEY, None)
    return Planned(plan["code"], plan["jobs"]) if plan else None


def refuse_unplanned(planned: Planned, jobs: Iterable[Any]) -> None:
    """Compare jobs with what was planned; the job's log says it, too.

    Raises:
        IgnetError: something that a job depends on has changed since, or it was not planned.
    """
    for job in jobs:
        name, then = job_name(job), planned.jobs.get(job_name(job))
        now = job_parts(job)
        changed = [part for part in sorted({*now, *(then or {})}) if (then or {}).get(part) != now.get(part)]
        if not changed:
            continue
        what = ", ".join(_WORDS.get(part, part) for part in changed) if then is not None else "the workflow"
        words = f"{name}: {what} changed since this job was planned; start the workflow again"
        for log in job.log:
            with suppress(OSError):
                Path(log).parent.mkdir(parents=True, exist_ok=True)
                Path(log).write_text(f"error: {words}\n", encoding="utf-8")
        raise IgnetError(words)


def job_name(job: Any) -> str:
    """Rule and wildcards of one of Snakemake's jobs."""
    return " ".join([job.rule.name, *(f"{key}={value}" for key, value in sorted(job.wildcards_dict.items()))])


def job_parts(job: Any) -> dict[str, str]:
    """What one of Snakemake's jobs depends on, by name, each as a hash; its code is compared by its script."""
    parts = {name: repr(value) for name, value in job.params.items() if name != "code"}
    parts |= {
        "the list of its input files": repr(sorted(map(str, job.input))),
        "the rule's command": str(job.rule.shellcmd),
    }
    return {name: hashlib.sha256(text.encode()).hexdigest()[:16] for name, text in parts.items()}


def _remove_old(folder: Path) -> None:
    for path in sorted(folder.glob("*.json"), key=lambda path: path.stat().st_mtime, reverse=True)[KEPT:]:
        path.unlink(missing_ok=True)
