"""Settings of the embedded world."""

from typing import Any, Literal

from pydantic import Field

from ignet.config.base import Section


class WorldConfig(Section):
    """A procedural street world. Every value is our choice; the sensors' geometry follows real ones, see ``preset``."""

    preset: Literal["residential", "avenue", "surround"] = Field(
        "residential",
        description="street, look and sensors of the target: `residential` (narrow bending street with parking and "
        "gardens in low sun; HDL-64E's beam angles, KITTI's camera of 82 degrees), `avenue` (straight city street "
        "of two lanes a direction, tall closed fronts, much traffic on a grey day; HDL-32E's beam angles mounted "
        "higher, a camera of 74 degrees) or `surround` (the avenue's street; HDL-32E's beam angles, six cameras "
        "that look all round, about as nuScenes': image_0 to the front, then clockwise to image_5, five of 70 degrees "
        "and 110 to the back, exposed up to 43 ms before the sweep); one source set for all",
    )
    seed: int = Field(0, ge=0, description="seed of the whole world")
    frames: int = Field(16, ge=1, description="frames in each target sequence")
    source_images: int = Field(120, ge=1, description="images in the source set")
    beams: int = Field(32, ge=4, description="LiDAR beams")
    azimuths: int = Field(900, ge=36, description="LiDAR columns in a full turn")
    image_width: int = Field(512, ge=64, description="pixels: width of all images")
    image_height: int = Field(160, ge=32, description="pixels: height of all images")
    spacing: float = Field(6.0, gt=0, description="metres: what the vehicle drives between two frames")
    scribble_fraction: float = Field(0.08, gt=0, le=1, description="share of a scan's points that its scribbles label")
    scribble_margin: float = Field(
        0.3, ge=0, description="metres: what a scribble keeps from the nearest point of another class"
    )

    def of_source(self) -> dict[str, Any]:
        """What the source images depend on: not the target's street, sensors and scribbles."""
        return self.identity("preset", "frames", "beams", "azimuths", "spacing", "scribble_fraction", "scribble_margin")

    def of_target(self) -> dict[str, Any]:
        """What the target sequences depend on."""
        return self.identity("source_images")
