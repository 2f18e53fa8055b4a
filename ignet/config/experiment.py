"""One experiment: every section, the 2D adaptations and the 3D runs.

Only the workflow and the command line read it whole.
"""

import os
from pathlib import PurePath
from typing import Annotated, Any

from pydantic import Field, NonNegativeInt, TypeAdapter, ValidationError, field_validator, model_validator

from ignet.config.base import Section, merge, validate
from ignet.config.dataset import DatasetConfig, ScribbleConfig, SourceConfig
from ignet.config.evaluation import CompareConfig, Control, EvaluateConfig, FiguresConfig, PredictConfig, Statement
from ignet.config.execution import ExecutionConfig, job_processes
from ignet.config.folder import OutputFolder
from ignet.config.projection import ProjectionConfig
from ignet.config.report import ReportConfig
from ignet.config.self_training import PseudoLabelConfig
from ignet.config.training_2d import Adapt2DConfig, Evaluate2DConfig, FeatureConfig, Pretrain2DConfig
from ignet.config.training_3d import Train3DConfig
from ignet.config.world import WorldConfig
from ignet.errors import IgnetError
from ignet.files.names import is_run
from ignet.train.needs import needs_features

SOURCE_NETWORK = "source"
"""Name of the pretrained 2D network where an adapted one may be named."""

NESTED = frozenset({(1, 10), (1, 20), (1, 50), (10, 20)})
"""Pairs of different ``labelled_frames`` of which the smaller list lies within the larger; the published one of 50 %
lacks some of 10 %."""


_SEEDS: TypeAdapter[tuple[int, ...]] = TypeAdapter(Annotated[tuple[NonNegativeInt, ...], Field(min_length=1)])


def _one_adaptation() -> dict[str, dict[str, Any]]:
    return {"adapted": {}}


class ExperimentConfig(Section):
    """An experiment file: YAML with these keys, each with a default but ``results`` and ``runs``."""

    results: OutputFolder = Field(
        description="folder that all outputs go to, but those in shared; several experiments may have one only if "
        "their sections agree"
    )
    shared: OutputFolder | None = Field(
        None,
        description="folder for results that experiments with the same settings share (world, projection, scribbles, "
        "2D networks, features, 2D evaluation), each under the hash of what it comes from; null: all below results",
    )
    seeds: tuple[int, ...] = Field((0,), min_length=1, description="seeds of every run that does not name its own")
    dataset: DatasetConfig = DatasetConfig()
    source: SourceConfig = SourceConfig()
    world: WorldConfig = WorldConfig()
    scribbles: ScribbleConfig = ScribbleConfig()
    projection: ProjectionConfig = ProjectionConfig()
    pretrain_2d: Pretrain2DConfig = Pretrain2DConfig()
    adapt_2d: Adapt2DConfig = Adapt2DConfig()
    adaptations: dict[str, dict[str, Any]] = Field(
        default_factory=_one_adaptation,
        description="adapted 2D networks: name -> keys that differ from adapt_2d; null: left out",
    )
    features: FeatureConfig = FeatureConfig()
    evaluate_2d: Evaluate2DConfig = Evaluate2DConfig()
    train_3d: Train3DConfig = Train3DConfig()
    runs: dict[str, dict[str, Any]] = Field(
        description="3D networks: name -> keys that differ from train_3d, and optionally seeds; null: left out"
    )
    pseudo_label: PseudoLabelConfig = PseudoLabelConfig()
    predict: PredictConfig = PredictConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    compare: CompareConfig = CompareConfig()
    figures: FiguresConfig = FiguresConfig()
    report: ReportConfig = ReportConfig()
    execution: ExecutionConfig = ExecutionConfig()

    @field_validator("runs", "adaptations", mode="before")
    @classmethod
    def _without_null(cls, named: Any) -> Any:
        # a file that overrides another one cannot delete a key, but it can set it to null
        return {name: value for name, value in named.items() if value is not None} if isinstance(named, dict) else named

    @model_validator(mode="after")
    def _places(self) -> "ExperimentConfig":
        # the results of one experiment can be deleted without another's missing something
        if self.shared is not None and PurePath(os.path.abspath(self.shared)).is_relative_to(
            os.path.abspath(self.results)
        ):
            raise ValueError(
                f"shared is '{self.shared}', which lies in results, '{self.results}'; name a folder outside of it"
            )
        return self

    @model_validator(mode="after")
    def _names(self) -> "ExperimentConfig":
        if not self.runs:
            raise ValueError("runs is empty; name at least one run")
        for name in (*self.runs, *self.adaptations):
            if not is_run(name):
                raise ValueError(
                    f"'{name}' names a folder; use letters from A to Z, digits, '_' and '-', and no '-' in front"
                )
        if SOURCE_NETWORK in self.adaptations:
            raise ValueError(f"'{SOURCE_NETWORK}' is the pretrained network's name; call the adaptation something else")
        return self

    def adaptation(self, name: str) -> Adapt2DConfig:
        """Settings of one adaptation: ``adapt_2d`` with the named differences.

        Raises:
            IgnetError: no such adaptation, or one of its keys is wrong.
        """
        if name not in self.adaptations:
            raise IgnetError(f"adaptations: found no '{name}', expected one of {sorted(self.adaptations)}")
        values = merge(self.adapt_2d.model_dump(), self.adaptations[name])
        return validate(Adapt2DConfig, values, f"adaptations.{name}")

    def run(self, name: str) -> Train3DConfig:
        """Settings of one run: ``train_3d`` with the named differences.

        Raises:
            IgnetError: no such run, or one of its keys is wrong.
        """
        if name not in self.runs:
            raise IgnetError(f"runs: found no '{name}', expected one of {sorted(self.runs)}")
        override = {key: value for key, value in self.runs[name].items() if key != "seeds"}
        settings = validate(Train3DConfig, merge(self.train_3d.model_dump(), override), f"runs.{name}")
        if needs_features(settings) and settings.features not in (SOURCE_NETWORK, *self.adaptations):
            known = [SOURCE_NETWORK, *sorted(self.adaptations)]
            raise IgnetError(f"runs.{name}.features: found '{settings.features}', expected one of {known}")
        self._check_teacher(name, settings)
        self._check_labels_of_features(name, settings)
        return settings

    def run_seeds(self, name: str) -> tuple[int, ...]:
        """Seeds of one run: its own ``seeds``, else the experiment's.

        Raises:
            IgnetError: the run's seeds are no list of integers.
        """
        seeds = self.runs[name].get("seeds", self.seeds)
        try:
            return _SEEDS.validate_python(seeds)
        except ValidationError:
            raise IgnetError(f"runs.{name}.seeds: found {seeds!r}, expected a list of whole numbers >= 0") from None

    def _check_teacher(self, name: str, settings: Train3DConfig) -> None:
        """A run that learns from another's predictions needs that run, with the same seeds, and no circle."""
        teacher, path = settings.pseudo_labels_of, [name]
        while teacher is not None:
            if teacher not in self.runs or teacher in path:
                known = sorted(set(self.runs) - set(path))
                raise IgnetError(
                    f"runs.{path[-1]}.pseudo_labels_of: found '{teacher}', expected another run that is no "
                    f"successor: {known}"
                )
            if missing := set(self.run_seeds(name)) - set(self.run_seeds(teacher)):
                raise IgnetError(
                    f"runs.{name}.seeds: {sorted(missing)} are no seeds of '{teacher}', whose predictions it "
                    "learns from"
                )
            path.append(teacher)
            teacher = self.runs[teacher].get("pseudo_labels_of")

    def _check_labels_of_features(self, name: str, settings: Train3DConfig) -> None:
        """A semi-supervised run's 2D network has seen no label of a frame that the run counts as unlabelled."""
        if settings.labelled_frames is None or not needs_features(settings) or settings.features == SOURCE_NETWORK:
            return
        network, allowed = self.adaptation(settings.features), settings.labelled_frames
        seen = network.labelled_frames
        if network.supervision != "none" and seen != allowed and (seen, allowed) not in NESTED:
            frames = f"the labels of {seen} % of the frames" if seen else "the labels of all frames"
            raise IgnetError(
                f"runs.{name}.features: found '{settings.features}', which is adapted with {frames}, and so with "
                f"labels that the run's labelled_frames {allowed} withholds; expected '{SOURCE_NETWORK}' or an "
                f"adaptation with labelled_frames {allowed} or supervision none"
            )


def load_experiment(values: dict[str, Any], where: str) -> ExperimentConfig:
    """Validate a whole experiment, each adaptation and run included.

    Raises:
        IgnetError: one line that names the key, what was found and what was expected.
    """
    values = _with_null(values)
    experiment = validate(ExperimentConfig, values, where)
    for name in experiment.adaptations:
        experiment.adaptation(name)
    for name in experiment.runs:
        experiment.run(name)
        experiment.run_seeds(name)
    runs, networks = (_set_to_null(values, key) for key in ("runs", "adaptations"))
    _check_comparison(experiment, runs, networks)
    _check_batches(experiment)
    return _without_claims_about(experiment, runs, networks)


def _set_to_null(values: dict[str, Any], key: str) -> set[str]:
    return {name for name, value in values.get(key, {}).items() if value is None}


def _with_null(value: Any) -> Any:
    """Snakemake's ``--config`` hands on nested values as text.

    Numbers in text are understood where a number is expected, null is not.
    """
    if isinstance(value, dict):
        return {key: _with_null(part) for key, part in value.items()}
    return None if value == "null" else value


def _check_batches(experiment: ExperimentConfig) -> None:
    """Processes share a batch, so each needs a part of it."""
    batches = {"pretrain_2d": ("pretrain_2d", experiment.pretrain_2d.batch)}
    batches |= {
        f"adaptations.{name}": ("adapt_2d", experiment.adaptation(name).batch) for name in experiment.adaptations
    }
    batches |= {f"runs.{name}": ("train_3d", experiment.run(name).batch) for name in experiment.runs}
    for where, (stage, batch) in batches.items():
        processes = job_processes(experiment.execution, stage)
        if batch < processes:
            raise IgnetError(
                f"{where}.batch: found {batch}, expected {processes} at least, one for each process; lower "
                "execution.gpus or processes"
            )


def _check_comparison(experiment: ExperimentConfig, left_out_runs: set[str], left_out_networks: set[str]) -> None:
    """Controls and statements name runs, or 2D networks, of the experiment, or such as were taken out of it."""
    runs, networks = {*experiment.runs, *left_out_runs}, {SOURCE_NETWORK, *experiment.adaptations, *left_out_networks}
    claims, controls = experiment.compare.statements, experiment.compare.controls
    pairs: list[tuple[str, Control | Statement]] = [(f"controls.{n}", pair) for n, pair in enumerate(controls)]
    pairs += [(f"statements.{n}", pair) for n, pair in enumerate(claims)]
    for where, pair in pairs:
        known = _of_its_kind(pair, runs, networks)
        for key in ("run", "against"):
            if (name := getattr(pair, key)) not in known:
                raise IgnetError(f"compare.{where}.{key}: found '{name}', expected one of {sorted(known)}")
        if pair.run == pair.against:
            raise IgnetError(f"compare.{where}: '{pair.run}' is compared with itself; name another in 'against'")


def _without_claims_about(experiment: ExperimentConfig, runs: set[str], networks: set[str]) -> ExperimentConfig:
    """The experiment without the controls and statements about runs and 2D networks that were taken out of it."""

    def stays(pair: Control | Statement) -> bool:
        return not {pair.run, pair.against} & _of_its_kind(pair, runs, networks)

    compare = experiment.compare
    kept = {"controls": tuple(filter(stays, compare.controls)), "statements": tuple(filter(stays, compare.statements))}
    return experiment.model_copy(update={"compare": compare.model_copy(update=kept)})


def _of_its_kind(pair: Control | Statement, runs: set[str], networks: set[str]) -> set[str]:
    """The names that a comparison draws from: some statements are about 2D networks, all else about runs."""
    return networks if isinstance(pair, Statement) and pair.networks else runs
