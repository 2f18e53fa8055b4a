"""Settings of the browsable report."""

from pydantic import Field

from ignet.config.base import Section


class ReportConfig(Section):
    """The report that opens in a browser. All values are this project's own choice."""

    validation_frames: int = Field(
        4, ge=1, description="validation scans that are shown, spread evenly over the validation sequences"
    )
    training_frames: int = Field(
        1, ge=0, description="training scans that are shown, with the scribbles that the networks learn from"
    )
    radius: float = Field(
        50.0, gt=0, description="metres: scans from above are drawn up to this far from the sensor on each side"
    )
    image_width: int = Field(1280, ge=64, description="pixels: wider camera images are made smaller")
    image_quality: int = Field(85, ge=1, le=100, description="JPEG quality of the camera images")
    curve_points: int = Field(400, ge=10, description="at most this many points are drawn of each training curve")
