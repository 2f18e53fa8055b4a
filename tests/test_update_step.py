"""What one step of each training does to the weights, by hand: learning rate, decay, clipping, moving average, and what
is exported.

The scripts run as the workflow runs them, with settings that are neither 0 nor 1, so that a value that is left out is
seen.
"""

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from recorded_steps import Step, adamw, moving_average, recorded_steps
from test_stages_2d import NETWORK, adapt, project, run_script, write_source, write_target
from training_files import training_files

from ignet.config.backbones import MinkUNetConfig
from ignet.config.training_2d import SegformerConfig
from ignet.data.formats.source_images import SourceDataset
from ignet.data.label_sets.label_set import CITYSCAPES, SEMANTICKITTI
from ignet.models.segmentor3d import build_network, load_network
from ignet.models.teachers.segformer import build_segmenter, load_segmenter

# --- the 2D trainings ---------------------------------------------------------

IMAGES = {"crop": [32, 48], "batch": 2}
STEPS_2D = {
    **IMAGES,
    "steps": 6,
    "warmup_steps": 2,
    "learning_rate": 3e-3,
    "head_learning_rate_factor": 7.0,
    "weight_decay": 0.3,
}
RISE_AND_FALL = [1 / 3, 2 / 3 * 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6]
ADAPTED = {
    **STEPS_2D,
    "ema": 0.6,
    "source_weight": 0.5,
    "mix_weight": 0.7,
    "scribble_weight": 1.3,
    "masked": {"weight": 0.3, "block": 8},
}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Such small networks are slower on several, and far slower on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, list[Step]]]:
    """Folder of a pretrained and an adapted network, and the steps of both trainings."""
    work = tmp_path_factory.mktemp("recorded")
    write_source(work / "source")
    write_target(work / "target", "00")
    project(work, "00", "--scribbles", work / "target")
    with recorded_steps() as pretraining:
        pretrain(work, work / "pretrain", {**STEPS_2D, "network": NETWORK})
    with recorded_steps() as adaptation:
        adapt(work, work / "adapted", ADAPTED)
    return work, {"pretrain": pretraining, "adapted": adaptation}


def pretrain(work: Path, out: Path, settings: dict) -> None:
    files = training_files(out)
    run_script("pretrain_2d", settings, "--source", work / "source", *files, "--state", out / "state")


def curves_of(folder: Path) -> np.ndarray:
    return np.genfromtxt(folder / "curves.csv", delimiter=",", names=True)


def names_by_value(weights: list[torch.Tensor], named: dict[str, torch.Tensor]) -> list[str]:
    """The name of each weight, found by its values."""
    left, names = dict(named), []
    for weight in weights:
        names.append(
            next(name for name, value in left.items() if value.shape == weight.shape and torch.equal(value, weight))
        )
        del left[names[-1]]
    assert not left
    return names


@pytest.mark.parametrize("stage", ["pretrain", "adapted"])
def test_2d_steps_are_those_of_adamw_with_the_schedule_and_decay_of_the_settings(recorded, stage: str) -> None:
    work, steps = recorded[0], recorded[1][stage]
    pretrained = dict(load_segmenter(work / "pretrain" / "model.safetensors").named_parameters())
    # pretraining ends with these weights, and the adaptation begins with them
    names = names_by_value(steps[-1].after if stage == "pretrain" else steps[0].before, pretrained)
    full = [3e-3 * (1 if name.startswith("encoder.") else 7) for name in names]
    decays = [0.0 if name.endswith("bias") or "norm" in name else 0.3 for name in names]
    assert len(steps) == 6 and {*decays} == {0.0, 0.3}
    for step, share in zip(steps, RISE_AND_FALL, strict=True):
        assert step.rates == pytest.approx([share * rate for rate in full])
        assert step.decays == decays
    by_hand = adamw(steps, [[share * rate for rate in full] for share in RISE_AND_FALL], decays)
    for name, expected, found in zip(names, by_hand, steps[-1].after, strict=True):
        torch.testing.assert_close(
            found.double(), expected, rtol=1e-4, atol=1e-6, msg=lambda text, name=name: f"{name}: {text}"
        )


def test_pretraining_exports_the_network_and_adaptation_its_moving_average(recorded) -> None:
    work, steps = recorded
    names = names_by_value(
        steps["adapted"][0].before, dict(load_segmenter(work / "pretrain" / "model.safetensors").named_parameters())
    )
    exported = dict(load_segmenter(work / "adapted" / "model.safetensors").named_parameters())
    apart = 0.0
    for name, teacher, student in zip(
        names, moving_average(steps["adapted"], 0.6), steps["adapted"][-1].after, strict=True
    ):
        torch.testing.assert_close(exported[name].double(), teacher, rtol=1e-5, atol=1e-7)
        apart = max(apart, float((teacher - student).abs().max()))
    assert apart > 1e-3


def test_the_terms_of_the_adaptation_have_the_weights_of_the_settings(recorded) -> None:
    curves = curves_of(recorded[0] / "adapted")
    terms = {"source": 0.5, "mix": 0.7, "scribble": 1.3, "masked": 0.3}
    np.testing.assert_allclose(curves["loss"], sum(weight * curves[name] for name, weight in terms.items()), rtol=1e-4)
    assert all((curves[name] > 0.01).all() for name in terms)


@pytest.mark.parametrize("stage", ["pretrain", "adapted"])
def test_2d_gradients_are_those_of_one_step(recorded, tmp_path: Path, stage: str) -> None:
    """With a network that stands still all steps have about the same gradient: none is kept for the next, and none is
    cut."""
    still = {**IMAGES, "steps": 8, "warmup_steps": 0, "learning_rate": 1e-12}
    (tmp_path / "pretrain").symlink_to(recorded[0] / "pretrain")
    for name in ("source", "target", "projection"):
        (tmp_path / name).symlink_to(recorded[0] / name)
    with recorded_steps() as steps:
        if stage == "pretrain":
            pretrain(tmp_path, tmp_path / "out", {**still, "network": NETWORK})
        else:
            adapt(tmp_path, tmp_path / "out", still)
    norms = [step.norm for step in steps]
    assert min(norms) > 0.05 and np.mean(norms[4:]) < 2 * norms[0]


def test_pretraining_sees_no_held_out_image_and_is_measured_on_nothing_else(
    recorded, tmp_path: Path, monkeypatch
) -> None:
    """Image 0 of 6 is held out; 32 crops are drawn from the others."""
    read, seen = SourceDataset.read, []

    def read_and_note(source: SourceDataset, number: int) -> tuple[np.ndarray, np.ndarray]:
        seen.append(number)
        return read(source, number)

    monkeypatch.setattr(SourceDataset, "read", read_and_note)
    (tmp_path / "source").symlink_to(recorded[0] / "source")
    pretrain(tmp_path, tmp_path, {"crop": [32, 48], "batch": 8, "steps": 4, "network": NETWORK})
    assert set(seen[:-1]) == {1, 2, 3, 4, 5}
    assert seen[-1] == 0
    count = json.loads((tmp_path / "metrics.json").read_text())["count"]
    labels = read(SourceDataset(tmp_path / "source", "gtav"), 0)[1]
    assert [count[name] for name in CITYSCAPES.classes] == np.bincount(labels.ravel(), minlength=256)[:19].tolist()


def test_a_network_from_nothing_has_the_initialisation_of_segformers_authors() -> None:
    """Convolutions: normal, variance 2 / fan-out. The library's own deviation is 0.02 everywhere."""
    torch.manual_seed(0)
    network = build_segmenter(SegformerConfig(hidden_sizes=(32, 64, 80, 128), depths=(1, 1, 1, 1), decoder_channels=64))
    checked = 0
    for name, part in network.named_modules():
        if isinstance(part, torch.nn.Conv2d) and part.weight.numel() >= 500:
            fan_out = math.prod(part.kernel_size) * part.out_channels / part.groups
            assert part.weight.std().item() == pytest.approx(math.sqrt(2 / fan_out), rel=0.15), name
            assert abs(part.weight.mean().item()) < 0.3 * math.sqrt(2 / fan_out)
            checked += 1
    assert checked > 10


# --- the 3D training ----------------------------------------------------------

SHAPE = {"voxel": 0.5, "stem": 4, "encoder": [4, 4, 8, 8], "decoder": [8, 4, 4, 4]}
STEPS_3D = {"backbone": SHAPE, "batch": 1, "steps": 6, "warmup_steps": 2, "learning_rate": 3e-3, "weight_decay": 0.3}
# a third of the six steps rise from a tenth, the others fall along half a cosine
ONE_CYCLE = [0.1, 0.55, 1.0, (1 + math.sqrt(0.5)) / 2, 0.5, (1 - math.sqrt(0.5)) / 2]


@pytest.fixture
def train(tiny_tree: Path, tmp_path: Path) -> Callable[[dict], tuple[Path, list[Step]]]:
    """Run a 3D training in this process; returns the folder of its results and its steps."""

    def run(settings: dict) -> tuple[Path, list[Step]]:
        out = tmp_path / f"run{len(list(tmp_path.glob('run*')))}"
        arguments = ("--dataset", tiny_tree, "--sequences", "00", "--labels", tiny_tree, "--seed", 3)
        files = training_files(out)
        with recorded_steps() as steps:
            run_script("train_3d", settings, *arguments, *files, "--state", out / "state")
        return out, steps

    return run


def test_3d_steps_are_those_of_adamw_and_the_moving_average_is_exported(train) -> None:
    out, steps = train({**STEPS_3D, "mean_teacher": {"weight": 0.4, "ema": 0.6}})
    assert len(steps) == 6
    rates = [share * 3e-3 for share in ONE_CYCLE]
    for step, rate in zip(steps, rates, strict=True):
        assert step.rates == pytest.approx([rate] * len(step.rates))
        assert {*step.decays} == {0.3}
    by_hand = adamw(steps, [[rate] * len(steps[0].before) for rate in rates], steps[0].decays)
    for expected, found in zip(by_hand, steps[-1].after, strict=True):
        torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-6)

    names = [name for name, _ in build_network(MinkUNetConfig(**SHAPE), label_set=SEMANTICKITTI).named_parameters()]
    exported = dict(load_network(out / "model.safetensors")[0].named_parameters())
    apart = 0.0
    for name, teacher, student in zip(names, moving_average(steps, 0.6), steps[-1].after, strict=True):
        torch.testing.assert_close(exported[name].double(), teacher, rtol=1e-5, atol=1e-7)
        apart = max(apart, float((teacher - student).abs().max()))
    assert apart > 1e-4


def test_a_constant_schedule_keeps_the_learning_rate(train) -> None:
    _, steps = train({**STEPS_3D, "steps": 3, "schedule": "constant", "warmup_steps": 0})
    assert [{*step.rates} for step in steps] == [{3e-3}] * 3


def test_3d_gradients_are_cut_to_a_norm_of_ten_and_no_further(train) -> None:
    """One scan that is never moved, and a network that stands still: the gradient is the same in every step."""
    still = {"rotation": 0, "flip": False, "scale": 0, "noise": 0}
    settings = {**STEPS_3D, "learning_rate": 1e-12, "supervision": "dense", "labelled_frames": 50, "augment": still}
    supervised = {**settings, "mean_teacher": {"weight": 0}}
    norms = {weight: [step.norm for step in train({**supervised, "lovasz_weight": weight})[1]] for weight in (0.5, 1e4)}
    assert norms[0.5] == pytest.approx([norms[0.5][0]] * 6, rel=1e-3)
    assert 0.05 < norms[0.5][0] < 9
    assert norms[1e4] == pytest.approx([10.0] * 6, rel=1e-4)


def test_the_losses_that_are_logged_are_those_of_the_step(train) -> None:
    curves = curves_of(train({**STEPS_3D, "lovasz_weight": 0.25, "mean_teacher": {"weight": 0.4, "ramp": 3}})[0])
    np.testing.assert_allclose(curves["loss"], curves["ce"] + curves["lovasz"] + curves["consistency"], rtol=1e-4)
