"""What each stage cost and what made each result, from the files that the workflow keeps beside the results."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ignet.errors import IgnetError
from ignet.files.atomic import read_json


def read_costs(folders: Sequence[Path], stems: Iterable[str]) -> pd.DataFrame:
    """Costs by rule, from the benchmark files that Snakemake writes for each job; a rule without any is left out.

    Args:
        folders: those of the benchmark files; a stem lies in one of them.
        stems: ``RULE`` or ``RULE/...``: the file ``STEM.tsv`` and all files in the folder ``STEM`` belong to it.

    Returns:
        One row a rule: ``rule``, ``jobs`` with a record, ``seconds`` of wall time of all of them, of the ``longest``,
        ``processor`` seconds, ``memory``: the largest of one job in MB.
    """
    jobs = [
        _last_attempt(path).assign(rule=stem.split("/")[0])
        for stem in stems
        for folder in dict.fromkeys(folders)
        for path in _files(folder, stem)
    ]
    if not jobs:
        return pd.DataFrame()
    return (
        pd.concat(jobs)
        .groupby("rule", sort=False)
        .agg(
            jobs=("s", "size"),
            seconds=("s", "sum"),
            longest=("s", "max"),
            processor=("cpu_time", "sum"),
            memory=("max_rss", "max"),
        )
        .reset_index()
    )


def _files(folder: Path, stem: str) -> list[Path]:
    single = folder / f"{stem}.tsv"
    return [single] if single.is_file() else sorted((folder / stem).rglob("*.tsv"))


def _last_attempt(path: Path) -> pd.DataFrame:
    """A job that is over too soon to be measured has '-' or 'NA' in place of most numbers, which count as 0."""
    try:
        row = pd.read_csv(path, sep="\t", dtype=str).tail(1)
    except (OSError, ValueError) as error:
        raise IgnetError(
            f"cannot be read as a record of a job's time ({error})", remedy="delete it", path=path
        ) from None
    return row.reindex(columns=["s", "cpu_time", "max_rss"]).apply(pd.to_numeric, errors="coerce").fillna(0.0)


@dataclass(frozen=True)
class Made:
    """What made one result: a name, and the content of its ``*.settings.json``."""

    name: str
    facts: dict[str, Any]


def read_made(files: Iterable[tuple[str, Path]]) -> list[Made]:
    """Settings, code and versions of results, by name; what is not there is left out."""
    return [Made(name, read_json(path)) for name, path in files if path.exists()]


def made_files(
    results: Path, runs: Mapping[str, Sequence[int]], networks: Mapping[str, Path], projection: Mapping[str, Path]
) -> list[tuple[str, Path]]:
    """Names of results, and the files beside them that say what made them.

    Args:
        results: folder of the experiment's results.
        runs: seeds of each run; the first stands for all, which have the same settings.
        networks: weights of the 2D networks.
        projection: correspondence file of each sequence.
    """
    files = [(f"correspondence of sequence {name}", path) for name, path in projection.items()][:1]
    files += [(f"2D network {name}", path) for name, path in networks.items()]
    for run, seeds in runs.items():
        files.append((f"run {run}", results / f"train_3d/{run}/seed{seeds[0]}/model"))
        files.append((f"evaluation of {run}", results / f"evaluate/{run}/seed{seeds[0]}/metrics"))
    files.append(("comparison", results / "compare"))
    return [
        (name, path / "settings.json" if path.is_dir() else path.with_suffix(".settings.json")) for name, path in files
    ]


def versions(made: Iterable[Made]) -> dict[str, dict[str, list[str]]]:
    """Facts that may differ between results (``torch``, ``python``, ``device``, ...): values and their results."""
    by_fact: dict[str, dict[str, list[str]]] = {}
    for each in made:
        facts = {**each.facts.get("versions", {}), **{key: each.facts.get(key) for key in ("device", "machine")}}
        for key, value in facts.items():
            if value is not None:
                by_fact.setdefault(key, {}).setdefault(str(value), []).append(each.name)
    return by_fact


def duration(seconds: float) -> str:
    """``3 h 12 min``, ``4 min 5 s`` or ``12 s``."""
    whole = round(seconds)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
