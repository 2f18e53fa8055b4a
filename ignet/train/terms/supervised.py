"""Terms of the labelled points: cross-entropy and Lovász-softmax."""

from typing import TYPE_CHECKING

from ignet.train.terms.base import Forward, Term

if TYPE_CHECKING:
    from torch import Tensor


class CrossEntropy(Term):
    """Mean cross-entropy over the labelled points."""

    name = "ce"
    weight = 1.0

    def __call__(self, forward: Forward) -> "Tensor":
        """See `ignet.losses.cross_entropy.partial_cross_entropy`."""
        from ignet.losses.cross_entropy import partial_cross_entropy

        own = partial_cross_entropy(forward.logits, forward.batch.labels)
        return forward.ranks.mean(own, (~forward.unlabelled).sum())


class Lovasz(Term):
    """Lovász-softmax on the labelled points."""

    name = "lovasz"

    @property
    def weight(self) -> float:
        """``lovasz_weight``."""
        return self.settings.lovasz_weight

    def __call__(self, forward: Forward) -> "Tensor":
        """No sum over points, so each process needs the labelled points of all: their errors are sorted together."""
        from ignet.losses.lovasz import lovasz_softmax

        probabilities, labels = forward.logits.softmax(1), forward.batch.labels
        if forward.ranks.size > 1:
            labelled = ~forward.unlabelled
            probabilities, labels = (forward.ranks.gather(rows[labelled]) for rows in (probabilities, labels))
        return lovasz_softmax(probabilities, labels)
