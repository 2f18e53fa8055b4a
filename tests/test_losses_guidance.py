import math

import pytest
import torch
from torch.autograd import gradcheck

from ignet.losses.guidance import class_guidance, guidance, info_nce, label_guidance

DISTANCES = ("cosine", "smooth_l1", "l2")


class TestGuidance:
    @pytest.mark.parametrize("distance", DISTANCES)
    def test_smoke(self, distance):
        loss = guidance(torch.randn(10, 64), torch.randn(10, 64), distance)
        assert loss.shape == () and loss > 0

    @pytest.mark.parametrize(
        ("distance", "expected"),
        [
            ("cosine", (1 - 0.6 + 2) / 2),  # (3, 4) against (1, 0): cos 0.6; opposite vectors: cos -1
            ("smooth_l1", ((1.5 + 3.5) / 2 + (1.5 + 0.0) / 2) / 2),  # |2|, |4| -> 1.5, 3.5; |2|, 0 -> 1.5, 0
            ("l2", ((4 + 16) / 2 + (4 + 0) / 2) / 2),
        ],
    )
    def test_value_by_hand(self, distance, expected):
        predicted, target = torch.tensor([[3.0, 4.0], [1.0, 0.0]]), torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
        assert guidance(predicted, target, distance).item() == pytest.approx(expected, rel=1e-6)

    def test_smooth_l1_is_quadratic_near_zero(self):
        assert guidance(torch.tensor([[0.5]]), torch.tensor([[0.0]]), "smooth_l1").item() == pytest.approx(0.125)

    @pytest.mark.parametrize("distance", DISTANCES)
    def test_equal_features_are_at_distance_zero(self, distance):
        features = torch.randn(6, 8, dtype=torch.float64)
        assert guidance(features, features.clone(), distance).item() == pytest.approx(0, abs=1e-12)

    def test_cosine_does_not_see_lengths(self):
        predicted, target = torch.randn(6, 8), torch.randn(6, 8)
        assert torch.allclose(guidance(3 * predicted, 0.1 * target), guidance(predicted, target), atol=1e-6)

    @pytest.mark.parametrize("distance", DISTANCES)
    def test_no_gradient_to_the_target(self, distance):
        predicted, target = torch.randn(4, 3, requires_grad=True), torch.randn(4, 3, requires_grad=True)
        guidance(predicted, target, distance).backward()
        assert target.grad is None and (predicted.grad != 0).any()

    def test_zero_vectors_stay_finite(self):
        predicted = torch.zeros(2, 3, requires_grad=True)
        loss = guidance(predicted, torch.zeros(2, 3))
        loss.backward()
        assert torch.isfinite(loss) and torch.isfinite(predicted.grad).all()

    @pytest.mark.parametrize("distance", DISTANCES)
    def test_no_points_is_zero_with_a_graph(self, distance):
        predicted = torch.randn(0, 3, requires_grad=True)
        loss = guidance(predicted, torch.zeros(0, 3), distance)
        loss.backward()
        assert loss.item() == 0 and predicted.grad.shape == (0, 3)

    def test_takes_stored_half_precision(self):
        predicted, target = torch.randn(4, 3), torch.randn(4, 3).half()
        assert torch.allclose(guidance(predicted, target), guidance(predicted, target.float()))

    @pytest.mark.parametrize(
        ("predicted", "target", "distance"),
        [((4, 3), (4, 2), "cosine"), ((4,), (4,), "cosine"), ((4, 3), (4, 3), "l1")],
    )
    def test_exception(self, predicted, target, distance):
        with pytest.raises(ValueError, match="expected"):
            guidance(torch.zeros(predicted), torch.zeros(target), distance)

    @pytest.mark.parametrize("distance", DISTANCES)
    def test_gradcheck(self, distance):
        predicted = torch.randn(5, 4, dtype=torch.float64, requires_grad=True)
        target = torch.randn(5, 4, dtype=torch.float64)
        assert gradcheck(lambda x: guidance(x, target, distance), (predicted,))


class TestClassGuidance:
    WEIGHT, BIAS = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]), torch.tensor([0.0, 0.0])

    def test_value_by_hand(self):
        # target: 3/4, 1/4; prediction: 1/2, 1/2
        target, predicted = torch.tensor([[math.log(3.0), 0.0, 7.0]]), torch.zeros(1, 3)
        expected = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
        assert class_guidance(predicted, target, self.WEIGHT, self.BIAS).item() == pytest.approx(expected, rel=1e-5)

    def test_unsure_points_do_not_guide(self):
        target, predicted = (
            torch.tensor([[math.log(3.0), 0.0, 7.0], [5.0, 0.0, 0.0]]),
            torch.zeros(2, 3, requires_grad=True),
        )
        class_guidance(predicted, target, self.WEIGHT, self.BIAS, confidence=0.8).backward()
        assert (predicted.grad[0] == 0).all() and (predicted.grad[1] != 0).any()

    def test_what_no_class_depends_on_is_free(self):
        target = torch.randn(5, 3)
        predicted = target.clone()
        predicted[:, 2] += 100
        assert class_guidance(predicted, target, self.WEIGHT, self.BIAS).item() == pytest.approx(0, abs=1e-6)

    def test_gradient_reaches_the_prediction_alone(self):
        predicted, target = torch.randn(5, 3, requires_grad=True), torch.randn(5, 3, requires_grad=True)
        weight, bias = self.WEIGHT.clone().requires_grad_(), self.BIAS.clone().requires_grad_()
        class_guidance(predicted, target, weight, bias).backward()
        assert (predicted.grad != 0).any()
        assert target.grad is None and weight.grad is None and bias.grad is None

    def test_no_point_is_zero_with_a_graph(self):
        predicted = torch.zeros(0, 3, requires_grad=True)
        loss = class_guidance(predicted, torch.zeros(0, 3), self.WEIGHT, self.BIAS)
        loss.backward()
        assert loss.item() == 0

    def test_gradcheck(self):
        predicted, target = (
            torch.randn(4, 3, dtype=torch.float64, requires_grad=True),
            torch.randn(4, 3, dtype=torch.float64),
        )
        assert gradcheck(lambda x: class_guidance(x, target, self.WEIGHT, self.BIAS), (predicted,))

    @pytest.mark.parametrize("shape", [(3, 2), (2, 3, 1)])
    def test_exception(self, shape):
        with pytest.raises(ValueError, match="expected"):
            class_guidance(torch.zeros(shape), torch.zeros(shape), self.WEIGHT, self.BIAS)


class TestLabelGuidance:
    TARGET = torch.tensor([[math.log(3.0), 0.0], [5.0, 0.0]])  # 3/4 and 1/4; sure of the first

    def test_value_by_hand(self):
        expected = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
        assert label_guidance(torch.zeros(1, 2), self.TARGET[:1]).item() == pytest.approx(expected, rel=1e-5)

    def test_unsure_points_do_not_guide_but_count(self):
        sure = label_guidance(torch.zeros(1, 2), self.TARGET[1:], 0.8).item()
        logits = torch.zeros(2, 2, requires_grad=True)
        loss = label_guidance(logits, self.TARGET, 0.8)
        loss.backward()
        assert loss.item() == pytest.approx(sure / 2, rel=1e-5)
        assert (logits.grad[0] == 0).all() and (logits.grad[1] != 0).any()

    def test_a_point_as_sure_as_asked_for_guides(self):
        logits = torch.zeros(1, 2, requires_grad=True)
        label_guidance(logits, torch.tensor([[300.0, 0.0]]), confidence=1.0).backward()
        assert (logits.grad != 0).all()

    def test_equal_logits_are_at_distance_zero(self):
        logits = torch.randn(5, 4)
        assert label_guidance(logits, logits + 3.0).item() == pytest.approx(0, abs=1e-6)

    def test_no_gradient_to_the_target(self):
        logits, target = torch.randn(5, 3, requires_grad=True), torch.randn(5, 3, requires_grad=True)
        label_guidance(logits, target).backward()
        assert (logits.grad != 0).any() and target.grad is None

    def test_no_point_is_zero_with_a_graph(self):
        loss = label_guidance(torch.zeros(0, 3, requires_grad=True), torch.zeros(0, 3))
        loss.backward()
        assert loss.item() == 0

    def test_gradcheck(self):
        logits, target = (
            torch.randn(4, 3, dtype=torch.float64, requires_grad=True),
            torch.randn(4, 3, dtype=torch.float64),
        )
        assert gradcheck(lambda x: label_guidance(x, target), (logits,))

    @pytest.mark.parametrize(("logits", "target"), [((4, 3), (4, 2)), ((4,), (4,))])
    def test_exception(self, logits, target):
        with pytest.raises(ValueError, match="expected"):
            label_guidance(torch.zeros(logits), torch.zeros(target))


class TestInfoNCE:
    AXES = torch.eye(2)

    @pytest.mark.parametrize("temperature", [1.0, 0.5])
    def test_value_by_hand(self, temperature):
        e = math.exp(1 / temperature)
        right = info_nce(self.AXES, self.AXES, torch.tensor([0, 1]), temperature)
        wrong = info_nce(self.AXES, self.AXES, torch.tensor([1, 0]), temperature)
        assert right.item() == pytest.approx(math.log((e + 1) / e), rel=1e-5)
        assert wrong.item() == pytest.approx(math.log(e + 1), rel=1e-5)

    def test_predictions_are_compared_by_their_directions(self):
        predicted = torch.tensor([[3.0, 4.0], [2.0, 0.0]])  # cosines 0.6, 0.8 and 1, 0
        expected = (math.log(math.exp(0.6) + math.exp(0.8)) - 0.6 + math.log(math.e + 1)) / 2
        assert info_nce(predicted, self.AXES, torch.tensor([0, 1]), 1.0).item() == pytest.approx(expected, rel=1e-5)

    def test_the_temperature_is_slidr_s(self):
        own = torch.tensor([1, 0])
        assert info_nce(self.AXES, self.AXES, own).item() == pytest.approx(math.log(math.exp(1 / 0.07) + 1), rel=1e-5)

    def test_features_of_other_points_count(self):
        targets = torch.cat([self.AXES, -self.AXES[:1]])
        found = info_nce(self.AXES[:1], targets, torch.tensor([0]), 1.0)
        assert found.item() == pytest.approx(math.log((math.e + 1 + 1 / math.e) / math.e), rel=1e-5)

    def test_does_not_see_lengths(self):
        predicted, targets, own = torch.randn(6, 8), torch.randn(9, 8), torch.arange(6)
        assert torch.allclose(info_nce(3 * predicted, 0.1 * targets, own), info_nce(predicted, targets, own), atol=1e-5)

    def test_no_gradient_to_the_targets(self):
        predicted, targets = torch.randn(4, 3, requires_grad=True), torch.randn(4, 3, requires_grad=True)
        info_nce(predicted, targets, torch.arange(4)).backward()
        assert targets.grad is None and (predicted.grad != 0).any()

    @pytest.mark.parametrize("others", [0, 3])
    def test_no_points_is_zero_with_a_graph(self, others):
        predicted = torch.randn(0, 3, requires_grad=True)
        loss = info_nce(predicted, torch.randn(others, 3), torch.zeros(0, dtype=torch.int64))
        loss.backward()
        assert loss.item() == 0 and predicted.grad.shape == (0, 3)

    def test_takes_stored_half_precision(self):
        predicted, targets, own = torch.randn(4, 3), torch.randn(4, 3).half(), torch.arange(4)
        assert torch.allclose(info_nce(predicted, targets, own), info_nce(predicted, targets.float(), own))

    @pytest.mark.parametrize(
        ("predicted", "targets", "own", "temperature"),
        [((4, 3), (4, 2), 4, 1), ((4,), (4,), 4, 1), ((4, 3), (4, 3), 3, 1), ((4, 3), (4, 3), 4, 0)],
    )
    def test_exception(self, predicted, targets, own, temperature):
        with pytest.raises(ValueError, match="expected"):
            info_nce(torch.zeros(predicted), torch.zeros(targets), torch.arange(own), temperature)

    def test_gradcheck(self):
        predicted = torch.randn(5, 4, dtype=torch.float64, requires_grad=True)
        targets, own = torch.randn(7, 4, dtype=torch.float64), torch.tensor([6, 1, 0, 3, 3])
        assert gradcheck(lambda x: info_nce(x, targets, own, 0.3), (predicted,))
