"""The mutation tests' own parts: what their operators do, and that their lists speak of what is there."""

import shlex
import sys
import tomllib
from pathlib import Path

import pytest

pytest.importorskip("cosmic_ray", reason="cosmic-ray is not installed; make setup brings it")
ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "tests" / "mutants"))
from cosmic_ray.mutating import mutate_code  # noqa: E402
from operators import mutants, operators  # noqa: E402

TABLE = tomllib.loads((ROOT / "tests/mutants/modules.toml").read_text())["tests"]
SURVIVORS = tomllib.loads((ROOT / "tests/mutants/survivors.toml").read_text())["survivor"]

STEP = '''
@command
def main(steps: int = 2) -> float | None:
    """Three steps."""
    if steps < 1:
        raise ValueError(f"found {steps}, expected {1 + 0}")
    log.info("%d steps", 3)
    pairs = zip(steps, steps, strict=True)
    optimizer = SGD(network.parameters(), momentum=0.9)
    scheduler.step()
    return weight * loss


if __name__ == "__main__":
    main()
'''


def test_operators_do_what_their_examples_say() -> None:
    for operator in operators().values():
        for example in operator.examples():
            made = type(operator)(**example.operator_args) if example.operator_args else operator
            assert mutate_code(example.pre_mutation_code, made, example.occurrence) == example.post_mutation_code


def test_mutants_are_those_of_a_recipe_and_leave_texts_alone() -> None:
    changes = {(mutant.function, mutant.before, mutant.after) for mutant in mutants(STEP)}
    for expected in (
        ("main", "scheduler.step()", "pass"),
        ("main", "optimizer = SGD(network.parameters(), momentum=0.9)", "optimizer = SGD(network.parameters())"),
        ("main", "return weight * loss", "return loss"),
        ("main", "return weight * loss", "return weight"),
        ("main", "return weight * loss", "return weight / loss"),
        ("main", "if steps < 1:", "if steps <= 1:"),
        ("main", "if steps < 1:", "if not steps < 1:"),
    ):
        assert expected in changes
    assert not any(
        word in before for _, before, _ in changes for word in ("raise", "log.info", "pairs", "__name__", "Three")
    )
    assert not any("| None" not in after for _, before, after in changes if before.startswith("def"))


def test_modules_and_tests_exist() -> None:
    for module, tests in TABLE.items():
        assert (ROOT / module).is_file(), module
        files = [name.split("::")[0] for name in shlex.split(tests) if name.startswith("tests/")]
        assert files and all((ROOT / name).is_file() for name in files), tests


def test_known_survivors_are_lines_of_their_modules_and_have_a_reason() -> None:
    for entry in SURVIVORS:
        lines = " ".join(line.strip() for line in (ROOT / entry["module"]).read_text().splitlines())
        assert entry["before"] in lines, entry
        assert entry["module"] in TABLE and entry["before"] != entry["after"] and len(entry["reason"].split()) > 2, (
            entry
        )
