"""The training of a head on a frozen teacher, on projected scribbles: minutes, so that it keeps no state."""

import torch
from torch import Tensor

from ignet.config.teachers import HeadConfig
from ignet.data.images.dataset import TargetBatches
from ignet.data.images.target import TargetFrames
from ignet.devices import autocast
from ignet.errors import IgnetError
from ignet.log import log, progress
from ignet.losses.weighted_cross_entropy import frequency_weights, weighted_cross_entropy
from ignet.models.teachers.base import FrozenTeacher, ImageNetwork, at_pixels
from ignet.models.teachers.head import Head, HeadNetwork, new_head
from ignet.train.class_weights import weight_each
from ignet.train.schedule import linear_decay
from ignet.train.trainer import Objective, Trainer, last_metrics


class HeadObjective(Objective):
    """Cross-entropy of a head's classes at the labelled pixels.

    Args:
        base: the frozen network, on its device.
        head: that is trained, on the same device.
        weights: float32 (C,), of the classes.
        settings: number format.
    """

    weights: Tensor

    def __init__(self, base: FrozenTeacher, head: Head, weights: Tensor, settings: HeadConfig) -> None:
        super().__init__()
        self.base, self.student, self.settings = base, head, settings
        self.register_buffer("weights", weights, persistent=False)

    def forward(self, step: int, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        """Loss of images float (B, 3, H, W) and labels int64 (B, H, W), 255 for none."""
        device = self.weights.device
        images, labels = (tensor.to(device) for tensor in batch)
        with autocast(device, self.settings.precision):
            logits = self.student(self.base(images).features)
        network = self.base.network
        full = at_pixels(logits.float(), network.stride, network.offset, *images.shape[-2:])
        return {"loss": weighted_cross_entropy(full, labels, weight_each(labels, self.weights))}


def train_head(network: ImageNetwork, frames: TargetFrames, settings: HeadConfig, device: torch.device) -> HeadNetwork:
    """Train a head on a network that stays as it is.

    Args:
        network: the network.
        frames: target images with labels of LiDAR classes.
        settings: of the head.
        device: computes.

    Returns:
        The network with the head's hidden layers, on the CPU, in evaluation mode.

    Raises:
        IgnetError: no label is in view.
    """
    counts = frames.class_counts().sum(axis=0)
    if not counts.any():
        raise IgnetError(
            f"{frames.scribbles}: found no scribble in view of a camera, expected some to train the head on; check the "
            "scribbles and the projection"
        )
    base = FrozenTeacher(network).to(device)
    head = new_head(base.channels, settings.channels, frames.classes, settings.seed).to(device)
    weights = frequency_weights(counts, settings.class_weight_power).to(device)
    trainer = Trainer(HeadObjective(base, head, weights, settings), settings, linear_decay)
    batches = TargetBatches(frames, settings, settings.batch, settings.seed, settings.rare_class_temperature)
    history = []
    for step in progress(range(settings.steps), "step of the head"):
        scalars = trainer.step(step, batches[step])
        history.append({name: torch.as_tensor(value).item() for name, value in scalars.items()})
    loss = last_metrics(history)["last_loss"]
    log.info("head: %d labelled pixels, mean loss of the last steps %.3f", counts.sum(), loss)
    return HeadNetwork(base, head.hidden).cpu().eval()
