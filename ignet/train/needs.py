"""What a training needs, by its settings: the training, the rules and `ignet plan` ask here alone."""

from typing import TYPE_CHECKING

from ignet.config.teachers import EfficientNetLiteConfig, FileConfig, TransformersConfig
from ignet.data.lidar.mixing.registry import MIXING, active_strategies
from ignet.train.terms.base import Need
from ignet.train.terms.image_guidance import ImageGuidance
from ignet.train.terms.registry import active_terms

if TYPE_CHECKING:
    from ignet.config.teachers import TeacherConfig
    from ignet.config.training_2d import Adapt2DConfig, Pretrain2DConfig
    from ignet.config.training_3d import Train3DConfig


def _needs(settings: "Train3DConfig") -> frozenset[Need]:
    return frozenset().union(*(term.needs for term in active_terms(settings)))


def uses_unlabelled(settings: "Train3DConfig") -> bool:
    """Whether a term learns from scans without any label."""
    return Need.UNLABELLED in _needs(settings)


def needs_teacher(settings: "Train3DConfig") -> bool:
    """Whether a term asks the teacher for predictions; otherwise it is only averaged."""
    return Need.TEACHER in _needs(settings)


def needs_features(settings: "Train3DConfig") -> bool:
    """Whether the training reads the feature store."""
    return Need.FEATURES in _needs(settings)


def needs_correspondence(settings: "Train3DConfig") -> bool:
    """Whether the training asks which points the camera sees: for a term, or for mixing."""
    return Need.CAMERA in _needs(settings) or any(
        MIXING[name].needs_camera for name in active_strategies(settings.mixing)
    )


def standardizes(settings: "Train3DConfig") -> bool:
    """Whether the stored features are brought to zero mean and unit variance first."""
    return any(isinstance(term, ImageGuidance) and term.standardize for term in active_terms(settings))


def checkpoints_2d(settings: "Pretrain2DConfig | Adapt2DConfig | TeacherConfig") -> list[str]:
    """Folders, files or hub ids of what a 2D network starts from and compares its features with."""
    if isinstance(settings, EfficientNetLiteConfig):
        return []
    if isinstance(settings, TransformersConfig | FileConfig):
        return [settings.weights]
    network = getattr(settings, "network", None)
    start = [network.weights] if network is not None and network.weights != "random" else []
    return start + ([settings.feature_distance.weights] if settings.feature_distance.weight else [])
