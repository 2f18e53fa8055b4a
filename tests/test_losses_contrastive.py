import math

import pytest
import torch
import torch.nn.functional as F
from torch.autograd import gradcheck

from ignet.losses.contrastive import contrastive, one_way_contrastive, prototypes, update_prototypes, with_gradient

ALL = torch.ones(2, dtype=torch.bool)


def unit(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return F.normalize(torch.randn(*shape, dtype=dtype), dim=1)


class TestPrototypes:
    def test_value_by_hand(self):
        z = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8], [1.0, 0.0]])
        mean, count = prototypes(z, torch.tensor([2, 2, 0, 0]), torch.tensor([True, True, True, False]), 4)
        assert torch.allclose(mean, torch.tensor([[0.6, 0.8], [0, 0], [0.5, 0.5], [0, 0]]))
        assert count.tolist() == [1, 0, 2, 0] and count.dtype == torch.int64

    def test_classes_of_invalid_points_are_not_looked_at(self):
        _, count = prototypes(unit(2, 3), torch.tensor([255, 1]), torch.tensor([False, True]), 2)
        assert count.tolist() == [0, 1]

    def test_no_valid_point(self):
        mean, count = prototypes(unit(3, 4), torch.zeros(3, dtype=torch.int64), torch.zeros(3, dtype=torch.bool), 2)
        assert (mean == 0).all() and (count == 0).all()

    @pytest.mark.parametrize("bad", [-1, 2, 255])
    def test_class_out_of_range(self, bad):
        with pytest.raises(ValueError, match=r"expected 0\.\.1"):
            prototypes(unit(1, 3), torch.tensor([bad]), torch.tensor([True]), 2)

    def test_shapes(self):
        with pytest.raises(ValueError, match="expected"):
            prototypes(unit(2, 3), torch.zeros(3, dtype=torch.int64), ALL, 2)


class TestUpdatePrototypes:
    def test_value_by_hand(self):
        old = torch.tensor([[1.0, 0.0], [0.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
        seen = torch.tensor([True, False, True, False])
        new = torch.tensor([[0.0, 1.0], [0.6, 0.8], [9.0, 9.0], [9.0, 9.0]])
        updated, now_seen = update_prototypes(old, seen, new, torch.tensor([3, 1, 0, 0]), 0.9)
        # averaged; taken as it is the first time; kept without points; never seen
        assert torch.allclose(updated, torch.tensor([[0.9, 0.1], [0.6, 0.8], [0.0, 1.0], [0.0, 0.0]]))
        assert now_seen.tolist() == [True, True, True, False]
        assert seen.tolist() == [True, False, True, False] and old[0].tolist() == [1, 0]  # arguments unchanged

    def test_momentum_zero_forgets(self):
        new = torch.randn(2, 3)
        assert torch.equal(update_prototypes(torch.randn(2, 3), ALL, new, torch.tensor([1, 1]), 0.0)[0], new)

    @pytest.mark.parametrize(("seen", "new", "count"), [(2, (2, 4), 2), (3, (2, 3), 2), (2, (2, 3), 3)])
    def test_exception(self, seen, new, count):
        with pytest.raises(ValueError, match="expected"):
            update_prototypes(
                torch.zeros(2, 3), torch.ones(seen, dtype=torch.bool), torch.zeros(new), torch.ones(count).long(), 0.9
            )


class TestOneWayContrastive:
    def test_smoke(self):
        loss = one_way_contrastive(
            unit(10, 8), torch.randint(0, 5, (10,)), unit(5, 8), torch.ones(5, dtype=torch.bool), 0.1
        )
        assert loss.shape == () and loss > 0

    def test_value_by_hand(self):
        # anchor (1, 0) of class 0 and anchor (0.6, 0.8) of class 1; prototypes along x and y; tau 0.5
        z, p = torch.tensor([[1.0, 0.0], [0.6, 0.8]]), torch.eye(2)
        first = -math.log(math.exp(2) / (math.exp(2) + 1))
        second = -math.log(math.exp(1.6) / (math.exp(1.2) + math.exp(1.6)))
        assert one_way_contrastive(z, torch.tensor([0, 1]), p, ALL, 0.5).item() == pytest.approx(
            (first + second) / 2, rel=1e-6
        )
        assert one_way_contrastive(z[:1], torch.tensor([0]), p, ALL, 0.5).item() == pytest.approx(first, rel=1e-6)

    def test_length_of_prototypes_does_not_matter(self):
        z, p = unit(6, 4), unit(2, 4)
        classes = torch.randint(0, 2, (6,))
        scaled = p * torch.tensor([[0.2], [7.0]])
        assert torch.allclose(
            one_way_contrastive(z, classes, scaled, ALL), one_way_contrastive(z, classes, p, ALL), atol=1e-6
        )

    def test_unseen_classes_are_neither_targets_nor_negatives(self):
        z, p, classes = unit(6, 4), unit(3, 4), torch.tensor([0, 1, 2, 0, 1, 2])
        seen = torch.tensor([True, False, True])
        kept = torch.tensor([0, 2, 3, 5])
        expected = one_way_contrastive(z[kept], classes[kept] // 2, p[[0, 2]], ALL)
        assert torch.allclose(one_way_contrastive(z, classes, p, seen), expected)

    def test_anchors_without_a_class_are_left_out(self):
        z, p = unit(5, 4), unit(2, 4)
        loss = one_way_contrastive(z, torch.tensor([0, 255, 1, -1, 2]), p, ALL)
        assert torch.allclose(loss, one_way_contrastive(z[[0, 2]], torch.tensor([0, 1]), p, ALL))

    def test_gradient_stops_at_the_prototypes(self):
        z, p = unit(6, 4).requires_grad_(), unit(2, 4).requires_grad_()
        one_way_contrastive(z, torch.tensor([0, 1, 0, 1, 0, 1]), p, ALL).backward()
        assert p.grad is None and (z.grad != 0).any()

    def test_without_the_stop_the_gradient_reaches_the_prototypes(self):
        z, p, classes = unit(6, 4), unit(2, 4).requires_grad_(), torch.tensor([0, 1, 0, 1, 0, 1])
        loss = contrastive(z, classes, p, ALL)
        loss.backward()
        assert (p.grad != 0).any() and torch.equal(loss, one_way_contrastive(z, classes, p, ALL))

    def test_gradient_does_not_reach_what_prototypes_were_made_of(self):
        visible, hidden = unit(6, 4).requires_grad_(), unit(6, 4).requires_grad_()
        classes = torch.tensor([0, 1, 0, 1, 0, 1])
        mean, count = prototypes(visible, classes, torch.ones(6, dtype=torch.bool), 2)
        one_way_contrastive(hidden, classes, mean, count > 0).backward()
        assert visible.grad is None and (hidden.grad != 0).any()

    def test_gradient_pulls_the_anchor_to_its_class(self):
        raw = torch.tensor([[1.0, 1.0]], requires_grad=True)
        one_way_contrastive(F.normalize(raw, dim=1), torch.tensor([0]), torch.eye(2), ALL).backward()
        step = -raw.grad[0]
        assert step[0] > 0 > step[1]

    @pytest.mark.parametrize("seen", [ALL, ~ALL])
    @pytest.mark.parametrize("anchors", [0, 3])
    def test_no_anchor_is_zero_with_a_graph(self, anchors, seen):
        z = unit(anchors, 4).requires_grad_()
        classes = torch.full((anchors,), 255 if seen.all() else 1)
        loss = one_way_contrastive(z, classes, torch.zeros(2, 4), seen)
        loss.backward()
        assert loss.item() == 0 and (z.grad == 0).all()

    @pytest.mark.parametrize(
        ("classes", "p", "temperature"),
        [((3,), (2, 4), 0.1), ((4,), (2, 5), 0.1), ((4,), (3, 4), 0.1), ((4,), (2, 4), 0.0)],
    )
    def test_exception(self, classes, p, temperature):
        with pytest.raises(ValueError, match="expected"):
            one_way_contrastive(unit(4, 4), torch.zeros(classes, dtype=torch.int64), torch.ones(p), ALL, temperature)

    def test_gradcheck(self):
        z, p = unit(5, 3, dtype=torch.float64).requires_grad_(), unit(3, 3, dtype=torch.float64)
        classes, seen = torch.tensor([0, 1, 2, 255, 0]), torch.tensor([True, False, True])
        assert gradcheck(lambda x: one_way_contrastive(x, classes, p, seen, 0.5), (z,))


class TestWithGradient:
    def test_value_stays_and_gradient_goes_to_the_means(self):
        old, means = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([[0.5, 0.5], [9.0, 9.0]], requires_grad=True)
        result = with_gradient(old, means, torch.tensor([1, 0]))
        assert torch.equal(result, old)
        result.sum().backward()
        assert means.grad.tolist() == [[1.0, 1.0], [0.0, 0.0]]  # a class without a point passes nothing on
