"""Runs tests in a process that has torch and its like loaded already, so that a mutant costs a second and not ten."""

import gc
import importlib
import os
import shutil
import signal
import sys
import time
from pathlib import Path

_HEAVY = (
    "numpy",
    "scipy.spatial",
    "scipy.ndimage",
    "torch",
    "torch.utils.data",
    "torch.distributed",
    "torch.nn.parallel",
    "kornia",
)
_HEAVY += (
    "cv2",
    "h5py",
    "pydantic",
    "grimp",
    "hypothesis",
    "pytest",
    "safetensors.torch",
    "yaml",
    "PIL.Image",
    "tqdm",
    "filelock",
)
_HEAVY += ("transformers.models.segformer.modeling_segformer", "matplotlib.figure", "matplotlib.backends.backend_agg")


def preload() -> None:
    """Import what the tests need and no mutant is in."""
    for name in _HEAVY:
        importlib.import_module(name)
    assert "ignet" not in sys.modules
    # no child looks through all of this for garbage, which would copy it too
    gc.freeze()


def run_tests(tree: Path, arguments: list[str], timeout: float, log: Path) -> str:
    """Run pytest within ``tree``; returns ``passed``, ``failed`` or ``late``.

    Args:
        tree: a copy of the project.
        arguments: for pytest.
        timeout: seconds.
        log: takes what pytest prints.

    Raises:
        RuntimeError: pytest found no test, or did not understand its arguments.
    """
    process = os.fork()
    if process == 0:
        _child(tree, arguments, log)
    until = time.monotonic() + timeout
    while True:
        done, status = os.waitpid(process, os.WNOHANG)
        if done:
            break
        if time.monotonic() > until:
            os.killpg(process, signal.SIGKILL)
            os.waitpid(process, 0)
            return "late"
        time.sleep(0.02)
    code = os.waitstatus_to_exitcode(status)
    if code in (4, 5):
        raise RuntimeError(f"pytest {' '.join(arguments)}: exit code {code}; see {log}")
    return "passed" if code == 0 else "failed"


def _child(tree: Path, arguments: list[str], log: Path) -> None:
    code = 1
    try:
        os.setsid()
        with log.open("w") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        os.chdir(tree)
        sys.path[:0] = [str(tree), str(tree / "tests")]
        # compiled by its time, a mutant of the same length within the same second would be taken for the module itself
        sys.dont_write_bytecode = True
        os.environ.update(
            PYTHONPATH=str(tree), OMP_NUM_THREADS="1", PYTHONDONTWRITEBYTECODE="1", PYTEST_DISABLE_PLUGIN_AUTOLOAD="1"
        )
        import pytest
        import torch

        torch.set_num_threads(1)
        temporary = tree.parent / "tmp"
        shutil.rmtree(temporary, ignore_errors=True)
        plugins = ["-p", "no:cacheprovider", "-p", "no:unraisableexception"]
        code = int(pytest.main(["-x", "-q", *plugins, "--basetemp", str(temporary), "-m", "not slow", *arguments]))
        sys.stdout.flush()
    finally:
        os._exit(code)
