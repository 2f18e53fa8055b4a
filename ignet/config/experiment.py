"""One experiment: every section, the 2D adaptations and the 3D runs.

Only the workflow and the command line read it whole.
"""

import os
from pathlib import PurePath
from typing import Annotated, Any

from pydantic import Field, NonNegativeInt, TypeAdapter, ValidationError, field_validator, model_validator

from ignet.config.base import Section, merge, section_named, sections_of, validate
from ignet.config.dataset import DatasetConfig, ScribbleConfig, SourceConfig
from ignet.config.evaluation import (
    CompareConfig,
    EvaluateConfig,
    FiguresConfig,
    PredictConfig,
    SubmissionConfig,
)
from ignet.config.execution import ExecutionConfig
from ignet.config.folder import OutputFolder
from ignet.config.projection import ProjectionConfig
from ignet.config.report import ReportConfig
from ignet.config.self_training import PseudoLabelConfig
from ignet.config.teachers import TeacherConfig, teacher_config
from ignet.config.training_2d import Adapt2DConfig, Evaluate2DConfig, FeatureConfig, Pretrain2DConfig
from ignet.config.training_3d import Train3DConfig
from ignet.config.world import WorldConfig
from ignet.errors import IgnetError
from ignet.files.names import is_run

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
        description="adapted 2D networks: name -> keys that differ from adapt_2d; null: left out. The default is left "
        "out, too, where teachers are named and no run has its features",
    )
    teachers: dict[str, dict[str, Any]] = Field(
        default_factory=dict,
        description="frozen image networks, whose features a run may have without any 2D training: name -> kind and "
        "the keys of that kind, below; null: left out",
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
    submission: SubmissionConfig = SubmissionConfig()
    compare: CompareConfig = CompareConfig()
    figures: FiguresConfig = FiguresConfig()
    report: ReportConfig = ReportConfig()
    execution: ExecutionConfig = ExecutionConfig()

    @field_validator("runs", "adaptations", "teachers", mode="before")
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
        for name in (*self.runs, *self.adaptations, *self.teachers):
            if not is_run(name):
                raise ValueError(
                    f"'{name}' names a folder; use letters from A to Z, digits, '_' and '-', and no '-' in front"
                )
        if SOURCE_NETWORK in (*self.adaptations, *self.teachers):
            raise ValueError(f"'{SOURCE_NETWORK}' is the pretrained network's name; call yours something else")
        if both := sorted({*self.adaptations} & {*self.teachers}):
            raise ValueError(f"adaptations and teachers both have {both}; features: NAME must mean one of them")
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

    def teacher(self, name: str) -> TeacherConfig:
        """Settings of one frozen teacher.

        Raises:
            IgnetError: no such teacher, or one of its keys is wrong.
        """
        if name not in self.teachers:
            raise IgnetError(f"teachers: found no '{name}', expected one of {sorted(self.teachers)}")
        return teacher_config(self.teachers[name], f"teachers.{name}")

    def run(self, name: str) -> Train3DConfig:
        """Settings of one run: ``train_3d`` with the named differences.

        Raises:
            IgnetError: no such run, or one of its keys is wrong.
        """
        if name not in self.runs:
            raise IgnetError(f"runs: found no '{name}', expected one of {sorted(self.runs)}")
        override = {key: value for key, value in self.runs[name].items() if key != "seeds"}
        values = self.train_3d.model_dump()
        # a run with another backbone takes over the keys that both have
        own = merge(values, override)["backbone"]
        if network := section_named(sections_of(Train3DConfig.model_fields["backbone"]), own):
            shared = values["backbone"].keys() & network.model_fields.keys()
            values["backbone"] = {key: values["backbone"][key] for key in shared}
        return validate(Train3DConfig, merge(values, override), f"runs.{name}")

    def submitted(self) -> tuple[str, int]:
        """Run and seed whose predictions ``submission`` packs.

        Raises:
            IgnetError: there is no such run, or it has no such seed.
        """
        run = self.submission.run or self.compare.method
        if run not in self.runs:
            raise IgnetError(f"submission.run: found no run '{run}', expected one of {sorted(self.runs)}")
        seeds = self.run_seeds(run)
        seed = seeds[0] if self.submission.seed is None else self.submission.seed
        if seed not in seeds:
            raise IgnetError(f"submission.seed: found {seed}, expected one of {list(seeds)}, the seeds of '{run}'")
        return run, seed

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
