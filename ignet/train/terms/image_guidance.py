"""Image guidance: distillation of stored 2D features."""

from typing import TYPE_CHECKING

from ignet.errors import IgnetError
from ignet.log import log
from ignet.train.terms.base import Forward, Need, StoredFeatures, Term
from ignet.train.terms.drawing import point_keys, smallest

if TYPE_CHECKING:
    from torch import Tensor, nn

_PAIRS = 2
"""Key of the step's random numbers that draw the pairs of points and pixels."""


class ImageGuidance(Term):
    """Compares what a head predicts with the stored feature, or the classes with those that a probe reads from it."""

    name, section = "image", "image_guidance"
    needs = frozenset({Need.FEATURES, Need.CAMERA, Need.UNLABELLED})

    @property
    def standardize(self) -> bool:
        """Whether stored features are brought to zero mean and unit variance first; a probe does so by itself."""
        return self.settings.image_guidance.loss != "probe_kl" and self.settings.image_guidance.standardize

    def head(self, inputs: int, stored: StoredFeatures | None) -> "nn.Module | None":
        """g, which predicts the stored feature; a probe needs none."""
        from ignet.models.heads import GuidanceHead

        assert stored is not None
        return None if self.settings.image_guidance.loss == "probe_kl" else GuidanceHead(inputs, stored.channels)

    def module(self, stored: StoredFeatures | None, seed: int, classes: int) -> "nn.Module | None":
        """What reads classes from stored features: a probe, or the 2D network's classifier; None for a distance."""
        from ignet.models.heads import FrozenClassifier
        from ignet.models.probe import fit_probe

        assert stored is not None
        settings = self.settings.image_guidance
        if settings.loss == "probe_kl":
            features, labels = stored.labelled_features(settings.probe.scans)
            log.info("probe: fitted to %d labelled points that the camera sees", len(labels))
            return fit_probe(features, labels, classes, settings.probe.hidden, settings.probe.steps, seed)
        if settings.loss != "classifier_kl":
            return None
        if stored.classifier is None:
            raise IgnetError(
                "image_guidance.loss: classifier_kl needs the 2D network's classifier; run the rule features again"
            )
        return FrozenClassifier(stored.classifier.weight, stored.classifier.bias)

    def __call__(self, forward: Forward) -> "Tensor":
        """See `ignet.losses.guidance`."""
        import torch

        from ignet.losses.guidance import class_guidance, guidance, label_guidance

        settings, guided, stored = self.settings.image_guidance, forward.batch.guided, forward.batch.feature
        # what teaches has been fitted in float32; bf16's eight bits would move its confidence across the threshold
        exact = torch.autocast(forward.points.device.type, enabled=False)
        if settings.loss == "probe_kl":
            with exact:
                own = label_guidance(forward.logits[guided], forward.module(stored), settings.confidence)
            return forward.ranks.mean(own, len(guided))
        assert forward.head is not None
        if settings.loss == "info_nce":
            return self.contrast(forward, forward.head[0])
        predicted = forward.head[0](forward.points[guided])
        if settings.loss == "classifier_kl":
            weight, bias = forward.module.weight, forward.module.bias
            with exact:
                own = class_guidance(predicted.float(), stored, weight, bias, settings.confidence)
        else:
            own = guidance(predicted, stored, settings.loss)
        return forward.ranks.mean(own, len(guided))

    def contrast(self, forward: Forward, head: "nn.Module") -> "Tensor":
        """See `ignet.losses.guidance.info_nce`; the features of all processes' points are compared."""
        import torch

        from ignet.losses.guidance import info_nce

        settings, ranks, guided = self.settings.image_guidance, forward.ranks, forward.batch.guided
        keys = point_keys(forward, _PAIRS)[guided]
        chosen = smallest(torch.arange(len(guided), device=guided.device), keys, settings.pairs, ranks)
        targets = ranks.gather(forward.batch.feature[chosen].float())
        first, _ = ranks.local_offset(len(chosen))
        own = torch.arange(first, first + len(chosen), device=guided.device)
        # similarities divided by a small temperature need more than bf16's eight bits
        with torch.autocast(forward.points.device.type, enabled=False):
            predicted = head(forward.points[guided[chosen]].float())
            return ranks.mean(info_nce(predicted, targets, own, settings.temperature), len(chosen))
