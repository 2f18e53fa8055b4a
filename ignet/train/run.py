"""The one training loop: it resumes, saves, shows progress and keeps the curves.

The algorithm stands in the stage's script.
"""

import csv
import math
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import torch
from filelock import FileLock, Timeout

from ignet.errors import IgnetError
from ignet.files.atomic import atomic, explain_write_errors
from ignet.log import log, progress
from ignet.train.checkpoint import PREVIOUS, REFUSED, restore_newest, save_checkpoint
from ignet.train.curves import Curves
from ignet.train.distributed import Ranks
from ignet.train.interruption import Interruption
from ignet.train.loader import end_loader_processes, explain
from ignet.train.outputs import note_outputs
from ignet.train.readings import Readings


class Stateful(Protocol):
    """Anything with a state dict: networks, optimisers, schedulers, scalers."""

    def state_dict(self) -> dict[str, Any]:
        """The state as torch keeps it."""

    def load_state_dict(self, state: dict[str, Any], /) -> Any:
        """Take a state that `state_dict` gave."""


class TrainingRun:
    """Iterate over the steps that are still to do.

    Args:
        state: folder of the training state, one folder an identity below it; it is locked while in use and may outlive
            the process.
        identity: hash of all that the result depends on; a state of another identity is never touched.
        steps: total number of steps.
        parts: everything that changes while training.
        curves: folder for TensorBoard event files; none: no TensorBoard.
        checkpoint_every: seconds between two checkpoints. It cannot change the result.
        deadline: when to save and exit, in seconds since 1970 (``ignet.stage.scheduler.deadline``); none: no scheduler.
            Nor can this.
        ranks: the processes that share each step. All resume from the same state; the main one alone locks, writes and
            talks, and all stop after the same step.

    All randomness of a step must come from ``ignet.devices.step_generator``; torch's global generators are part of the
    checkpoint. A resumed CPU run then ends bit-identical to one that was never interrupted.

    Attributes:
        history: figures of each step that was done.
        processes: how many processes shared a step, in the order in which the number changed: another number may go on
            with a state.

    SIGTERM, SIGINT (Ctrl-C) and SIGHUP (a closed terminal) make the run save after the current step and exit with
    ``EXIT_PREEMPTED``, and so does a time limit that is near; ``ignet.train.interruption`` says more. With a
    ``deadline`` SIGTERM makes it save and continue.

    The state stays when the block ends, also after the last step: the files that the training wrote count only when the
    workflow has recorded them, and a workflow that ends before that removes them. The next start then finds the last
    checkpoint, and only writes.
    """

    def __init__(
        self,
        state: Path,
        identity: str,
        *,
        steps: int,
        parts: dict[str, Stateful],
        curves: Path | None = None,
        checkpoint_every: float = 60.0,
        deadline: float | None = None,
        ranks: Ranks | None = None,
    ) -> None:
        self.folder = Path(state) / identity
        self.identity, self.steps, self.parts, self.curves = identity, steps, parts, curves
        self.checkpoint_every = checkpoint_every
        self.deadline = deadline
        self.ranks = ranks or Ranks()
        self.processes = [self.ranks.size]
        self.history: list[dict[str, float]] = []
        self.step = 0
        self._values: dict[str, Any] = {}
        self._readings = Readings()
        self._saved: int | None = None
        self._interruption = Interruption(deadline is not None)
        self._writer: Any = None

    def __enter__(self) -> Self:
        self._lock = FileLock(self.folder / "lock")
        if self.ranks.main:
            self._take()
            self._resume()
            if self.curves:
                self._writer = Curves(self.curves, self.step)
        # the others read what the main one found good: it sets damaged checkpoints aside
        self.ranks.barrier()
        if not self.ranks.main:
            self._resume()
        self._interruption.listen()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer:
            self._writer.close()
        self._lock.release()
        if error is not None:
            end_loader_processes()
        if self._interruption.at_once:
            log.warning(
                "asked to stop again: ended in the middle of a step; the next start resumes after step %s",
                self._saved or 0,
            )
        self._interruption.restore()
        if error is not None and (line := explain(error)):
            raise IgnetError(line) from error

    def __iter__(self) -> Iterator[int]:
        saved = time.monotonic()
        steps = range(self.step, self.steps)
        for step in progress(steps, f"step of {self.steps}", total=self.steps, initial=self.step):
            self.ranks.seed(self.identity, step)
            yield step
            self._record(step)
            self.step = step + 1
            stop, late = self.ranks.any_of(self._interruption.asked or self.ranks.parent_died, self._late())
            if stop or late or time.monotonic() - saved >= self.checkpoint_every:
                self.save()
                saved = time.monotonic()
            if stop or late:
                # the launcher ends all as soon as one has ended
                self.ranks.barrier()
                self._leave(late)
        if self._saved != self.step:
            self.save()
        # from here on a signal costs nothing but the writing of the results
        self._interruption.saved = True
        if self.ranks.any(self._interruption.asked):
            self._leave(late=False)

    def log(self, **values: float | torch.Tensor) -> None:
        """Keep figures of the current step for the curves.

        Read only after the step, so that a GPU is not stopped for them.
        """
        self._values.update(
            {key: value.detach() if isinstance(value, torch.Tensor) else value for key, value in values.items()}
        )

    def save(self) -> None:
        """Write a checkpoint of the steps done so far; the one before is kept."""
        self._take_readings(0)
        self._saved = self.step
        if not self.ranks.main:
            return
        device = self.ranks.device
        state = {
            "identity": self.identity,
            "step": self.step,
            "parts": {name: part.state_dict() for name, part in self.parts.items()},
            "history": self.history,
            "processes": self.processes,
            "rng": torch.get_rng_state(),
            "cuda_rng": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
        }
        save_checkpoint(self.folder, state)

    def finish(self, *outputs: Path) -> None:
        """Note in the state which files the training has written.

        The workflow removes the state when it has recorded them.
        """
        for name in (PREVIOUS, REFUSED):
            with suppress(OSError):
                (self.folder / name).unlink(missing_ok=True)
        try:
            note_outputs(self.folder, outputs)
        except IgnetError as error:  # what is written is not worth less without the note
            log.warning("%s; the training's state stays there", error)

    def _take(self) -> None:
        """Lock the folder."""
        try:
            with explain_write_errors(self.folder / "lock"):
                self.folder.mkdir(parents=True, exist_ok=True)
                self._lock.acquire(timeout=0)
        except Timeout:
            raise IgnetError(f"{self.folder}: another process trains here; wait until it ends, or end it") from None

    def _resume(self) -> None:
        restore_newest(self.folder, self.identity, self.parts, self._restore)

    def _restore(self, state: dict[str, Any]) -> None:
        for name, part in self.parts.items():
            part.load_state_dict(state["parts"][name])
        self.step, self.history = state["step"], list(state["history"])
        self._saved = self.step
        before = list(state["processes"])
        # a finished training that only writes its results again was made by those who did its steps
        same = before[-1] == self.ranks.size or self.step == self.steps
        self.processes = before if same else [*before, self.ranks.size]
        torch.set_rng_state(state["rng"])
        if state["cuda_rng"] is not None and self.ranks.device.type == "cuda":
            torch.cuda.set_rng_state(state["cuda_rng"], self.ranks.device)
        log.info("resumed after step %d of %d", self.step, self.steps)

    def _record(self, step: int) -> None:
        self._readings.add(step, self._values)
        self._values = {}
        # a GPU still computes the step that was just begun there
        self._take_readings(1 if self.ranks.device.type == "cuda" else 0)

    def _take_readings(self, left: int) -> None:
        """Take the figures of all steps but the last ``left`` into the curves."""
        for row in self._readings.take(left):
            step = int(row["step"])
            bad = {key: value for key, value in row.items() if not math.isfinite(value)}
            if bad:
                raise IgnetError(
                    f"training: step {step} gave {bad}, expected finite numbers; lower the learning rate or look at "
                    "the data"
                )
            self.history.append(row)
            if self._writer:
                for key, value in row.items():
                    if key != "step":
                        self._writer.add_scalar(key, value, step)

    def _late(self) -> bool:
        # after the last step there is nothing left to do but to write the results
        return self.deadline is not None and self.step < self.steps and time.time() >= self.deadline

    def _leave(self, late: bool) -> None:
        reason = "the time limit is near" if late else "asked to stop"
        firm = late or self.deadline is None or self.ranks.any(self._interruption.firm or self.ranks.parent_died)
        if not firm:
            log.warning(
                "%s: state saved after step %d of %d; going on until the scheduler ends the job",
                reason,
                self.step,
                self.steps,
            )
            self._interruption.clear()
            return
        log.warning(
            "%s: state saved after step %d of %d; the next start resumes from there", reason, self.step, self.steps
        )
        self._interruption.leave()


def write_curves(path: Path, history: list[dict[str, float]]) -> None:
    """Write the figures of every step as CSV, atomically; columns in order of their first appearance."""
    columns = list(dict.fromkeys(key for row in history for key in row))
    with atomic(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        for row in history:
            writer.writerow({key: int(value) if key == "step" else f"{value:.6g}" for key, value in row.items()})
