"""Settings of the point-to-pixel correspondence."""

from pydantic import Field

from ignet.config.base import Section


class ProjectionConfig(Section):
    """z-buffered projection of scans into images."""

    cell: int = Field(
        4,
        ge=1,
        description="pixels: side of the square cells of the z-buffer (our choice; scans are sparser than images)",
    )
    tolerance: float = Field(
        0.05,
        ge=0,
        description="a point is occluded where it is farther than (1 + tolerance) times the nearest depth in its "
        "cell (our choice)",
    )
