"""DAFormer's feature distance with the ImageNet encoder that it compares with."""

from torch import Tensor

from ignet.config.training_2d import FeatureDistanceConfig, SegformerConfig
from ignet.errors import IgnetError
from ignet.losses.feature_distance import feature_distance, thing_cells
from ignet.models.teachers.base import FrozenTeacher, content_hash
from ignet.models.teachers.segformer import ENCODER_STRIDE, Segmenter, build_segmenter
from ignet.train.distributed import Ranks


class FeatureDistance:
    """DAFormer's feature distance, weighted; 0 where it is off.

    Args:
        settings: weight, the ImageNet encoder, the share.
        model: the network that is trained, on its device.
        ranks: the processes that share a batch.

    Raises:
        IgnetError: the encoder is missing, or has another shape than the network.
    """

    def __init__(self, settings: FeatureDistanceConfig, model: Segmenter, ranks: Ranks) -> None:
        self.settings, self.ranks = settings, ranks
        self._reference: FrozenTeacher | None = None
        if settings.weight:
            reference = build_segmenter(SegformerConfig(weights=settings.weights))
            if list(reference.shape.hidden_sizes) != list(model.shape.hidden_sizes):
                raise IgnetError(
                    f"feature_distance.weights '{settings.weights}': found an encoder of "
                    f"{list(reference.shape.hidden_sizes)} channels, expected {list(model.shape.hidden_sizes)} as "
                    "the network that is trained; take the checkpoint that it began with"
                )
            self._reference = FrozenTeacher(reference).to(next(model.parameters()).device)

    @property
    def content(self) -> str:
        """Hash of the ImageNet encoder; '' where the distance is off."""
        return content_hash(self._reference) if self._reference is not None else ""

    def __bool__(self) -> bool:
        return self._reference is not None

    def __call__(self, images: Tensor, deep: Tensor, labels: Tensor) -> Tensor:
        """The term of one batch.

        Args:
            images: float (B, 3, H, W), source images.
            deep: float (B, C, h, w), the trained network's `Segmentation.deep` for them.
            labels: int64 (B, H, W).
        """
        assert self._reference is not None
        cells = thing_cells(labels, ENCODER_STRIDE, self.settings.share)
        return self.settings.weight * self.ranks.mean(
            feature_distance(deep, self._reference(images).deep, cells), cells.sum()
        )
