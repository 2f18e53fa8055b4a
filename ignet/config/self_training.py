"""Settings of the pseudo-labels for a second training."""

from pydantic import Field

from ignet.config.base import Section


class PseudoLabelConfig(Section):
    """Class-range balanced pseudo-labels, as in ScribbleKITTI's self-training. All values are our choice."""

    fraction: float = Field(
        0.5,
        gt=0,
        le=1,
        description="share of the predictions of each class in each ring that is kept, the most confident",
    )
    ring_width: float = Field(10.0, gt=0, description="metres: width of a ring around the sensor")
    rings: int = Field(6, ge=1, description="rings; the last has no outer edge")
