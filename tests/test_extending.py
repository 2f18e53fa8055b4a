"""The worked examples of docs/extending.md, carried out as they stand there in a copy of the project."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "extending.md").read_text()


def named_before(place: int) -> str:
    """The last file of the package or the tests that the text names before a block."""
    return re.findall(r"`((?:ignet|tests)/[\w/]+\.py)`", PAGE[:place])[-1]


def change(text: str, diff: str) -> str:
    """A hunk without line numbers: what it shows as old must be there once."""
    lines = diff.splitlines()
    old = "\n".join(line[1:] for line in lines if line[0] in " -")
    new = "\n".join(line[1:] for line in lines if line[0] in " +")
    assert text.count(old) == 1, f"found {text.count(old)} times, expected once:\n{old}"
    return text.replace(old, new)


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project with all examples in it."""
    copy = tmp_path_factory.mktemp("extended")
    for folder in ("ignet", "tests"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", copy)
    for block in re.finditer(r"^```(python|diff)\n(.*?)^```$", PAGE, re.M | re.S):
        path = copy / named_before(block.start())
        if block[1] == "python":
            assert not path.exists(), f"{path.name} is no new file"
            path.write_text(block[2])
        else:
            path.write_text(change(path.read_text(), block[2]))
    return copy


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "also"),
    [
        ("entropy", "objective"),
        ("flat", "objective"),
        ("mix3d", "mixing"),
        ("convnet", "teachers"),
        ("archives", "import"),
    ],
)
def test_the_examples_pass_their_own_tests(extended: Path, name: str, also: str) -> None:
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        f"tests/test_{name}.py",
        f"tests/test_{also}.py",
    ]
    environment = {**os.environ, "PYTHONPATH": str(extended), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, cwd=extended, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\b\d\d passed", done.stdout)


def test_a_diff_that_no_longer_fits_is_noticed() -> None:
    with pytest.raises(AssertionError, match="found 0 times"):
        change("a\nb\n", " a\n-c\n+d")
