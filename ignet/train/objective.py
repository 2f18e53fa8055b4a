"""The 3D training's objective: what one step minimises, and what it keeps for the next."""

from copy import deepcopy

import torch
from torch import Tensor, nn

from ignet.config.training_3d import Train3DConfig
from ignet.data.lidar.batches import Batch
from ignet.data.lidar.network_input import Input
from ignet.devices import autocast
from ignet.models.segmentor3d import Network3D
from ignet.train.distributed import Ranks
from ignet.train.ema import update_ema
from ignet.train.needs import needs_teacher
from ignet.train.terms.base import Forward, StoredFeatures
from ignet.train.terms.registry import active_terms
from ignet.train.trainer import Objective


class StudentWithHeads(nn.Module):
    """A 3D network with the heads that only training needs.

    Args:
        network: the network that inference keeps.
        heads: name of a term -> its head.
    """

    heads: nn.ModuleDict

    def __init__(self, network: Network3D, heads: dict[str, nn.Module]) -> None:
        super().__init__()
        self.network, self.heads = network, nn.ModuleDict(heads)


class Objective3D(Objective):
    """L = sum of weight * ramp-up * term over the terms that are on, see `ignet.train.terms`.

    Args:
        network: trained by gradients, with the terms' heads. The moving average of both, the teacher, is made here and
            is what evaluation uses.
        settings: the run.
        engine: sparse engine, resolved.
        stored: where terms find 2D features; none where no term needs any.
        seed: of the training.
        ranks: the processes that share a batch; all terms are the whole batch's.
    """

    student: StudentWithHeads
    teacher: StudentWithHeads

    def __init__(
        self,
        network: Network3D,
        settings: Train3DConfig,
        engine: str,
        stored: StoredFeatures | None = None,
        seed: int = 0,
        ranks: Ranks | None = None,
    ) -> None:
        super().__init__()
        self.settings, self.engine, self.seed, self.ranks = settings, engine, seed, ranks or Ranks()
        self.terms, self.needs_teacher = active_terms(settings), needs_teacher(settings)
        self.own_statistics = self.needs_teacher and settings.mean_teacher.batch_norm == "own"
        heads = {term.name: head for term in self.terms if (head := term.head(network.channels, stored)) is not None}
        self.student = StudentWithHeads(network, heads)
        self.teacher = deepcopy(self.student).requires_grad_(False).eval()
        modules = {term.name: term.module(stored, seed, len(network.label_set)) for term in self.terms}
        self.kept = nn.ModuleDict({name: module for name, module in modules.items() if module is not None})

    def forward(self, step: int, batch: Batch) -> dict[str, Tensor]:
        """Losses of one batch, student and teacher views of the same points.

        Returns:
            Each weighted term by name, and their sum as ``loss``.
        """
        batch = batch.to(self.ranks.device)
        with autocast(self.ranks.device, self.settings.precision):
            logits, points = self._predict(self.student, batch.student)
            taught, taught_points = self._teacher_forward(batch) if self.needs_teacher else (None, None)
            heads = {name: (head, self.teacher.heads[name]) for name, head in self.student.heads.items()}
            terms, kept = {}, dict(self.kept.items())
            for term in self.terms:
                outputs = (logits, points, taught, taught_points)
                own = (heads.get(term.name), kept.get(term.name))
                forward = Forward(step, self.seed, batch, *outputs, *own, self.ranks)
                terms[term.name] = term.weight * linear_ramp_up(step, term.ramp) * term(forward)
            return {"loss": torch.stack(list(terms.values())).sum(), **terms}

    def update_teacher(self, step: int) -> None:
        """Move the teacher towards the student, after the optimiser's step."""
        update_ema(self.teacher, self.student, step, self.settings.mean_teacher.ema, not self.own_statistics)

    @torch.no_grad()
    def _teacher_forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        assert batch.teacher is not None
        logits, points = self._predict(self.teacher.train(self.own_statistics), batch.teacher)
        rows = batch.teacher_rows
        return (logits, points) if rows is None else (logits[rows], points[rows])

    def _predict(self, model: StudentWithHeads, view: Input) -> tuple[Tensor, Tensor]:
        """Logits float32 (N, C) and point features (N, D)."""
        logits, points = model.network(view, self.engine)
        return logits.float(), points


def linear_ramp_up(step: int, ramp: int) -> float:
    """Share of a weight that rises linearly over the first ``ramp`` steps."""
    return min(1.0, (step + 1) / ramp) if ramp else 1.0
