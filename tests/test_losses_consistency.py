import math

import pytest
import torch
from torch.autograd import gradcheck

from ignet.losses.consistency import consistency, pseudo_labels


class TestConsistency:
    def test_smoke(self):
        loss = consistency(torch.randn(10, 19), torch.randn(10, 19), torch.ones(10, dtype=torch.bool))
        assert loss.shape == () and loss > 0

    def test_value_by_hand(self):
        # student 1/2, 1/2; teacher 3/4, 1/4; the second point is not in the mask
        student = torch.zeros(2, 2)
        teacher = torch.tensor([[math.log(3.0), 0.0], [9.0, -9.0]])
        expected = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
        assert consistency(student, teacher, torch.tensor([True, False])).item() == pytest.approx(expected, rel=1e-6)

    def test_over_all_points_by_hand(self):
        student, teacher = torch.zeros(3, 2), torch.tensor([[math.log(3.0), 0.0], [9.0, -9.0], [5.0, 0.0]])
        expected = (0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)) / 3
        loss = consistency(student, teacher, torch.tensor([True, False, False]), "all")
        assert loss.item() == pytest.approx(expected, rel=1e-6)

    def test_is_not_symmetric(self):
        a, b, mask = torch.tensor([[2.0, 0.0]]), torch.tensor([[-1.0, 0.0]]), torch.tensor([True])
        assert abs(consistency(a, b, mask) - consistency(b, a, mask)) > 1e-2

    def test_agreement_is_zero_whatever_the_logits_offset(self):
        logits = torch.randn(5, 7, dtype=torch.float64)
        assert consistency(logits, logits + 3, torch.ones(5, dtype=torch.bool)).item() == pytest.approx(0, abs=1e-12)

    def test_mean_over_the_mask(self):
        student, teacher, mask = torch.randn(8, 3), torch.randn(8, 3), torch.arange(8) % 3 == 0
        each = [consistency(student[i : i + 1], teacher[i : i + 1], torch.tensor([True])) for i in (0, 3, 6)]
        assert torch.allclose(consistency(student, teacher, mask), torch.stack(each).mean())

    def test_confident_logits_stay_finite(self):
        student = torch.tensor([[500.0, -500.0]], requires_grad=True)
        loss = consistency(student, torch.tensor([[-500.0, 500.0]]), torch.tensor([True]))
        loss.backward()
        assert loss.item() == pytest.approx(1000) and torch.isfinite(student.grad).all()

    def test_no_gradient_to_the_teacher_nor_outside_the_mask(self):
        student, teacher = torch.randn(4, 3, requires_grad=True), torch.randn(4, 3, requires_grad=True)
        consistency(student, teacher, torch.tensor([True, False, True, False])).backward()
        assert teacher.grad is None
        assert (student.grad[[1, 3]] == 0).all() and (student.grad[[0, 2]] != 0).all()

    @pytest.mark.parametrize("points", [0, 3])
    @pytest.mark.parametrize("normalisation", ["own", "all"])
    def test_empty_mask_is_zero_with_a_graph(self, points, normalisation):
        student = torch.randn(points, 4, requires_grad=True)
        loss = consistency(student, torch.randn(points, 4), torch.zeros(points, dtype=torch.bool), normalisation)
        loss.backward()
        assert loss.item() == 0 and (student.grad == 0).all()

    @pytest.mark.parametrize(
        ("student", "teacher", "mask"),
        [
            ((4, 3), (4, 2), torch.ones(4, dtype=torch.bool)),
            ((4, 3), (4, 3), torch.ones(3, dtype=torch.bool)),
            ((4,), (4,), torch.ones(4, dtype=torch.bool)),
            ((4, 3), (4, 3), torch.ones(4)),
        ],
    )
    def test_exception(self, student, teacher, mask):
        with pytest.raises(ValueError, match="expected"):
            consistency(torch.zeros(student), torch.zeros(teacher), mask)

    def test_gradcheck(self):
        student = torch.randn(5, 4, dtype=torch.float64, requires_grad=True)
        teacher = torch.randn(5, 4, dtype=torch.float64)
        mask = torch.tensor([True, False, True, True, False])
        assert gradcheck(lambda x: consistency(x, teacher, mask), (student,))


class TestPseudoLabels:
    def test_value_by_hand(self):
        # probabilities 3/4 and 1/4, 1/2 and 1/2, 9/10 and 1/10; the last point is not in the mask
        logits = torch.tensor([[math.log(3.0), 0.0], [0.0, 0.0], [0.0, math.log(9.0)], [0.0, 50.0]], requires_grad=True)
        mask = torch.tensor([True, True, True, False])
        labels = pseudo_labels(logits, mask, 0.75 - 1e-6)
        assert labels.tolist() == [0, 255, 1, 255] and labels.dtype == torch.int64 and not labels.requires_grad
        assert pseudo_labels(logits, mask, 0.8, ignore=-1).tolist() == [-1, -1, 1, -1]

    @pytest.mark.parametrize(
        ("logits", "mask"),
        [
            ((4,), torch.ones(4, dtype=torch.bool)),
            ((4, 2), torch.ones(3, dtype=torch.bool)),
            ((4, 2), torch.ones(4)),
        ],
    )
    def test_exception(self, logits, mask):
        with pytest.raises(ValueError, match="expected"):
            pseudo_labels(torch.zeros(logits), mask, 0.9)
