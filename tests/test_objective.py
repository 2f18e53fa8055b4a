"""The 3D objective: which terms run, what they leave alone, and that inference keeps the network only."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from ignet.config.backbones import BackboneConfig, MinkUNetConfig
from ignet.config.mixing import FOVMixConfig, MixingConfig
from ignet.config.training_2d import Adapt2DConfig, Pretrain2DConfig
from ignet.config.training_3d import ContrastiveConfig, ImageGuidanceConfig, MeanTeacherConfig, Train3DConfig
from ignet.data.features.pca import Classifier
from ignet.data.label_sets.label_set import SEMANTICKITTI
from ignet.data.lidar.batches import Batch
from ignet.devices import step_generator
from ignet.errors import IgnetError
from ignet.losses.consistency import consistency
from ignet.losses.contrastive import one_way_contrastive, prototypes
from ignet.losses.guidance import guidance, info_nce
from ignet.losses.lovasz import lovasz_softmax
from ignet.models.backbones.registry import collate_for
from ignet.models.segmentor3d import build_network
from ignet.train.distributed import Ranks
from ignet.train.needs import (
    checkpoints_2d,
    needs_correspondence,
    needs_features,
    needs_teacher,
    standardizes,
    uses_unlabelled,
)
from ignet.train.objective import Objective3D
from ignet.train.terms.base import Term
from ignet.train.terms.baseline import Consistency, CrossEntropy, Lovasz
from ignet.train.terms.contrastive import Contrastive
from ignet.train.terms.drawing import point_keys, smallest
from ignet.train.terms.image_guidance import ImageGuidance
from ignet.train.terms.registry import active_terms

BACKBONE = MinkUNetConfig(voxel=0.5, stem=4, encoder=(4, 4, 8, 8), decoder=(8, 4, 4, 4))
FULL = Train3DConfig(
    backbone=BACKBONE,
    image_guidance=ImageGuidanceConfig(weight=1.0, loss="cosine"),
    contrastive=ContrastiveConfig(weight=0.5, ramp=0, channels=6, confidence=0.0, anchors=50),
)
BASELINE = Train3DConfig(backbone=BACKBONE)
SUPERVISED = Train3DConfig(backbone=BACKBONE, mean_teacher=MeanTeacherConfig(weight=0.0))


def make_batch(seed: int = 0, count: int = 300, backbone: BackboneConfig = BACKBONE) -> Batch:
    rng = np.random.default_rng(seed)
    points = np.concatenate([rng.uniform(-8, 8, (count, 3)), rng.random((count, 1))], axis=1).astype(np.float32)
    labels = np.where(rng.random(count) < 0.3, rng.integers(0, 19, count), 255)
    guided = np.flatnonzero(points[:, 0] > 4)
    return Batch(
        student=collate_for(backbone, label_set=SEMANTICKITTI)([points], None),
        teacher=collate_for(backbone, label_set=SEMANTICKITTI)([points * np.float32([-1, 1, 1, 1])], None),
        labels=torch.from_numpy(labels.astype(np.int64)),
        in_fov=torch.from_numpy(points[:, 0] > 4),
        guided=torch.from_numpy(guided),
        feature=torch.from_numpy(rng.random((len(guided), 5)).astype(np.float32)),
    )


def make_objective(settings: Train3DConfig, **stored: Any) -> Objective3D:
    torch.manual_seed(0)
    stored = {"channels": 5, "classifier": None, **stored}
    return Objective3D(
        build_network(settings.backbone, label_set=SEMANTICKITTI), settings, "torch", SimpleNamespace(**stored), seed=1
    )


def losses(objective: Objective3D, batch: Batch) -> dict[str, torch.Tensor]:
    return objective(0, batch)


@pytest.mark.parametrize(
    ("settings", "terms"),
    [
        (SUPERVISED, {"ce", "lovasz"}),
        (BASELINE, {"ce", "lovasz", "consistency"}),
        (FULL, {"ce", "lovasz", "consistency", "image", "contrastive"}),
    ],
)
def test_terms_and_their_sum(settings: Train3DConfig, terms: set[str]) -> None:
    found = losses(make_objective(settings), make_batch())
    assert set(found) == terms | {"loss"}
    assert found["loss"].item() == pytest.approx(sum(found[name].item() for name in terms), rel=1e-6)
    assert all(value.item() > 0 for value in found.values())


def test_weights_scale_their_terms_and_nothing_else() -> None:
    weighed = FULL.model_copy(
        update={
            "lovasz_weight": 0.25,
            "mean_teacher": MeanTeacherConfig(weight=0.4),
            "image_guidance": ImageGuidanceConfig(weight=3.0, loss="cosine"),
            "contrastive": FULL.contrastive.model_copy(update={"weight": 0.1}),
        }
    )
    ones, found = losses(make_objective(FULL), make_batch()), losses(make_objective(weighed), make_batch())
    ratios = {name: found[name].item() / ones[name].item() for name in ones if name != "loss"}
    assert ratios == pytest.approx(
        {"ce": 1, "lovasz": 0.25, "consistency": 0.4, "image": 3, "contrastive": 0.1 / 0.5}, rel=1e-5
    )
    assert found["loss"].item() == pytest.approx(sum(found[name].item() for name in ratios), rel=1e-6)


def test_terms_are_the_losses_of_the_points_that_they_are_about() -> None:
    batch = make_batch()
    with torch.no_grad():  # a confidence that half of the points reach
        confidence = make_objective(FULL)._teacher_forward(batch)[0].softmax(1).max(1).values.median().item()
    contrast = ContrastiveConfig(weight=0.3, ramp=0, channels=6, confidence=confidence, anchors=5000, temperature=0.2)
    by_cosine = ImageGuidanceConfig(weight=3.0, loss="cosine")
    changes = {"lovasz_weight": 0.25, "mean_teacher": MeanTeacherConfig(weight=0.4), "image_guidance": by_cosine}
    objective, captured = make_objective(FULL.model_copy(update={**changes, "contrastive": contrast})), []
    objective.student.network.register_forward_hook(lambda _, __, output: captured.append(output))
    found = losses(objective, batch)
    (logits, points), (teacher_logits, teacher_points) = captured[0], objective._teacher_forward(batch)
    labelled = batch.labels != 255
    expected = {
        "ce": F.cross_entropy(logits[labelled], batch.labels[labelled]),
        "lovasz": 0.25 * lovasz_softmax(logits.softmax(1), batch.labels),
        "consistency": 0.4 * consistency(logits, teacher_logits, ~labelled),
        "image": 3.0 * guidance(objective.student.heads["image"](points[batch.guided]), batch.feature),
    }
    sure = teacher_logits.softmax(1).max(1).values >= confidence
    classes, known = torch.where(labelled, batch.labels, teacher_logits.argmax(1)), labelled | sure
    assert 0 < known[~labelled].sum() < (~labelled).sum()
    means, count = prototypes(objective.teacher.heads["contrastive"](teacher_points), classes, known & batch.in_fov, 19)
    anchors = known & ~batch.in_fov
    z = objective.student.heads["contrastive"](points[anchors])
    expected["contrastive"] = 0.3 * one_way_contrastive(z, classes[anchors], means, count > 0, 0.2)
    assert {name: value.item() for name, value in found.items() if name != "loss"} == pytest.approx(
        {name: value.item() for name, value in expected.items()}, rel=1e-4
    )


def test_without_lovasz_the_gradient_is_that_of_the_cross_entropy() -> None:
    objective = make_objective(SUPERVISED.model_copy(update={"lovasz_weight": 0.0}))
    found, weight = losses(objective, make_batch()), objective.student.network.classifier.weight
    (whole,) = torch.autograd.grad(found["loss"], [weight], retain_graph=True)
    assert torch.equal(whole, torch.autograd.grad(found["ce"], [weight])[0])
    assert whole.abs().max() > 0


def test_a_run_without_teacher_losses_needs_no_teacher_view() -> None:
    batch = replace(make_batch(), teacher=None)
    assert losses(make_objective(SUPERVISED), batch)["loss"].isfinite()


def test_gradient_reaches_the_student_and_never_teacher_or_prototypes() -> None:
    objective = make_objective(FULL)
    losses(objective, make_batch())["loss"].backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in objective.student.parameters())
    assert not any(p.requires_grad or p.grad is not None for p in objective.teacher.parameters())
    assert not objective.kept["contrastive"].prototypes.requires_grad


def points_moved_by(term: str, objective: Objective3D, batch: Batch, of: int = 1) -> torch.Tensor:
    """bool (N,): the points whose features (or logits, ``of`` 0) get a gradient from one term."""
    captured = []
    hook = objective.student.network.register_forward_hook(lambda _, __, output: captured.append(output[of]))
    found = losses(objective, batch)
    hook.remove()
    (gradient,) = torch.autograd.grad(found[term], captured[0])
    return gradient.abs().sum(1) > 0


def test_information_flows_one_way() -> None:
    """The contrastive term moves what is out of the camera's view, and nothing that only the camera sees."""
    objective, batch = make_objective(FULL), make_batch()
    moved = points_moved_by("contrastive", objective, batch)
    assert moved[~batch.in_fov].any()
    assert not moved[batch.in_fov].any()
    assert int(moved.sum()) <= FULL.contrastive.anchors


def test_two_ways_differ_in_the_gradient_alone() -> None:
    batch = make_batch()
    two_way = FULL.model_copy(update={"contrastive": FULL.contrastive.model_copy(update={"direction": "two_way"})})
    one, two = (losses(make_objective(settings), batch)["contrastive"].item() for settings in (FULL, two_way))
    assert one == pytest.approx(two, rel=1e-6)
    moved = points_moved_by("contrastive", make_objective(two_way), batch)
    assert moved[~batch.in_fov].any()
    assert moved[batch.in_fov].any()
    assert int(moved[~batch.in_fov].sum()) <= FULL.contrastive.anchors


def test_guidance_moves_guided_points_only() -> None:
    objective, batch = make_objective(FULL), make_batch()
    moved = points_moved_by("image", objective, batch)
    assert moved[batch.guided].all()
    assert int(moved.sum()) == len(batch.guided)


def contrasting(pairs: int) -> Train3DConfig:
    guidance = ImageGuidanceConfig(weight=3.0, loss="info_nce", pairs=pairs, temperature=0.2)
    return FULL.model_copy(update={"image_guidance": guidance})


@pytest.mark.parametrize("pairs", [10, 1000])
def test_points_and_pixels_are_contrasted_in_pairs_drawn_for_the_step(pairs: int) -> None:
    batch, objective, captured = make_batch(), make_objective(contrasting(pairs)), []
    objective.student.network.register_forward_hook(lambda _, __, output: captured.append(output[1]))
    assert 10 < len(batch.guided) < 1000
    for step in (0, 7):
        found = objective(step, batch)["image"]
        keys = torch.from_numpy(step_generator(1, step, 2).random(300))[batch.guided]
        chosen = keys.argsort()[:pairs]
        predicted = objective.student.heads["image"](captured[-1][batch.guided[chosen]])
        expected = 3.0 * info_nce(predicted, batch.feature[chosen], torch.arange(len(chosen)), 0.2)
        assert found.item() == pytest.approx(expected.item(), rel=1e-4)
        (gradient,) = torch.autograd.grad(found, captured[-1])
        moved = gradient.abs().sum(1).nonzero().squeeze(1)
        assert sorted(moved.tolist()) == sorted(batch.guided[chosen].tolist())


def test_pixels_of_all_processes_are_contrasted() -> None:
    """The other process's pairs have the smallest and the largest key, so its one stays and one of the own goes."""
    term, batch = ImageGuidance(contrasting(2)), make_batch()
    own_keys = step_generator(3, 5, 2).random(302)[2:]
    order = own_keys[batch.guided.numpy()].argsort()
    others, head = (torch.rand(2, 5), torch.tensor([0.0, 1.0], dtype=torch.float64)), torch.nn.Linear(6, 5)
    ranks = OfTwo(others=others)
    forward: Any = SimpleNamespace(
        batch=batch, points=torch.rand(300, 6), ranks=ranks, seed=3, step=5, head=(head, torch.nn.Linear(6, 5))
    )
    first = int(order[0])
    expected = info_nce(
        head(forward.points[batch.guided[[first]]]),
        torch.cat([others[0], batch.feature[[first]]]),
        torch.tensor([2]),
        0.2,
    )
    assert term(forward).item() == pytest.approx(expected.item(), rel=1e-5)
    assert ranks.counts == [1]


def test_guidance_by_classes_uses_the_2d_network_s_classifier() -> None:
    settings = FULL.model_copy(
        update={"image_guidance": ImageGuidanceConfig(weight=1.0, loss="classifier_kl", confidence=0.0)}
    )
    classifier = Classifier(np.eye(5, dtype=np.float32)[:3], np.zeros(3, np.float32))
    objective, batch = make_objective(settings, classifier=classifier), make_batch()
    moved = points_moved_by("image", objective, batch)
    assert moved[batch.guided].all()
    assert int(moved.sum()) == len(batch.guided)
    with pytest.raises(IgnetError, match="needs the 2D network's classifier"):
        make_objective(settings)


def test_guidance_by_labels_moves_the_classifier_and_leaves_the_probe() -> None:
    settings = FULL.model_copy(
        update={
            "image_guidance": ImageGuidanceConfig(
                weight=1.0, loss="probe_kl", confidence=0.0, probe={"steps": 5, "scans": 7}
            )
        }
    )
    batch = make_batch()
    known = (batch.feature.numpy(), np.arange(len(batch.feature)) % 19)
    objective = make_objective(settings, labelled_features=lambda most: known if most == 7 else None)
    network, probe = objective.student.network, objective.kept["image"]
    before = [weight.clone() for weight in probe.parameters()]
    moved = points_moved_by("image", objective, batch, of=0)
    assert moved[batch.guided].all()
    assert int(moved.sum()) == len(batch.guided)
    (gradient,) = torch.autograd.grad(losses(objective, batch)["image"], [network.classifier.weight])
    assert (gradient != 0).any()
    losses(objective, batch)["loss"].backward()
    assert all(
        weight.grad is None and torch.equal(weight, old) for weight, old in zip(probe.parameters(), before, strict=True)
    )
    assert any(
        name.startswith("kept.image.") for name in objective.state_dict()
    )  # resumed with the state, not fitted anew


def test_teacher_follows_the_student() -> None:
    objective = make_objective(FULL)
    with torch.no_grad():
        for parameter in objective.student.parameters():
            parameter.add_(1.0)
    objective.update_teacher(0)
    pairs = zip(objective.teacher.parameters(), objective.student.parameters(), strict=True)
    assert all(torch.equal(teacher, student) for teacher, student in pairs)


def test_the_teacher_moves_by_the_decay_of_the_settings() -> None:
    objective = make_objective(BASELINE.model_copy(update={"mean_teacher": MeanTeacherConfig(ema=0.75)}))
    with torch.no_grad():
        for teacher, student in zip(objective.teacher.parameters(), objective.student.parameters(), strict=True):
            teacher.zero_()
            student.fill_(4.0)
    objective.update_teacher(1)  # half of the way in the second step, a quarter in the hundredth
    assert all((teacher == 2).all() for teacher in objective.teacher.parameters())
    objective.update_teacher(99)
    assert all((teacher == 2.5).all() for teacher in objective.teacher.parameters())


def test_a_teacher_with_statistics_of_its_own_normalises_by_its_batches_and_keeps_them() -> None:
    own = make_objective(BASELINE.model_copy(update={"mean_teacher": MeanTeacherConfig(batch_norm="own")}))
    batch, start = make_batch(), own.teacher.network.state_dict()
    start = {name: value.clone() for name, value in start.items()}
    found = losses(own, batch)["consistency"]
    # as the student normalises its own view
    by_hand = make_objective(BASELINE)
    (logits, _), (taught, _) = (by_hand._predict(by_hand.student.train(), v) for v in (batch.student, batch.teacher))
    assert found.item() == pytest.approx(consistency(logits, taught, batch.labels == 255).item(), rel=1e-5)
    assert abs(losses(make_objective(BASELINE), batch)["consistency"].item() / found.item() - 1) > 1e-2
    own.update_teacher(0)
    statistics = {name for name, _ in own.teacher.network.named_buffers()}
    taught, student = own.teacher.network.state_dict(), own.student.network.state_dict()
    moved = {name for name in statistics if not torch.equal(taught[name], start[name])}
    assert moved == statistics
    means = {name for name in statistics if name.endswith("running_mean")}
    assert means and all(not torch.equal(taught[name], student[name]) for name in means)
    assert all(torch.equal(taught[name], student[name]) for name in taught.keys() - statistics)


def test_without_a_term_that_asks_the_teacher_its_statistics_are_averaged() -> None:
    off = MeanTeacherConfig(weight=0.0, batch_norm="own")
    objective = make_objective(BASELINE.model_copy(update={"mean_teacher": off}))
    losses(objective, make_batch())
    objective.update_teacher(0)
    taught, student = objective.teacher.state_dict(), objective.student.state_dict()
    assert all(torch.equal(taught[name], student[name]) for name in taught)


def test_over_all_points_two_terms_are_smaller_by_their_share_of_the_points() -> None:
    batch = make_batch()
    own, over_all = (
        losses(make_objective(BASELINE.model_copy(update={"normalisation": name})), batch) for name in ("own", "all")
    )
    share = (batch.labels != 255).double().mean().item()
    ratios = {name: over_all[name].item() / own[name].item() for name in ("ce", "consistency", "lovasz")}
    assert ratios == pytest.approx({"ce": share, "consistency": 1 - share, "lovasz": 1}, rel=1e-5)


def test_a_point_s_class_is_its_label_or_the_teacher_s_where_that_is_sure() -> None:
    term = Contrastive(
        FULL.model_copy(update={"contrastive": FULL.contrastive.model_copy(update={"confidence": 0.75})})
    )
    logits = torch.full((4, 19), -100.0)
    logits[:, 2], logits[:, 5] = torch.tensor([3.0, 3.0, 2.0, 1.0]).log(), 0.0  # class 2: 3/4, 3/4, 2/3, 1/2
    logits[1, 2] += 1e-3
    labels = torch.tensor([7, 255, 255, 255])
    classes, known = term.classes(labels, labels == 255, logits)
    assert classes[:3].tolist() == [7, 2, 2]
    assert known.tolist() == [True, True, False, False]
    certain = Contrastive(
        FULL.model_copy(update={"contrastive": FULL.contrastive.model_copy(update={"confidence": 1})})
    )
    assert certain.classes(labels[1:2], labels[1:2] == 255, torch.eye(19)[2:3] * 200)[1].tolist() == [True]


def test_points_are_drawn_by_the_smallest_keys() -> None:
    keys = torch.tensor([0.1, 0.9, 0.2, 0.8, 0.3])
    assert smallest(torch.tensor([1, 2, 3, 4]), keys, 2, Ranks()).tolist() == [2, 4]
    assert smallest(torch.tensor([1, 3]), keys, 2, Ranks()).tolist() == [1, 3]
    assert smallest(torch.arange(0), keys, 2, Ranks()).tolist() == []


@dataclass(frozen=True)
class OfTwo(Ranks):
    """The second of two processes; the first one has ``others``, by their number of axes, and two points."""

    rank: int = 1
    size: int = 2
    others: tuple[torch.Tensor, ...] = ()
    counts: list[int] = field(default_factory=list)

    def gather(self, own: torch.Tensor) -> torch.Tensor:
        return torch.cat([*(each for each in self.others if each.ndim == own.ndim), own])

    def local_offset(self, count: int) -> tuple[int, int]:
        return 2, 2 + count

    def mean(self, own: torch.Tensor, count: int | torch.Tensor) -> torch.Tensor:
        self.counts.append(int(count))
        return own


def test_points_are_drawn_by_the_smallest_keys_of_all_processes() -> None:
    keys, candidates = torch.tensor([0.1, 0.9, 0.2, 0.8, 0.3]), torch.tensor([1, 2, 3, 4])
    for others, expected in (((0.1, 0.4), [2]), ((0.05, 0.1), []), ((0.7, 0.8), [2, 4]), ((), [2, 4])):
        assert smallest(candidates, keys, 2, OfTwo(others=(torch.tensor(others),))).tolist() == expected
    assert smallest(torch.tensor([3]), keys, 2, OfTwo()).tolist() == [3]
    forward: Any = SimpleNamespace(seed=3, step=5, batch=SimpleNamespace(labels=keys), points=keys, ranks=OfTwo())
    assert point_keys(forward, 1).tolist() == step_generator(3, 5, 1).random(7)[2:].tolist()


def test_the_terms_of_one_process_of_two() -> None:
    logits, taught = torch.rand(6, 19), torch.rand(6, 19)
    labels, unlabelled = torch.tensor([0, 1, 255, 3, 255, 5]), torch.tensor([0, 0, 1, 0, 1, 0], dtype=torch.bool)
    others = (torch.rand(3, 19).softmax(1), torch.tensor([1, 5, 7]))
    ranks = OfTwo(others=others)
    forward: Any = SimpleNamespace(logits=logits, teacher_logits=taught, unlabelled=unlabelled, ranks=ranks)
    forward.batch = SimpleNamespace(labels=labels)
    everyone = (torch.cat([others[0], logits.softmax(1)[~unlabelled]]), torch.cat([others[1], labels[~unlabelled]]))
    assert Lovasz(FULL)(forward).item() == pytest.approx(lovasz_softmax(*everyone).item(), rel=1e-6)
    assert CrossEntropy(FULL)(forward).item() == pytest.approx(
        F.cross_entropy(logits, labels, ignore_index=255).item(), rel=1e-6
    )
    assert Consistency(FULL)(forward).item() == pytest.approx(consistency(logits, taught, unlabelled).item(), rel=1e-6)
    over_all = FULL.model_copy(update={"normalisation": "all"})
    assert CrossEntropy(over_all)(forward).item() == pytest.approx(CrossEntropy(FULL)(forward).item() * 4 / 6, rel=1e-6)
    assert Consistency(over_all)(forward).item() == pytest.approx(Consistency(FULL)(forward).item() * 2 / 6, rel=1e-6)
    assert ranks.counts == [4, 2, 6, 4, 6, 2]


def test_weights_and_ramps_of_the_terms() -> None:
    class Own(Term):
        name = "own"

    assert Own(FULL).weight == 0 and Own(FULL.model_copy(update={"terms": {"own": 0.5}})).weight == 0.5
    assert {term.ramp for term in active_terms(FULL)} == {0}
    off = FULL.model_copy(update={"contrastive": FULL.contrastive.model_copy(update={"weight": 0, "ramp": 9})})
    assert Contrastive(off).ramp == 0
    assert Objective3D(build_network(BACKBONE, label_set=SEMANTICKITTI), SUPERVISED, "torch").seed == 0


def test_what_each_part_of_the_method_needs() -> None:
    asked = (uses_unlabelled, needs_teacher, needs_features, needs_correspondence)
    cases: dict[str, tuple[dict[str, Any], set[Callable]]] = {
        "labels alone": ({}, set()),
        "mean teacher": ({"mean_teacher": MeanTeacherConfig(weight=0.3)}, {uses_unlabelled, needs_teacher}),
        "guidance": (
            {"image_guidance": FULL.image_guidance},
            {uses_unlabelled, needs_features, needs_correspondence},
        ),
        "contrastive": ({"contrastive": FULL.contrastive}, {uses_unlabelled, needs_teacher, needs_correspondence}),
        "FOVMix": ({"mixing": MixingConfig(fovmix=FOVMixConfig(probability=0.5))}, {needs_correspondence}),
    }
    for case, (changes, expected) in cases.items():
        settings = SUPERVISED.model_copy(update=changes)
        assert {question for question in asked if question(settings)} == expected, case


def test_checkpoints_that_a_2d_training_reads() -> None:
    distance = {"weight": 1.0, "weights": "b"}
    assert checkpoints_2d(Pretrain2DConfig()) == checkpoints_2d(Adapt2DConfig()) == []
    assert checkpoints_2d(Pretrain2DConfig(network={"weights": "a"})) == ["a"]
    assert checkpoints_2d(Pretrain2DConfig(network={"weights": "a"}, feature_distance=distance)) == ["a", "b"]
    assert checkpoints_2d(Adapt2DConfig(feature_distance=distance)) == ["b"]


def test_ramp_scales_the_contrastive_loss() -> None:
    batch = make_batch()
    ramped = FULL.model_copy(update={"contrastive": FULL.contrastive.model_copy(update={"ramp": 4})})
    full, rising = (losses(make_objective(settings), batch)["contrastive"].item() for settings in (FULL, ramped))
    assert rising == pytest.approx(full / 4, rel=1e-5)


def test_ramp_scales_the_consistency() -> None:
    batch = make_batch()
    ramped = make_objective(BASELINE.model_copy(update={"mean_teacher": MeanTeacherConfig(weight=1.0, ramp=10)}))
    found = losses(ramped, batch)["consistency"].item()
    whole = losses(make_objective(BASELINE), batch)["consistency"].item()
    assert found == pytest.approx(0.1 * whole, rel=1e-5)
    later = {step: ramped(step, batch)["consistency"].item() for step in (3, 9, 10, 99)}
    assert later == pytest.approx({3: 0.4 * whole, 9: whole, 10: whole, 99: whole}, rel=1e-2)


@pytest.mark.parametrize(("ramp", "expected"), [(None, 10), (0, 0), (7, 7)])
def test_the_contrastive_loss_rises_over_half_of_the_training_unless_the_settings_say_otherwise(
    ramp: int | None, expected: int
) -> None:
    settings = FULL.model_copy(update={"steps": 21, "contrastive": FULL.contrastive.model_copy(update={"ramp": ramp})})
    assert Contrastive(settings).ramp == expected


@pytest.mark.parametrize(
    ("loss", "weight", "expected"), [("cosine", 1, True), ("cosine", 0, False), ("probe_kl", 1, False)]
)
def test_features_are_standardised_for_a_distance_alone(loss: str, weight: float, expected: bool) -> None:
    guidance = ImageGuidanceConfig(weight=weight, loss=loss, standardize=True)  # type: ignore[arg-type]
    assert standardizes(FULL.model_copy(update={"image_guidance": guidance})) == expected
    plain = guidance.model_copy(update={"standardize": False})
    assert not standardizes(FULL.model_copy(update={"image_guidance": plain}))


@pytest.mark.parametrize("loss", ["probe_kl", "classifier_kl"])
def test_what_teaches_by_classes_computes_in_float32(monkeypatch: pytest.MonkeyPatch, loss: str) -> None:
    from ignet.losses import guidance as module

    draw = torch.Generator().manual_seed(0)
    features, labels = torch.rand(40, 5, generator=draw).numpy(), np.arange(40) % 19
    classifier = Classifier(torch.rand(19, 5, generator=draw).numpy(), np.zeros(19, np.float32))
    settings = FULL.model_copy(
        update={"image_guidance": ImageGuidanceConfig(weight=1.0, loss=loss), "precision": "bfloat16"}
    )
    objective = make_objective(settings, classifier=classifier, labelled_features=lambda scans: (features, labels))
    seen = []
    for name in ("class_guidance", "label_guidance"):
        own = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *a, own=own: seen.append(torch.is_autocast_enabled("cpu")) or own(*a))
    if loss == "probe_kl":
        objective.kept["image"].layers.register_forward_hook(lambda *a: seen.append(a[2].dtype != torch.float32))
    assert losses(objective, make_batch())["image"].isfinite()
    assert seen and not any(seen)


def test_a_teacher_of_unmixed_scans_is_read_by_rows() -> None:
    """Teacher points in another order, with more of them than the student has, teach the same."""
    batch, settings = make_batch(), FULL.model_copy(update={"mean_teacher": MeanTeacherConfig(loss="pseudo_labels")})
    assert batch.teacher is not None
    order = np.random.default_rng(0).permutation(300)
    points = np.concatenate([np.full((7, 4), 9, np.float32), _teacher_points()[order]])
    view = collate_for(BACKBONE, label_set=SEMANTICKITTI)([points], None)
    rows = torch.from_numpy(np.argsort(order) + 7)
    for chosen in (FULL, settings):
        found = losses(make_objective(chosen), replace(batch, teacher=view, teacher_rows=rows))
        expected = losses(make_objective(chosen), batch)
        for name in ("consistency", "contrastive"):
            torch.testing.assert_close(found[name], expected[name], rtol=1e-4, atol=1e-5)


def _teacher_points() -> np.ndarray:
    """Of `make_batch`."""
    rng = np.random.default_rng(0)
    points = np.concatenate([rng.uniform(-8, 8, (300, 3)), rng.random((300, 1))], axis=1).astype(np.float32)
    return points * np.float32([-1, 1, 1, 1])


def test_pseudo_labels_are_cross_entropy_with_the_confident_classes_of_the_teacher() -> None:
    batch = make_batch()
    with torch.no_grad():
        taught = make_objective(BASELINE)._teacher_forward(batch)[0]
    confidence = taught.softmax(1).amax(1).median().item()
    mean_teacher = MeanTeacherConfig(loss="pseudo_labels", confidence=confidence, weight=0.5)
    objective = make_objective(BASELINE.model_copy(update={"mean_teacher": mean_teacher}))
    captured: list[Any] = []
    objective.student.network.register_forward_hook(lambda _, __, output: captured.append(output[0]))
    found = losses(objective, batch)["consistency"]
    chosen = (batch.labels == 255) & (taught.softmax(1).amax(1) >= confidence)
    assert 0 < chosen.sum() < (batch.labels == 255).sum()
    expected = 0.5 * F.cross_entropy(captured[0][chosen], taught.argmax(1)[chosen])
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
