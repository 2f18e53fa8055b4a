"""Settings of the point-to-pixel correspondence."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from ignet.config.base import Section


def _cell(value: Any) -> Any:
    number = int(value) if isinstance(value, str) and value.isdecimal() else value
    if number != "auto" and (not isinstance(number, int) or isinstance(number, bool) or number < 1):
        raise ValueError("expected auto, or a whole number of pixels, 1 at least")
    return number


class ProjectionConfig(Section):
    """z-buffered projection of scans into images."""

    cell: Annotated[Literal["auto"] | Annotated[int, Field(ge=1)], BeforeValidator(_cell)] = Field(
        "auto",
        description="pixels: side of the square cells of the z-buffer; auto: the spacing of a scan's points in the "
        "image, of each sequence and camera (our choice; 4 on KITTI)",
    )
    tolerance: float = Field(
        0.05,
        ge=0,
        description="a point is occluded where it is farther than (1 + tolerance) times the nearest depth in its "
        "cell (our choice)",
    )
