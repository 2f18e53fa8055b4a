"""Devices, number formats and seeds; nothing else in the package asks whether there is a GPU."""

import os
import random
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import torch

from ignet.errors import IgnetError


def pick_device(name: str) -> torch.device:
    """Turn ``auto``, ``cpu``, ``cuda`` or ``cuda:N`` into a device; ``auto`` takes CUDA where there is one.

    Of several processes that torchrun started, each takes the CUDA device of its number.

    Raises:
        IgnetError: CUDA was named and there is none, or fewer devices than processes.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(name)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise IgnetError(f"device {name}: no CUDA device is visible; use --device auto or cpu")
    rank, size = int(os.environ.get("LOCAL_RANK", 0)), int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    if device.type == "cuda" and size > 1:
        if device.index is not None or torch.cuda.device_count() < size:
            raise IgnetError(
                f"device {name}: found {torch.cuda.device_count()} CUDA devices for {size} processes, expected one each, and no number; "
                "lower execution.gpus, or set device to cuda"
            )
        device = torch.device("cuda", rank)
    return device


def autocast(device: torch.device, enabled: bool = True) -> AbstractContextManager:
    """bf16 autocast on CUDA (where it is supported and enabled), full precision elsewhere."""
    if device.type == "cuda" and enabled and torch.cuda.is_bf16_supported():
        return torch.autocast("cuda", dtype=torch.bfloat16)
    return nullcontext()


def seed_everything(seed: int) -> None:
    """Seed python's, numpy's and torch's global generators, and ask torch for repeatable algorithms where it has them."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True, warn_only=True)
    # filling every new tensor with NaN finds faults, repeats nothing better, and costs a fifth of a training step
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False


def step_generator(seed: int, *key: int) -> np.random.Generator:
    """The random numbers of one step of one training: a function of (seed, key) alone.

    A resumed run, and any number of loader workers, therefore draw the same numbers.
    """
    return np.random.default_rng([seed, *key])
