"""The mean teacher's term."""

from typing import TYPE_CHECKING

from ignet.train.terms.base import Forward, Need, Term

if TYPE_CHECKING:
    from torch import Tensor


class Consistency(Term):
    """KL divergence of the student's from the teacher's prediction on the unlabelled points."""

    name = "consistency"
    needs = frozenset({Need.TEACHER, Need.UNLABELLED})

    @property
    def weight(self) -> float:
        """``mean_teacher.weight``."""
        return self.settings.mean_teacher.weight

    @property
    def ramp(self) -> int:  # type: ignore[override]
        """``mean_teacher.ramp``."""
        return self.settings.mean_teacher.ramp

    def __call__(self, forward: Forward) -> "Tensor":
        """See `ignet.losses.consistency.consistency`."""
        from ignet.losses.consistency import consistency

        assert forward.teacher_logits is not None
        own = consistency(forward.logits, forward.teacher_logits, forward.unlabelled)
        return forward.ranks.mean(own, forward.unlabelled.sum())
