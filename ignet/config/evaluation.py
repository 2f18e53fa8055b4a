"""Settings of prediction, evaluation and comparison."""

from itertools import pairwise

from pydantic import Field, field_validator

from ignet.config.base import Section


class PredictConfig(Section):
    """Prediction: the EMA teacher on whole scans, no test-time augmentation."""

    engine: str = Field("same", pattern="^(same|auto|torch|minkowski)$", description="sparse engine; same: the one of the training")


class EvaluateConfig(Section):
    """Point-level evaluation against the dense labels."""

    ranges: tuple[float, ...] = Field(
        (0, 10, 20, 30, 40, 50),
        min_length=1,
        max_length=200,
        description="metres: lower edges of the distance bins, rising; the last one is open",
    )
    boundary: float = Field(
        0.5, gt=0, description="metres: a point with a point of another class at most this far away is a boundary point"
    )

    @field_validator("ranges")
    @classmethod
    def _rising(cls, ranges: tuple[float, ...]) -> tuple[float, ...]:
        if ranges[0] < 0 or any(low >= high for low, high in pairwise(ranges)):
            raise ValueError("distances must rise and start at 0 or more")
        return ranges


class CompareConfig(Section):
    """The tables over all runs."""

    reference: str = Field("full", description="run that counts as full supervision: the denominator of the relative figures")
    baseline: str = Field("baseline", description="run that differences are taken to")


class ReportConfig(Section):
    """Pictures."""

    frames: int = Field(2, ge=1, description="frames of each validation sequence that are drawn, evenly spaced")
    extent: float = Field(50.0, gt=0, description="metres: scans from above are drawn up to this far from the sensor on each side")
