"""Every step that an optimiser takes, whichever script it belongs to, and what AdamW makes of such steps by its
formula."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.optim.optimizer import Optimizer, register_optimizer_step_post_hook, register_optimizer_step_pre_hook


@dataclass
class Step:
    """One step; each list holds an entry for each weight, in the optimiser's order.

    Attributes:
        rates: learning rates.
        decays: weight decays.
        before: the weights before the step.
        gradients: what the step was taken with, after any clipping.
        after: the weights after it.
    """

    rates: list[float]
    decays: list[float]
    before: list[Tensor]
    gradients: list[Tensor]
    after: list[Tensor]

    @property
    def norm(self) -> float:
        """Of the whole gradient."""
        return float(torch.cat([gradient.flatten() for gradient in self.gradients]).double().norm())


@contextmanager
def recorded_steps() -> Iterator[list[Step]]:
    """The list that all steps taken in the block are added to."""
    steps: list[Step] = []

    def before(optimizer: Optimizer, *_: object) -> None:
        pairs = [(group, weight) for group in optimizer.param_groups for weight in group["params"]]
        rates, decays = ([float(group[key]) for group, _ in pairs] for key in ("lr", "weight_decay"))
        weights, gradients = (
            [weight.detach().clone() for _, weight in pairs],
            [weight.grad.clone() for _, weight in pairs],
        )
        steps.append(Step(rates, decays, weights, gradients, []))

    def after(optimizer: Optimizer, *_: object) -> None:
        steps[-1].after = [weight.detach().clone() for group in optimizer.param_groups for weight in group["params"]]

    hooks = register_optimizer_step_pre_hook(before), register_optimizer_step_post_hook(after)
    try:
        yield steps
    finally:
        for hook in hooks:
            hook.remove()


def adamw(steps: list[Step], rates: list[list[float]], decays: list[float]) -> list[Tensor]:
    """The weights after the steps, float64, from the first weights and the gradients: Loshchilov and Hutter, algorithm
    2.

    Args:
        steps: for the first weights and the gradients alone.
        rates: learning rate of each step and weight.
        decays: of each weight.
    """
    weights = [weight.double() for weight in steps[0].before]
    first, second = ([torch.zeros_like(weight) for weight in weights] for _ in range(2))
    for number, (step, rate_of) in enumerate(zip(steps, rates, strict=True), start=1):
        for i, gradient in enumerate(gradient.double() for gradient in step.gradients):
            first[i] = 0.9 * first[i] + 0.1 * gradient
            second[i] = 0.999 * second[i] + 0.001 * gradient.square()
            change = (first[i] / (1 - 0.9**number)) / ((second[i] / (1 - 0.999**number)).sqrt() + 1e-8)
            weights[i] = weights[i] * (1 - rate_of[i] * decays[i]) - rate_of[i] * change
    return weights


def moving_average(steps: list[Step], decay: float) -> list[Tensor]:
    """The mean teacher's weights after the steps, float64: Tarvainen and Valpola, with the largest decay ``decay``."""
    average = [weight.double() for weight in steps[0].before]
    for number, step in enumerate(steps):
        kept = min(1 - 1 / (number + 1), decay)
        average = [kept * old + (1 - kept) * new.double() for old, new in zip(average, step.after, strict=True)]
    return average
