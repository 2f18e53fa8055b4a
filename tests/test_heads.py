import numpy as np
import torch
import torch.nn.functional as F

from ignet.losses.contrastive import prototypes
from ignet.models.heads import FrozenClassifier, GuidanceHead, ProjectionHead, PrototypeMemory


class TestGuidanceHead:
    def test_shape_and_gradient(self):
        features = torch.randn(7, 32, requires_grad=True)
        predicted = GuidanceHead(32, 64)(features)
        predicted.sum().backward()
        assert predicted.shape == (7, 64) and (features.grad != 0).any()

    def test_no_points(self):
        assert GuidanceHead(32, 64)(torch.zeros(0, 32)).shape == (0, 64)

    def test_points_do_not_influence_each_other(self):
        head, features = GuidanceHead(8, 4).train(), torch.randn(5, 8)
        assert torch.allclose(head(features)[2], head(features[2:3])[0], atol=1e-6)


class TestProjectionHead:
    def test_rows_have_unit_length(self):
        z = ProjectionHead(16, 8)(torch.randn(9, 16) * 50)
        assert z.shape == (9, 8) and torch.allclose(z.norm(dim=1), torch.ones(9), atol=1e-6)

    def test_gradient_is_tangent_to_the_sphere(self):
        head, features = ProjectionHead(4, 3).double(), torch.randn(1, 4, dtype=torch.float64)
        raw = head.layers(features).detach().requires_grad_()
        (F.normalize(raw, dim=1) * torch.randn(1, 3, dtype=torch.float64)).sum().backward()
        assert abs((raw.grad * raw).sum().item()) < 1e-12
        assert torch.allclose(F.normalize(raw, dim=1), head(features))


class TestFrozenClassifier:
    def test_holds_its_values_as_buffers_that_move_and_are_saved_but_not_trained(self):
        weight, bias = np.ones((3, 2), np.float32), np.zeros(3, np.float32)
        classifier = FrozenClassifier(weight, bias)
        assert list(classifier.state_dict()) == ["weight", "bias"] and not list(classifier.parameters())
        assert classifier.double().weight.dtype == torch.float64 and classifier.bias.tolist() == [0, 0, 0]


class TestPrototypeMemory:
    def test_two_steps_by_hand(self):
        memory = PrototypeMemory(3, 2, momentum=0.75)
        memory.update(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 255]), torch.tensor([True, False]))
        assert memory.seen.tolist() == [True, False, False] and memory.prototypes[0].tolist() == [1, 0]
        memory.update(torch.tensor([[0.0, 1.0], [0.6, 0.8]]), torch.tensor([0, 2]), torch.tensor([True, True]))
        assert memory.seen.tolist() == [True, False, True]
        assert torch.allclose(memory.prototypes, torch.tensor([[0.75, 0.25], [0.0, 0.0], [0.6, 0.8]]))

    def test_is_state_and_not_trained(self):
        memory = PrototypeMemory(3, 4, 0.9)
        z = F.normalize(torch.randn(5, 4), dim=1).requires_grad_()
        classes = torch.tensor([0, 1, 1, 2, 2])
        memory.update(z, classes, torch.ones(5, dtype=torch.bool))
        assert not list(memory.parameters()) and not memory.prototypes.requires_grad
        restored = PrototypeMemory(3, 4, 0.9)
        restored.load_state_dict(memory.state_dict())
        assert torch.equal(restored.prototypes, prototypes(z.detach(), classes, torch.ones(5, dtype=torch.bool), 3)[0])
        assert restored.seen.all() and restored.seen.dtype == torch.bool
