"""Figures of steps on their way from the device."""

from collections import deque
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor


class _Reading(NamedTuple):
    row: dict[str, float]  # those that were never on a device, and room for the others
    names: list[str]
    numbers: Tensor | None
    copied: "torch.cuda.Event | None"


class Readings:
    """Figures of steps, copied while a GPU goes on and read when they are asked for."""

    def __init__(self) -> None:
        self._waiting: deque[_Reading] = deque()

    def add(self, step: int, values: Mapping[str, float | Tensor]) -> None:
        """Begin to copy the scalars of one step."""
        tensors = {name: value.double() for name, value in values.items() if isinstance(value, Tensor)}
        row = {"step": float(step), **{name: 0.0 if name in tensors else float(v) for name, v in values.items()}}
        numbers, copied = torch.stack([*tensors.values()]) if tensors else None, None
        if numbers is not None and numbers.is_cuda:
            numbers, copied = numbers.to("cpu", non_blocking=True), torch.cuda.Event()
            copied.record()
        self._waiting.append(_Reading(row, [*tensors], numbers, copied))

    def take(self, left: int) -> Iterator[dict[str, float]]:
        """Figures by name, and the number of the ``step``, of all steps but the last ``left``; each comes once."""
        while len(self._waiting) > left:
            row, names, numbers, copied = self._waiting.popleft()
            if copied is not None:
                copied.synchronize()
            yield row if numbers is None else {**row, **dict(zip(names, numbers.tolist(), strict=True))}
