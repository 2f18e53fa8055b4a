"""The messages of docs/troubleshooting.md are those that the code prints."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HOLE = "\0"
MESSAGES = re.findall(r"^```text\n(.+)\n```$", (ROOT / "docs" / "troubleshooting.md").read_text(), re.M)


def texts(node: ast.AST) -> Iterator[str]:
    """Each text of a program, with a hole for what is filled in."""
    if isinstance(node, ast.JoinedStr):
        yield "".join(str(part.value) if isinstance(part, ast.Constant) else HOLE for part in node.values)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield re.sub(r"%[sd]|\{\w*\}", HOLE, node.value)
    for child in ast.iter_child_nodes(node):
        yield from texts(child)


@cache
def printed() -> str:
    """All texts of the package, the scripts and the set-up, one a line."""
    programs = [*(ROOT / "ignet").rglob("*.py"), *(ROOT / "workflow").rglob("*.py")]
    found = [text for path in programs for text in texts(ast.parse(path.read_text()))]
    shell = "\n".join(path.read_text() for path in (ROOT / "envs").rglob("*.sh"))
    return "\n".join([*found, re.sub(r"\$\{[^}]*\}|\$\w+|\$\*", HOLE, shell)])


def test_there_are_messages() -> None:
    assert len(MESSAGES) >= 20


def parts(message: str) -> list[str]:
    """What an error is made of: its path is not in the code, and the other fields may be texts of their own."""
    return [re.sub(r"<[^>]*>", HOLE, part) for part in re.split(r"^<file>: |, expected |; ", message) if part]


def test_the_code_prints_what_the_page_quotes() -> None:
    unknown = [part for message in MESSAGES for part in parts(message) if part not in printed()]
    assert unknown == [], "no text of the code"


def test_another_message_would_be_noticed() -> None:
    assert f"{HOLE}: another process trains there; wait" not in printed()


def test_variables_that_the_page_names_are_those_of_the_set_up() -> None:
    """What the page tells the reader to set has to exist."""
    page = (ROOT / "docs" / "troubleshooting.md").read_text()
    setup = (ROOT / "envs" / "setup.sh").read_text() + (ROOT / "envs" / "minkowski" / "build.sh").read_text()
    others = {"CUDA_VISIBLE_DEVICES", "XDG_CACHE_HOME"}  # that of CUDA, and that of all programs with a cache
    named = set(re.findall(r"\b([A-Z]+(?:_[A-Z]+)+)\b", page)) - others
    assert named == {"TORCH_INDEX_URL", "TORCH_CUDA_ARCH_LIST", "CUDA_HOME", "MAX_JOBS"}
    assert all(name in setup for name in named)
