"""Bootstrap intervals: values by hand, coverage on simulated experiments, pairing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ignet.evaluate.confusion import mean_iou_occurring, mean_iou_official
from ignet.evaluate.statistics import (
    bootstrap_weights,
    difference,
    difference_of_differences,
    miou,
    ratio,
    resampled_miou,
)

POINTS = 10_000


def scans(*recalls):
    """Scans of one class: in each, a share of its points is predicted right, and nothing is predicted for the others:
    IoU = the share."""
    right = np.rint(np.asarray(recalls) * POINTS).astype(np.int64)
    return np.stack([right, POINTS - right], axis=1)[:, None, :]


def experiment(rng, gain, seeds=5, frames=20, of_seed=0.01, of_scan=0.05, of_both=0.01, of_pair=0.01):
    """Two runs whose IoUs differ by ``gain`` on average; scans, and seeds by ``of_pair``, move both; the rest moves
    each by itself."""
    hard = rng.normal(0, of_scan, frames)
    lucky = rng.normal(0, of_pair, seeds)

    def run(level):
        recalls = (
            level + hard + lucky[:, None] + rng.normal(0, of_seed, (seeds, 1)) + rng.normal(0, of_both, (seeds, frames))
        )
        return {seed: scans(*recalls[seed]) for seed in range(seeds)}

    return run(0.5 + gain), run(0.5)


def test_resampled_miou_by_hand():
    confusion = np.array([[[2, 1, 0], [0, 1, 0]], [[4, 0, 0], [0, 0, 0]], [[0, 0, 0], [1, 0, 1]]])
    weights = np.array([[1.0, 1, 1], [3, 0, 0], [0, 3, 0], [0, 0, 3], [0, 1, 2]])
    # all: class 0 has 6 hits, 1 miss, 1 false: 6/8; class 1 1 hit, 2 misses, 1 false: 1/4 scan 0: 2/3 and 1/2; scan 1:
    # class 0 alone; scan 2: class 1 missed, class 0 said but not true; last: 4/6, and class 1 missed
    expected = [0.5, (2 / 3 + 1 / 2) / 2, 1, 0, (4 / 6 + 0) / 2]
    np.testing.assert_allclose(resampled_miou(confusion, weights), expected)
    np.testing.assert_allclose(
        resampled_miou(confusion, weights, "official"), [0.5, (2 / 3 + 1 / 2) / 2, 1 / 2, 0, 1 / 3]
    )
    np.testing.assert_allclose(resampled_miou(confusion, weights, classes=(1,)), [1 / 4, 1 / 2, np.nan, 0, 0])
    assert miou(confusion) == 0.5 and miou(confusion, classes=(0,)) == 0.75
    assert np.isnan(miou(np.zeros((3, 2, 3), np.int64))) and miou(np.zeros((3, 2, 3), np.int64), "official") == 0


@given(st.integers(0, 2**32 - 1))
def test_weights_are_repeated_scans(seed):
    rng = np.random.default_rng(seed)
    confusion = rng.integers(0, 4, (5, 3, 4)) * rng.integers(0, 2, (5, 3, 1))
    weights = rng.multinomial(5, np.full(5, 0.2), 8)
    repeated = np.stack([np.repeat(confusion, row, axis=0).sum(axis=0) for row in weights])
    np.testing.assert_allclose(resampled_miou(confusion, weights, "official"), mean_iou_official(repeated))
    np.testing.assert_allclose(resampled_miou(confusion, weights, "occurring"), mean_iou_occurring(repeated))


def test_a_class_that_a_draw_lacks_counts_for_neither_run():
    """One run finds a class that one scan holds, and sees it where it is not too; without this scan, the runs are equal
    but for that."""
    run, other = np.zeros((2, 2, 3), np.int64), np.zeros((2, 2, 3), np.int64)
    run[:, 0], other[:, 0] = (99, 1, 0), (100, 0, 0)
    run[0, 1], other[0, 1] = (0, 10, 0), (10, 0, 0)
    without = np.array([[0.0, 2]])
    assert resampled_miou(other, without)[0] - resampled_miou(run, without)[0] == pytest.approx(0.01)


def test_bootstrap_weights():
    seeds, frames = bootstrap_weights(5, 30, 20_000, np.random.default_rng(0))
    assert seeds.shape == (20_000, 5) and frames.shape == (20_000, 30)
    assert (frames.sum(axis=1) == 30).all() and frames.min() == 0 and frames.max() > 3
    np.testing.assert_allclose(seeds.sum(axis=1), 1)
    # the mean of 5 values spreads as Student's t says: quantile 2.776 of 4 degrees of freedom, against 1.960
    values = np.array([1.0, 2, 3, 5, 9])
    expected = values.std(ddof=1) / np.sqrt(5) * 2.776 / 1.960
    assert (seeds @ values).std() == pytest.approx(expected, rel=0.02) and (seeds @ values).mean() == pytest.approx(
        4, abs=0.05
    )
    # scans do not depend on the number of seeds, and one seed is not resampled
    alone, same = bootstrap_weights(1, 30, 20_000, np.random.default_rng(0))
    np.testing.assert_array_equal(same, frames)
    assert (alone == 1).all()


def test_values_by_hand():
    run = {0: scans(0.6, 0.8), 1: scans(0.8, 1.0), 7: scans(0, 0)}
    other = {0: scans(0.4, 0.6), 1: scans(0.5, 0.5), 2: scans(1, 1)}
    found = difference(run, other)
    assert found.value == pytest.approx(0.8 - 0.5) and (found.seeds, found.frames) == (2, 2)
    assert ratio(run, other).value == pytest.approx(0.8 / 0.5)
    found = difference_of_differences(run, other, other, run)
    assert found.value == pytest.approx(0.6) and found.seeds == 2


def test_of_scans_alone_by_hand():
    """One seed: the draws of two scans are (0, 2), (1, 1), (2, 0), so that the interval is from the one scan's gain to
    the other's."""
    found = difference({3: scans(0.6, 0.8)}, {3: scans(0.5, 0.5)})
    assert (found.value, found.low, found.high) == pytest.approx((0.2, 0.1, 0.3)) and (found.seeds, found.frames) == (
        1,
        2,
    )


def test_of_seeds_alone_is_close_to_students_interval():
    gains = np.array([0.10, 0.12, 0.09, 0.15, 0.11])
    run, other = {s: scans(0.5 + g) for s, g in enumerate(gains)}, {s: scans(0.5) for s in range(5)}
    found = difference(run, other, samples=5000)
    half = 2.776 * gains.std(ddof=1) / np.sqrt(5)
    assert found.high - found.low == pytest.approx(2 * half, rel=0.1) and found.value == pytest.approx(gains.mean())


@pytest.mark.parametrize(
    ("seeds", "spread"),
    [
        (5, {}),
        (5, {"of_seed": 0.03, "of_both": 0.001}),
        (5, {"of_seed": 0.003, "of_both": 0.02}),
        (3, {"of_seed": 0.03, "of_both": 0.001}),
    ],
)
def test_intervals_hold_the_true_difference_as_often_as_they_say(seeds, spread):
    rng, held = np.random.default_rng(0), 0
    for _ in range(300):
        found = difference(*experiment(rng, 0.02, seeds, **spread), samples=300)
        held += found.low <= 0.02 <= found.high
    assert 0.90 <= held / 300 <= 0.995


def test_pairs_are_narrower_than_unrelated_runs():
    """What scans and seeds do to both runs cancels; the same runs with scans and seeds in another order have nothing in
    common."""
    run, other = experiment(np.random.default_rng(1), 0.02, of_pair=0.03)
    paired = difference(run, other)
    order = np.random.default_rng(2).permutation(20)
    shuffled = difference(run, {seed: other[(seed + 1) % 5][order] for seed in other})
    assert shuffled.value == pytest.approx(paired.value)
    assert paired.high - paired.low < 0.5 * (shuffled.high - shuffled.low)
    assert paired.low > 0 > shuffled.low


def test_a_run_differs_from_itself_by_exactly_nothing():
    run, _ = experiment(np.random.default_rng(3), 0)
    for found in (difference(run, run), difference_of_differences(run, run, run, run)):
        assert (found.value, found.low, found.high) == (0, 0, 0)
    found = ratio(run, run)
    assert (found.value, found.low, found.high) == (1, 1, 1)


def test_the_draws_are_repeated_and_the_level_counts():
    run, other = experiment(np.random.default_rng(4), 0.02)
    assert difference(run, other) == difference(run, other) != difference(run, other, seed=1)
    wide, narrow = difference(run, other), difference(run, other, level=0.5)
    assert wide.low < narrow.low < narrow.value < narrow.high < wide.high


def test_defaults_are_2000_draws_of_seed_0_and_the_level_of_95_per_cent():
    run, other = experiment(np.random.default_rng(4), 0.02)
    for function, runs in (
        (difference, (run, other)),
        (ratio, (run, other)),
        (difference_of_differences, (run, other, other, run)),
    ):
        assert function(*runs) == function(*runs, samples=2000, seed=0, level=0.95)
        with pytest.raises(TypeError):
            function(*runs, 2000)


def test_the_interval_ends_at_the_draws_percentiles():
    gains = np.random.default_rng(5).integers(0, 4000, 12) / POINTS
    _, weights = bootstrap_weights(1, 12, 2000, np.random.default_rng(0))
    for level, ends in ((0.95, (2.5, 97.5)), (0.5, (25, 75))):
        found = difference({0: scans(*(0.5 + gains))}, {0: scans(*[0.5] * 12)}, level=level)
        assert [found.low, found.high] == pytest.approx(np.percentile(weights @ gains / 12, ends))


def test_the_interval_is_of_the_draws_alone():
    run, other = experiment(np.random.default_rng(4), 0.02)
    one, median = difference(run, other, samples=1), difference(run, other, samples=101, level=1e-6)
    assert one.low == one.high != one.value
    assert median.low == pytest.approx(median.high, abs=1e-6)


def test_seeds_that_are_drawn_more_often_weigh_more():
    weights, _ = bootstrap_weights(3, 2, 50, np.random.default_rng(1))
    rng = np.random.default_rng(1)
    rng.multinomial(2, [1 / 2] * 2, 50)
    drawn = rng.multinomial(3, [1 / 3] * 3, 50)
    assert (np.sign(np.round(weights - 1 / 3, 9)) == np.sign(drawn - 1)).all()


def test_one_point_is_enough_for_a_class():
    one = np.zeros((1, 2, 3), np.int64)
    one[0, 0, 0] = 1
    assert miou(one) == 1 and miou(one, "official") == 0.5


def test_equal_gains_in_two_slices_cancel():
    """A gain that is the same in both slices, scan by scan and seed by seed, has no spread: all four figures use the
    same draws."""
    base, gain = experiment(np.random.default_rng(5), 0)[0], 0.1
    shifted = {
        seed: confusion + np.array([gain * POINTS, -gain * POINTS]).astype(int) for seed, confusion in base.items()
    }
    found = difference_of_differences(shifted, base, shifted, base)
    assert (found.value, found.low, found.high) == (0, 0, 0)
    found = difference_of_differences(shifted, base, base, base)
    assert (found.value, found.low, found.high) == pytest.approx((gain, gain, gain))


def test_slices_of_classes():
    rng = np.random.default_rng(6)
    run, other = ({0: rng.integers(1, 50, (6, 3, 4)).astype(np.int64)} for _ in range(2))
    other[0][..., -1] += run[0].sum(axis=2).max() + 200 - other[0].sum(axis=2)
    run[0][..., -1] += other[0].sum(axis=2) - run[0].sum(axis=2)
    assert difference(run, other, classes=(0, 2)).value == pytest.approx(
        miou(run[0], classes=(0, 2)) - miou(other[0], classes=(0, 2))
    )
    found = difference_of_differences(run, other, run, other, classes=(0,), classes_than=(1,)).value
    assert found == pytest.approx(
        difference(run, other, classes=(0,)).value - difference(run, other, classes=(1,)).value
    )
    assert difference(run, other, mean="official").value == pytest.approx(
        miou(run[0], "official") - miou(other[0], "official")
    )


def test_empty_slices_have_no_figure():
    nothing = {0: np.zeros((4, 2, 3), np.int64), 1: np.zeros((4, 2, 3), np.int64)}
    with np.errstate(all="raise"):
        figures = difference(nothing, nothing), ratio(nothing, nothing), ratio(nothing, nothing, mean="official")
    for found in figures:
        assert np.isnan([found.value, found.low, found.high]).all() and found.seeds == 2
    # a slice that one scan of four holds: draws without it say nothing
    rare = np.zeros((4, 1, 2), np.int64)
    rare[2] = (3, 1)
    found = difference({0: rare}, {0: rare[:, :, ::-1]})
    assert (found.value, found.low, found.high) == pytest.approx((0.5, 0.5, 0.5))


def test_runs_that_cannot_be_compared_are_refused():
    one = {0: scans(0.5, 0.6)}
    with pytest.raises(ValueError, match=r"share no seed: \[0\], \[1\]"):
        difference(one, {1: scans(0.5, 0.6)})
    with pytest.raises(ValueError, match="targets differ"):
        difference(one, {0: scans(0.5, 0.6, 0.7)})
    with pytest.raises(ValueError, match="targets differ"):
        difference_of_differences(one, one, one, {0: 2 * scans(0.5, 0.6)})
