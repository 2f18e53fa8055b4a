"""Learning rate schedules: the factor on the learning rate at a 0-based step."""

import math
from collections.abc import Callable


def one_cycle(step: int, steps: int, warmup_steps: int | None) -> float:
    """Linear rise from a tenth during the warm-up, then a half cosine down to a thousandth.

    Args:
        step: 0-based number of the step.
        steps: total number of steps.
        warmup_steps: steps of the rise, at least one; none: a tenth of all.
    """
    rising = max(1, _rise(steps, warmup_steps))
    if step < rising:
        return 0.1 + 0.9 * step / rising
    done = (step - rising) / max(1, steps - rising)
    return max(1e-3, 0.5 * (1 + math.cos(math.pi * min(1.0, done))))


def constant(step: int, steps: int, warmup_steps: int | None) -> float:
    """The rise of `one_cycle`, of the same arguments, or none with 0 warm-up steps; then 1."""
    rising = _rise(steps, warmup_steps)
    return 0.1 + 0.9 * step / rising if step < rising else 1.0


def linear_decay(step: int, steps: int, warmup_steps: int) -> float:
    """Linear warm-up times a linear decay to 0 at ``steps`` (polynomial, power 1).

    Source: SegFormer's and DAFormer's schedule; there, too, the decay runs from step 0, under the warm-up.
    """
    return min(1.0, (step + 1) / (warmup_steps + 1)) * max(0.0, 1.0 - step / steps)


SCHEDULES_3D: dict[str, Callable[[int, int, int | None], float]] = {"one_cycle": one_cycle, "constant": constant}
"""By the name in ``train_3d.schedule``."""


def _rise(steps: int, warmup_steps: int | None) -> int:
    return round(0.1 * steps) if warmup_steps is None else warmup_steps
