"""Training curves so far: of finished trainings from their tables, of running ones from TensorBoard's files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ignet.errors import IgnetError
from ignet.report.plots import Curve, read_curves
from ignet.workflow.progress import DONE, WAITING, JobProgress

TRAININGS = {"train_3d": "3D networks", "pretrain_2d": "2D networks", "adapt_2d": "2D networks"}


class CurveReader:
    """Reads curves again and again; what was read before is kept."""

    def __init__(self) -> None:
        self._tables: dict[Path, tuple[float, Curve]] = {}
        self._events: dict[Path, Any] = {}

    def read(self, jobs: Sequence[JobProgress], folder: Path) -> dict[str, dict[str, list[Curve]]]:
        """Curves by kind of network, training and seed; trainings without a step so far are left out.

        Args:
            jobs: all jobs of the call.
            folder: working directory of the workflow.
        """
        found: dict[str, dict[str, list[Curve]]] = {}
        for each in jobs:
            if each.job.rule not in TRAININGS or each.state == WAITING:
                continue
            table = next((folder / path for path in each.job.outputs if path.endswith("curves.csv")), None)
            curve = (
                None
                if table is None
                else self._table(table)
                if each.state == DONE
                else self._running(events_folder(table))
            )
            if curve is not None:
                name = each.job.wildcards.get("run") or each.job.wildcards.get("network") or "source"
                found.setdefault(TRAININGS[each.job.rule], {}).setdefault(name, []).append(curve)
        return found

    def _table(self, path: Path) -> Curve | None:
        try:
            changed = path.stat().st_mtime
            if self._tables.get(path, (None,))[0] != changed:
                self._tables[path] = changed, read_curves(path)
            return self._tables[path][1]
        except (OSError, IgnetError):
            return None  # removed or written anew at this moment

    def _running(self, folder: Path) -> Curve | None:
        if not folder.is_dir():
            return None
        if folder not in self._events:
            from tensorboard.backend.event_processing.event_accumulator import SCALARS, EventAccumulator

            self._events[folder] = EventAccumulator(str(folder), size_guidance={SCALARS: 0})
        events = self._events[folder]
        events.Reload()
        scalars = {
            name: [(event.step, event.value) for event in events.Scalars(name)] for name in events.Tags()["scalars"]
        }
        return as_curve(scalars)


def as_curve(scalars: Mapping[str, Sequence[tuple[int, float]]]) -> Curve | None:
    """A curve from pairs of step and value by metric; NaN where a step has none. None without any step."""
    columns = {name: pd.Series(dict(pairs), dtype=np.float64) for name, pairs in scalars.items()}
    curve = pd.DataFrame(columns).sort_index().rename_axis("step").reset_index().astype(np.float64)
    return None if curve.empty else curve


def events_folder(table: Path) -> Path:
    """Folder of TensorBoard's files of a training, from the path of its table of curves."""
    parts = table.parent.parts
    place = max(number for number, part in enumerate(parts) if part in TRAININGS)
    base, own = Path(*parts[:place]), parts[place:]
    if own[0] == "train_3d":
        own = (own[0], "-".join(own[1:]))
    return base.joinpath("tensorboard", *own)
