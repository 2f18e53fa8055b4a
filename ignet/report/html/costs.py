"""What each stage cost and what made each result, from the files that the workflow keeps beside the results."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ignet.errors import IgnetError
from ignet.files.atomic import read_json


@dataclass(frozen=True)
class StageCost:
    """All measured jobs of one rule.

    Attributes:
        rule: its name.
        jobs: how many have a record of their time.
        seconds: wall time of these, one after the other.
        longest: the longest of them, seconds.
        processor: seconds of all processor cores.
        memory: the largest resident memory of one job, MB.
    """

    rule: str
    jobs: int
    seconds: float
    longest: float
    processor: float
    memory: float


def read_costs(folders: Sequence[Path], stems: Iterable[str]) -> list[StageCost]:
    """Costs by rule, from the benchmark files that Snakemake writes for each job; a rule without any is left out.

    Args:
        folders: those of the benchmark files; a stem lies in one of them.
        stems: ``RULE`` or ``RULE/...``: the file ``STEM.tsv`` and all files in the folder ``STEM`` belong to it.
    """
    paths: dict[str, list[Path]] = {}
    for stem in stems:
        found = [path for folder in dict.fromkeys(folders) for path in _files(folder, stem)]
        paths.setdefault(stem.split("/")[0], []).extend(found)
    return [_together(rule, found) for rule, found in paths.items() if found]


def _files(folder: Path, stem: str) -> list[Path]:
    single = folder / f"{stem}.tsv"
    return [single] if single.is_file() else sorted((folder / stem).rglob("*.tsv"))


def _together(rule: str, paths: Sequence[Path]) -> StageCost:
    rows = [row for path in paths for row in _last_row(path)]
    seconds, processor, memory = ([_number(row, name) for row in rows] for name in ("s", "cpu_time", "max_rss"))
    return StageCost(rule, len(rows), sum(seconds), max(seconds, default=0.0), sum(processor), max(memory, default=0.0))


def _last_row(path: Path) -> list[dict[str, str]]:
    """The last attempt; a job that is over too soon to be looked at has '-' or 'NA' in place of most numbers."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file, delimiter="\t"))[-1:]
    except (OSError, UnicodeDecodeError) as error:
        raise IgnetError(f"{path}: cannot be read as a record of a job's time ({error}); delete it") from None


def _number(row: Mapping[str, str], name: str) -> float:
    try:
        return float(row.get(name) or 0)
    except ValueError:
        return 0.0


@dataclass(frozen=True)
class Made:
    """What made one result: a name, and the content of its ``*.settings.json``."""

    name: str
    facts: dict[str, Any]


def read_made(files: Iterable[tuple[str, Path]]) -> list[Made]:
    """Settings, code and versions of results, by name; what is not there is left out."""
    return [Made(name, read_json(path)) for name, path in files if path.exists()]


def made_files(
    results: Path, runs: Mapping[str, Sequence[str]], networks: Mapping[str, Path], projection: Mapping[str, Path]
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
    found: dict[str, dict[str, list[str]]] = {}
    for each in made:
        facts = {**each.facts.get("versions", {}), **{key: each.facts.get(key) for key in ("device", "machine")}}
        for key, value in facts.items():
            if value is not None:
                found.setdefault(key, {}).setdefault(str(value), []).append(each.name)
    return found


def duration(seconds: float) -> str:
    """``3 h 12 min``, ``4 min 5 s`` or ``12 s``."""
    whole = round(seconds)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
