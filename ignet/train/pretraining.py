"""The objective of the source pretraining."""

from torch import Tensor

from ignet.config.training_2d import Pretrain2DConfig
from ignet.data.label_sets.label_set import IGNORE
from ignet.devices import autocast
from ignet.losses.weighted_cross_entropy import weighted_cross_entropy
from ignet.models.teachers.segformer import Segmenter
from ignet.train.distributed import Ranks
from ignet.train.imagenet_distance import FeatureDistance
from ignet.train.trainer import Objective


class PretrainingObjective(Objective):
    """Cross-entropy on labelled source images, and the feature distance where it is on.

    Args:
        student: the network that is trained, on its device.
        settings: of the stage.
        distance: the feature-distance loss, or none.
        ranks: the processes that share a batch.
    """

    def __init__(
        self,
        student: Segmenter,
        settings: Pretrain2DConfig,
        distance: FeatureDistance | None = None,
        ranks: Ranks | None = None,
    ) -> None:
        super().__init__()
        self.student, self.settings, self.distance, self.ranks = student, settings, distance, ranks or Ranks()

    def forward(self, step: int, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        """Losses of one batch: images float (B, 3, H, W) and labels int64 (B, H, W) of all processes."""
        own, device = self.ranks.local_slice(self.settings.batch), self.ranks.device
        images, labels = (tensor[own].to(device) for tensor in batch)
        with autocast(device, self.settings.precision):
            output = self.student(images)
        cross_entropy = weighted_cross_entropy(output.logits.float(), labels)
        loss = self.ranks.mean(cross_entropy, (labels != IGNORE).sum())
        if not self.distance:
            return {"loss": loss}
        feature_distance = self.distance(images, output.deep, labels)
        return {"loss": loss + feature_distance, "feature_distance": feature_distance}
