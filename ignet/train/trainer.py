"""The trainer of all networks, 2D and 3D: the update step, and what a stage's training reads and leaves."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import Dataset

from ignet.config.optimizer import OptimizerConfig
from ignet.files.atomic import write_json
from ignet.log import log
from ignet.stage.scheduler import deadline
from ignet.stage.script import Stage
from ignet.train.distributed import Ranks
from ignet.train.finished import note_identity
from ignet.train.loader import read_ahead
from ignet.train.run import TrainingRun, write_curves


class Objective(nn.Module):
    """What a training minimises.

    ``forward(step, *batches)`` returns scalars by name: ``loss``, which is minimised, and others that are logged.

    Attributes:
        student: the network that gradients train.
        teacher: its moving average, where there is one.
    """

    student: nn.Module

    def update_teacher(self, step: int) -> None:
        """Move the teacher towards the student, after the optimiser's step; without a teacher nothing."""


class Trainer:
    """The update step: forward, backward, clipping, AdamW, learning rate, moving average.

    Args:
        objective: what is minimised, on its device.
        settings: of the optimiser.
        schedule: factor on the learning rate, of (step, steps, warm-up steps).
        ranks: the processes that share each step.
        head_factor: learning rate of all that is not in the student's ``encoder``, over that of the encoder.
    """

    def __init__(
        self,
        objective: Objective,
        settings: OptimizerConfig,
        schedule: Callable[[int, int, Any], float],
        ranks: Ranks | None = None,
        head_factor: float = 1.0,
    ) -> None:
        self.objective, self.settings, self.ranks = objective, settings, ranks or Ranks()
        self.forward = self.ranks.wrap(objective)
        self.optimizer = AdamW(parameter_groups(objective.student, settings, head_factor), fused=True)
        self.scheduler = LambdaLR(self.optimizer, lambda step: schedule(step, settings.steps, settings.warmup_steps))

    @property
    def parts(self) -> dict[str, Any]:
        """Everything that changes while training."""
        return {"objective": self.objective, "optimizer": self.optimizer, "scheduler": self.scheduler}

    def step(self, step: int, *batches: Any) -> dict[str, Tensor | float]:
        """One update; returns what is logged of it: the objective's scalars and the learning rate."""
        self.objective.student.train()
        losses = self.forward(step, *batches)
        self.optimizer.zero_grad()
        self.ranks.backward(losses["loss"])
        if self.settings.gradient_clip is not None:
            clip_grad_norm_(self.objective.student.parameters(), self.settings.gradient_clip)
        self.optimizer.step()
        rate = self.scheduler.get_last_lr()[0]
        self.scheduler.step()
        self.objective.update_teacher(step)
        return {**losses, "learning_rate": rate}


class StageTraining(TrainingRun):
    """The training of one stage: a run that keeps its state, and writes its results, where the command line says.

    Args:
        stage: the stage, started.
        identity: hash of all that the result depends on.
        trainer: takes the steps.
    """

    def __init__(self, stage: Stage, identity: str, trainer: Trainer) -> None:
        args = stage.args
        super().__init__(
            args.state,
            identity,
            steps=trainer.settings.steps,
            parts=trainer.parts,
            curves=args.curves,
            checkpoint_every=args.checkpoint_every,
            deadline=deadline(args.max_minutes, args.job_start),
            ranks=trainer.ranks,
        )
        self.stage, self.trainer = stage, trainer

    def fit(self, *datasets: Dataset) -> None:
        """Take the steps that are left; item s of each dataset is its batch of step s."""
        left = range(self.step, self.steps)
        pin = self.ranks.device.type == "cuda"
        batches = zip(*(read_ahead(dataset, left, self.stage.args.workers, pin) for dataset in datasets), strict=True)
        for step, batch in zip(self, batches, strict=True):
            self.log(**self.trainer.step(step, *batch))

    def export(self, save: Callable[[Path], None], metrics: dict[str, Any] | None = None, **facts: Any) -> None:
        """Write the results; the main process alone does.

        Args:
            save: writes the weights.
            metrics: written beside the means of the last steps.
            facts: for the settings that are written beside the weights.
        """
        if not self.ranks.main:
            return
        args = self.stage.args
        save(args.out)
        write_json(args.metrics, {**last_metrics(self.history), **(metrics or {})})
        write_curves(args.curves_csv, self.history)
        record = args.out.with_suffix(".settings.json")
        self.stage.write_settings(record, processes=self.processes, **facts)
        note_identity(args.out, self.identity)
        self.finish(args.out, args.metrics, args.curves_csv, record)
        log.info("wrote %s", args.out)


def parameter_groups(student: nn.Module, settings: OptimizerConfig, head_factor: float) -> list[dict[str, Any]]:
    """The optimiser's groups: all parameters of one learning rate and one weight decay.

    Norms and biases are the parameters with one axis.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in student.named_parameters():
        rate = settings.learning_rate * (1.0 if name.startswith("encoder.") else head_factor)
        decayed = parameter.ndim > 1 or settings.decay_norms_and_biases
        groups.setdefault((rate, settings.weight_decay if decayed else 0.0), []).append(parameter)
    return [{"params": each, "lr": rate, "weight_decay": decay} for (rate, decay), each in groups.items()]


def last_metrics(history: list[dict[str, float]]) -> dict[str, float]:
    """Mean of each figure over the last tenth of the steps, at least one, as ``last_NAME``."""
    last = history[-max(1, len(history) // 10) :]
    names = [name for name in last[0] if name not in ("step", "learning_rate")]
    return {f"last_{name}": sum(row[name] for row in last) / len(last) for name in names}
