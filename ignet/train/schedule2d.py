"""Optimiser and learning rate of the 2D trainings."""

from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from ignet.config.training_2d import OptimizerConfig2D
from ignet.models.segformer import Segmenter


def learning_rate_factor(step: int, steps: int, warmup: int) -> float:
    """Share of the full learning rate at a 0-based step: linear warm-up times linear decay to 0 at ``steps``.

    Source: SegFormer's and DAFormer's schedule; there, too, the decay runs from step 0, under the warm-up.
    """
    return min(1.0, (step + 1) / (warmup + 1)) * max(0.0, 1.0 - step / steps)


def make_optimizer(model: Segmenter, settings: OptimizerConfig2D, steps: int) -> tuple[AdamW, LambdaLR]:
    """AdamW and its schedule: a learning rate for decoder and classifier, no decay of biases and norms."""
    groups: dict[tuple[float, float], list] = {}
    for name, weight in model.named_parameters():
        rate = settings.learning_rate * (1.0 if name.startswith("encoder.") else settings.head_learning_rate_factor)
        decay = settings.weight_decay if weight.ndim > 1 else 0.0
        groups.setdefault((rate, decay), []).append(weight)
    optimizer = AdamW(
        [{"params": weights, "lr": rate, "weight_decay": decay} for (rate, decay), weights in groups.items()],
        fused=True,
    )
    return optimizer, LambdaLR(optimizer, lambda step: learning_rate_factor(step, steps, settings.warmup_steps))
