"""Scripts of the workflow in the tests' own process: to start Python and torch anew takes longer than most stages."""

import io
import runpy
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
import torch

SCRIPTS = Path(__file__).parents[1] / "workflow" / "scripts"


def run_script(name: str, *arguments: object) -> "subprocess.CompletedProcess[str]":
    """What ``python workflow/scripts/NAME ARGUMENTS`` ends with: exit code and texts."""
    command = [str(SCRIPTS / name), *map(str, arguments)]
    out, err, code, threads = io.StringIO(), io.StringIO(), 0, torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", command)
        try:
            runpy.run_path(command[0], run_name="__main__")
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        finally:
            torch.set_num_threads(threads)
    return subprocess.CompletedProcess(command, code, out.getvalue(), err.getvalue())
