"""Why each job of a plan would run, in words. Pure: jobs in, sentences out."""

import ast
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ignet.config.experiment import ExperimentConfig
from ignet.workflow.dag import Job

_WORDS = {
    "forced": "asked for by --force, --forcerun or --forceall",
    "incomplete": "it was interrupted while it wrote its output",
    "command": "the rule's command changed (workflow/rules)",
    "software": "its software environment changed (this trigger is off by default)",
}
_FINGERPRINT = re.compile(r"(?:[0-9a-f]{16})+|(?:embedded world)+")
_NOTHING: Any = object()


@dataclass(frozen=True)
class Explanation:
    """One job, what changed for it, and the jobs of the plan whose results it waits for."""

    job: Job
    causes: list[str]
    follows: list[str] = field(default_factory=list)


ChangedCode = Callable[[str, str], list[str]]
"""(code identity then, now) -> names of the modules that differ."""
ChangedData = Callable[[str, float], list[str]]
"""(fingerprint then, seconds since 1970 of the result) -> descriptions of the files that differ."""


def explain(jobs: list[Job], changed_code: ChangedCode, changed_data: ChangedData) -> list[Explanation]:
    """Say for each job what changed since its output was made.

    Args:
        jobs: the plan.
        changed_code: names the modules that differ between two code identities.
        changed_data: describes the files that differ from a fingerprint.
    """
    maker = {output: job.name for job in jobs for output in job.outputs}
    explanations = []
    for job in jobs:
        follows = sorted({maker[file] for file in job.made_inputs if file in maker})
        causes = list(_causes(job, changed_code, changed_data))
        explanations.append(
            Explanation(job, causes if causes or follows else ["Snakemake gives no reason that is known here"], follows)
        )
    return explanations


def _causes(job: Job, changed_code: ChangedCode, changed_data: ChangedData) -> Iterator[str]:
    if job.recorded_params is None:
        yield "never made yet" if job.missing else "there is no record of how it was made"
    elif job.missing:
        yield f"its output is gone: {', '.join(job.missing)}"
    yield from (_WORDS[reason] for reason in job.reasons if reason in _WORDS)
    if job.updated_inputs:
        yield f"newer than the result: {', '.join(job.updated_inputs)}"
    if job.recorded_params is None:
        return
    if set(job.recorded_inputs) != set(job.inputs):
        yield f"other input files: {_difference(job.recorded_inputs, job.inputs)}"
    yield from _changed_params(job, job.recorded_params, changed_code, changed_data)


def _changed_params(
    job: Job, recorded: list[str], changed_code: ChangedCode, changed_data: ChangedData
) -> Iterator[str]:
    """Snakemake keeps params without their names, so each changed one looks for the old value that is of its kind."""
    old = [_value(text) for text in recorded if text not in job.params.values()]
    new = {name: _value(text) for name, text in job.params.items() if text not in recorded}
    for name, value in new.items():
        if name == "code":
            then = _recorded_code(job.recorded_command)
            modules = changed_code(then, value)
            old = [other for other in old if other != then]
            yield (
                f"code: {', '.join(modules)}"
                if modules
                else f"code: {then or 'unknown'} -> {value} (which module was not recorded)"
            )
            continue
        then = next((other for other in old if _same_kind(other, value)), _NOTHING)
        old = [other for other in old if other is not then]
        if name == "settings":
            yield from setting_changes(section_name(job.rule), _settings(then), _settings(value))
        elif _is_fingerprint(value):
            # equal values are kept once, so that the old one may also stand for a param that has not changed
            embedded = next(
                (other for other in map(_value, recorded) if _is_fingerprint(other) and "embedded" in other), _NOTHING
            )
            yield from _data(name, embedded if then is _NOTHING else then, value, job.recorded_end, changed_data)
        elif isinstance(value, list | tuple) and isinstance(then, list | tuple):
            # lists of files only repeat what the inputs have said
            if name in ("places", "roots") or not all("/" in str(item) for item in (*then, *value)):
                yield f"{name}: {_difference(list(then), list(value))}"
        else:
            yield f"{name}: {_show(then)} -> {_show(value)}"
    if old and not new:
        yield f"no longer given: {', '.join(map(_show, old))}"


def section_name(rule: str) -> str:
    """Section of the configuration that a rule reads: its name, or its name's first part, as in ``world_source``."""
    return rule if rule in ExperimentConfig.model_fields else rule.partition("_")[0]


def setting_changes(section: str, old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    """``section.key: old -> new`` for each key that differs, sorted; nested keys joined by dots."""
    before, now = dict(_flat(section, old)), dict(_flat(section, new))
    for key in sorted({*before, *now}):
        if before.get(key, _NOTHING) != now.get(key, _NOTHING):
            yield f"{key}: {_show(before.get(key, _NOTHING))} -> {_show(now.get(key, _NOTHING))}"


def _flat(prefix: str, values: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(f"{prefix}.{key}", value)
        else:
            yield f"{prefix}.{key}", value


def _data(name: str, then: Any, value: str, since: float, changed_data: ChangedData) -> Iterator[str]:
    what = "the source dataset" if name == "source" else "the dataset"
    if not isinstance(then, str) or "embedded" in then or "embedded" in value:
        yield f"{what}: {_place(then)} -> {_place(value)}"
        return
    # a rule may join two fingerprints to one param
    files = [text for start in range(0, len(then), 16) for text in changed_data(then[start : start + 16], since)]
    yield from files or [f"files of {what} changed (which was not recorded)"]


def _place(value: Any) -> str:
    if not isinstance(value, str):
        return "unknown"
    return "embedded world" if "embedded" in value else "files of your own"


def _same_kind(old: Any, new: Any) -> bool:
    if isinstance(new, str) and isinstance(old, str):
        return (new.startswith("{"), _is_fingerprint(new)) == (old.startswith("{"), _is_fingerprint(old))
    return type(old) is type(new)


def _is_fingerprint(value: Any) -> bool:
    return isinstance(value, str) and bool(_FINGERPRINT.fullmatch(value))


def _settings(text: Any) -> dict[str, Any]:
    return json.loads(text) if isinstance(text, str) else {}


def _recorded_code(command: str) -> str:
    match = re.search(r"--code (\S+)", command)
    return match.group(1) if match else ""


def _value(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _difference(old: list[Any], new: list[Any]) -> str:
    came = [f"+ {item}" for item in new if item not in old]
    went = [f"- {item}" for item in old if item not in new]
    return ", ".join(came + went) or "in another order"


def _show(value: Any) -> str:
    if value is _NOTHING:
        return "(not there)"
    return value if isinstance(value, str) else json.dumps(value)


def as_text(explanations: list[Explanation], unknown: int = 0) -> str:
    """The explanations for people: jobs with the same causes together, jobs that only follow counted by rule.

    Args:
        explained: the jobs of the plan.
        unknown: number of outputs of which there is no record, so that nobody can say whether they have to be made
            again.
    """
    if not explanations and unknown:
        return f"Nothing that there is a record of has changed; {unknown} of the outputs have none."
    if not explanations:
        return "Nothing to do: every result is there and nothing that it depends on has changed."
    groups: dict[tuple[str, ...], dict[str, list[str]]] = {}
    for part in explanations:
        if part.causes:
            names = groups.setdefault(tuple(part.causes), {}).setdefault(part.job.rule, [])
            names.append(part.job.name.removeprefix(part.job.rule).strip())
    lines = [f"{_jobs(len(explanations))} would run."]
    for causes, rules in groups.items():
        lines += ["", *causes, *(f"    {rule}{_which(names)}" for rule, names in rules.items())]
    if only := Counter(part.job.rule for part in explanations if not part.causes):
        lines += [
            "",
            "only because of those",
            f"    {', '.join(f'{rule} ({_jobs(count)})' for rule, count in only.items())}",
        ]
    return "\n".join(lines)


def _which(names: list[str], shown: int = 6) -> str:
    if names == [""]:
        return ""
    more = f", and {len(names) - shown} more" if len(names) > shown else ""
    return f" ({_jobs(len(names))}): {', '.join(names[:shown])}{more}"


def _jobs(count: int) -> str:
    return "1 job" if count == 1 else f"{count} jobs"


def as_values(explanations: list[Explanation]) -> list[dict[str, Any]]:
    """The explanations as plain values, for scripts."""
    return [
        {"rule": part.job.rule, "wildcards": part.job.wildcards, "causes": part.causes, "follows": part.follows}
        for part in explanations
    ]
