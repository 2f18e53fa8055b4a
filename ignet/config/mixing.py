"""Settings of the mixing of scans."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ignet.config.base import Section, added, all_but


class StrategyConfig(Section):
    """What every mixing strategy has."""

    probability: float = Field(0.0, ge=0, le=1, description="share of the training samples that it mixes; 0: off")

    def unread(self) -> frozenset[str]:
        """Of mixing that is off all but the probability."""
        return frozenset() if self.probability else all_but(self, "probability")


class FOVMixConfig(StrategyConfig):
    """Mixing of camera sectors between scans."""

    frusta: int = Field(
        1, ge=1, le=8, description="camera sectors a mixed sample; more than one are rotated round the circle"
    )
    sector: Literal["camera", "random"] = Field(
        "camera",
        description="random: sectors as wide as the camera's in a random direction (plain scan mixing, a control)",
    )
    cameras: Literal["one", "all"] = added(
        "one",
        description="of a rig with several cameras the sector of one, drawn for each sample, or those of all together, "
        "which must not go all round (our choice)",
    )


class LaserMixConfig(StrategyConfig):
    """Bands of laser inclination of two scans in turns."""

    bands: tuple[Annotated[int, Field(ge=2)], Annotated[int, Field(ge=2)]] = Field(
        (4, 6),
        description="smallest and largest number of bands of equal angle, drawn for each sample (LaserMix: 4 to 6)",
    )
    inclination: tuple[float, float] = Field(
        (-25.0, 3.0),
        description="degrees: lowest and highest inclination that the bands divide; points beyond are in the outermost "
        "bands (LaserMix: -25 3, of an HDL-64E)",
    )

    partner: Literal["any", "other_kind"] = Field(
        "any",
        description="other_kind: where some scans have labels and others none, one of each is mixed (LaserMix, "
        "semi-supervised); any: any other scan",
    )

    @model_validator(mode="after")
    def _rising(self) -> "LaserMixConfig":
        low, high = self.inclination
        if self.bands[0] > self.bands[1] or not -90 <= low < high <= 90:
            raise ValueError(
                f"bands are {self.bands} and inclination is {self.inclination}; expected the smaller number first, and "
                "within -90..90"
            )
        return self


class ObjectsConfig(StrategyConfig):
    """What every strategy has that picks objects by their class."""

    classes: tuple[str, ...] = Field(
        ("car", "bicycle", "motorcycle", "truck", "other-vehicle", "person", "bicyclist", "motorcyclist"),
        min_length=1,
        description="classes whose labelled points are added, by their names in the label set (PolarMix: these)",
    )


class InstancePasteConfig(ObjectsConfig):
    """Objects of other scans, turned about the sensor and added."""

    scans: int = Field(1, ge=1, le=8, description="scans whose objects are added, each at a random angle (our choice)")


class PolarMixConfig(ObjectsConfig):
    """Half of the circle of another scan, and copies of its objects, turned about the sensor."""

    swap_probability: float = Field(
        0.5,
        ge=0,
        le=1,
        description="share of the mixed samples with half of the circle of another scan (PolarMix: 0.5)",
    )
    paste_probability: float = Field(
        1.0,
        ge=0,
        le=1,
        description="share of the mixed samples with copies of its objects (PolarMix: 1); of a scribbled object only "
        "the scribble is copied, which cost mIoU (docs/recipe-3d.md)",
    )
    copies: int = Field(3, ge=1, description="copies of the objects, the first of which is not turned (PolarMix: 3)")


class MixingConfig(Section):
    """Mixing of scans: the strategies of `ignet/data/lidar/mixing`, of which at most one mixes a sample."""

    fovmix: FOVMixConfig = FOVMixConfig()
    lasermix: LaserMixConfig = added(LaserMixConfig())
    polarmix: PolarMixConfig = added(PolarMixConfig())
    instance_paste: InstancePasteConfig = added(InstancePasteConfig())

    @model_validator(mode="after")
    def _shares(self) -> "MixingConfig":
        shares = {name: share for name in type(self).model_fields if (share := getattr(self, name).probability)}
        if (total := sum(shares.values())) > 1 + 1e-9:
            text = ", ".join(f"{name} {share:g}" for name, share in shares.items())
            raise ValueError(f"the probabilities sum to {total:g} ({text}), expected at most 1; lower one")
        return self
