"""Several processes that train one network together, each on its part of the batch (torchrun starts them, one a GPU).

The batch of a step is the same however many processes share it, and so is its gradient, up to the order of
floating-point sums. Every term of a loss has the whole batch's value on every process, while its gradient is that of
the process's own points; the sum of these over the processes, which DistributedDataParallel forms, is the gradient of
the whole batch. One process computes as if nothing of this were here.
"""

import atexit
import os
import warnings
import zlib
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.parallel import DistributedDataParallel

from ignet.errors import IgnetError
from ignet.train.batch_norm import synchronise_batch_norm

M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True)
class Ranks:
    """The processes of one training, seen from one of them.

    Attributes:
        rank: number of this process, 0..size-1.
        size: how many there are.
        device: where this one computes.
        launcher: process id of what started this one; none without one.
    """

    rank: int = 0
    size: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    launcher: int | None = None

    @property
    def main(self) -> bool:
        """This process writes the files and talks."""
        return self.rank == 0

    def local_slice(self, batch: int) -> slice:
        """Which of the ``batch`` samples of a step are this process's; parts differ by one at most.

        Raises:
            IgnetError: there are fewer samples than processes.
        """
        if batch < self.size:
            raise IgnetError(
                f"batch: found {batch}, but {self.size} processes share it; set it to {self.size} at least, or "
                "use fewer"
            )
        return slice(self.rank * batch // self.size, (self.rank + 1) * batch // self.size)

    def wrap(self, network: M) -> M | DistributedDataParallel:
        """The network to call in training: batch norms see the whole batch, gradients are summed over processes.

        ``network`` itself keeps the weights and the names of its state dict.
        """
        if self.size == 1:
            return network
        synchronise_batch_norm(network, self.stack)
        with warnings.catch_warnings():
            # a newer name for it is not in all versions of torch that we run on
            warnings.filterwarnings("ignore", message="`broadcast_buffers` is deprecated", category=FutureWarning)
            # buffers need no broadcast: batch norm and prototypes are the same everywhere already
            return DistributedDataParallel(network, broadcast_buffers=False)

    def backward(self, loss: Tensor) -> None:
        """Gradients of a loss of whole-batch terms, summed over the processes."""
        (loss * self.size).backward()  # DistributedDataParallel averages

    def mean(self, own: Tensor, count: int | Tensor) -> Tensor:
        """Mean over the points of all processes, from the mean over this one's ``count`` points.

        Its gradient is this one's part.
        """
        if self.size == 1:
            return own
        number = torch.zeros((), dtype=torch.float64, device=own.device) + count
        return _AddParts.apply(own * (number / self.sum(number).clamp(min=1)).to(own.dtype), self)

    def gather(self, rows: Tensor) -> Tensor:
        """The rows of all processes, one process after the other; the gradient reaches this one's.

        Args:
            rows: (n, ...), n may differ between processes.
        """
        return rows if self.size == 1 else _Gather.apply(rows, self)

    def pool(self, means: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
        """Class means over the points of all processes; their gradients come from all processes too.

        Args:
            means: float (C, D), this process's.
            count: int64 (C,), its points of each class.

        Returns:
            means, float (C, D), and counts, int64 (C,), of all.
        """
        if self.size == 1:
            return means, count
        total = self.sum(count)
        return _Sum.apply(means * count[:, None], self) / total.clamp(min=1)[:, None], total

    def sum(self, values: Tensor) -> Tensor:
        """Sum over the processes, a new tensor without gradient."""
        values = values.detach().clone()
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def stack(self, values: Tensor) -> Tensor:
        """The tensors of all processes, equal in shape, along a new first axis; no gradient."""
        everyone = [torch.empty_like(values) for _ in range(self.size)]
        dist.all_gather(everyone, values.detach().contiguous())
        return torch.stack(everyone)

    def local_offset(self, count: int) -> tuple[int, int]:
        """Offset of this process's ``count`` points among those of all processes, and the number of all."""
        if self.size == 1:
            return 0, count
        counts = self.stack(torch.tensor(count)).tolist()
        return sum(counts[: self.rank]), sum(counts)

    def any(self, flag: bool) -> bool:
        """Whether the flag is set on any process; all get the same answer."""
        return self.any_of(flag)[0]

    def any_of(self, *flags: bool) -> list[bool]:
        """Whether each flag is set on any process, in one exchange that no GPU takes part in."""
        return list(flags) if self.size == 1 else (self.sum(torch.tensor(flags, dtype=torch.int64)) > 0).tolist()

    @property
    def parent_died(self) -> bool:
        """The launcher was killed, so nothing else will end this process."""
        return self.launcher is not None and os.getppid() != self.launcher

    def barrier(self) -> None:
        """Wait until all processes are here."""
        self.any(False)

    def seed(self, identity: str, step: int) -> None:
        """Give this process its own random numbers of one step (dropout); one process goes on with its generator."""
        if self.size > 1:
            torch.manual_seed(zlib.crc32(f"{identity} {step} {self.rank}".encode()))


def join(device: torch.device) -> Ranks:
    """Meet the other processes that torchrun started; without torchrun there is one.

    Args:
        device: where this process computes.
    """
    rank, size = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    if size == 1:
        return Ranks(device=device)
    launcher = os.getppid()
    if not dist.is_initialized():
        # numbers of the host go from host to host, whatever the devices are doing
        backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
        dist.init_process_group(backend, rank=rank, world_size=size)
        atexit.register(dist.destroy_process_group)
    return Ranks(rank, size, device, launcher)


class _AddParts(torch.autograd.Function):
    """The sum of the processes' parts; the gradient is that of the own part."""

    @staticmethod
    def forward(ctx: Any, part: Tensor, ranks: Ranks) -> Tensor:
        return ranks.sum(part)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        return gradient, None


class _Sum(torch.autograd.Function):
    """The sum over the processes of a value that all of their losses depend on, so that the gradient is a sum too."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, ranks: Ranks) -> Tensor:
        ctx.ranks = ranks
        return ranks.sum(values)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        return ctx.ranks.sum(gradient), None


class _Gather(torch.autograd.Function):
    """Rows of all processes; the gradient is cut out for the own ones."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, ranks: Ranks) -> Tensor:
        counts: list[int] = ranks.stack(torch.tensor(len(rows))).tolist()
        # collectives want equal shapes
        padded = rows.new_zeros(max(counts), *rows.shape[1:])
        padded[: len(rows)] = rows
        everyone = ranks.stack(padded)
        ctx.own = slice(sum(counts[: ranks.rank]), sum(counts[: ranks.rank + 1]))
        return torch.cat([part[:count] for part, count in zip(everyone, counts, strict=True)])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        return gradient[ctx.own], None
