"""Settings of prediction, evaluation and comparison."""

from itertools import pairwise

from pydantic import Field, field_validator, model_validator

from ignet.config.base import Section


class PredictConfig(Section):
    """Prediction: the EMA teacher on whole scans, no test-time augmentation."""

    engine: str = Field(
        "same", pattern="^(same|auto|torch|minkowski)$", description="sparse engine; same: the one of the training"
    )


class EvaluateConfig(Section):
    """Point-level evaluation against the dense labels."""

    ranges: tuple[float, ...] = Field(
        (0, 10, 20, 30, 40, 50),
        min_length=1,
        max_length=200,
        description="metres: lower edges of the distance bins, rising from 0; the last one is open",
    )
    boundary: float = Field(
        0.5, gt=0, description="metres: a point with a point of another class at most this far away is a boundary point"
    )

    @field_validator("ranges")
    @classmethod
    def _rising(cls, ranges: tuple[float, ...]) -> tuple[float, ...]:
        # every point lies in a bin, so that the bins add up to the whole
        if ranges[0] != 0 or any(low >= high for low, high in pairwise(ranges)):
            raise ValueError("distances must rise and start at 0")
        return ranges


class SubmissionConfig(Section):
    """The zip file for a benchmark's server: ``snakemake ... submission`` writes it, nothing else does."""

    run: str | None = Field(None, description="run whose predictions are packed; null: compare.method")
    seed: int | None = Field(None, ge=0, description="its seed; null: its first")
    description: str | None = Field(
        None, description="text file that goes along as description.txt: name of the method, links; null: none"
    )


class Control(Section):
    """A run that removes or replaces one part of the method, and the run that it is compared with."""

    run: str = Field(description="the control: key of runs")
    against: str = Field(description="the run that is subtracted from the control: key of runs")
    text: str = Field(description="what the control changes, in words")


class Statement(Section):
    """A claim that the comparison confirms, rejects or leaves undecided: ``run`` is better than ``against``."""

    text: str = Field(description="the claim in words")
    run: str = Field(description="the run that is claimed to be better: key of runs; with networks, a 2D network")
    against: str = Field(description="the run that it is claimed to be better than; with networks, a 2D network")
    slice: str | None = Field(
        None,
        description="points that the claim is about: axis:name, such as boundary:boundary or 'range:30-40 m', or "
        "small; null: all",
    )
    than: str | None = Field(
        None, description="points on which run gains less over against, by the claim: as slice, or all; null: none"
    )
    networks: bool = Field(
        False, description="the claim is about 2D networks: source and the keys of adaptations and teachers"
    )

    @model_validator(mode="after")
    def _points(self) -> "Statement":
        if self.networks and (self.slice or self.than):
            raise ValueError("2D networks are not evaluated by slice; leave slice and than out")
        return self


class CompareConfig(Section):
    """The tables, plots and verdicts over all runs."""

    reference: str = Field(
        "full", description="run that counts as full supervision: the denominator of the relative mIoU"
    )
    baseline: str = Field("baseline", description="run that differences are taken to")
    method: str = Field(
        "ignet", description="run that carries the claim: its gains over the baseline are drawn by slice"
    )
    controls: tuple[Control, ...] = Field((), description="runs that stand in the table of controls")
    statements: tuple[Statement, ...] = Field((), description="claims that get a verdict")
    bootstrap_samples: int = Field(
        2000, ge=100, description="bootstrap samples of seeds and scans behind each interval"
    )
    seed: int = Field(0, ge=0, description="seed of the bootstrap")


class FiguresConfig(Section):
    """Figures of single scans."""

    frames: int = Field(2, ge=1, description="frames of each validation sequence that are drawn, evenly spaced")
    extent: float = Field(
        50.0, gt=0, description="metres: scans from above are drawn up to this far from the sensor on each side"
    )
