"""Everything that a machine with a GPU should say about this software, in less than eight minutes and offline.

    python benchmarks/gpu/bench.py --out build/bench-gpu
    python benchmarks/gpu/bench.py --size tiny --device cpu --out build/bench-gpu-dry

Parts run one after the other, each in a process of its own with a time limit, and write what they find at once:
results.jsonl, a log a part, the profile of a training step, throughput.csv for ``ignet plan``, and summary.md. A part
that fails or runs out of time takes nothing with it; the exit code is then 1.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch

from ignet.workflow.costs import TABLE

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Part:
    """One measurement.

    Attributes:
        name: what it is.
        limit: seconds.
        script: below this folder.
        arguments: of the script, besides device and size.
    """

    name: str
    limit: int
    script: str
    arguments: tuple[str, ...] = ("--out", "{out}")


PARTS = (
    Part("data", 40, "data.py"),
    Part("agreement", 45, "agreement.py"),
    Part("resume", 90, "resume.py"),
    Part("speed_3d", 80, "speed_3d.py"),
    Part("speed_2d", 30, "speed_2d.py"),
    Part("profile", 25, "step_profile.py"),
    Part(
        "throughput",
        165,
        "../throughput.py",
        ("--part", "gpu", "--engine", "torch", "--table", "{out}/throughput.csv", "--data", "{out}/data"),
    ),
)
"""In this order; together under eight minutes."""


def run_part(part: Part, options: argparse.Namespace) -> str:
    """Run a part, and end it with all its children where it takes too long; returns what became of it."""
    command = [sys.executable, str(HERE / part.script), "--device", options.device, "--size", options.size]
    command += [argument.format(out=options.out) for argument in part.arguments]
    limit = part.limit * options.patience
    with (options.out / f"{part.name}.log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            code = process.wait(limit)
        except subprocess.TimeoutExpired:
            return f"ended by its limit of {limit:g} s"
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    return "done" if code == 0 else f"failed, see {part.name}.log"


def write_summary(out: Path, device: str, outcomes: dict[str, str]) -> None:
    """The results so far as Markdown."""
    name = torch.cuda.get_device_name() if device != "cpu" and torch.cuda.is_available() else "CPU"
    text = [f"# {name}, torch {torch.__version__}\n"]
    text += [f"- {part}: {outcome}" for part, outcome in outcomes.items()]
    results = out / "results.jsonl"
    rows = [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()] if results.exists() else []
    for part in dict.fromkeys(row["part"] for row in rows):
        table = pd.DataFrame([row for row in rows if row["part"] == part]).drop(columns="part")
        text.append(f"\n## {part}\n\n{table.to_markdown(index=False, floatfmt='.3g')}")
    (out / "summary.md").write_text("\n".join(text) + "\n", encoding="utf-8")


def main() -> None:
    """Run all parts, or those that are named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--size", choices=("tiny", "paper"), default="paper", help="tiny: to try the benchmark")
    parser.add_argument("--out", type=Path, default=Path("build/bench-gpu"), help="folder of the results")
    parser.add_argument("--part", nargs="+", choices=[part.name for part in PARTS], help="only these (default: all)")
    parser.add_argument("--patience", type=float, default=1.0, help="factor on the parts' time limits")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "results.jsonl").unlink(missing_ok=True)
    shutil.copyfile(TABLE, options.out / "throughput.csv")  # this machine's rows go beside those that come with ignet
    # so that a bench that is told to end takes its part along
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    outcomes: dict[str, str] = {}
    for part in PARTS:
        if options.part and part.name not in options.part:
            continue
        start = time.monotonic()
        outcome = run_part(part, options)
        outcomes[part.name] = f"{outcome}, {time.monotonic() - start:.0f} s"
        print(f"{part.name:<12} {outcomes[part.name]}", flush=True)
        write_summary(options.out, options.device, outcomes)
    print(f"wrote {options.out / 'summary.md'}")
    if not all(outcome.startswith("done") for outcome in outcomes.values()):
        sys.exit(1)


if __name__ == "__main__":
    main()
