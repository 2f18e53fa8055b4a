"""Which 2D networks an experiment has: what no run, no adaptation and no comparison asks for is not trained."""

from typing import Any

from ignet.config.experiment import SOURCE_NETWORK, ExperimentConfig
from ignet.train.needs import needs_features


def guides(experiment: ExperimentConfig) -> tuple[str, ...]:
    """The 2D networks whose features runs read, each once, in the order of the runs."""
    runs = (experiment.run(name) for name in experiment.runs)
    return tuple(dict.fromkeys(run.features for run in runs if needs_features(run)))


def segmenters(experiment: ExperimentConfig) -> tuple[str, ...]:
    """The networks that name Cityscapes' classes: the pretrained one, then the adapted ones.

    With frozen teachers the pretrained one is left out where nothing is adapted and no run reads its features.
    """
    pretrained = not experiment.teachers or experiment.adaptations or SOURCE_NETWORK in guides(experiment)
    return (*([SOURCE_NETWORK] if pretrained else []), *experiment.adaptations)


def networks_2d(experiment: ExperimentConfig) -> tuple[str, ...]:
    """All 2D networks in the order of the tables, frozen teachers last."""
    return (*segmenters(experiment), *experiment.teachers)


def is_probed(experiment: ExperimentConfig, network: str) -> bool:
    """Whether the evaluation of a 2D network fits a probe to its features; a frozen teacher's does nothing else."""
    return experiment.evaluate_2d.probe or network in experiment.teachers


def without_unused_default(experiment: ExperimentConfig, values: dict[str, Any]) -> ExperimentConfig:
    """The experiment without the adaptation that no file names, where teachers are named and no run has its features.

    ``values`` are the experiment's as they were given.
    """
    if not experiment.teachers or "adaptations" in values or {*guides(experiment)} & {*experiment.adaptations}:
        return experiment
    return experiment.model_copy(update={"adaptations": {}})
