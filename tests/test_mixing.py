from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as tries
from hypothesis import strategies as st
from test_dataset import FINE, STILL, Tree, tree  # noqa: F401
from test_fovmix import feature_for, label_of, sample

from ignet.config.base import validate
from ignet.config.mixing import FOVMixConfig, MixingConfig, StrategyConfig
from ignet.config.training_3d import Train3DConfig
from ignet.data.label_sets.label_set import SEMANTICKITTI
from ignet.data.lidar.batches import BatchDataset
from ignet.data.lidar.mixing.registry import MIXING, Strategy, active_strategies, choose_strategy
from ignet.data.lidar.mixing.sample import Sample
from ignet.errors import IgnetError
from ignet.train.needs import needs_correspondence
from ignet.workflow.experiment import check_classes, load_experiment

STRATEGIES = list(MIXING)


class SwapConfig(StrategyConfig):
    scans: int = 2


class TwoConfig(MixingConfig):
    swap: SwapConfig = SwapConfig()


def take_last(base: Sample, donors: Sequence[Sample], *_: object) -> Sample:
    return donors[-1]


@pytest.fixture
def swap(monkeypatch: pytest.MonkeyPatch) -> Strategy:
    """A second strategy: the last of the donors instead of the scan."""
    strategy = Strategy(take_last, lambda settings: settings.scans, needs_camera=False)
    monkeypatch.setitem(MIXING, "swap", strategy)
    return strategy


def two(fovmix: float, swap: float, scans: int = 2) -> TwoConfig:
    return TwoConfig(fovmix=FOVMixConfig(probability=fovmix), swap=SwapConfig(probability=swap, scans=scans))


@pytest.mark.parametrize(
    ("fovmix", "swap_share", "expected"),
    [
        (0.25, 0.5, ["fovmix", "swap", "swap", None, None]),
        (0.0, 0.5, ["swap", "swap", None, None, None]),
        (0.75, 0.0, ["fovmix", "fovmix", "fovmix", None, None]),
        (0.0, 0.0, [None] * 5),
        (0.5, 0.5, ["fovmix", "fovmix", "swap", "swap", "swap"]),
    ],
)
def test_probabilities_divide_the_draws(
    swap: Strategy, fovmix: float, swap_share: float, expected: list[str | None]
) -> None:
    settings = two(fovmix, swap_share)
    assert [choose_strategy(settings, draw) for draw in (0.0, 0.25, 0.5, 0.75, 0.999)] == expected
    assert active_strategies(settings) == [name for name in ("fovmix", "swap") if name in expected]


def test_every_strategy_has_settings_and_all_settings_a_strategy() -> None:
    # settings without a line in the registry would be accepted and never mix
    assert list(MIXING) == list(MixingConfig.model_fields)


def test_a_draw_below_the_probability_alone_is_mixed() -> None:
    half = MixingConfig(fovmix=FOVMixConfig(probability=0.5))
    assert [choose_strategy(half, draw) for draw in (0.0, np.nextafter(0.5, 0), 0.5)] == ["fovmix", "fovmix", None]


def test_probabilities_of_more_than_one_are_one_line() -> None:
    values = {"fovmix": {"probability": 0.75}, "swap": {"probability": 0.5}}
    with pytest.raises(
        IgnetError, match=r"x: the probabilities sum to 1\.25 \(fovmix 0\.75, swap 0\.5\), .* at most 1"
    ):
        validate(TwoConfig, values, "x")
    # a sum that is one but for its rounding
    validate(TwoConfig, {"fovmix": {"probability": 0.5}, "swap": {"probability": 0.5 + 1e-10}}, "x")


def test_of_a_strategy_that_is_off_the_probability_alone_counts() -> None:
    assert two(0.5, 0.0).identity() == {
        "fovmix": {"probability": 0.5, "frusta": 1, "sector": "camera"},
        "swap": {"probability": 0.0},
    }


def test_each_strategy_mixes_its_share_of_the_samples(swap: Strategy, tree: Tree) -> None:  # noqa: F811
    source = tree.source(cache=True, supervision="dense")
    plain, fovmix, mixed = (
        BatchDataset(source, 1, 0, FINE, two(*shares), STILL) for shares in ((0.0, 0.0), (0.5, 0.0), (0.5, 0.5))
    )
    sizes = {len(points) for points in tree.points}
    swapped = [step for step in range(30) if len(fovmix[step].labels) == len(plain[step].labels)]
    assert 5 < len(swapped) < 25
    assert all(len(mixed[step].labels) in sizes for step in swapped)
    others = [step for step in range(30) if step not in swapped]
    assert all(len(mixed[step].labels) == len(fovmix[step].labels) for step in others), "FOVMix draws as it does alone"


@pytest.mark.parametrize("scans", [1, 3])
def test_a_strategy_gets_as_many_other_scans_as_it_asks_for(
    monkeypatch: pytest.MonkeyPatch,
    tree: Tree,  # noqa: F811
    scans: int,
) -> None:
    counts = []

    def count(base: Sample, donors: Sequence[Sample], *_: object) -> Sample:
        counts.append(len({id(sample) for sample in (base, *donors)}))
        return base

    monkeypatch.setitem(MIXING, "swap", Strategy(count, lambda settings: settings.scans, needs_camera=False))
    dataset = BatchDataset(tree.source(cache=True), 1, 0, FINE, two(0.0, 1.0, scans), STILL)
    assert len(dataset[0].labels) and len(dataset[1].labels)
    assert counts == [scans + 1] * 2


def test_only_what_needs_the_camera_asks_for_it(swap: Strategy, tree: Tree) -> None:  # noqa: F811
    blind = tree.source(correspondence=None, features=None)
    assert len(BatchDataset(blind, 1, 0, FINE, two(0.0, 1.0), STILL)[0].labels)
    with pytest.raises(IgnetError, match=r"mixing\.fovmix\.probability: fovmix is on, but no correspondence"):
        BatchDataset(blind, 1, 0, FINE, two(0.5, 0.5), STILL)
    off = Train3DConfig(mean_teacher={"weight": 0})
    assert not needs_correspondence(off.model_copy(update={"mixing": two(0.0, 1.0)}))
    assert needs_correspondence(off.model_copy(update={"mixing": two(0.1, 0.0)}))


def test_what_a_strategy_refuses_names_its_key(monkeypatch: pytest.MonkeyPatch, tree: Tree) -> None:  # noqa: F811
    def refuse(*_: object) -> Sample:
        raise ValueError("too few points")

    monkeypatch.setitem(MIXING, "swap", Strategy(refuse, lambda settings: 1, needs_camera=False))
    with pytest.raises(IgnetError, match=r"mixing\.swap: too few points"):
        BatchDataset(tree.source(), 1, 0, FINE, two(0.0, 1.0), STILL)[0]


def mix_one(name: str, seed: int, points: int = 150) -> tuple[Sample, list[Sample]]:
    """A mixed sample, and the scans that it is made of; none of them can be written to."""
    strategy, settings = MIXING[name], getattr(MixingConfig(**{name: {"probability": 1}}), name)
    sources = [sample(number, points, (-0.7, 0.7), seed) for number in range(strategy.donors(settings) + 1)]
    for source in sources:
        for array in (source.points, source.labels, source.in_fov, source.feature, source.feature_of):
            array.setflags(write=False)
    base, *donors = sources
    return strategy.mix(base, donors, np.random.default_rng(seed), settings, SEMANTICKITTI), sources


@pytest.mark.parametrize("name", STRATEGIES)
@tries(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), points=st.integers(0, 150))
def test_labels_view_and_features_travel_with_their_points(name: str, seed: int, points: int) -> None:
    mixed, sources = mix_one(name, seed, points)
    origin = mixed.points[:, 3].astype(np.int64)
    number, index = origin % 64, origin // 64
    assert np.isin(number, range(len(sources))).all()
    assert np.array_equal(mixed.labels, label_of(origin))
    has = mixed.feature_of >= 0
    assert np.array_equal(mixed.feature[mixed.feature_of[has]], feature_for(origin[has]))
    assert has.sum() == len(mixed.feature)
    for i, source in enumerate(sources):
        mine = number == i
        points_of, original = mixed.points[mine], source.points[index[mine]]
        assert np.array_equal(mixed.in_fov[mine], source.in_fov[index[mine]])
        assert np.array_equal(has[mine], source.feature_of[index[mine]] >= 0)
        # turned about the sensor at most
        assert np.array_equal(points_of[:, 2], original[:, 2])
        np.testing.assert_allclose(np.hypot(*points_of[:, :2].T), np.hypot(*original[:, :2].T), rtol=1e-5)
    from_base = number == 0
    assert np.array_equal(mixed.points[from_base], sources[0].points[index[from_base]])
    assert (np.diff(index[from_base]) > 0).all(), "each at most once, in their order"


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_mixed_sample_is_a_function_of_the_random_numbers(name: str) -> None:
    one, again, other = (mix_one(name, 5)[0] for _ in range(2)), mix_one(name, 5)[0], mix_one(name, 6)[0]
    for each in one:
        assert each.points.tobytes() == again.points.tobytes() and each.labels.tobytes() == again.labels.tobytes()
    assert other.points.tobytes() != again.points.tobytes()


@pytest.mark.parametrize("name", STRATEGIES)
def test_each_strategy_makes_batches(name: str, tree: Tree) -> None:  # noqa: F811
    source = tree.source(cache=True, supervision="dense")
    plain, mixed = (
        BatchDataset(source, 2, 0, FINE, MixingConfig(**{name: {"probability": share}}), STILL) for share in (0, 1)
    )
    steps = range(6)
    assert all(len(mixed[step].guided) == len(mixed[step].feature) for step in steps)
    assert any(not np.array_equal(plain[step].labels, mixed[step].labels) for step in steps)


@pytest.mark.parametrize("name", ["polarmix", "instance_paste"])
def test_a_class_that_is_not_in_the_label_set_is_one_line_before_anything_runs(name: str) -> None:
    values = {"results": "r", "runs": {"a": {"mixing": {name: {"probability": 1, "classes": ["car", "tram"]}}}}}
    experiment = load_experiment(values, "x")
    with pytest.raises(IgnetError, match=rf"runs\.a\.mixing\.{name}\.classes: found class tram, expected .* car, "):
        check_classes(experiment, SEMANTICKITTI)
    values["runs"]["a"]["mixing"][name]["probability"] = 0  # what is off names nothing
    check_classes(load_experiment(values, "x"), SEMANTICKITTI)
    check_classes(
        load_experiment({"results": "r", "runs": {"a": {"mixing": {name: {"probability": 1}}}}}, "x"), SEMANTICKITTI
    )


@pytest.mark.parametrize("share", [1.0, 0.5])
@pytest.mark.parametrize("name", MIXING)
def test_the_teacher_may_see_the_scans_before_they_are_mixed(name: str, share: float, tree: Tree) -> None:  # noqa: F811
    """It sees every point of the scan and of its donors once, and the rows say which of them the student has."""
    settings = MixingConfig(**{name: {"probability": share}})
    source = tree.source(supervision="dense")
    common = (source, 2, 0, FINE, settings, STILL)
    mixed, unmixed = BatchDataset(*common), BatchDataset(*common, unmixed_teacher=True)
    for step in range(4):
        batch, plain = unmixed[step], mixed[step]
        assert batch.teacher is not None and batch.teacher_rows is not None and plain.teacher_rows is None
        assert torch.equal(batch.student.features, plain.student.features), "the student's view is the same"
        # remission, which no view changes, tells each point's origin; voxels this small hold one point each
        student, teacher = (view.features[view.inverse][:, -1] for view in (batch.student, batch.teacher))
        assert torch.equal(teacher[batch.teacher_rows], student)
        sizes = [len(points) for points in tree.points]
        scans = np.unique(np.rint(teacher.double().numpy() * 8192).astype(int) // 1024, return_counts=True)
        assert all(count % sizes[scan] == 0 for scan, count in zip(*scans, strict=True))


def test_unmixed_scans_have_their_own_labels_for_a_network_that_knows_labels(tree: Tree) -> None:  # noqa: F811
    told: list[Any] = []

    def collate(scans: Any, labels: Any) -> Any:
        told.append(None if labels is None else [None if own is None else own.copy() for own in labels])
        return FINE(scans, None)

    settings = MixingConfig(lasermix={"probability": 1.0})
    dataset = BatchDataset(
        tree.source(supervision="dense"), 2, 0, collate, settings, STILL, label_dropout=0.0, unmixed_teacher=True
    )
    (step,) = [dataset[0]]
    student, teacher = told
    assert len(student) == 2 and len(teacher) == 4
    assert step.teacher_rows is not None
    assert np.array_equal(np.concatenate(teacher)[step.teacher_rows], np.concatenate(student))


def test_lasermix_of_a_labelled_and_an_unlabelled_scan(tree: Tree) -> None:  # noqa: F811
    frames = [("00", "000000")]
    source = tree.source(supervision="dense", labelled=frames)
    pair = {"probability": 1.0, "partner": "other_kind"}
    dataset = BatchDataset(source, 1, 0, FINE, MixingConfig(lasermix=pair), STILL, unmixed_teacher=True)
    assert [sorted(dataset._donors(scan, other_kind=True)) for scan in (0, 1)] == [list(range(1, len(source))), [0]]
    assert [sorted(dataset._donors(scan, other_kind=False)) for scan in (0, 1)] == [
        [other for other in range(len(source)) if other != scan] for scan in (0, 1)
    ]
    for step in range(4):
        batch = dataset[step]
        assert batch.teacher is not None
        remission = batch.teacher.features[batch.teacher.inverse][:, -1].double().numpy()
        scans = set(np.rint(remission * 8192).astype(int) // 1024)
        assert len(scans) == 2 and 0 in scans
    whole = BatchDataset(tree.source(supervision="dense"), 1, 0, FINE, MixingConfig(lasermix=pair), STILL)
    assert len(whole._donors(0, other_kind=True)) == len(source) - 1, "all scans have labels: any other one"
