"""What a 2D training needs, by its settings."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ignet.config.training_2d import Adapt2DConfig, Pretrain2DConfig


def checkpoints(settings: "Pretrain2DConfig | Adapt2DConfig") -> list[str]:
    """Folders or hub ids of the networks that are read: the initial one, and the feature distance's encoder."""
    network = getattr(settings, "network", None)
    found = [network.weights] if network is not None and network.weights != "random" else []
    return found + ([settings.feature_distance.weights] if settings.feature_distance.weight else [])
