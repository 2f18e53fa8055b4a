"""Frozen teachers in an experiment: which 2D networks there are, what is trained for them, how tables judge them."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_state import first_plans, names
from torch import Tensor, nn

from ignet.config.base import merge
from ignet.config.evaluation import Statement
from ignet.config.experiment import ExperimentConfig
from ignet.errors import IgnetError
from ignet.models.probe import Probe
from ignet.models.probed import ProbedNetwork
from ignet.models.teachers.base import Features, FrozenTeacher, ImageNetwork, at_pixels
from ignet.models.teachers.head import Head, new_head
from ignet.report.networks_2d import network_table, networks_table, probe_table, split_probes
from ignet.report.statements import judge
from ignet.workflow.experiment import load_experiment
from ignet.workflow.facts import data_facts
from ignet.workflow.networks_2d import guides, is_probed, networks_2d, segmenters
from ignet.workflow.schedule import Scheduled
from ignet.workflow.shared_results import find_artifacts
from ignet.workflow.work import Workload

LITE = {"kind": "efficientnet_lite"}
BASE: dict[str, Any] = {
    "results": "r",
    "teachers": {"lite": LITE},
    "runs": {"baseline": {}, "taught": {"features": "lite", "image_guidance": {"weight": 1}}},
}


def experiment(**changes: Any) -> ExperimentConfig:
    return load_experiment(merge(BASE, changes), "test")


def of_source(network: str) -> dict[str, Any]:
    return {"other": {"features": network, "image_guidance": {"weight": 1}}}


@pytest.mark.parametrize(
    ("changes", "segmenting"),
    [
        ({}, ()),
        ({"runs": of_source("source")}, ("source",)),
        ({"runs": of_source("adapted")}, ("source", "adapted")),
        ({"adaptations": {"mine": {}}}, ("source", "mine")),
        ({"adaptations": {}}, ()),
        ({"teachers": {"lite": None}, "runs": {"taught": None}}, ("source", "adapted")),
        # without guidance the network that a run names is not read
        ({"runs": {"plain": {"features": "source"}}}, ()),
    ],
)
def test_only_2d_networks_that_something_asks_for_are_trained(changes: dict, segmenting: tuple[str, ...]) -> None:
    found = experiment(**changes)
    assert segmenters(found) == segmenting
    assert networks_2d(found) == (*segmenting, *(["lite"] if found.teachers else []))
    # what a scheduler's job is handed leads to the same
    again = load_experiment(found.model_dump(mode="json"), "plan")
    assert networks_2d(again) == networks_2d(found)


def test_claims_about_networks_that_were_taken_out_go_with_them() -> None:
    claims = [{"text": "t", "run": "adapted", "against": "source", "networks": True}]
    compare = {"baseline": "baseline", "statements": claims}
    assert experiment(compare=compare, adaptations={"adapted": None}).compare.statements == ()
    with pytest.raises(IgnetError, match=r"statements\.0\.run: found 'adapted'"):
        experiment(compare=compare)


def test_a_file_with_classes_may_guide_by_them() -> None:
    run = {"taught": {"features": "mine", "image_guidance": {"loss": "classifier_kl"}}}
    assert experiment(runs=run, teachers={"mine": {"kind": "file", "weights": "a"}}).run("taught").features == "mine"


def test_a_probe_judges_teachers_and_where_it_is_asked_for_all_networks() -> None:
    one, all_ = (
        experiment(runs=of_source("adapted")),
        experiment(runs=of_source("adapted"), evaluate_2d={"probe": True}),
    )
    assert [is_probed(one, name) for name in networks_2d(one)] == [False, False, True]
    assert [is_probed(all_, name) for name in networks_2d(all_)] == [True, True, True]
    assert guides(one) == ("lite", "adapted")


HEADED = {"kind": "efficientnet_lite", "head": {}}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"teachers": {"lite": {"kind": "resnet"}}}, ["teachers.lite", "'resnet'", "efficientnet_lite, transformers"]),
        ({"teachers": {"lite": {"kind": "file"}}}, ["teachers.lite", "weights"]),
        ({"teachers": {"lite": 3}}, ["teachers"]),
        ({"teachers": {"lite": {"variant": 9}}}, ["teachers.lite", "variant", "9"]),
        ({"teachers": {"lite": {"head": {"width": 9}}}}, ["teachers.lite", "unknown key 'head.width'"]),
        ({"teachers": {"source": LITE}}, ["'source' is the pretrained network's name"]),
        ({"adaptations": {"lite": {}}}, ["adaptations and teachers both have ['lite']"]),
        ({"teachers": {"a/b": LITE}}, ["'a/b' names a folder"]),
        ({"runs": of_source("nobody")}, ["runs.other.features", "'nobody'", "'lite'"]),
        (
            {"runs": {"taught": {"image_guidance": {"loss": "classifier_kl"}}}},
            ["runs.taught.image_guidance.loss", "'lite' has no classifier", "probe_kl"],
        ),
        (
            {"teachers": {"lite": HEADED}, "runs": {"taught": {"labelled_frames": 10, "batch": 2}}},
            ["runs.taught.features", "'lite'", "all frames", "withholds"],
        ),
        (
            {
                "compare": {
                    "baseline": "baseline",
                    "statements": [{"text": "t", "run": "lite", "against": "source", "networks": True}],
                }
            },
            ["compare.statements.0.against", "'source'", "['lite']"],
        ),
    ],
)
def test_a_mistake_is_one_line(changes: dict, words: list[str]) -> None:
    with pytest.raises(IgnetError) as error:
        experiment(**changes)
    assert all(word in str(error.value) for word in words) and "\n" not in str(error.value), error.value


def test_a_teacher_that_saw_the_same_labels_may_teach_a_semi_supervised_run() -> None:
    run = {"taught": {"labelled_frames": 10, "batch": 2}}
    experiment(runs=run)
    experiment(runs=run, teachers={"lite": {"kind": "efficientnet_lite", "head": {"labelled_frames": 10}}})
    with pytest.raises(IgnetError, match="50 % of the frames"):
        experiment(runs=run, teachers={"lite": {"kind": "efficientnet_lite", "head": {"labelled_frames": 50}}})


def keys(settings: ExperimentConfig) -> dict[str, str]:
    return {name: artifact.key for name, artifact in find_artifacts(settings).by_name().items()}


def test_what_a_teacher_is_made_from_names_its_shared_results() -> None:
    before = keys(experiment())
    assert {"teachers/lite", "features/lite", "evaluate_2d/lite"} <= set(before)
    assert not {name for name in before if name.startswith(("pretrain_2d", "adapt_2d"))}

    def moved(start: dict[str, str], **changes: Any) -> set[str]:
        after = keys(experiment(**changes))
        return {name for name in start if start[name] != after[name]}

    lite = {"teachers/lite", "features/lite", "evaluate_2d/lite"}
    assert moved(before, teachers={"lite": {"variant": 0}}) == lite
    # the probe is fitted to the training sequences, the published weights to nothing
    assert moved(before, dataset={"train_sequences": ["00"]}) == {"evaluate_2d/lite"}
    headed = keys(experiment(teachers={"lite": HEADED}))
    assert moved(headed, teachers={"lite": HEADED}, dataset={"train_sequences": ["00"]}) == lite
    assert moved(headed, teachers={"lite": {"kind": "efficientnet_lite", "head": {"steps": 9}}}) == lite


def test_a_workflow_without_segmenters_makes_nothing_from_source_images(tmp_path: Path) -> None:
    teacher = "teachers={lite: {kind: efficientnet_lite}}"
    left_out = "runs={ignet_50: null, self_trained: null, ignet: {features: lite}}"
    without = ("tiny", teacher, left_out, "adaptations={adapted: null, half: null}")
    headed = tuple(part.replace("efficientnet_lite", "efficientnet_lite, head: {}") for part in without)
    plans = first_plans(tmp_path, {"without": without, "headed": headed})
    jobs = names(plans["without"])
    rules = {job.split()[0] for job in jobs}
    assert not rules & {"world_source", "pretrain_2d", "adapt_2d"}
    assert {"teachers lite", "features lite 00", "features lite 01", "evaluate_2d lite", "compare", "report"} <= jobs
    assert names(plans["headed"]) == jobs


def test_a_plan_counts_a_teachers_passes_and_channels(tmp_path: Path) -> None:
    settings = experiment(world={"frames": 2}, evaluate_2d={"images": 0})
    facts = data_facts(settings)
    assert facts.source_images == 0 and "no 2D network" in facts.notes[1]
    work = Workload(settings, facts)

    def job(rule: str, **wildcards: str) -> Scheduled:
        return Scheduled(rule, wildcards, True, [], "", "", [])

    wide = work.disk(job("features", network="lite", sequence="00"))["features"]
    narrow = Workload(
        experiment(world={"frames": 2}, teachers={"lite": {"kind": "efficientnet_lite", "head": {}}}), facts
    ).disk(job("features", network="lite", sequence="00"))["features"]
    assert wide / narrow == pytest.approx((544 + 4) / (64 + 4))
    (pass_,) = work.units(job("features", network="lite", sequence="00"))
    assert pass_.units == 2 and pass_.load > 0 and pass_.load != work._images("features", 2).load
    # a probe is fitted to the training images, and evaluated on the others
    passes = work.units(job("evaluate_2d", network="lite"))
    assert [each.units for each in passes] == [
        2 * len(settings.dataset.train_sequences),
        2 * len(settings.dataset.val_sequences),
    ]


class Blocks(ImageNetwork):
    """Mean colours of blocks of 8 x 8 pixels."""

    stride = 8
    channels = 3

    def forward(self, images: Tensor) -> Features:
        return Features(nn.functional.avg_pool2d(images, 8, ceil_mode=True, count_include_pad=False))


def brightest(channels: int = 3) -> Probe:
    """Class i where channel i is the largest."""
    probe = Probe(torch.zeros(channels), torch.ones(channels), channels, channels)
    for layer in (probe.layers[0], probe.layers[2]):
        assert isinstance(layer, nn.Linear)
        nn.init.eye_(layer.weight)
        nn.init.zeros_(layer.bias)
    return probe


def test_a_probed_network_names_the_class_of_each_pixel_bilinearly() -> None:
    image = torch.zeros(1, 3, 13, 22)
    image[:, 0, :, :8], image[:, 1, :, 8:16], image[:, 2, :, 16:] = 1, 1, 1
    logits = ProbedNetwork(FrozenTeacher(Blocks()), brightest())(image).logits
    assert logits.shape == (1, 3, 13, 22)
    # the centres of the cells lie at columns 3.5, 11.5 and 19.5: at 4 a sixteenth of the way to the next one
    torch.testing.assert_close(logits[0, :, 6, 4], torch.tensor([1 - 1 / 16, 1 / 16, 0.0]))
    assert logits[0].argmax(0)[5].tolist() == [0] * 8 + [1] * 8 + [2] * 6


def test_a_head_standardises_keeps_the_grid_and_is_a_function_of_its_seed() -> None:
    features = 100 + 50 * torch.randn(2, 5, 6, 7)
    head = new_head(5, 8, 3, seed=1).train()
    assert head(features).shape == (2, 3, 6, 7)
    assert torch.equal(new_head(5, 8, 3, seed=1).classifier.weight, head.classifier.weight)
    assert not torch.equal(new_head(5, 8, 3, seed=2).classifier.weight, head.classifier.weight)
    standard = head.hidden[0](features)
    torch.testing.assert_close(standard.mean((0, 2, 3)), torch.zeros(5), atol=1e-4, rtol=0)
    torch.testing.assert_close(standard.var((0, 2, 3), correction=0), torch.ones(5), atol=1e-3, rtol=0)
    # a cell looks at its neighbours: the second convolution has a border of one
    eval_head = Head(5, 8, 3).eval()
    moved = features.clone()
    moved[:, :, 0, 0] += 100
    changed = (eval_head(moved) != eval_head(features)).any(1)[0]
    assert changed[1, 1] and not changed[2:].any() and not changed[:, 2:].any()


@pytest.mark.parametrize(("stride", "offset"), [(4, 1.5), (14, 6.5), (3.5, 1.25), (8, 0.0)])
def test_maps_are_enlarged_about_the_centres_of_their_cells(stride: float, offset: float) -> None:
    ramp = torch.stack(torch.meshgrid(*(offset + stride * torch.arange(n) for n in (9, 14)), indexing="ij"))
    full = at_pixels(torch.stack([ramp, 2 * ramp]), stride, offset, 28, 42)
    assert full.shape == (2, 2, 28, 42)
    inside = (slice(8, 20), slice(8, 30))
    expected = torch.stack(torch.meshgrid(torch.arange(28.0), torch.arange(42.0), indexing="ij"))
    torch.testing.assert_close(full[(0, slice(None), *inside)], expected[(slice(None), *inside)])
    torch.testing.assert_close(full[1], 2 * full[0])


OWN = {"miou_occurring": 0.5, "accuracy": 0.75, "iou": {}, "count": {}}
PROBED = {"miou_occurring": 0.25, "accuracy": 0.5, "iou": {"car": 0.5, "road": None}, "count": {"car": 4, "road": 0}}
BETTER = {**PROBED, "miou_occurring": 0.375}


def test_tables_keep_a_networks_own_classes_and_its_probe_apart() -> None:
    metrics = {"adapted": {**OWN, "probe": PROBED}, "lite": {"probe": BETTER}}
    assert list(split_probes(metrics)) == ["adapted", "adapted (probe)", "lite (probe)"]
    table = network_table(metrics, {"adapted": "scribbles", "lite": "frozen efficientnet_lite"})
    assert [row[0] for row in table.rows] == ["adapted", "adapted (probe)", "lite (probe)"]
    assert [row[2] for row in table.rows] == [50, 25, 37.5] and table.rows[2][1] == "frozen efficientnet_lite"
    assert any(note.startswith("probe: ") for note in table.notes)
    assert not any(note.startswith("probe: ") for note in network_table({"adapted": OWN}).notes)
    classes = probe_table(metrics, ("road", "car"))
    assert classes is not None and classes.columns == ("class", "points", "adapted", "lite")
    assert classes.rows == (("road", 0, None, None), ("car", 4, 50, 50), ("mIoU (classes that occur)", None, 25, 37.5))
    assert probe_table({"adapted": OWN}, ("road", "car")) is None
    folds = networks_table({"fold1": metrics, "fold2": {"lite": {"probe": PROBED}}}, folds=True)
    assert [row[0] for row in folds.rows] == ["adapted", "adapted (probe)", "lite (probe)"]
    assert folds.rows[2][1:3] == (37.5, 25)


@pytest.mark.parametrize(
    ("run", "against", "expected"), [("lite", "adapted", 12.5), ("adapted", "source", None), ("gone", "lite", None)]
)
def test_networks_are_compared_by_a_measure_that_both_have(run: str, against: str, expected: float | None) -> None:
    metrics = {"adapted": {**OWN, "probe": PROBED}, "lite": {"probe": BETTER}, "source": {}}
    claim = Statement(text="t", run=run, against=against, networks=True)
    (finding,) = judge([claim], None, metrics)  # type: ignore[arg-type]
    assert (finding.estimate and finding.estimate.value) == expected
