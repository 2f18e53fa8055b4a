"""The 3D training's objective: what one step minimises, and what it keeps for the next."""

from copy import deepcopy

import torch
from torch import Tensor, nn

from ignet.config.training_3d import Train3DConfig
from ignet.data.features.pca import Classifier
from ignet.data.label_sets.labels import CLASSES, IGNORE
from ignet.data.lidar.batches import Batch
from ignet.errors import IgnetError
from ignet.losses.consistency import consistency
from ignet.losses.contrastive import contrastive, one_way_contrastive, prototypes, with_gradient
from ignet.losses.cross_entropy import partial_cross_entropy
from ignet.losses.guidance import class_guidance, guidance, label_guidance
from ignet.losses.lovasz import lovasz_softmax
from ignet.models.heads import GuidanceHead, ProjectionHead, PrototypeMemory
from ignet.models.probe import Probe
from ignet.models.segmentor3d import Network3D
from ignet.models.sparse.engine import make_geometry
from ignet.train.distributed import Ranks
from ignet.train.ema import update_ema
from ignet.train.needs import needs_features, needs_teacher


class StudentWithHeads(nn.Module):
    """A 3D network with the heads that only training needs.

    Args:
        network: the network that inference keeps.
        guidance_head: g, or none where no loss compares features.
        projection_head: h, or none without the contrastive loss.
    """

    def __init__(
        self, network: Network3D, guidance_head: GuidanceHead | None, projection_head: ProjectionHead | None
    ) -> None:
        super().__init__()
        self.network = network
        self.guidance_head = guidance_head
        self.projection_head = projection_head


class Objective(nn.Module):
    """L = CE + Lovász + w_mt KL(teacher || student) + w_img L_img + w_con L_con; each term off where its weight is 0.

    Args:
        student: is trained by gradients. Its moving average, the teacher, is made here and is what evaluation uses.
        settings: the run.
        engine: sparse engine, resolved.
        classifier: the 2D network's last layer, for guidance by classes.
        probe: what reads classes from stored features, for guidance by labels.
        ranks: the processes that share a batch; all terms are the whole batch's.
    """

    class_weight: Tensor
    class_bias: Tensor

    def __init__(
        self,
        student: StudentWithHeads,
        settings: Train3DConfig,
        engine: str,
        classifier: Classifier | None = None,
        probe: Probe | None = None,
        ranks: Ranks | None = None,
    ) -> None:
        super().__init__()
        self.ranks, self.probe = ranks or Ranks(), probe
        if needs_features(settings) and settings.image_guidance.loss == "classifier_kl":
            if classifier is None:
                raise IgnetError(
                    "image_guidance.loss: classifier_kl needs the 2D network's classifier; run the rule features again"
                )
            self.register_buffer("class_weight", torch.from_numpy(classifier.weight), persistent=False)
            self.register_buffer("class_bias", torch.from_numpy(classifier.bias), persistent=False)
        self.settings, self.engine = settings, engine
        self.student = student
        self.teacher = deepcopy(student).requires_grad_(False).eval()
        contrastive = settings.contrastive
        self.memory = (
            PrototypeMemory(len(CLASSES), contrastive.channels, contrastive.momentum) if contrastive.weight else None
        )

    def forward(self, batch: Batch, step: int, chosen: Tensor) -> dict[str, Tensor]:
        """Losses of one batch.

        Args:
            batch: student and teacher views of the same points.
            step: number of the step.
            chosen: float (N,), random keys in 0..1, one a point: those with the smallest become anchors.

        Returns:
            Each weighted term by name, and their sum as ``loss``.
        """
        settings, labels = self.settings, batch.labels
        logits, points = self.student.network(
            batch.student.features, make_geometry(self.engine, batch.student.coordinates), batch.student.inverse
        )
        logits = logits.float()
        terms = {
            "ce": self.ranks.mean(partial_cross_entropy(logits, labels), (labels != IGNORE).sum()),
            "lovasz": settings.lovasz_weight * self._lovasz(logits.softmax(1), labels),
        }
        if needs_teacher(settings):
            teacher_logits, teacher_points = self._teacher_forward(batch)
        if settings.mean_teacher.weight:
            weight = settings.mean_teacher.weight * linear_ramp_up(step, settings.mean_teacher.ramp)
            unlabelled = labels == IGNORE
            terms["consistency"] = weight * self.ranks.mean(
                consistency(logits, teacher_logits, unlabelled), unlabelled.sum()
            )
        if needs_features(settings):
            distance = self._guide(batch, logits, points)
            terms["image"] = settings.image_guidance.weight * self.ranks.mean(distance, len(batch.guided))
        if self.memory is not None:
            weight = settings.contrastive.weight * linear_ramp_up(step, contrast_ramp(settings))
            terms["contrastive"] = weight * self._contrast(batch, points, teacher_points, teacher_logits, chosen)
        return {"loss": torch.stack(list(terms.values())).sum(), **terms}

    def _lovasz(self, probabilities: Tensor, labels: Tensor) -> Tensor:
        """No sum over points, so each process needs the labelled points of all: their errors are sorted together."""
        if self.ranks.size > 1:
            labelled = labels != IGNORE
            probabilities, labels = self.ranks.gather(probabilities[labelled]), self.ranks.gather(labels[labelled])
        return lovasz_softmax(probabilities, labels)

    def _guide(self, batch: Batch, logits: Tensor, points: Tensor) -> Tensor:
        settings, stored = self.settings.image_guidance, batch.feature
        if settings.loss == "probe_kl":
            assert self.probe is not None
            return label_guidance(logits[batch.guided], self.probe(stored), settings.confidence)
        assert self.student.guidance_head is not None
        predicted = self.student.guidance_head(points[batch.guided])
        if settings.loss == "classifier_kl":
            return class_guidance(predicted.float(), stored, self.class_weight, self.class_bias, settings.confidence)
        return guidance(predicted, stored, settings.loss)

    def update_teacher(self, step: int) -> None:
        """Move the teacher towards the student, after the optimiser's step."""
        update_ema(self.teacher, self.student, step, self.settings.mean_teacher.ema)

    @torch.no_grad()
    def _teacher_forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        self.teacher.eval()
        assert batch.teacher is not None
        geometry = make_geometry(self.engine, batch.teacher.coordinates)
        logits, points = self.teacher.network(batch.teacher.features, geometry, batch.teacher.inverse)
        return logits.float(), points

    def _contrast(
        self, batch: Batch, points: Tensor, teacher_points: Tensor, teacher_logits: Tensor, chosen: Tensor
    ) -> Tensor:
        assert self.memory is not None
        assert self.student.projection_head is not None
        assert self.teacher.projection_head is not None
        classes, known = self._classes(batch.labels, teacher_logits)
        anchors, seen_known = self._anchors(known & ~batch.in_fov, chosen), known & batch.in_fov
        # similarities divided by a small temperature need more than bf16's eight bits
        with torch.autocast(points.device.type, enabled=False):
            with torch.no_grad():
                self.memory.update(
                    self.teacher.projection_head(teacher_points.float()), classes, seen_known, self.ranks.pool
                )
            z = self.student.projection_head(points[anchors].float())
            memory, temperature = self.memory, self.settings.contrastive.temperature
            number = memory.seen[classes[anchors]].sum()
            if self.settings.contrastive.direction == "one_way":
                return self.ranks.mean(
                    one_way_contrastive(z, classes[anchors], memory.prototypes, memory.seen, temperature), number
                )
            means = prototypes(self.student.projection_head(points.float()), classes, seen_known, len(memory.seen))
            moved = with_gradient(memory.prototypes, *self.ranks.pool(*means))
            return self.ranks.mean(contrastive(z, classes[anchors], moved, memory.seen, temperature), number)

    def _classes(self, labels: Tensor, teacher_logits: Tensor) -> tuple[Tensor, Tensor]:
        """A point's label, else the teacher's class where it is confident; and which points have one."""
        confidence, guess = teacher_logits.softmax(1).max(1)
        labelled = labels != IGNORE
        return torch.where(labelled, labels, guess), labelled | (confidence >= self.settings.contrastive.confidence)

    def _anchors(self, candidates: Tensor, chosen: Tensor) -> Tensor:
        index, limit = candidates.nonzero().squeeze(1), self.settings.contrastive.anchors
        if len(index) > limit:
            index = index[chosen[index].argsort()[:limit]]
        if self.ranks.size > 1:
            keys = self.ranks.gather(chosen[index])
            if len(keys) > limit:
                index = index[chosen[index] <= keys.kthvalue(limit).values]
        return index


def contrast_ramp(settings: Train3DConfig) -> int:
    """Ramp-up steps of the contrastive loss: half of the training unless the settings say otherwise."""
    ramp = settings.contrastive.ramp
    return settings.steps // 2 if ramp is None else ramp


def linear_ramp_up(step: int, ramp: int) -> float:
    """Share of a weight that rises linearly over the first ``ramp`` steps."""
    return min(1.0, (step + 1) / ramp) if ramp else 1.0
