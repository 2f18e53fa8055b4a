"""Exponential moving average of a network."""

import torch
from torch import nn


@torch.no_grad()
def update_ema(teacher: nn.Module, student: nn.Module, step: int, decay: float, buffers: bool = True) -> None:
    """Move the teacher towards the student: t <- a t + (1 - a) s, a = min(1 - 1/(step+1), decay).

    The first update (step 0) copies. Integer buffers (counters) are copied. Source of the schedule: Tarvainen and
    Valpola, "Mean teachers are better role models", NeurIPS 2017.

    Args:
        teacher: updated in place; the same architecture as ``student``.
        student: read only.
        step: 0-based number of the update.
        decay: largest a.
        buffers: average buffers like weights; false: the teacher keeps its own.
    """
    alpha = min(1.0 - 1.0 / (step + 1), decay)
    averaged, source = (
        network.state_dict() if buffers else dict(network.named_parameters()) for network in (teacher, student)
    )
    floats = [name for name, value in averaged.items() if value.is_floating_point()]
    # all tensors in one kernel on a GPU
    torch._foreach_lerp_(
        [averaged[name] for name in floats], [source[name].to(averaged[name].dtype) for name in floats], 1.0 - alpha
    )
    for name in averaged.keys() - set(floats):
        averaged[name].copy_(source[name])
