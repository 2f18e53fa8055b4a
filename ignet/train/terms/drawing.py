"""A random choice of points, the same whatever the number of processes."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from ignet.train.distributed import Ranks
    from ignet.train.terms.base import Forward


def point_keys(forward: "Forward", stream: int) -> "Tensor":
    """float64 (N,), a random key in 0..1 for each point of the step.

    Args:
        forward: the step.
        stream: which of its random numbers, for ``ignet.devices.step_generator``.
    """
    import torch

    from ignet.devices import send, step_generator

    count = len(forward.batch.labels)
    first, points = forward.ranks.local_offset(count)
    keys = step_generator(forward.seed, forward.step, stream).random(points)[first : first + count]
    return send(torch.from_numpy(keys), forward.points.device)


def smallest(candidates: "Tensor", keys: "Tensor", limit: int, ranks: "Ranks") -> "Tensor":
    """Which of this process's candidates have the smallest keys of all processes.

    Args:
        candidates: int64 (n,), rows of ``keys``.
        keys: float64 (N,).
        limit: the number that all processes choose together.
        ranks: the processes.

    Returns:
        int64 (m,), a part of the candidates; in order of their keys where there are more than ``limit``.
    """
    if len(candidates) > limit:
        candidates = candidates[keys[candidates].argsort()[:limit]]
    if ranks.size > 1:
        everyone = ranks.gather(keys[candidates])
        if len(everyone) > limit:
            candidates = candidates[keys[candidates] <= everyone.kthvalue(limit).values]
    return candidates
