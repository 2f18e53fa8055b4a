"""Synchronised batch norm against torch's own on the whole batch, with threads in place of processes."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from threading import Barrier

import pytest
import torch
from torch import Tensor, nn

from ignet.train.batch_norm import Stack, SyncBatchNorm, synchronise_batch_norm

CHANNELS = 3


def layer(kind: type[nn.BatchNorm1d | nn.BatchNorm2d]) -> nn.BatchNorm1d | nn.BatchNorm2d:
    """A layer that has seen other data before, with weights and biases of its own."""
    torch.manual_seed(0)
    norm = kind(CHANNELS, eps=0.01, momentum=0.3).double()
    for value in norm.state_dict().values():
        if value.is_floating_point():
            value.uniform_(0.5, 2)
    return norm


def stack_of(parts: int) -> Callable[[int], Stack]:
    """What stacks the tensors of as many threads, by the thread's number."""
    barrier, shared = Barrier(parts, timeout=20), [torch.empty(0)] * parts

    def of(part: int) -> Stack:
        def stack(own: Tensor) -> Tensor:
            shared[part] = own
            barrier.wait()
            stacked = torch.stack(shared)
            barrier.wait()
            return stacked

        return stack

    return of


def whole_and_parts(shape: tuple[int, ...]) -> tuple[Tensor, list[Tensor]]:
    """A batch whose mean is far from 0, and its uneven parts."""
    torch.manual_seed(1)
    whole = torch.randn(shape, dtype=torch.float64) * torch.linspace(0.1, 4, shape[0]).view(-1, *[1] * (len(shape) - 1))
    whole = whole + 30
    return whole, [part.clone() for part in whole.split([shape[0] - 2, 2])]


@pytest.mark.parametrize(
    ("kind", "shape"), [(nn.BatchNorm1d, (9, CHANNELS)), (nn.BatchNorm2d, (5, CHANNELS, 4, 2))], ids=["rows", "images"]
)
def test_parts_train_as_the_whole_batch_does(
    kind: type[nn.BatchNorm1d | nn.BatchNorm2d], shape: tuple[int, ...]
) -> None:
    reference, (whole, parts) = layer(kind), whole_and_parts(shape)
    stacks, grow = stack_of(len(parts)), torch.linspace(-1, 2, whole.numel(), dtype=torch.float64).view(shape)
    norms = [SyncBatchNorm(deepcopy(reference), stacks(part)) for part in range(len(parts))]

    def train(part: int) -> tuple[Tensor, Tensor]:
        x = parts[part].requires_grad_()
        y = norms[part](x)
        (y.sin() * grow.split([len(p) for p in parts])[part]).sum().backward()
        assert x.grad is not None
        return y.detach(), x.grad

    whole.requires_grad_()
    expected = reference(whole)
    (expected.sin() * grow).sum().backward()
    assert whole.grad is not None
    with ThreadPoolExecutor(len(parts)) as pool:
        outputs, gradients = zip(*pool.map(train, range(len(parts))), strict=True)
    torch.testing.assert_close(torch.cat(outputs), expected.detach(), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(torch.cat(gradients), whole.grad, rtol=1e-9, atol=1e-10)
    for name in ("weight", "bias"):
        total = sum(getattr(norm, name).grad for norm in norms)
        torch.testing.assert_close(total, getattr(reference, name).grad, rtol=1e-9, atol=1e-10)
    for norm in norms:
        torch.testing.assert_close(norm.state_dict(), reference.state_dict(), rtol=1e-10, atol=1e-10)


def test_in_evaluation_it_asks_no_other_process_and_gives_what_the_layer_gives() -> None:
    reference, (whole, _) = layer(nn.BatchNorm1d).eval(), whole_and_parts((9, CHANNELS))

    def refuse(own: Tensor) -> Tensor:
        raise AssertionError("asked the other processes")

    norm = SyncBatchNorm(deepcopy(reference), refuse).eval()
    torch.testing.assert_close(norm(whole), reference(whole), rtol=0, atol=0)
    assert norm.state_dict().keys() == reference.state_dict().keys()


def test_two_values_a_channel_have_twice_the_variance_of_the_batch_as_their_estimate() -> None:
    norm, x = SyncBatchNorm(layer(nn.BatchNorm1d), lambda own: own[None]), torch.eye(2, CHANNELS, dtype=torch.float64)
    before = norm.running_var.clone()
    norm(x)
    torch.testing.assert_close(norm.running_var, 0.7 * before + 0.3 * x.var(0))


def test_a_gradient_of_the_gradient_is_refused_rather_than_wrong() -> None:
    norm = SyncBatchNorm(layer(nn.BatchNorm1d), lambda own: own[None])
    x = torch.randn(4, CHANNELS, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(norm(x).sin().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


def test_one_value_a_channel_leaves_the_running_variance_finite() -> None:
    norm = SyncBatchNorm(layer(nn.BatchNorm1d), lambda own: own[None])
    before = norm.running_var.clone()
    assert norm(torch.full((1, CHANNELS), 7.0, dtype=torch.float64)).isfinite().all()
    torch.testing.assert_close(norm.running_var, 0.7 * before)  # the variance of one value counts as 0


def test_half_precision_goes_in_and_out_while_the_statistics_are_taken_in_full() -> None:
    norm = SyncBatchNorm(layer(nn.BatchNorm1d).float(), lambda own: own[None])
    x = torch.tensor([[300.0] * CHANNELS, [301.0] * CHANNELS], dtype=torch.bfloat16).requires_grad_()
    before = norm.running_mean.clone()
    y = norm(x)
    y.float().sum().backward()
    assert x.grad is not None
    assert (y.dtype, x.grad.dtype, norm.running_mean.dtype) == (torch.bfloat16, torch.bfloat16, torch.float32)
    torch.testing.assert_close(norm.running_mean, 0.7 * before + 0.3 * x.detach().float().mean(0))


def test_every_batch_norm_of_a_network_is_replaced_and_keeps_its_mode_and_its_weights() -> None:
    network = nn.Sequential(nn.Linear(CHANNELS, CHANNELS), nn.Sequential(nn.BatchNorm1d(CHANNELS), nn.ReLU()))
    network.append(nn.BatchNorm2d(CHANNELS).eval())
    weights = network.state_dict()
    synchronise_batch_norm(network, lambda own: own[None])
    norms = [part for part in network.modules() if isinstance(part, SyncBatchNorm)]
    assert [norm.training for norm in norms] == [True, False]
    assert not any(isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d) for part in network.modules())
    assert network.state_dict().keys() == weights.keys()
    assert all(network.state_dict()[name].data_ptr() == value.data_ptr() for name, value in weights.items())


@pytest.mark.parametrize(
    "without",
    [
        nn.BatchNorm1d(CHANNELS, affine=False),
        nn.BatchNorm1d(CHANNELS, track_running_stats=False),
        nn.BatchNorm1d(CHANNELS, momentum=None),
    ],
    ids=["weights", "statistics", "momentum"],
)
def test_a_layer_without_weights_statistics_or_momentum_is_refused(without: nn.BatchNorm1d) -> None:
    with pytest.raises(ValueError, match="expected a weight, a momentum and running statistics"):
        SyncBatchNorm(without, lambda own: own[None])
