"""Exponential moving average of a network."""

import torch
from torch import nn


@torch.no_grad()
def update_ema(teacher: nn.Module, student: nn.Module, step: int, decay: float) -> None:
    """Move the teacher towards the student: t <- a t + (1 - a) s, a = min(1 - 1/(step+1), decay).

    Weights and buffers alike.

    The first update (step 0) copies. Integer buffers (counters) are copied. Source of the schedule: Tarvainen and
    Valpola, "Mean teachers are better role models", NeurIPS 2017.

    Args:
        teacher: updated in place; the same architecture as ``student``.
        student: read only.
        step: 0-based number of the update.
        decay: largest a.
    """
    alpha = min(1.0 - 1.0 / (step + 1), decay)
    target = teacher.state_dict()
    for name, value in student.state_dict().items():
        if value.is_floating_point():
            target[name].lerp_(value.to(target[name].dtype), 1.0 - alpha)
        else:
            target[name].copy_(value)
