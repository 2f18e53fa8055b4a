"""Snakemake's records of how each output was made, kept beside the results instead of in the working directory.

Snakemake decides from these records what to run again, and for an output without one it runs nothing, however much has
changed. In its own place, ``.snakemake`` of the working directory, they are lost with that folder, out of date as soon
as somebody works on the same results from elsewhere, and blind to a folder that is spelled in another way. Here they
travel with the results, and paths in them are relative to these.
"""

import json
import os
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import snakemake.api  # before the next one, which it cannot be loaded without
import snakemake.workflow
from snakemake.persistence import MetadataRecord, PersistenceBase
from snakemake.persistence.db import DbPersistence
from snakemake.persistence.file import FilePersistence

from ignet.errors import IgnetError
from ignet.workflow.records import FOLDER


@dataclass(frozen=True)
class Roots:
    """Folders that outputs lie in, with the names that stand for them in records.

    Attributes:
        folders: name -> folder, as it stands in the paths of outputs.
    """

    folders: dict[str, str]

    def record_path(self, output: str) -> Path | None:
        """File of an output's record; none for an output outside of the folders."""
        inside = [root for root in self.folders.values() if output.startswith(f"{root}/")]
        if not inside:
            return None
        root = max(inside, key=len)
        return Path(root, FOLDER, f"{output[len(root) + 1 :]}.json")

    def to_names(self, text: str) -> str:
        """A text in which the folders at the beginnings of paths are replaced by their names."""
        for name, pattern in self._patterns.items():
            text = pattern.sub(f"<{name}>/", text)
        return text

    def to_folders(self, text: str) -> str:
        """The inverse of ``to_names``, for the folders of now."""
        for name, root in self.folders.items():
            text = text.replace(f"<{name}>/", f"{root}/")
        return text

    @cached_property
    def _patterns(self) -> dict[str, re.Pattern[str]]:
        # the longer one first: one folder may lie in the other
        ordered = sorted(self.folders.items(), key=lambda item: -len(item[1]))
        return {name: re.compile(rf"(?<![\w./-]){re.escape(root)}/") for name, root in ordered}


class BesideResults(PersistenceBase):
    """A backend of Snakemake's persistence: what it asks of one is answered from files beside the results.

    Results of an older version have no such files; for these the backend that it is mixed into answers.
    """

    roots: Roots
    dag: Any

    def has_metadata(self, job: Any) -> bool:
        """Whether the job's outputs are recorded."""
        known = bool(super().has_metadata(job))
        if not known and self.dag.workflow.touch:
            # what has no record gets one by --touch, which else leaves alone what nothing would make again
            self.dag.reason(job).forced = True
        return known

    def _read_record(self, key: str) -> MetadataRecord | None:
        values = self._read(key)
        if values is None:
            record: MetadataRecord | None = super()._read_record(key)
            return record
        if values["incomplete"]:
            return None
        if key not in self._cached:
            self._cached[key] = MetadataRecord.model_validate(_mapped(values, self.roots.to_folders))
        return self._cached[key]

    def _write_record(self, key: str, record: MetadataRecord) -> None:
        if not self._write(key, {**_mapped(dict(record.items()), self.roots.to_names), "incomplete": False}):
            super()._write_record(key, record)

    def _delete_record(self, key: str) -> bool:
        return self._remove(key) | bool(super()._delete_record(key))

    def _mark_incomplete(self, key: str, external_jobid: str | None) -> None:
        # only the workflow's own process books what a scheduler's job did
        if self.dag.workflow.is_main_process:
            self._remove(key)  # also where the marker cannot be written, which Snakemake only mentions
            marker = {"incomplete": True, "starttime": time.time(), "external_jobid": external_jobid}
            if not self._write(key, marker):
                super()._mark_incomplete(key, external_jobid)

    def _get_recorded_starttime(self, key: str) -> float | None:
        values = self._read(key)
        started: float | None = values["starttime"] if values else super()._get_recorded_starttime(key)
        return started

    def _unmark_incomplete(self, key: str) -> None:
        if self.dag.workflow.is_main_process:
            values = self._read(key)
            if values and values["incomplete"]:
                self._remove(key)
            super()._unmark_incomplete(key)

    def _filter_incomplete_keys(self, keys: Iterable[str]) -> set[str]:
        keys = list(keys)
        known = {key: values for key in keys if (values := self._read(key))}
        others = super()._filter_incomplete_keys([key for key in keys if key not in known])
        return {key for key, values in known.items() if values["incomplete"]} | set(others)

    def _get_external_jobids(self, keys: Iterable[str]) -> set[str]:
        keys = list(keys)
        jobs = {record.get("external_jobid") for key in keys if (record := self._read(key))}
        return {str(job) for job in jobs if job is not None} | set(super()._get_external_jobids(keys))

    def _clear_cache(self) -> None:
        self._raw.clear()
        self._cached.clear()
        super()._clear_cache()

    @cached_property
    def _raw(self) -> dict[str, dict[str, Any] | None]:
        return {}

    @cached_property
    def _cached(self) -> dict[str, MetadataRecord]:
        return {}

    def _read(self, key: str) -> dict[str, Any] | None:
        if key not in self._raw:
            self._raw[key] = _read(self.roots.record_path(key))
        return self._raw[key]

    def _write(self, key: str, values: dict[str, Any]) -> bool:
        """Whether the output has a place for a record."""
        path = self.roots.record_path(key)
        self._clear_cache()
        if path is None:
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        # there is one writer, so one name will do; no flush to the disk: a damaged record is noticed, and costs no
        # result
        temporary = path.with_name(f".{path.name}.new")
        temporary.write_text(json.dumps(values), encoding="utf-8")
        temporary.replace(path)
        return True

    def _remove(self, key: str) -> bool:
        path = self.roots.record_path(key)
        self._clear_cache()
        if path is None or not path.exists():
            return False
        path.unlink()
        return True


def _read(path: Path | None) -> dict[str, Any] | None:
    """A record; none where there is none, or only a damaged one."""
    try:
        found = json.loads(path.read_text(encoding="utf-8")) if path else None
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and {"incomplete", "starttime"} <= found.keys() else None


def _mapped(record: dict[str, Any], change: Any) -> dict[str, Any]:
    """A record with its paths changed."""
    mapped = dict(record)
    for key in ("input", "log", "params"):
        # Snakemake compares sorted lists
        mapped[key] = sorted(map(change, record[key])) if record.get(key) is not None else None
    mapped["shellcmd"] = change(record["shellcmd"]) if record.get("shellcmd") else None
    mapped["input_checksums"] = {
        change(path): checksum for path, checksum in (record.get("input_checksums") or {}).items()
    }
    return mapped


def keep_records(folders: dict[str, str]) -> None:
    """Let Snakemake, in this process, keep its records in these folders; call it before the jobs are planned.

    Args:
        folders: name -> folder of outputs, as it stands in their paths.
    """
    roots = Roots(folders)
    for backend in (FilePersistence, DbPersistence):
        if not hasattr(snakemake.workflow, backend.__name__):
            raise IgnetError(
                f"snakemake {snakemake.__version__}: has no {backend.__name__}, expected a version of "
                "envs/constraints.txt"
            )
        setattr(
            snakemake.workflow, backend.__name__, type(backend.__name__, (BesideResults, backend), {"roots": roots})
        )


def without_record(dag: Any) -> list[str]:
    """Outputs that no job of the plan makes again, that are there, and of which nothing says how they were made."""
    jobs = [job for job in dag.jobs if not dag.needrun(job) and dag.reason(job).no_metadata]
    unrecorded = [
        str(output) for job in jobs for output in job.output if dag.workflow.persistence.metadata(output) is None
    ]
    return sorted(output for output in unrecorded if os.path.exists(output))
