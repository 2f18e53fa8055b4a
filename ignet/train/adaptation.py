"""The objective of the adaptation: mean teacher with ClassMix, and cross-entropy at the projected scribbles."""

import copy

import torch
from torch import Tensor

from ignet.config.training_2d import Adapt2DConfig
from ignet.data.images.dataset import MASK_STREAM, MIX_STREAM, strong_augmentation
from ignet.data.label_sets.label_set import IGNORE
from ignet.devices import autocast, step_generator
from ignet.losses.weighted_cross_entropy import weighted_cross_entropy
from ignet.models.teachers.segformer import Segmenter
from ignet.train.class_weights import weight_each
from ignet.train.classmix import classmix, overwrite_with_scribbles, pseudo_label
from ignet.train.distributed import Ranks
from ignet.train.ema import update_ema
from ignet.train.imagenet_distance import FeatureDistance
from ignet.train.masking import mask_patches
from ignet.train.trainer import Objective

Batch = tuple[Tensor, Tensor]
Labelled = tuple[Tensor, Tensor, Tensor]
"""Images float (B, 3, H, W), labels int64 (B, H, W), and the weight of each pixel, float (B, H, W)."""


class AdaptationObjective(Objective):
    """L = w_src CE(source) + w_mix CE(mix) + w_scr CE(scribbles) + L_FD + w_mask CE(masked), DAFormer's frame.

    Args:
        student: the network that is trained, on its device. The teacher, its moving average, is made here.
        settings: of the stage.
        class_weights: float (C,) twice, for source pixels and for target pixels.
        distance: the feature-distance loss, or none.
        ranks: the processes that share a batch.
    """

    def __init__(
        self,
        student: Segmenter,
        settings: Adapt2DConfig,
        class_weights: tuple[Tensor, Tensor],
        distance: FeatureDistance | None = None,
        ranks: Ranks | None = None,
    ) -> None:
        super().__init__()
        self.student, self.settings, self.distance, self.ranks = student, settings, distance, ranks or Ranks()
        self.scribble_weight = settings.scribble_weight if settings.supervision != "none" else 0.0
        self.teacher = copy.deepcopy(student).eval().requires_grad_(False)
        self.source_weights, self.target_weights = (weights.to(self.ranks.device) for weights in class_weights)

    def forward(self, step: int, source_batch: Batch, target_batch: Batch) -> dict[str, Tensor]:
        """Losses of one batch: images and labels of the source and of the target, of all processes.

        Mixing draws its random numbers image by image, so each process mixes the whole batch and learns from its part.
        """
        settings, own = self.settings, self.ranks.local_slice(self.settings.batch)
        source_images, source_labels = (tensor.to(self.ranks.device, non_blocking=True) for tensor in source_batch)
        target_images, scribbles = (tensor.to(self.ranks.device, non_blocking=True) for tensor in target_batch)
        source = (source_images, source_labels, weight_each(source_labels, self.source_weights))
        target, confident = self._pseudo_labelled(target_images, scribbles, own)
        mixed = self._mix(source, target, step)
        images = [source[0], mixed[0], target_images]
        if settings.masked.weight:
            rng = step_generator(settings.seed, step, MASK_STREAM)
            images.append(mask_patches(target_images, settings.masked.ratio, settings.masked.block, rng))

        with autocast(self.ranks.device, settings.precision):
            output = self.student(torch.cat([image[own] for image in images]))
        on_source, on_mix, on_target, *on_masked = output.logits.float().chunk(len(images))
        known = (target_images, scribbles, weight_each(scribbles, self.target_weights))
        terms = {
            "source": (settings.source_weight, self._cross_entropy(on_source, source, own)),
            "mix": (settings.mix_weight, self._cross_entropy(on_mix, mixed, own)),
            "scribble": (self.scribble_weight, self._cross_entropy(on_target, known, own)),
        }
        if self.distance:
            deep = output.deep.chunk(len(images))[0]
            terms["feature_distance"] = (1.0, self.distance(source_images[own], deep, source_labels[own]))
        if on_masked:
            terms["masked"] = (settings.masked.weight, self._cross_entropy(on_masked[0], target, own))
        loss = torch.stack([weight * term for weight, term in terms.values()]).sum()
        return {"loss": loss, **{name: term for name, (_, term) in terms.items()}, "q": confident.mean()}

    def update_teacher(self, step: int) -> None:
        """Move the teacher towards the student."""
        update_ema(self.teacher, self.student, step, self.settings.ema)

    @torch.no_grad()
    def _pseudo_labelled(self, images: Tensor, scribbles: Tensor, own: slice) -> tuple[Labelled, Tensor]:
        """Target images with the teacher's labels, overwritten with scribbles; and q, float (B,)."""
        with autocast(self.ranks.device, self.settings.precision):
            logits = self.ranks.gather(self.teacher(images[own]).logits)
        labels, q = pseudo_label(logits, self.settings.confidence)
        labels, weights = overwrite_with_scribbles(labels, q, scribbles)
        return (images, labels, weights * weight_each(labels, self.target_weights)), q

    def _mix(self, source: Labelled, target: Labelled, step: int) -> Labelled:
        rng = step_generator(self.settings.seed, step, MIX_STREAM)
        mixed = (classmix(*one, rng) for one in zip(*source, *target, strict=True))  # type: ignore[call-arg]
        images, labels, weights = (torch.stack(part) for part in zip(*mixed, strict=True))
        return strong_augmentation(images, self.settings.mix_jitter, self.settings.mix_blur, rng), labels, weights

    def _cross_entropy(self, logits: Tensor, labelled: Labelled, own: slice) -> Tensor:
        _, labels, weight = (tensor[own] for tensor in labelled)
        return self.ranks.mean(weighted_cross_entropy(logits, labels, weight), (labels != IGNORE).sum())
