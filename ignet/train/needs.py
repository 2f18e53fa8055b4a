"""What a 3D training needs, by its settings: the data that its losses read and the parts of the network.

Used by the training, by the rules and by `ignet plan` alike.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ignet.config.training_3d import ImageGuidanceConfig, Train3DConfig


def uses_unlabelled(settings: "Train3DConfig") -> bool:
    """Whether a loss learns from scans without any label."""
    return settings.mean_teacher.weight > 0 or settings.image_guidance.weight > 0 or settings.contrastive.weight > 0


def needs_teacher(settings: "Train3DConfig") -> bool:
    """Whether a loss asks the teacher for predictions; otherwise it is only averaged."""
    return settings.mean_teacher.weight > 0 or settings.contrastive.weight > 0


def needs_features(settings: "Train3DConfig") -> bool:
    """Whether the training reads the feature store."""
    return settings.image_guidance.weight > 0


def needs_correspondence(settings: "Train3DConfig") -> bool:
    """Whether the training asks which points the camera covers."""
    return needs_features(settings) or settings.contrastive.weight > 0 or settings.fovmix.probability > 0


def compares_features(guidance: "ImageGuidanceConfig") -> bool:
    """Whether a head predicts the stored features."""
    return guidance.weight > 0 and guidance.loss != "probe_kl"


def standardizes(guidance: "ImageGuidanceConfig") -> bool:
    """Whether the stored features are brought to mean 0 and deviation 1 first; a probe does so by itself."""
    return compares_features(guidance) and guidance.standardize


def needs_probe(guidance: "ImageGuidanceConfig") -> bool:
    """Whether a probe reads classes from the stored features."""
    return guidance.weight > 0 and guidance.loss == "probe_kl"
