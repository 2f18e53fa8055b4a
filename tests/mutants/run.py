"""Mutation tests: change the recipe one place at a time, and see whether its tests notice (make test-mutants).

A mutant that no test notices has to stand in survivors.toml with its reason; another one is an error. Works in a copy
of the project in build/mutants. Hours for all modules; stopped and called again, it goes on: results.jsonl beside the
copy keeps what is known of each mutant. A module that was changed starts anew; where a test was changed, those that
survived are tried again (--again: all of them).
"""

import argparse
import compileall
import hashlib
import json
import shlex
import shutil
import subprocess
import sys
import time
import tomllib
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from py_compile import PycInvalidationMode

from forks import preload, run_tests
from operators import Mutant, mutants

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
WORK = ROOT / "build" / "mutants"
TREE = WORK / "tree"
SURVIVED, NOTICED = "survived", ("failed", "late")

Place = tuple[str, str, str, str]
"""Module, function, line before and after: what a survivor is known by, wherever its line moves."""


def place_of(module: str, mutant: Mutant) -> Place:
    """What the mutant is known by."""
    return module, mutant.function, mutant.before, mutant.after


def known_survivors() -> dict[Place, str]:
    """Reasons of the survivors that are known."""
    entries = tomllib.loads((HERE / "survivors.toml").read_text())["survivor"]
    return {(entry["module"], entry["function"], entry["before"], entry["after"]): entry["reason"] for entry in entries}


def copy_project() -> None:
    """A copy of all files that git knows or would add, results of earlier runs kept beside it."""
    shutil.rmtree(TREE, ignore_errors=True)
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    for name in subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0"):
        if name and (ROOT / name).is_file():
            (TREE / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, TREE / name)
    # compared by its content, a compiled module is never taken for its mutant
    compileall.compile_dir(TREE / "ignet", quiet=1, invalidation_mode=PycInvalidationMode.CHECKED_HASH)


class Results:
    """What is known of each mutant, one line of JSON each, the last one counts."""

    def __init__(self, path: Path) -> None:
        self.path = path
        lines = path.read_text().splitlines() if path.exists() else []
        self._known = {entry["key"]: entry for entry in map(json.loads, lines)}

    def get(self, key: str, tests: str) -> str | None:
        """Outcome of the mutant, or none where it has to be tried."""
        entry = self._known.get(key)
        return entry["outcome"] if entry and (entry["outcome"] in NOTICED or entry["tests"] == tests) else None

    def put(self, key: str, tests: str, outcome: str) -> None:
        """Keep an outcome."""
        self._known[key] = {"key": key, "tests": tests, "outcome": outcome}
        with self.path.open("a") as file:
            file.write(json.dumps(self._known[key]) + "\n")


def digest(*texts: str) -> str:
    """A short hash."""
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:20]


def try_module(
    module: str, tests: str, results: Results, known: Collection[Place], args: argparse.Namespace
) -> dict[Place, str]:
    """Outcome of each mutant of a module: ``survived``, ``failed`` or ``late``; says which survive that are not
    ``known``."""
    arguments = shlex.split(tests)
    files = [TREE / argument.split("::")[0] for argument in arguments if argument.startswith("tests/")]
    path, tests_hash = TREE / module, digest(tests, *(file.read_text() for file in files))
    source, outcomes, baseline = path.read_text(), {}, 0.0
    found = list(mutants(source))[: args.limit]
    for number, mutant in enumerate(found, start=1):
        key = digest(module, source, mutant.source)
        outcome = None if args.again else results.get(key, tests_hash)
        if outcome is None:
            if not baseline:
                baseline = time_tests(module, arguments)
            path.write_text(mutant.source)
            try:
                outcome = run_tests(TREE, arguments, 20 + 5 * baseline, WORK / "pytest.log").replace("passed", SURVIVED)
            finally:
                path.write_text(source)
            results.put(key, tests_hash, outcome)
        outcomes[place_of(module, mutant)] = outcome
        if outcome == SURVIVED and place_of(module, mutant) not in known:
            print(
                f"{number}/{len(found)} survived  {module}:{mutant.line}  {mutant.before}  ->  {mutant.after}",
                flush=True,
            )
    return outcomes


def time_tests(module: str, arguments: list[str]) -> float:
    """Seconds that the tests take without any mutant."""
    start = time.monotonic()
    if run_tests(TREE, arguments, 900, WORK / "pytest.log") != "passed":
        sys.exit(
            f"error: {module}: its tests fail without any mutant, expected them to pass; see {WORK / 'pytest.log'}"
        )
    return time.monotonic() - start


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modules", nargs="*", help="parts of the modules' paths, such as losses; default: all")
    parser.add_argument("--again", action="store_true", help="try every mutant again")
    parser.add_argument("--limit", type=int, help="the first so many mutants of each module alone")
    parser.add_argument("--list", action="store_true", help="count the mutants and try none")
    args = parser.parse_args()
    table = tomllib.loads((HERE / "modules.toml").read_text())["tests"]
    chosen = {module: tests for part in args.modules or [""] for module, tests in table.items() if part in module}
    if args.list:
        counts = {module: len(list(mutants((ROOT / module).read_text()))) for module in chosen}
        print(
            "\n".join(f"{count:5d}  {module}" for module, count in counts.items()), f"\n{sum(counts.values()):5d}  all"
        )
        return
    WORK.mkdir(parents=True, exist_ok=True)
    copy_project()
    preload()
    results, reasons, new, gone = Results(WORK / "results.jsonl"), known_survivors(), [], []
    rows = ["| module | mutants | noticed | survivors with a reason | without |", "|---|---:|---:|---:|---:|"]
    for module, tests in chosen.items():
        outcomes = try_module(module, tests, results, reasons, args)
        survivors = [place for place, outcome in outcomes.items() if outcome == SURVIVED]
        without = [place for place in survivors if place not in reasons]
        gone += [] if args.limit else [place for place in reasons if place[0] == module and place not in survivors]
        count = Counter(outcome == SURVIVED for outcome in outcomes.values())
        rows.append(f"| {module} | {len(outcomes)} | {count[False]} | {count[True] - len(without)} | {len(without)} |")
        new += without
        print(rows[-1], flush=True)
    print("\n".join(rows))
    for place in gone:
        print("in survivors.toml, but no survivor any more:", *place, sep="\n  ")
    if new:
        sys.exit(
            f"error: {len(new)} mutants that no test notices; write a test, or their reason into "
            f"{HERE / 'survivors.toml'}"
        )


if __name__ == "__main__":
    main()
