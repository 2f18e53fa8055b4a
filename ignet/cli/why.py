"""The command ``ignet why``."""

import json
from collections import Counter
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ignet.errors import IgnetError
from ignet.files.atomic import read_json
from ignet.stage.identity import code_hash, code_parts
from ignet.workflow.dag import PROJECT, make_plan
from ignet.workflow.records import REMEDY, Records, some
from ignet.workflow.why import as_text, as_values, explain

_TRAINED = ("pretrain_2d", "adapt_2d", "train_3d")


def why(arguments: list[str], as_json: bool, directory: Path = Path(".")) -> int:
    """Print what would run and why; returns the exit code.

    Args:
        arguments: of Snakemake's command line: configuration, profile, targets.
        as_json: print JSON for scripts.
        directory: the working directory, in which the results lie.

    Raises:
        IgnetError: the package was installed without the workflow, or Snakemake has no plan.
    """
    if not (PROJECT / "Snakefile").is_file():
        raise IgnetError(
            f"{PROJECT}/Snakefile: found none beside the package, expected the project's folder; use "
            ".venv/bin/ignet there"
        )
    plan = make_plan(arguments, directory=directory)
    results, root = directory / plan.config["results"], (plan.config.get("dataset") or {}).get("root")
    code = {code_hash(script): code_parts(script) for script in sorted((PROJECT / "workflow" / "scripts").glob("*.py"))}
    records = Records(results, code, directory / Path(root).expanduser() if root else None)
    explanations = explain(plan.jobs, records.changed_code, records.changed_data)
    notes = [note for note in (records_note(plan.without_record), versions_note(results)) if note]
    if as_json:
        print(
            json.dumps(
                {"jobs": as_values(explanations), "without_record": plan.without_record, "notes": notes}, indent=2
            )
        )
    else:
        print("\n\n".join([as_text(explanations, len(plan.without_record)), *(f"note: {note}" for note in notes)]))
    return 0


def records_note(outputs: list[str]) -> str:
    """One line where outputs have no record, so that nobody can say whether what they depend on has changed."""
    if not outputs:
        return ""
    return f"{some(outputs)}: there is no record of how it was made, so the workflow refuses to continue; {REMEDY}"


def versions_note(results: Path) -> str:
    """One line where networks were trained with another version of torch than this environment's; it reruns nothing."""
    try:
        now = version("torch")
    except PackageNotFoundError:
        return ""
    made = Counter(
        found for stage in _TRAINED for path in (results / stage).rglob("*.settings.json") if (found := _torch(path))
    )
    other = [
        f"{count} with torch {found}"
        for found, count in sorted(made.items())
        if found.split("+")[0] != now.split("+")[0]
    ]
    if not other:
        return ""
    return f"networks were trained {', '.join(other)}, torch is {now} now; versions rerun nothing, --forcerun RULE does"


def _torch(path: Path) -> str:
    try:
        return str(read_json(path)["versions"]["torch"])
    except (IgnetError, KeyError, TypeError):
        return ""
