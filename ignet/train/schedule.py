"""Learning rate schedules."""

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


def one_cycle(optimizer: Optimizer, steps: int, warmup_steps: int | None) -> LambdaLR:
    """Linear rise from a tenth over the warm-up, then a half cosine down to a thousandth.

    Args:
        optimizer: its learning rates are the largest ones.
        steps: total number of steps.
        warmup_steps: steps of the rise; none: a tenth of all.
    """
    rising = max(1, round(0.1 * steps) if warmup_steps is None else warmup_steps)

    def factor(step: int) -> float:
        if step < rising:
            return 0.1 + 0.9 * step / rising
        done = (step - rising) / max(1, steps - rising)
        return max(1e-3, 0.5 * (1 + math.cos(math.pi * min(1.0, done))))

    return LambdaLR(optimizer, factor)
