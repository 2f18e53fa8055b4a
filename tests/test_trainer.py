"""The update step on two parameters, and the adaptation's objective, by hand."""

import json
from argparse import Namespace
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ignet.config.optimizer import OptimizerConfig
from ignet.config.training_2d import Adapt2DConfig, Pretrain2DConfig, SegformerConfig
from ignet.models.teachers.segformer import build_segmenter
from ignet.train.adaptation import AdaptationObjective
from ignet.train.distributed import Ranks
from ignet.train.ema import update_ema
from ignet.train.finished import read_identity
from ignet.train.outputs import NOTE
from ignet.train.pretraining import PretrainingObjective
from ignet.train.schedule import linear_decay
from ignet.train.trainer import Objective, StageTraining, Trainer, last_metrics


@dataclass(frozen=True)
class Counting(Ranks):
    """One process that notes how many points each mean is over."""

    counts: list[int] = field(default_factory=list)

    def mean(self, own: Tensor, count: int | Tensor) -> Tensor:
        self.counts.append(int(count))
        return super().mean(own, count)


class Two(nn.Module):
    """A weight of an encoder and a bias of a head."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Linear(1, 1, bias=False)
        self.head = nn.ParameterDict({"bias": torch.tensor([3.0])})
        nn.init.constant_(self.encoder.weight, 2.0)

    @property
    def values(self) -> list[Tensor]:
        return [self.encoder.weight, self.head["bias"]]


class Slope(Objective):
    """A plane with the gradient (3, 4)."""

    def __init__(self) -> None:
        super().__init__()
        self.student, self.teacher = Two(), Two().requires_grad_(False)

    def forward(self, step: int, scale: float) -> dict[str, Tensor]:
        weight, bias = self.student.values
        value = 3 * weight.sum() + 4 * bias.sum()
        return {"loss": scale * value, "scale": torch.tensor(scale)}

    def update_teacher(self, step: int) -> None:
        update_ema(self.teacher, self.student, step, 0.75)


SETTINGS = OptimizerConfig(steps=10, learning_rate=0.1, weight_decay=0.5, warmup_steps=1)
FACTORS = (0.5, 0.9, 0.8)  # one step of warm-up, and a decay of a tenth a step from the beginning


@pytest.mark.parametrize("decay_all", [False, True])
@pytest.mark.parametrize("clip", [None, 2.5, 100.0])
def test_the_update_step(decay_all: bool, clip: float | None) -> None:
    """AdamW moves by the learning rate where all gradients are the same, whatever their size."""
    settings = SETTINGS.model_copy(update={"decay_norms_and_biases": decay_all, "gradient_clip": clip})
    objective = Slope()
    trainer = Trainer(objective, settings, linear_decay, head_factor=10.0)
    weight, bias = 2.0, 3.0
    teacher = (weight, bias)
    for step, factor in enumerate(FACTORS):
        objective.student.eval()
        logged = trainer.step(step, 1.0)
        assert objective.student.training
        rate = 0.1 * factor
        value = 3 * weight + 4 * bias
        weight = weight * (1 - 0.5 * rate) - rate
        bias = bias * (1 - (0.5 * 10 * rate if decay_all else 0)) - 10 * rate
        kept = min(1 - 1 / (step + 1), 0.75)
        teacher = (kept * teacher[0] + (1 - kept) * weight, kept * teacher[1] + (1 - kept) * bias)
        assert logged["learning_rate"] == pytest.approx(rate)
        assert float(logged["loss"].detach()) == pytest.approx(value, rel=1e-5) and float(logged["scale"]) == 1
        student = [each.item() for each in objective.student.values]
        assert student == pytest.approx([weight, bias], rel=1e-5)
        average = [each.item() for each in objective.teacher.values]
        assert average == pytest.approx(list(teacher), rel=1e-5)
        gradients = [each.grad.item() for each in objective.student.values]
        assert gradients == pytest.approx([1.5, 2.0] if clip == 2.5 else [3.0, 4.0], rel=1e-5)
    assert trainer.parts.keys() == {"objective", "optimizer", "scheduler"}


def test_without_a_factor_the_head_learns_as_fast_as_the_encoder() -> None:
    assert [group["lr"] for group in Trainer(Slope(), SETTINGS, linear_decay).optimizer.param_groups] == [0.05, 0.05]


def test_what_a_stage_s_training_does_with_its_arguments(tmp_path: Path) -> None:
    written: list[tuple[Path, dict]] = []
    args = Namespace(state=tmp_path / "state", curves=tmp_path / "tensorboard", checkpoint_every=7.0, workers=0)
    args.out, args.metrics, args.curves_csv = (tmp_path / name for name in ("w.safetensors", "m.json", "c.csv"))
    args.max_minutes, args.job_start = 600.0, 4e9

    def write_settings(path: Path, **facts: Any) -> None:
        path.write_text("settings")
        written.append((path, facts))

    stage: Any = SimpleNamespace(args=args, write_settings=write_settings)

    def train(ranks: Ranks) -> StageTraining:
        return StageTraining(stage, "abc", Trainer(Slope(), SETTINGS, linear_decay, ranks))

    def save(path: Path) -> None:
        path.write_text("weights")

    train(Ranks(rank=1)).export(save)
    assert not list(tmp_path.iterdir()) and not written
    ranks = Ranks()
    with train(ranks) as training:
        assert (training.checkpoint_every, training.ranks) == (7.0, ranks) and training.ranks is ranks
        assert 4e9 < training.deadline <= 4e9 + 36000
        training.fit([float(number) for number in range(10)])  # type: ignore[arg-type]
        training.export(save, {"scans": 3}, engine="torch")
    assert [row["scale"] for row in training.history] == [*range(10)] and "learning_rate" in training.history[0]
    metrics = json.loads(args.metrics.read_text())
    assert metrics == {"last_loss": training.history[-1]["loss"], "last_scale": 9.0, "scans": 3}
    assert args.out.read_text() == "weights" and read_identity(args.out) == "abc"
    assert len(args.curves_csv.read_text().splitlines()) == 11 and list(args.curves.iterdir())
    assert written == [(tmp_path / "w.settings.json", {"processes": [1], "engine": "torch"})]
    assert (args.state / "abc" / NOTE).is_file()
    with train(ranks) as again:
        again.fit([0.0] * 10)  # type: ignore[arg-type]
        again.export(save)
    assert json.loads(args.metrics.read_text()) == {"last_loss": metrics["last_loss"], "last_scale": 9.0}


def test_last_metrics_are_means_over_a_tenth_of_the_steps() -> None:
    history = [{"step": float(step), "loss": float(step), "learning_rate": 1.0} for step in range(29)]
    assert last_metrics(history) == {"last_loss": 27.5}
    assert last_metrics([*history, {"step": 29.0, "loss": 29.0, "learning_rate": 1.0}]) == {"last_loss": 28.0}
    assert last_metrics(history[:3]) == {"last_loss": 2.0}


def test_the_adaptation_s_terms_by_hand() -> None:
    """Their weights, whose labels and class weights each takes, and that the teacher is only averaged."""
    torch.manual_seed(0)
    weights = {"source_weight": 0.5, "mix_weight": 0.7, "scribble_weight": 1.3}
    settings = Adapt2DConfig(
        **weights, batch=2, masked={"weight": 0.3, "block": 8}, confidence=0.0, mix_jitter=0, mix_blur=0
    )
    network = build_segmenter(SegformerConfig(hidden_sizes=(8, 8, 10, 16), decoder_channels=12))
    of_source, of_target = torch.rand(19) + 0.5, torch.rand(19) + 0.5

    def distance(images: Tensor, deep: Tensor, labels: Tensor) -> Tensor:
        compared.append((images, deep, labels))
        return torch.tensor(0.25)

    compared: list[tuple[Tensor, ...]] = []
    ranks = Counting()
    objective = AdaptationObjective(network, settings, (of_source, of_target), distance, ranks)  # type: ignore[arg-type]
    source = (torch.rand(2, 3, 32, 32), torch.randint(0, 19, (2, 32, 32)))
    scribbles = torch.full((2, 32, 32), 255)
    scribbles[:, 10] = 7
    target = (torch.rand(2, 3, 32, 32), scribbles)
    outputs: list[Any] = []
    for model in (objective.teacher, objective.student):
        model.register_forward_hook(lambda _, __, output: outputs.append(output))
    losses = objective(0, source, target)
    taught = outputs[0].logits
    on_source, _, on_target, on_masked = outputs[1].logits.chunk(4)

    def cross_entropy(logits: Tensor, labels: Tensor, of_class: Tensor) -> float:
        each = F.cross_entropy(logits, labels, ignore_index=255, reduction="none")
        known = labels != 255
        return float((each * of_class[labels.clamp(max=18)])[known].mean().detach())

    labels = torch.where(scribbles != 255, scribbles, taught.argmax(1))
    expected = {
        "source": cross_entropy(on_source, source[1], of_source),
        "scribble": cross_entropy(on_target, scribbles, of_target),
        "masked": cross_entropy(on_masked, labels, of_target),  # every pixel is sure enough, so q is 1
    }
    assert {name: float(losses[name]) for name in expected} == pytest.approx(expected, rel=1e-4)
    assert ranks.counts == [2 * 32 * 32, 2 * 32 * 32, 2 * 32, 2 * 32 * 32]  # labelled pixels
    total = 0.5 * losses["source"] + 0.7 * losses["mix"] + 1.3 * losses["scribble"] + 0.3 * losses["masked"] + 0.25
    of_student = (source[0], outputs[1].deep.chunk(4)[0], source[1])
    assert all(torch.equal(one, other) for one, other in zip(*compared, of_student, strict=True))
    assert float(losses["loss"]) == pytest.approx(float(total), rel=1e-5) and float(losses["q"]) == 1

    sure = taught.softmax(1).amax(1)
    objective.settings = settings.model_copy(update={"confidence": float(sure.median())})
    doubtful, last = objective(0, source, target), outputs[-1].logits.chunk(4)[3]
    share = (sure >= sure.median()).float().mean((1, 2))
    trust = torch.where(scribbles != 255, 1.0, share[:, None, None])
    each = F.cross_entropy(last, labels, reduction="none") * of_target[labels] * trust
    assert float(doubtful["q"]) == pytest.approx(float(share.mean())) and 0.4 < float(share.mean()) < 0.6
    assert float(doubtful["masked"]) == pytest.approx(float(each.mean()), rel=1e-4)
    losses["loss"].backward()
    assert all(weight.grad is not None for weight in objective.student.parameters())
    assert not any(weight.requires_grad or weight.grad is not None for weight in objective.teacher.parameters())
    with torch.no_grad():
        for weight in objective.student.parameters():
            weight.add_(1.0)
    objective.update_teacher(0)  # the first update copies
    pairs = zip(objective.teacher.parameters(), objective.student.parameters(), strict=True)
    assert all(torch.equal(teacher, student) for teacher, student in pairs)


def test_without_supervision_scribbles_count_nothing() -> None:
    network = build_segmenter(SegformerConfig(hidden_sizes=(8, 8, 10, 16), decoder_channels=12))
    objective = AdaptationObjective(network, Adapt2DConfig(supervision="none"), (torch.ones(19), torch.ones(19)))
    batch = (torch.rand(1, 3, 32, 32), torch.full((1, 32, 32), 3))
    losses = objective(0, batch, batch)
    assert losses["scribble"] > 0
    assert float(losses["loss"]) == pytest.approx(float(losses["source"] + losses["mix"]), rel=1e-6)


def test_the_pretraining_s_loss_by_hand() -> None:
    network = build_segmenter(SegformerConfig(hidden_sizes=(8, 8, 10, 16), decoder_channels=12))
    images, labels, outputs = torch.rand(2, 3, 32, 32), torch.randint(0, 19, (2, 32, 32)), []
    labels[:, 5:] = 255
    network.register_forward_hook(lambda _, __, output: outputs.append(output))
    settings, ranks, compared = Pretrain2DConfig(batch=2), Counting(), []

    def distance(*values: Tensor) -> Tensor:
        compared.append(values)
        return torch.tensor(0.25)

    plain = PretrainingObjective(network, settings)(0, (images, labels))
    both = PretrainingObjective(network, settings, distance, ranks)(0, (images, labels))  # type: ignore[arg-type]
    first, second = (float(F.cross_entropy(output.logits, labels, ignore_index=255)) for output in outputs)
    assert plain.keys() == {"loss"} and float(plain["loss"]) == pytest.approx(first, rel=1e-5)
    assert {name: float(value) for name, value in both.items()} == pytest.approx(
        {"loss": second + 0.25, "feature_distance": 0.25}, rel=1e-5
    )
    assert ranks.counts == [2 * 5 * 32]
    assert all(torch.equal(*pair) for pair in zip(*compared, (images, outputs[1].deep, labels), strict=True))
