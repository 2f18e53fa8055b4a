"""Kill the tiny workflow again and again, in every job, and see that nothing is lost: ``python tests/kills.py --help``.

Moments come from what can be observed (a job begins, its temporary appears, a checkpoint appears) and a random delay;
they, and the signals, are drawn from a seed and the job's name alone, and written to ``kills.jsonl``. The verdict is
the bytes and never the clock: a kill that comes too late hits whatever runs then.
"""

import argparse
import hashlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import yaml
from snakemake_command import snakemake_command

from ignet.files.atomic import write_json

ROOT = Path(__file__).resolve().parents[1]
UNCOMPARED = {
    "logs",
    "benchmarks",
    "tensorboard",
    "state",
    "progress",
    "records",
    "index.html",
    ".workflow.lock",
    ".identity",
}
"""What may differ below a folder of results: times (the report shows them), and what only helps to go on."""
MOMENTS = ("begin", "temporary", "checkpoint", "finished")
SIGNALS = ("SIGKILL", "SIGKILL", "SIGKILL", "SIGTERM", "SIGINT", "SIGHUP")
"""Crashes and lost power, a scheduler or ``kill``, Ctrl-C, and a terminal that is closed."""
TRAINING = re.compile("2D network from|.*: adaptation to|3D network")
"""Messages of the training jobs."""
TRAINING_KILLS = 3
"""Kills of a training while it trains; one more after it."""


@dataclass(frozen=True)
class Kill:
    """When and how a job is killed.

    Attributes:
        job: the job's message.
        moment: one of ``MOMENTS``; one that does not come is replaced by the job's end.
        delay: seconds from there.
        signal: one of ``SIGNALS``, to all processes at once.
    """

    job: str
    moment: str
    delay: float
    signal: str


def draw(seed: int, job: str, number: int) -> Kill:
    """The ``number``-th kill of a job."""
    rng = random.Random(f"{seed} {number} {job}")
    moment = rng.choice(("temporary", "checkpoint", "checkpoint") if TRAINING.match(job) else ("begin", "temporary"))
    if number > TRAINING_KILLS:  # a finished job never runs again, so this one comes last
        moment = "finished"
    delay = rng.choice((0.0, rng.uniform(0, 0.1), rng.uniform(0, 3)))
    return Kill(job, moment, round(delay, 3), rng.choice(SIGNALS))


class Workflow:
    """One start of the workflow, all its processes in a group of their own."""

    def __init__(self, folder: Path, config: Path, *arguments: str, cores: int = 2) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.log = folder / f"start-{len(list(folder.glob('start-*.txt'))):03d}.txt"
        command = snakemake_command(folder, "--configfile", config)
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        with self.log.open("w") as file:
            self.process = subprocess.Popen(
                [str(part) for part in [*command, "--cores", cores, *arguments]],
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=environment,
                preexec_fn=hear_signals,
            )

    @property
    def text(self) -> str:
        return self.log.read_text()

    def jobs(self, finished: bool) -> list[str]:
        """Messages of the jobs that have begun, or that are finished, so far."""
        return jobs_in(self.text, finished)

    def wait_for(self, condition: Callable[[], bool]) -> bool:
        """Wait until a condition holds; whether it did before the workflow's end."""
        while self.process.poll() is None:
            if condition():
                return True
            time.sleep(0.005)
        return False

    def kill(self, name: str) -> int:
        """Send a signal to all processes, and wait until none is left; the exit code."""
        with suppress(ProcessLookupError):
            end_group(self.process, signal.Signals[name])
        return self.process.wait()

    def finish(self) -> None:
        """Wait for a good end."""
        if self.process.wait():
            raise AssertionError(f"{self.log}:\n{self.text[-4000:]}")


def hear_signals() -> None:
    """Undo what a process in the background inherits: a shell or ``nohup`` has it ignore some signals."""
    for name in SIGNALS[-3:]:
        signal.signal(signal.Signals[name], signal.SIG_DFL)


def jobs_in(text: str, finished: bool) -> list[str]:
    """Messages of the jobs that have begun, or that are finished, in Snakemake's output."""
    begun = dict(re.findall(r"^Job (\d+): (.*)$", text, re.M))
    if not finished:
        return [*begun.values()]
    return [begun[number] for number in re.findall(r"^Finished jobid: (\d+) ", text, re.M) if number in begun]


def end_group(process: subprocess.Popen, number: int, patience: float = 120) -> None:
    """Send a signal to a process group, and SIGKILL to those who are still there much later; returns when none is
    left."""
    os.killpg(process.pid, number)
    end = time.monotonic() + patience
    while True:
        process.poll()
        try:
            os.killpg(process.pid, 0 if time.monotonic() < end else signal.SIGKILL)
        except ProcessLookupError:
            return
        time.sleep(0.01)


def artifacts(results: Path) -> dict[str, str]:
    """SHA-256 of every finished file below a folder of results."""
    found = {}
    for folder, folders, names in os.walk(results):
        folders[:] = [
            name for name in folders if not is_temporary(name) and not (Path(folder) == results and name in UNCOMPARED)
        ]
        for name in set(names) - UNCOMPARED - {".snakemake_timestamp"}:
            path = Path(folder, name)
            found[str(path.relative_to(results))] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def is_temporary(name: str) -> bool:
    """Whether a name is that of a writer's private folder."""
    return name.startswith(".") and name.endswith(".tmp")


def temporaries(results: Path) -> set[str]:
    """Private folders of writers, of dead and living ones."""
    return {
        str(Path(folder, name)) for folder, folders, _ in os.walk(results) for name in folders if is_temporary(name)
    }


def checkpoints(results: Path) -> set[tuple[str, int]]:
    """Names and numbers (inodes) of the newest checkpoints: a new checkpoint is a new file."""
    found = set()
    for path in (results / "state").glob("*/*/checkpoint.pt"):
        with suppress(FileNotFoundError):
            found.add((str(path), path.stat().st_ino))
    return found


def differences(found: dict[str, str], expected: dict[str, str]) -> list[str]:
    """Files that are there and differ, or that nobody expects."""
    return sorted(name for name, digest in found.items() if expected.get(name) != digest)


def attempt(
    folder: Path, config: Path, results: Path, choose: Callable[[str], Kill | None], *arguments: str
) -> tuple[Workflow, Kill | None]:
    """Start the workflow and kill it in the first job for which ``choose`` gives a kill; none where it ended before."""
    workflow = Workflow(folder, config, *arguments)
    chosen: list[Kill] = []

    def begun() -> bool:
        chosen.extend(filter(None, map(choose, workflow.jobs(finished=False))))
        return bool(chosen)

    if not workflow.wait_for(begun):
        return workflow, None
    kill, old = chosen[0], (temporaries(results), checkpoints(results))
    seen = {
        "begin": lambda: True,
        "temporary": lambda: bool(temporaries(results) - old[0]),
        "checkpoint": lambda: bool(checkpoints(results) - old[1]),
        "finished": lambda: False,
    }[kill.moment]
    workflow.wait_for(lambda: seen() or kill.job in workflow.jobs(finished=True))
    time.sleep(kill.delay)
    workflow.kill(kill.signal)
    return workflow, kill


class Quoted(yaml.SafeDumper):
    """Writes texts in quotes: experiment files refuse a sequence such as 08 without them."""


Quoted.add_representer(str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"'))


def write_config(path: Path, workers: int) -> Path:
    """The tiny experiment with more steps, and a checkpoint at every one."""
    values = yaml.safe_load((ROOT / "config" / "tiny.yaml").read_text())
    for section in ("pretrain_2d", "adapt_2d", "train_3d"):
        values[section]["steps"] = 12
    values["execution"] = {"checkpoint_every": 0.001, "workers": workers, "device": "cpu"}
    path.write_text(yaml.dump(values, Dumper=Quoted))
    return path


def check(condition: bool, words: str, names: Iterable[object] = ()) -> None:
    """End with a message where something was lost."""
    if not condition:
        sys.exit(f"LOST: {words} {[*names]}")


def sources() -> str:
    """Eight digits for what is run: results of other sources are no measure."""
    files = sorted(
        path
        for top in ("ignet", "workflow", "Snakefile")
        for path in [ROOT / top, *(ROOT / top).rglob("*")]
        if path.is_file()
    )
    content = [path.read_bytes() for path in files if path.suffix != ".pyc"]
    return hashlib.sha256(b"".join(content)).hexdigest()[:8]


def undisturbed(folder: Path, config: Path) -> dict[str, str]:
    """What an uninterrupted run makes; run once a folder."""
    digests = folder / "expected.json"
    if not digests.exists():
        Workflow(folder / "whole", config).finish()
        write_json(digests, artifacts(folder / "whole/results/tiny"))
    return json.loads(digests.read_text())


def kill_again_and_again(
    folder: Path, config: Path, expected: dict[str, str], choose: Callable[[str, int], Kill | None]
) -> None:
    """Start and kill the workflow until ``choose`` (job, its number of kills so far) has no kill for any job, and it
    ends."""
    results, record = folder / "killed/results/tiny", folder / "kills.jsonl"
    lines = [json.loads(line) for line in record.read_text().splitlines()] if record.exists() else []
    counts = Counter(line["job"] for line in lines)

    def count_and_choose(job: str) -> Kill | None:
        kill = choose(job, counts[job])
        counts[job] += kill is not None
        return kill

    while True:
        workflow, kill = attempt(folder / "killed", config, results, count_and_choose)
        if kill is None:
            workflow.finish()
        found = artifacts(results)
        check(
            not differences(found, expected), "files differ from the uninterrupted run's:", differences(found, expected)
        )
        if kill is None:
            return
        facts = {"log": workflow.log.name, "files": len(found), "temporaries": len(temporaries(results))}
        with record.open("a") as file:
            file.write(json.dumps(asdict(kill) | facts) + "\n")
        print(f"{kill.signal} {kill.delay} s after {kill.moment} of {kill.job}: {facts}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0, help="decides all moments and signals (default: 0)")
    parser.add_argument(
        "--only", type=re.compile, default="", help="regular expression: kill only jobs whose message has it"
    )
    parser.add_argument(
        "--folder",
        type=Path,
        default=ROOT / "build" / "kills",
        help="where it works, and goes on (default: build/kills)",
    )
    args = parser.parse_args()
    folder = args.folder / f"seed{args.seed}-{sources()}"
    folder.mkdir(parents=True, exist_ok=True)
    config = write_config(folder / "experiment.yaml", workers=args.seed % 2)
    expected = undisturbed(folder, config)
    print(f"{len(expected)} files of an uninterrupted run in {folder / 'whole'}", flush=True)

    def choose(job: str, count: int) -> Kill | None:
        quota = TRAINING_KILLS + 1 if TRAINING.match(job) else 1
        return draw(args.seed, job, count + 1) if count < quota and re.search(args.only, job) else None

    kill_again_and_again(folder, config, expected, choose)

    results = folder / "killed/results/tiny"
    found = artifacts(results)
    check(found.keys() == expected.keys(), "files are missing:", expected.keys() - found.keys())
    check(not temporaries(results), "temporaries are left:", temporaries(results))
    check(not [*(results / "state").glob("*/*")], "training states are left:", (results / "state").glob("*/*"))
    starts = sorted((folder / "killed").glob("start-*.txt"))
    finished = Counter(job for path in starts for job in jobs_in(path.read_text(), finished=True))
    again = [job for job, count in finished.items() if count > 1]
    check(not again, "finished jobs ran again:", again)
    print(
        f"{len(starts) - 1} kills, {len(found)} files: byte-identical; no finished job ran again, nothing is left over"
    )


if __name__ == "__main__":
    main()
