from collections.abc import Sequence

import numpy as np
import pytest
from test_dataset import FINE, STILL, Tree, tree  # noqa: F401

from ignet.config.base import validate
from ignet.config.training_3d import FOVMixConfig, MixingConfig, StrategyConfig, Train3DConfig
from ignet.data.lidar.batches import BatchDataset
from ignet.data.lidar.mixing.registry import MIXING, Strategy, active_strategies, choose_strategy
from ignet.data.lidar.mixing.sample import Sample
from ignet.errors import IgnetError
from ignet.train.needs import needs_correspondence


class SwapConfig(StrategyConfig):
    scans: int = 2


class TwoConfig(MixingConfig):
    swap: SwapConfig = SwapConfig()


def take_last(base: Sample, donors: Sequence[Sample], rng: np.random.Generator, settings: SwapConfig) -> Sample:
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

    def count(base: Sample, donors: Sequence[Sample], rng: np.random.Generator, settings: SwapConfig) -> Sample:
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
