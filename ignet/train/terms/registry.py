"""The list of the terms: a new one is a class in a module here, and its name in `TERMS`."""

from typing import TYPE_CHECKING

from ignet.errors import IgnetError
from ignet.train.terms.base import Term
from ignet.train.terms.baseline import Consistency, CrossEntropy, Lovasz
from ignet.train.terms.contrastive import Contrastive
from ignet.train.terms.image_guidance import ImageGuidance

if TYPE_CHECKING:
    from ignet.config.training_3d import Train3DConfig

TERMS: tuple[type[Term], ...] = (
    CrossEntropy,
    Lovasz,
    Consistency,
    ImageGuidance,
    Contrastive,
)


def active_terms(settings: "Train3DConfig") -> list[Term]:
    """The terms whose weight is above 0, in the order of `TERMS`.

    Raises:
        IgnetError: ``terms`` of the settings names one that is not there.
    """
    known = {kind.name for kind in TERMS if kind.section == "terms"}
    if unknown := sorted(settings.terms.keys() - known):
        raise IgnetError(f"terms: found {unknown}, which have no key of their own here; expected of {sorted(known)}")
    return [term for term in (kind(settings) for kind in TERMS) if term.weight > 0]
