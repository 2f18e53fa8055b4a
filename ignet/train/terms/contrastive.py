"""The contrastive term, from out-of-FOV anchors to in-FOV prototypes."""

from typing import TYPE_CHECKING

from ignet.train.terms.base import Forward, Need, StoredFeatures, Term
from ignet.train.terms.drawing import point_keys, smallest

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ignet.config.training_3d import Train3DConfig

_ANCHORS = 1
"""Key of the step's random numbers that draw the anchors."""


class Contrastive(Term):
    """Pulls points that the camera does not see to the prototypes of those that it sees."""

    name, section = "contrastive", "contrastive"
    needs = frozenset({Need.TEACHER, Need.CAMERA, Need.UNLABELLED})

    def __init__(self, settings: "Train3DConfig") -> None:
        super().__init__(settings)
        if self.ramp is None:
            self.ramp = settings.steps // 2

    def head(self, inputs: int, stored: StoredFeatures | None) -> "nn.Module":
        """h, the projection to the unit sphere."""
        from ignet.models.heads import ProjectionHead

        return ProjectionHead(inputs, self.settings.contrastive.channels)

    def module(self, stored: StoredFeatures | None, seed: int, classes: int) -> "nn.Module":
        """The prototypes."""
        from ignet.models.heads import PrototypeMemory

        return PrototypeMemory(classes, self.settings.contrastive.channels, self.settings.contrastive.momentum)

    def __call__(self, forward: Forward) -> "Tensor":
        """See `ignet.losses.contrastive`."""
        import torch

        from ignet.losses.contrastive import contrastive, one_way_contrastive, prototypes, with_gradient

        assert forward.head is not None and forward.teacher_logits is not None and forward.teacher_points is not None
        settings, ranks, memory, (head, teacher_head) = (
            self.settings.contrastive,
            forward.ranks,
            forward.module,
            forward.head,
        )
        in_fov, points = forward.batch.in_fov, forward.points
        classes, known = self.classes(forward.batch.labels, forward.unlabelled, forward.teacher_logits)
        candidates = (known & ~in_fov).nonzero().squeeze(1)
        anchors = smallest(candidates, point_keys(forward, _ANCHORS), settings.anchors, ranks)
        # similarities divided by a small temperature need more than bf16's eight bits
        with torch.autocast(points.device.type, enabled=False):
            with torch.no_grad():
                memory.update(teacher_head(forward.teacher_points.float()), classes, known & in_fov, ranks.pool)
            z, of_anchors = head(points[anchors].float()), classes[anchors]
            number = memory.seen[of_anchors].sum()
            if settings.direction == "one_way":
                own = one_way_contrastive(z, of_anchors, memory.prototypes, memory.seen, settings.temperature)
            else:
                means = prototypes(head(points.float()), classes, known & in_fov, len(memory.seen))
                moved = with_gradient(memory.prototypes, *ranks.pool(*means))
                own = contrastive(z, of_anchors, moved, memory.seen, settings.temperature)
            return ranks.mean(own, number)

    def classes(self, labels: "Tensor", unlabelled: "Tensor", teacher_logits: "Tensor") -> "tuple[Tensor, Tensor]":
        """A point's label, else the teacher's class where it is confident; and which points have one."""
        confidence, guess = teacher_logits.softmax(1).max(1)
        return guess.where(unlabelled, labels), ~unlabelled | (confidence >= self.settings.contrastive.confidence)
