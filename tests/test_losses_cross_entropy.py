import math

import pytest
import torch
from torch.autograd import gradcheck

from ignet.losses.cross_entropy import partial_cross_entropy


class TestPartialCrossEntropy:
    def test_smoke(self):
        loss = partial_cross_entropy(torch.randn(10, 19), torch.randint(0, 19, (10,)))
        assert loss.shape == () and loss > 0

    def test_value_by_hand(self):
        # probabilities 3/4 and 1/4 in both rows: -log(3/4) and -log(1/4)
        logits = torch.tensor([[math.log(3.0), 0.0], [math.log(3.0), 0.0]])
        expected = (-math.log(0.75) - math.log(0.25)) / 2
        assert partial_cross_entropy(logits, torch.tensor([0, 1])).item() == pytest.approx(expected, rel=1e-6)
        assert partial_cross_entropy(logits, torch.tensor([255, 1])).item() == pytest.approx(-math.log(0.25), rel=1e-6)

    def test_over_all_points_by_hand(self):
        # one of four points is labelled, with probability 1/4
        logits = torch.tensor([[math.log(3.0), 0.0]] * 4)
        labels = torch.tensor([255, 1, 255, 255])
        loss = partial_cross_entropy(logits, labels, normalisation="all")
        assert loss.item() == pytest.approx(-math.log(0.25) / 4, rel=1e-6)
        alone = partial_cross_entropy(logits[:1], labels[1:2], normalisation="all")
        assert alone.item() == pytest.approx(-math.log(0.25), rel=1e-6)

    def test_ignored_points_change_nothing(self):
        logits, labels = torch.randn(6, 3), torch.tensor([0, 255, 2, 1, 255, 0])
        kept = labels != 255
        assert torch.allclose(partial_cross_entropy(logits, labels), partial_cross_entropy(logits[kept], labels[kept]))

    def test_ignored_points_get_no_gradient(self):
        logits = torch.randn(4, 3, requires_grad=True)
        partial_cross_entropy(logits, torch.tensor([0, 255, 2, 255])).backward()
        assert (logits.grad[[1, 3]] == 0).all()
        assert (logits.grad[[0, 2]] != 0).all()

    def test_other_ignore_value(self):
        logits = torch.randn(2, 3)
        assert torch.equal(
            partial_cross_entropy(logits, torch.tensor([1, -1]), ignore=-1),
            partial_cross_entropy(logits[:1], torch.tensor([1])),
        )

    @pytest.mark.parametrize("points", [0, 3])
    @pytest.mark.parametrize("normalisation", ["own", "all"])
    def test_nothing_labelled_is_zero_with_a_graph(self, points, normalisation):
        logits = torch.randn(points, 4, requires_grad=True)
        loss = partial_cross_entropy(logits, torch.full((points,), 255), normalisation=normalisation)
        loss.backward()
        assert loss.item() == 0 and (logits.grad == 0).all()

    @pytest.mark.parametrize(
        ("logits", "labels"),
        [
            ((4, 3), torch.zeros(5, dtype=torch.int64)),
            ((4,), torch.zeros(4, dtype=torch.int64)),
            ((4, 3), torch.zeros(4)),
        ],
    )
    def test_exception(self, logits, labels):
        with pytest.raises(ValueError, match="expected"):
            partial_cross_entropy(torch.zeros(logits), labels)

    def test_label_out_of_range(self):
        with pytest.raises(IndexError):
            partial_cross_entropy(torch.zeros(1, 3), torch.tensor([3]))

    def test_gradcheck(self):
        logits = torch.randn(6, 4, dtype=torch.float64, requires_grad=True)
        labels = torch.tensor([0, 255, 2, 3, 255, 1])
        assert gradcheck(lambda x: partial_cross_entropy(x, labels), (logits,))
