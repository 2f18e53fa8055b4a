"""Run one of the workflow's scripts on the pretend device, and say what it did there.

    python tests/pretend/run_stage.py COUNTS.json workflow/scripts/train_3d.py --device cuda ...

COUNTS.json gets the operators, waits and blocking copies of each step of a training, and the places of the last step's
waits and blocking copies.
"""

import json
import runpy
import sys
from pathlib import Path

from pretend_cuda import PretendCuda  # before torch


def main() -> None:
    """Run the script; its exit code is this one's."""
    counts, script, *rest = sys.argv[1:]
    sys.path.insert(0, str(Path(script).resolve().parents[2]))
    from ignet.train.run import TrainingRun

    gpu, steps, places = PretendCuda(), [], {}
    record = TrainingRun._record

    def noting(run: TrainingRun, step: int) -> None:
        record(run, step)
        steps.append({"operators": gpu.kernels, "waits": gpu.count("wait"), "copies": gpu.count("copy")})
        places.clear()
        places.update({f"{kind}, {what} at {place}": n for (kind, what, place), n in gpu.events.items()})
        gpu.reset()

    TrainingRun._record = noting  # type: ignore[method-assign]
    sys.argv = [script, *rest]
    with gpu:
        try:
            runpy.run_path(script, run_name="__main__")
        finally:
            Path(counts).write_text(json.dumps({"steps": steps, "places": places}, indent=1))


if __name__ == "__main__":
    main()
