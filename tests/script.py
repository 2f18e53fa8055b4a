"""Scripts of the workflow in the tests' own process: to start Python and torch anew takes longer than most stages."""

import io
import runpy
import subprocess
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
import torch

SCRIPTS = Path(__file__).parents[1] / "workflow" / "scripts"


def run_here(command: Sequence[object]) -> None:
    """Run a script, given by its path, with its arguments; what it prints and how it ends is the caller's."""
    threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", list(map(str, command)))
        try:
            runpy.run_path(str(command[0]), run_name="__main__")
        finally:
            torch.set_num_threads(threads)


def run_script(name: str, *arguments: object) -> "subprocess.CompletedProcess[str]":
    """What ``python workflow/scripts/NAME ARGUMENTS`` ends with: exit code and texts."""
    command = [str(SCRIPTS / name), *map(str, arguments)]
    out, err, code = io.StringIO(), io.StringIO(), 0
    with redirect_stdout(out), redirect_stderr(err):
        try:
            run_here(command)
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
    return subprocess.CompletedProcess(command, code, out.getvalue(), err.getvalue())
