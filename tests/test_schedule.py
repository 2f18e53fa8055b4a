"""The factors on the learning rate of each step, by hand."""

import math

import pytest

from ignet.config.training_3d import Train3DConfig
from ignet.train.schedule import SCHEDULES_3D, constant, linear_decay, one_cycle


def test_one_cycle_rises_from_a_tenth_and_falls_along_half_a_cosine() -> None:
    half = math.sqrt(0.5) / 2
    expected = [0.1, 0.4, 0.7, 1.0, 0.5 + half, 0.5, 0.5 - half, 1e-3, 1e-3]
    assert [one_cycle(step, 7, 3) for step in range(9)] == pytest.approx(expected)


def test_one_cycle_without_a_warm_up_has_one_low_step() -> None:
    assert [one_cycle(step, 3, 0) for step in range(4)] == pytest.approx([0.1, 1.0, 0.5, 1e-3])
    assert [one_cycle(step, 1, 0) for step in range(3)] == pytest.approx([0.1, 1.0, 1e-3])


def test_the_warm_up_is_a_tenth_of_the_steps_by_default() -> None:
    for steps, warmup_steps in ((4, 1), (15, 2), (400, 40)):
        expected = [one_cycle(step, steps, warmup_steps) for step in range(steps)]
        assert [one_cycle(step, steps, None) for step in range(steps)] == expected


def test_a_constant_rate_has_the_warm_up_alone() -> None:
    assert [constant(step, 7, 3) for step in range(7)] == pytest.approx([0.1, 0.4, 0.7, 1, 1, 1, 1])
    assert [constant(step, 20, None) for step in (0, 1, 2, 19)] == pytest.approx([0.1, 0.55, 1, 1])
    assert [constant(step, 3, 0) for step in range(3)] == [1, 1, 1]


def test_every_schedule_of_the_settings_is_there() -> None:
    assert list(SCHEDULES_3D) == list(Train3DConfig.model_fields["schedule"].annotation.__args__)


def test_warm_up_times_linear_decay() -> None:
    factors = [linear_decay(step, 10, 3) for step in range(12)]
    assert factors == pytest.approx([0.25, 0.5 * 0.9, 0.75 * 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0, 0])
    assert linear_decay(0, 10, 0) == 1
