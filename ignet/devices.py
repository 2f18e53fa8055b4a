"""Devices, number formats and seeds; nothing else in the package asks whether there is a GPU."""

import os
import random
from contextlib import AbstractContextManager, nullcontext
from dataclasses import fields, replace
from typing import Any, Literal, Self

import numpy as np
import torch
from torch import Tensor

from ignet.errors import IgnetError

GIVEN_BY = ("SLURM_STEP_GPUS", "SLURM_JOB_GPUS", "SLURM_GPUS_ON_NODE", "CUDA_VISIBLE_DEVICES")
"""Variables that say which GPUs a process was given."""

CUDA_REMEDY = (
    "compare with the driver's CUDA version in the first lines of nvidia-smi, update the driver or install a torch for "
    "it (TORCH_INDEX_URL=... make setup), or set device to cpu"
)


def pick_device(name: str) -> torch.device:
    """Turn ``auto``, ``cpu``, ``cuda`` or ``cuda:N`` into a device; ``auto`` takes CUDA where there is one.

    Of several processes that torchrun started, each takes the CUDA device of its number. A device with a number becomes
    torch's current one: not every extension launches its kernels on the device of its tensors.

    Raises:
        IgnetError: the name is no such device, CUDA was named and there is none, ``auto`` found none in a job that was
            given a GPU, or there are fewer devices than processes or than the number.
    """
    if name == "auto":
        given = None if torch.cuda.is_available() else given_gpus()
        if given:
            raise IgnetError(f"device auto: this job was given a GPU ({given}), but {cuda_fault()}; {CUDA_REMEDY}")
        name = "cuda" if torch.cuda.is_available() else "cpu"
    device = _device(name)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise IgnetError(f"device {name}: no CUDA device is usable, for {cuda_fault()}; {CUDA_REMEDY}")
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
                "each on this one node, and no number; lower execution.gpus to what a node has (a training on several "
                "nodes is not offered), or set device to cuda"
            )
        device = torch.device("cuda", rank)
    if device.type == "cuda" and "PYTORCH_ALLOC_CONF" not in os.environ:
        # batches of scans differ in size, which leaves holes in the memory; read at the first allocation
        os.environ.setdefault("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True")
    if device.index is not None and device.type == "cuda":
        torch.cuda.set_device(device)
    return device


def given_gpus() -> str | None:
    """The variable by which a scheduler, or a person, gave this process GPUs, as ``NAME=value``; none without one."""
    for name in GIVEN_BY:
        value = os.environ.get(name, "").strip()
        if value not in ("", "0" if name == "SLURM_GPUS_ON_NODE" else "-1", "NoDevFiles"):
            return f"{name}={value}"
    return None


def cuda_fault() -> str:
    """Why torch cannot use CUDA here, in torch's own words."""
    try:
        torch.cuda.init()
        reason = "no CUDA device is visible"
    except Exception as error:  # the build, the driver and the device have errors of their own
        reason = " ".join(str(error).split()) or type(error).__name__
    return f"torch {torch.__version__} (built for CUDA {torch.version.cuda or 'none'}) says: {reason}"


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
        precision = "bfloat16" if device.type == "cuda" and _has_bfloat16() else "float32"
    return nullcontext() if precision == "float32" else torch.autocast(device.type, dtype=torch.bfloat16)


def _has_bfloat16() -> bool:
    """Whether the GPU computes in bfloat16; older ones only emulate it, more slowly than float32."""
    return torch.cuda.is_bf16_supported(including_emulation=False)


class TensorGroup:
    """Base of dataclasses whose tensors go to a device together; a field may hold another group, or None."""

    def to(self, device: torch.device) -> Self:
        """The same on ``device``; a GPU copies pinned memory while the program goes on."""
        return self._each(
            lambda part: part.to(device, non_blocking=True) if isinstance(part, Tensor) else part.to(device)
        )

    def pin_memory(self) -> Self:
        """The same in memory that a GPU reads by itself; the loader calls it."""
        return self._each(lambda part: part.pin_memory() if hasattr(part, "pin_memory") else part)

    def _each(self, change: Any) -> Self:
        parts = {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]
        return replace(self, **{name: part if part is None else change(part) for name, part in parts.items()})  # type: ignore[type-var]


def send(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy a tensor of this step to ``device``, without waiting for what a GPU has still to do."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def seed_everything(seed: int, device: torch.device) -> None:
    """Seed python's, numpy's and torch's global generators, and ask torch for deterministic algorithms on the CPU.

    On a GPU they would cost time and repeat nothing to the bit: products of matrices differ with what else is there.
    """
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
    # the same as use_deterministic_algorithms(True, warn_only=True), which also loads torch's compiler: seconds in
    # every job
    torch.set_deterministic_debug_mode("warn" if device.type == "cpu" else "default")
    # filling every new tensor with NaN finds faults, repeats nothing better, and costs a fifth of a training step
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False


def step_generator(seed: int, *key: int) -> np.random.Generator:
    """The random numbers of one step of one training: a function of (seed, key) alone.

    A resumed run, and any number of loader workers, therefore draw the same numbers.
    """
    return np.random.default_rng([seed, *key])
