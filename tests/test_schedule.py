"""The learning rates of each step, by hand."""

import math

import pytest
import torch
from torch.optim.lr_scheduler import LRScheduler

from ignet.train.schedule import one_cycle
from ignet.train.schedule2d import learning_rate_factor


def rates(schedule: LRScheduler, steps: int) -> list[float]:
    """The learning rate with which each step is taken."""
    found = []
    for _ in range(steps):
        found.append(schedule.get_last_lr()[0])
        schedule.optimizer.step()
        schedule.step()
    return found


def optimizer(rate: float) -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], rate)


def test_one_cycle_rises_from_a_tenth_and_falls_along_half_a_cosine() -> None:
    half = math.sqrt(0.5) / 2
    expected = [0.1, 0.4, 0.7, 1.0, 0.5 + half, 0.5, 0.5 - half, 1e-3, 1e-3]
    assert rates(one_cycle(optimizer(1.0), 7, 3), 9) == pytest.approx(expected)
    assert rates(one_cycle(optimizer(0.02), 7, 3), 9) == pytest.approx([0.02 * rate for rate in expected])


def test_one_cycle_without_a_warm_up_has_one_low_step() -> None:
    assert rates(one_cycle(optimizer(1.0), 3, 0), 4) == pytest.approx([0.1, 1.0, 0.5, 1e-3])
    assert rates(one_cycle(optimizer(1.0), 1, 0), 3) == pytest.approx([0.1, 1.0, 1e-3])


def test_warm_up_times_linear_decay() -> None:
    factors = [learning_rate_factor(step, 10, 3) for step in range(12)]
    assert factors == pytest.approx([0.25, 0.5 * 0.9, 0.75 * 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0, 0])
    assert learning_rate_factor(0, 10, 0) == 1
