import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck

from ignet.losses.lovasz import descending, jaccard_steps, lovasz_softmax


def jaccard_loss(wrong: set[int], inside: list[bool]) -> float:
    """The Jaccard loss of one class when exactly the points ``wrong`` are wrong, from its definition."""
    truth = {i for i, value in enumerate(inside) if value}
    predicted = {i for i, value in enumerate(inside) if value != (i in wrong)}
    return 1 - len(truth & predicted) / len(truth | predicted)


def lovasz_extension(error: list[float], inside: list[bool]) -> float:
    """Definition of the Lovász extension: the errors' level sets, each weighted by the drop of the error."""
    order = sorted(range(len(error)), key=lambda i: -error[i])
    total, before = 0.0, 0.0
    for i, point in enumerate(order):
        after = jaccard_loss(set(order[: i + 1]), inside)
        total += error[point] * (after - before)
        before = after
    return total


class TestLovaszSoftmax:
    def test_smoke(self):
        loss = lovasz_softmax(torch.randn(50, 19).softmax(1), torch.randint(0, 19, (50,)))
        assert loss.shape == () and 0 < loss < 1

    def test_value_by_hand(self):
        # class 0: errors .2 (inside), .4 (inside), .3 (outside); sorted .4, .3, .2; steps 1/2, 1/(3*2), 1/3
        # class 1: errors .2 (out), .4 (out), .3 (inside); sorted .4, .3, .2; I = 1: steps 1/(2*1), 1/2, 0
        probabilities = torch.tensor([[0.8, 0.2], [0.6, 0.4], [0.3, 0.7]])
        expected = ((0.4 / 2 + 0.3 / 6 + 0.2 / 3) + (0.4 / 2 + 0.3 / 2)) / 2
        assert lovasz_softmax(probabilities, torch.tensor([0, 0, 1])).item() == pytest.approx(expected, rel=1e-6)

    def test_of_hard_predictions_is_one_minus_mean_iou(self):
        labels = torch.tensor([0, 0, 0, 1, 1, 2, 2, 2])
        predicted = torch.tensor([0, 1, 0, 1, 0, 2, 2, 1])
        iou = [((labels == c) & (predicted == c)).sum() / ((labels == c) | (predicted == c)).sum() for c in range(3)]
        hard = torch.nn.functional.one_hot(predicted, 3).float()
        assert lovasz_softmax(hard, labels).item() == pytest.approx(1 - sum(iou).item() / 3, abs=1e-6)

    def test_perfect_prediction_is_zero(self):
        labels = torch.randint(0, 5, (40,))
        assert lovasz_softmax(torch.nn.functional.one_hot(labels, 5).float(), labels).item() == 0

    @settings(max_examples=40)
    @given(st.data())
    def test_agrees_with_the_definition(self, data):
        points = data.draw(st.integers(1, 12))
        seed = data.draw(st.integers(0, 2**31))
        generator = torch.Generator().manual_seed(seed)
        probabilities = torch.randn(points, 4, generator=generator, dtype=torch.float64).softmax(1)
        labels = torch.randint(0, 4, (points,), generator=generator)
        values = []
        for c in labels.unique().tolist():
            inside = (labels == c).tolist()
            error = [1 - p if is_in else p for p, is_in in zip(probabilities[:, c].tolist(), inside, strict=True)]
            values.append(lovasz_extension(error, inside))
        assert lovasz_softmax(probabilities, labels).item() == pytest.approx(sum(values) / len(values), abs=1e-12)

    def test_present_classes_only(self):
        # a class without points adds nothing, however much probability it takes
        probabilities = torch.tensor([[0.5, 0.0, 0.5], [0.0, 0.5, 0.5]])
        loss = lovasz_softmax(probabilities, torch.tensor([0, 1]))
        assert loss.item() == pytest.approx(0.5)

    def test_ignored_points_change_nothing(self):
        probabilities, labels = torch.randn(20, 3).softmax(1), torch.randint(0, 3, (20,))
        labels[::4] = 255
        kept = labels != 255
        assert torch.equal(lovasz_softmax(probabilities, labels), lovasz_softmax(probabilities[kept], labels[kept]))

    def test_order_of_points_does_not_matter(self):
        probabilities, labels = torch.randn(60, 4, dtype=torch.float64).softmax(1), torch.randint(0, 4, (60,))
        shuffled = torch.randperm(60)
        assert lovasz_softmax(probabilities, labels).item() == pytest.approx(
            lovasz_softmax(probabilities[shuffled], labels[shuffled]).item(), abs=1e-12
        )

    def test_repeats_bit_by_bit_with_tied_errors(self):
        labels = torch.randint(0, 4, (500,))
        grads = []
        for _ in range(3):
            probabilities = torch.full((500, 4), 0.25, requires_grad=True)
            lovasz_softmax(probabilities, labels).backward()
            grads.append(probabilities.grad)
        assert torch.equal(grads[0], grads[1]) and torch.equal(grads[0], grads[2])

    @pytest.mark.parametrize("points", [0, 3])
    def test_nothing_labelled_is_zero_with_a_graph(self, points):
        probabilities = torch.rand(points, 4, requires_grad=True)
        loss = lovasz_softmax(probabilities, torch.full((points,), 255))
        loss.backward()
        assert loss.item() == 0 and (probabilities.grad == 0).all()

    @pytest.mark.parametrize(
        ("shape", "labels"),
        [
            ((4, 3), torch.zeros(5, dtype=torch.int64)),
            ((4,), torch.zeros(4, dtype=torch.int64)),
            ((4, 3), torch.zeros(4)),
            ((2, 3), torch.tensor([0, 3])),
            ((2, 3), torch.tensor([0, -1])),
        ],
    )
    def test_exception(self, shape, labels):
        with pytest.raises(ValueError, match="expected"):
            lovasz_softmax(torch.zeros(shape), labels)

    def test_gradcheck(self):
        logits = torch.randn(9, 4, dtype=torch.float64, requires_grad=True)
        labels = torch.tensor([0, 255, 2, 2, 255, 1, 0, 1, 2])
        assert gradcheck(lambda x: lovasz_softmax(x.softmax(1), labels), (logits,))


class TestDescending:
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_is_a_stable_sort(self, dtype):
        error = (torch.rand(3, 500) * 40).round().div(40).to(dtype)  # many ties, zeros and ones among them
        order = descending(error)
        assert order.dtype == torch.int64
        assert torch.equal(order, (-error).argsort(dim=1, stable=True))

    def test_tiny_and_equal_errors(self):
        error = torch.tensor([[0.0, 1e-45, 1.0, 1e-38, 0.5, 1.0, 0.0]])
        assert descending(error).tolist() == [[2, 5, 4, 3, 1, 0, 6]]


class TestJaccardSteps:
    @pytest.mark.parametrize(
        "inside", [row for n in (1, 2, 3, 4) for row in itertools.product([True, False], repeat=n) if any(row)]
    )
    def test_are_differences_of_the_definition(self, inside):
        losses = [jaccard_loss(set(range(i)), list(inside)) for i in range(len(inside) + 1)]
        expected = torch.tensor(losses, dtype=torch.float64).diff()
        assert torch.allclose(jaccard_steps(torch.tensor([inside]))[0], expected, atol=1e-15)

    def test_many_points_sum_to_one(self):
        steps = jaccard_steps(torch.rand(3, 100_000) < 0.1)
        assert (steps >= 0).all() and torch.allclose(steps.sum(1), torch.ones(3, dtype=torch.float64), atol=1e-12)
