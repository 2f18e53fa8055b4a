"""Short trainings by the workflow's scripts on this device, whole and interrupted: does a resumed one go on as it was?

Losses of the interrupted training are compared with those of the whole one. On the CPU they are the same; a GPU adds in
another order in each run, so that small differences grow from step to step.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from cases import Case, read_case
from timed_stages import Stages

from ignet.errors import IgnetError
from ignet.train.interruption import EXIT_PREEMPTED

STEPS, SIGNAL_AFTER = 12, 4
TOLERANCE = 0.2
"""Largest accepted relative difference of a loss in the step after the interruption."""


def interrupt(command: list[str], state: Path) -> None:
    """Send SIGTERM to a training when it has saved some steps.

    Raises:
        IgnetError: it does not end as one that is interrupted does.
    """
    process = subprocess.Popen([sys.executable, *command, "--checkpoint-every", "0"], stderr=subprocess.PIPE, text=True)
    saves: set[int] = set()
    while process.poll() is None and len(saves) < SIGNAL_AFTER:
        saves |= {path.stat().st_mtime_ns for path in state.glob("*/checkpoint.pt")}
        time.sleep(0.005)
    process.send_signal(signal.SIGTERM)
    _, text = process.communicate()
    if process.returncode != EXIT_PREEMPTED:
        raise IgnetError(f"{Path(command[0]).stem}: exit code {process.returncode} after SIGTERM: {text[-500:]}")


def losses(stages: Stages, name: str) -> np.ndarray:
    """Of each step."""
    return np.atleast_1d(np.genfromtxt(stages.folder / name / "curves.csv", delimiter=",", names=True)["loss"])


def compare(case: Case, stages: Stages, kind: str, whole: list[str], cut: list[str]) -> None:
    """Run a training whole, and interrupted and resumed.

    Raises:
        IgnetError: the resumed one did not begin where the other had stopped, or its losses are others.
    """
    stages.run(whole)
    interrupt(cut, stages.folder / f"{kind}-cut" / "state")
    result = subprocess.run([sys.executable, *cut], capture_output=True, text=True, check=False)
    lines = [line for line in result.stderr.splitlines() if "resumed after step" in line]
    if result.returncode or not lines:
        raise IgnetError(f"{kind}: exit code {result.returncode}, expected a resumed training: {result.stderr[-500:]}")
    step = int(lines[0].split("resumed after step")[1].split()[0].strip(",.;:"))
    one, other = losses(stages, f"{kind}-whole"), losses(stages, f"{kind}-cut")
    if not (len(one) == len(other) == STEPS and np.isfinite(other).all()):
        raise IgnetError(f"{kind}: found losses {other}, expected {STEPS} finite ones")
    difference = np.abs(other - one) / np.abs(one)
    first = float(difference[step]) if step < STEPS else 0.0
    row = {"stage": kind, "steps": STEPS, "resumed_after": step, "first_difference": first}
    case.write("resume", **row, largest_difference=float(difference.max()), identical=bool((one == other).all()))
    if first > TOLERANCE:
        raise IgnetError(f"{kind}: the loss differs by {first:.1%} in the step after the interruption")


def main() -> None:
    """Train, extract and predict."""
    case = read_case(__doc__)
    stages = case.stages("resume", "demo")
    run = stages.experiment.run("ignet")
    stages.run(stages.pretrain_2d(STEPS))
    stages.run(stages.features())
    compare(case, stages, "train_3d", *(stages.train_3d(run, STEPS, f"train_3d-{each}") for each in ("whole", "cut")))
    compare(case, stages, "adapt_2d", *(stages.adapt_2d(STEPS, f"adapt_2d-{each}") for each in ("whole", "cut")))
    os.replace(stages.folder / "train_3d-cut", stages.folder / "3d")
    measured = stages.run(stages.predict())
    case.write("resume", stage="predict", scans=measured["loops"][0]["units"])


if __name__ == "__main__":
    try:
        main()
    except IgnetError as error:
        sys.exit(f"error: {error}")
