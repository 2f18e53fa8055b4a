"""Run one of the workflow's scripts with its loops watched: how long they take, or what one of them does on the device.

    python benchmarks/watched_stage.py times OUT.json workflow/scripts/predict.py --device cpu ...
    python benchmarks/watched_stage.py profile OUT workflow/scripts/train_3d.py --device cuda ...

``times`` writes for each loop its units and the seconds of one, without the first, which warms up, and the process's
peak memory. ``profile`` writes what two early steps of a training do, after those that warm up: OUT.txt, a table of
operators, and OUT.json.gz, a trace for chrome://tracing or Perfetto.
"""

import resource
import runpy
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import torch

import ignet.log
from ignet.files.atomic import write_json

PROFILED = range(5, 7)
"""Steps of a training that are profiled; the ones before warm up. Each has tens of thousands of events to write."""

Watch = Callable[[Iterator[Any], str], Iterator[Any]]


class Times:
    """Seconds of each loop: of the wall clock on a GPU, else of this process's processor time."""

    def __init__(self, on_gpu: bool) -> None:
        self.clock = time.perf_counter if on_gpu else time.process_time
        self.on_gpu = on_gpu
        self.loops: list[dict[str, Any]] = []

    def watch(self, items: Iterator[Any], description: str) -> Iterator[Any]:
        """Pass a loop's items on."""
        times = [self.clock()]
        for item in items:
            yield item
            times.append(self.clock())
        if self.on_gpu:
            torch.cuda.synchronize()
            times[-1] = self.clock()
        units = len(times) - 1
        warm = times[1:] if units > 1 else times
        if units:
            seconds = (warm[-1] - warm[0]) / (len(warm) - 1)
            self.loops.append({"description": description, "units": units, "seconds": seconds})

    def write(self, path: Path) -> None:
        """Write what was measured."""
        peak = {"host_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}
        if self.on_gpu:
            peak["device_mb"] = torch.cuda.max_memory_allocated() / 2**20
        write_json(path, {"loops": self.loops, **peak})


class Profile:
    """torch's profiler over some steps of a training."""

    def __init__(self, on_gpu: bool) -> None:
        activities = [torch.profiler.ProfilerActivity.CPU]
        self.on_gpu = on_gpu
        self.profiler = torch.profiler.profile(
            activities=activities + [torch.profiler.ProfilerActivity.CUDA] * on_gpu, profile_memory=False
        )

    def watch(self, items: Iterator[Any], description: str) -> Iterator[Any]:
        """Pass a loop's items on; profile steps of a training."""
        for number, item in enumerate(items):
            if description.startswith("step of") and number == PROFILED.start:
                self.profiler.start()
            yield item
            if description.startswith("step of") and number == PROFILED.stop - 1:
                if self.on_gpu:
                    torch.cuda.synchronize()
                self.profiler.stop()

    def write(self, path: Path) -> None:
        """Write the table and the trace."""
        order = "self_cuda_time_total" if self.on_gpu else "self_cpu_time_total"
        table = self.profiler.key_averages().table(sort_by=order, row_limit=40, max_name_column_width=70)
        path.with_suffix(".txt").write_text(f"{len(PROFILED)} steps\n{table}\n", encoding="utf-8")
        self.profiler.export_chrome_trace(str(path.with_suffix(".json.gz")))


def run_watched(script: str, arguments: list[str], watch: Watch) -> None:
    """Run a script in this process, each loop with a progress bar passed through ``watch``."""
    progress = ignet.log.progress

    def watched(items: Iterable[Any], description: str, *args: Any, **options: Any) -> Iterator[Any]:
        return watch(progress(items, description, *args, **options), description)

    ignet.log.progress = watched  # type: ignore[assignment]
    sys.argv = [script, *arguments]
    runpy.run_path(script, run_name="__main__")


def main() -> None:
    """Run, and write what was seen, unless the script failed."""
    kind, out, script, *arguments = sys.argv[1:]
    watcher = {"times": Times, "profile": Profile}[kind](torch.cuda.is_available() and "cpu" not in arguments)
    run_watched(script, arguments, watcher.watch)
    watcher.write(Path(out))


if __name__ == "__main__":
    main()
