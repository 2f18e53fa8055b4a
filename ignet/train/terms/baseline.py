"""The terms of the baseline: cross-entropy and Lovász-softmax on labelled points, the mean teacher on the others."""

from typing import TYPE_CHECKING

from ignet.train.terms.base import Forward, Need, Term

if TYPE_CHECKING:
    from torch import Tensor

    from ignet.config.training_3d import Train3DConfig
    from ignet.losses.cross_entropy import Normalisation


class CrossEntropy(Term):
    """Cross-entropy on the labelled points, with weight 1."""

    name, section = "ce", ""

    def __init__(self, settings: "Train3DConfig") -> None:
        self.settings, self.weight, self.ramp = settings, 1.0, 0

    def __call__(self, forward: Forward) -> "Tensor":
        """See `ignet.losses.cross_entropy.partial_cross_entropy`."""
        from ignet.losses.cross_entropy import partial_cross_entropy

        normalisation = self.settings.normalisation
        own = partial_cross_entropy(forward.logits, forward.batch.labels, normalisation=normalisation)
        return forward.ranks.mean(own, _divisor(~forward.unlabelled, normalisation))


class Lovasz(Term):
    """Lovász-softmax on the labelled points, with ``lovasz_weight``."""

    name, section = "lovasz", "lovasz_weight"

    def __call__(self, forward: Forward) -> "Tensor":
        """No sum over points, so each process needs the labelled points of all: their errors are sorted together."""
        from ignet.losses.lovasz import lovasz_softmax

        probabilities, labels = forward.logits.softmax(1), forward.batch.labels
        if forward.ranks.size > 1:
            labelled = ~forward.unlabelled
            probabilities, labels = (forward.ranks.gather(rows[labelled]) for rows in (probabilities, labels))
        return lovasz_softmax(probabilities, labels)


class Consistency(Term):
    """Agreement of the student with the teacher's prediction on the unlabelled points."""

    name, section = "consistency", "mean_teacher"
    needs = frozenset({Need.TEACHER, Need.UNLABELLED})

    def __call__(self, forward: Forward) -> "Tensor":
        """See `ignet.losses.consistency`."""
        from ignet.data.label_sets.label_set import IGNORE
        from ignet.losses.consistency import consistency, pseudo_labels
        from ignet.losses.cross_entropy import partial_cross_entropy

        assert forward.teacher_logits is not None
        unlabelled, normalisation = forward.unlabelled, self.settings.normalisation
        settings = self.settings.mean_teacher
        if settings.loss == "pseudo_labels":
            taught = pseudo_labels(forward.teacher_logits, unlabelled, settings.confidence)
            own = partial_cross_entropy(forward.logits, taught, IGNORE, normalisation)
            return forward.ranks.mean(own, _divisor(taught != IGNORE, normalisation))
        own = consistency(forward.logits, forward.teacher_logits, unlabelled, normalisation)
        return forward.ranks.mean(own, _divisor(unlabelled, normalisation))


def _divisor(mask: "Tensor", normalisation: "Normalisation") -> "Tensor | int":
    """What this process's mean was divided by: its share of the batch's."""
    return len(mask) if normalisation == "all" else mask.sum()
