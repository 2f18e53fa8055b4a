"""Devices, number formats and seeds; nothing else in the package asks whether there is a GPU."""

import os
import random
from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import numpy as np
import torch

from ignet.errors import IgnetError


def pick_device(name: str) -> torch.device:
    """Turn ``auto``, ``cpu``, ``cuda`` or ``cuda:N`` into a device; ``auto`` takes CUDA where there is one.

    Of several processes that torchrun started, each takes the CUDA device of its number.

    Raises:
        IgnetError: the name is no such device, CUDA was named and there is none, or fewer devices than processes or
            than the number.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    device = _device(name)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise IgnetError(f"device {name}: no CUDA device is visible; use --device auto or cpu")
    if device.index is not None and device.index >= torch.cuda.device_count():
        found = torch.cuda.device_count()
        raise IgnetError(
            f"device {name}: found {found} CUDA devices, numbered from 0; use --device cuda or a lower number"
        )
    rank, size = int(os.environ.get("LOCAL_RANK", 0)), int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    if device.type == "cuda" and size > 1:
        if device.index is not None or torch.cuda.device_count() < size:
            raise IgnetError(
                f"device {name}: found {torch.cuda.device_count()} CUDA devices for {size} processes, expected one "
                "each, and no number; lower execution.gpus, or set device to cuda"
            )
        device = torch.device("cuda", rank)
    return device


def _device(name: str) -> torch.device:
    """A device that this package runs on."""
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda") or (device.type == "cpu" and device.index is not None):
        raise IgnetError(f"device {name}: no device of this name is known, expected auto, cpu, cuda or cuda:N")
    return device


def autocast(
    device: torch.device, precision: Literal["auto", "float32", "bfloat16"] = "auto"
) -> AbstractContextManager:
    """The autocast context of a forward pass; ``auto`` is bfloat16 on a GPU that supports it, full precision elsewhere.

    bfloat16 needs no scaling of the loss: its range is float32's.
    """
    if precision == "auto":
        precision = "bfloat16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "float32"
    return nullcontext() if precision == "float32" else torch.autocast(device.type, dtype=torch.bfloat16)


def seed_everything(seed: int) -> None:
    """Seed python's, numpy's and torch's global generators, and ask torch for deterministic algorithms."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
    # the same as use_deterministic_algorithms(True, warn_only=True), which also loads torch's compiler: seconds in
    # every job
    torch.set_deterministic_debug_mode("warn")
    # filling every new tensor with NaN finds faults, repeats nothing better, and costs a fifth of a training step
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False


def step_generator(seed: int, *key: int) -> np.random.Generator:
    """The random numbers of one step of one training: a function of (seed, key) alone.

    A resumed run, and any number of loader workers, therefore draw the same numbers.
    """
    return np.random.default_rng([seed, *key])
