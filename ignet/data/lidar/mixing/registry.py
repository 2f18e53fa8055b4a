"""The mixing strategies that ``train_3d.mixing`` can name: one line each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ignet.config.mixing import MixingConfig
from ignet.data.label_sets.label_set import LabelSet
from ignet.data.lidar.mixing import fovmix, instance_paste, lasermix, polarmix
from ignet.data.lidar.mixing.sample import Sample


@dataclass(frozen=True)
class Strategy:
    """How a scan is mixed with others.

    Attributes:
        mix: (base, donors, random numbers, settings, label set) -> the mixed sample, before any augmentation. Changes
            none of the samples; raises ValueError where settings and samples do not fit.
        donors: settings -> how many other scans a mixed sample takes.
        needs_camera: whether ``mix`` reads ``in_fov`` or ``sectors``, so that the correspondence is loaded.
        other_kind: settings -> whether a labelled scan takes unlabelled donors alone and the other way round, where
            there are both; else any other scan is a donor.
    """

    mix: Callable[[Sample, Sequence[Sample], np.random.Generator, Any, LabelSet], Sample]
    donors: Callable[[Any], int]
    needs_camera: bool
    other_kind: Callable[[Any], bool] = lambda settings: False


MIXING = {
    "fovmix": Strategy(fovmix.mix, lambda settings: settings.frusta, needs_camera=True),
    "lasermix": Strategy(
        lasermix.mix,
        lambda settings: 1,
        needs_camera=False,
        other_kind=lambda settings: settings.partner == "other_kind",
    ),
    "polarmix": Strategy(polarmix.mix, lambda settings: 1, needs_camera=False),
    "instance_paste": Strategy(instance_paste.mix, lambda settings: settings.scans, needs_camera=False),
}
"""Key of ``train_3d.mixing`` -> strategy."""


def active_strategies(settings: MixingConfig) -> list[str]:
    """Names of the strategies that a run uses, in the order of ``MIXING``."""
    return [name for name in MIXING if getattr(settings, name).probability > 0]


def choose_strategy(settings: MixingConfig, draw: float) -> str | None:
    """The strategy of one sample, or None where it is not mixed.

    Args:
        settings: the probabilities, which divide 0..1 in the order of ``MIXING``; the rest is not mixed.
        draw: uniform in 0 <= draw < 1.
    """
    ends = np.cumsum([getattr(settings, name).probability for name in MIXING])
    position = int(np.searchsorted(ends, draw, side="right"))
    return list(MIXING)[position] if position < len(MIXING) else None
