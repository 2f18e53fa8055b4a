"""What the scenarios need: a SLURM of one node, its jobs as dicts, and the workflow as a process beside them."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Self

import torch

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
CONFIGS = [ROOT / "config" / "tiny.yaml", HERE / "experiment.yaml"]
PROFILE = ROOT / "workflow" / "profiles" / "slurm"
RESULTS = Path("results", "slurm")
WEIGHTS = RESULTS / "train_3d" / "baseline" / "seed0" / "model.safetensors"
TRAINING_LOG = RESULTS / "logs" / "train_3d" / "baseline" / "seed0.log"
# the node has few CPUs, and a test need not wait as long for news as a cluster's user
IMPATIENT = ["--resources", "seat=1", "--slurm-init-seconds-before-status-checks", "3", "--latency-wait", "10"]


def until(what: str, found: Callable[[], object], seconds: float = 600.0) -> object:
    """Wait for ``found`` to give something true, and return it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := found():
            return value
        time.sleep(0.2)
    raise AssertionError(f"waited {seconds:.0f} s in vain for: {what}")


def slurm(*command: str) -> str:
    """Output of a SLURM command."""
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def jobs(after: int = 0, comment: str = "") -> list[dict[str, str]]:
    """All jobs that SLURM remembers with an id above ``after``, by id: fields of ``scontrol show job``."""
    found = [
        dict(re.findall(r"(\S+?)=(\S*)", line)) for line in slurm("scontrol", "show", "jobs", "--oneliner").splitlines()
    ]
    found = [job for job in found if int(job.get("JobId", 0)) > after and job.get("Comment", "").startswith(comment)]
    return sorted(found, key=lambda job: int(job["JobId"]))


def last_id() -> int:
    """The highest job id so far."""
    return max((int(job["JobId"]) for job in jobs()), default=0)


def processes(job: str) -> list[int]:
    """Ids of a job's processes on this node."""
    listed = subprocess.run(
        ["scontrol", "listpids", job], capture_output=True, text=True, check=False, timeout=60
    ).stdout
    return [int(line.split()[0]) for line in listed.splitlines()[1:] if int(line.split()[0]) > 0]


def trainer(job: str) -> int | None:
    """Id of the process of a job that trains the 3D network."""
    for process in processes(job):
        with suppress(OSError):
            words = Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")
            if any(word.endswith(b"/train_3d.py") for word in words[:3]):
                return process
    return None


def lose_power(job: str) -> bool:
    """Kill whatever a job still has on this node; says whether nothing is left."""
    left = processes(job)
    for process in left:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    return not left


class Workflow:
    """Snakemake in a folder, as a process in the background; an ``experiment.yaml`` in it is laid over the scenarios'
    configuration."""

    def __init__(self, folder: Path, *arguments: object) -> None:
        self.folder, self.output = folder, folder / "snakemake.out"
        own = [path for path in [folder / "experiment.yaml"] if path.exists()]
        command = [sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile", "--directory", folder]
        command += ["--configfile", *CONFIGS, *own]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        with self.output.open("w") as file:
            words = [str(part) for part in (*command, *arguments)]
            self.process = subprocess.Popen(
                words, stdout=file, stderr=subprocess.STDOUT, env=environment, start_new_session=True
            )

    @property
    def text(self) -> str:
        """What Snakemake has said so far."""
        return self.output.read_text()

    def finish(self, seconds: float = 900.0) -> str:
        """Wait for the end; returns what Snakemake said.

        Raises:
            AssertionError: it failed.
        """
        code = self.process.wait(seconds)
        assert code == 0, self.text[-6000:]
        return self.text

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """End it and its local jobs, whatever they do."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(30)


def on_this_machine(folder: Path, *arguments: object) -> Workflow:
    """The workflow without SLURM."""
    return Workflow(folder, "--cores", "2", *arguments)


def through_slurm(folder: Path, *arguments: object) -> Workflow:
    """The workflow through SLURM, by the profile."""
    return Workflow(folder, "--profile", PROFILE, *IMPATIENT, *arguments)


def copy(finished: Path, folder: Path) -> Path:
    """A folder where everything is done already, with its times, so that only what a scenario changes is done anew."""
    shutil.copytree(finished, folder, ignore=shutil.ignore_patterns("locks", "slurm_logs", "log"))
    return folder


def steps_done(folder: Path) -> int:
    """Steps in the newest checkpoint of a 3D training; 0 without one."""
    done = 0
    for path in (folder / RESULTS / "state" / "train_3d").glob("*/checkpoint.pt"):
        try:
            done = max(done, torch.load(path, map_location="cpu", weights_only=True)["step"])
        except (OSError, RuntimeError):  # it is replaced at this very moment
            continue
    return done
