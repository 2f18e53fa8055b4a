"""Batch normalisation over several processes, on CPUs and GPUs alike (torch's own needs a GPU)."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

Stack = Callable[[Tensor], Tensor]
"""From the tensor of one process to those of all, stacked along a new first axis."""


class SyncBatchNorm(nn.Module):
    """A batch norm layer that takes its statistics over all processes.

    Weights, buffers and their names are those of the layer.

    Args:
        layer: keeps the weights; BatchNorm1d or BatchNorm2d with a weight and running statistics.
        stack: brings the processes' statistics together.
    """

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(self, layer: nn.BatchNorm1d | nn.BatchNorm2d, stack: Stack) -> None:
        super().__init__()
        if not layer.affine or layer.momentum is None or layer.running_mean is None:
            raise ValueError(f"{layer}: expected a weight, a momentum and running statistics")
        self.weight, self.bias = layer.weight, layer.bias
        for name, buffer in layer.named_buffers():
            self.register_buffer(name, buffer)
        self.eps, self.momentum, self.stack = layer.eps, float(layer.momentum), stack

    def forward(self, x: Tensor) -> Tensor:
        """Normalise float (N, C) or (B, C, H, W) by channel."""
        if not self.training:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps)
        normalised, mean, variance, count = _Normalise.apply(x, self.weight, self.bias, self.eps, self.stack)
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * (count / (count - 1).clamp(min=1)), self.momentum)
            self.num_batches_tracked.add_(1)
        return normalised


def synchronise_batch_norm(network: nn.Module, stack: Stack) -> None:
    """Put a `SyncBatchNorm` in the place of every batch norm layer below ``network``; its state dict stays as it is."""
    for parent in list(network.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
                setattr(parent, name, SyncBatchNorm(layer, stack).train(layer.training))


class _Normalise(torch.autograd.Function):
    r"""(x - mean) / sqrt(variance + eps) w + b, and the statistics; keeps the input and nothing that is computed of it.

    Each process gives n, its mean m and its squared distances from it, S; with the mean of all, M, the squared
    distances of all are :math:`\sum S + n (m - M)^2`. The difference of two sums of squares would lose digits.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float, stack: Stack
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        wide = x.to(weight.dtype)
        axes = [axis for axis in range(x.ndim) if axis != 1]
        own_mean = wide.mean(axes)
        own_squares = (wide - _by_channel(own_mean, x)).square().sum(axes)
        counts, means, squares = stack(
            torch.stack([torch.full_like(own_mean, x.numel() / x.shape[1]), own_mean, own_squares])
        ).unbind(1)
        count = counts.sum(0)
        mean = (counts * means).sum(0) / count
        variance = (squares + counts * (means - mean).square()).sum(0) / count
        scale = (variance + eps).rsqrt()
        ctx.save_for_backward(x, weight, mean, scale, count)
        ctx.stack = stack
        ctx.mark_non_differentiable(mean, variance, count)
        normalised = (wide - _by_channel(mean, x)) * _by_channel(scale * weight, x) + _by_channel(bias, x)
        return normalised.to(x.dtype), mean, variance, count

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:  # type: ignore[override]
        x, weight, mean, scale, count = ctx.saved_tensors
        axes = [axis for axis in range(x.ndim) if axis != 1]
        wide = gradient.to(weight.dtype)
        unit = (x.to(weight.dtype) - _by_channel(mean, x)) * _by_channel(scale, x)
        # those of the weights stay this process's part, like all others
        weight_gradient, bias_gradient = (wide * unit).sum(axes), wide.sum(axes)
        along_unit, along_one = (ctx.stack(torch.stack([weight_gradient, bias_gradient])).sum(0) / count).unbind(0)
        centred = wide - unit * _by_channel(along_unit, x) - _by_channel(along_one, x)
        return (centred * _by_channel(scale * weight, x)).to(x.dtype), weight_gradient, bias_gradient, None, None


def _by_channel(values: Tensor, like: Tensor) -> Tensor:
    """(C,) -> (1, C, 1, ...), as many axes as ``like`` has."""
    return values.view(1, -1, *[1] * (like.ndim - 2))
