"""Settings of the 3D networks: one class each, told apart by ``name``."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt, model_validator

from ignet.config.base import Section, added


class LocalContextConfig(Section):
    """Pyramid local semantic context: histograms of the labels around a point as input features (ScribbleKITTI)."""

    levels: tuple[tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]], ...] = Field(
        ((20, 40), (10, 20), (5, 10)),
        min_length=1,
        max_length=8,
        description="number of rings and of sectors of each level; the first is the finest, and multiples of all "
        "others (ScribbleKITTI: 20 40, 10 20, 5 10)",
    )
    radius: float = Field(
        50.0, gt=0, description="metres: inner edge of what lies beyond the last ring (ScribbleKITTI: 50)"
    )
    dropout: float = Field(
        0.5,
        ge=0,
        le=1,
        description="share of the training samples without it, so that the network can predict from the scan alone "
        "(our choice; ScribbleKITTI: 0, for a network that labels training scans only)",
    )

    @model_validator(mode="after")
    def _nested(self) -> "LocalContextConfig":
        finest = self.levels[0]
        if any(finest[0] % rings or finest[1] % sectors for rings, sectors in self.levels):
            raise ValueError(
                f"levels are {self.levels}; the numbers of the first must be multiples of those of all others"
            )
        return self


GridCells = Annotated[int, Field(ge=2, le=2**16)]


class BackboneSettings(Section):
    """What every 3D network has; ``name`` is its key in `ignet.models.backbones.registry`."""

    name: str
    engine: Literal["auto", "torch", "minkowski"] = Field("auto", description="sparse engine; auto: torch")
    local_context: LocalContextConfig | None = added(
        None, description="labels around each point as input, for a run that others take pseudo-labels of; null: off"
    )


class VoxelUNetConfig(BackboneSettings):
    """Shape of a UNet over voxels."""

    voxel: float = Field(0.3, gt=0, description="metres: side of a voxel (SPVNAS, and ScribbleKITTI after it: 0.05)")
    stem: int = Field(16, ge=1, description="channels of the stem")
    encoder: tuple[int, int, int, int] = Field(
        (16, 32, 48, 64), description="channels of the four encoder stages (published: 32 64 128 256)"
    )
    decoder: tuple[int, int, int, int] = Field(
        (48, 32, 32, 32), description="channels of the four decoder stages (published: 256 128 96 96)"
    )
    blocks: int = Field(1, ge=1, description="residual blocks in each stage (published: 2)")


class MinkUNetConfig(VoxelUNetConfig):
    """MinkUNet's shape.

    The defaults are a network for the embedded world; the values of the published one stand in brackets.
    """

    name: Literal["minkunet"] = Field("minkunet", description="the 3D network (ScribbleKITTI's MinkowskiNet)")


class SPVCNNConfig(VoxelUNetConfig):
    """SPVCNN's shape: a MinkUNet with a branch of points (SPVNAS).

    The defaults are a network for the embedded world; the values of the published one stand in brackets.
    """

    name: Literal["spvcnn"] = Field("spvcnn", description="the 3D network")
    dropout: float = Field(
        0.3, ge=0, lt=1, description="of the features that return from the points to voxels (published: 0.3)"
    )


class Cylinder3DConfig(BackboneSettings):
    """Cylinder3D's shape.

    The defaults are a network for the embedded world; the values of the published one stand in brackets.
    """

    name: Literal["cylinder3d"] = Field("cylinder3d", description="the 3D network")
    variant: Literal["as_published", "as_drawn"] = Field(
        "as_published",
        description="as_published: the kernels that the published code runs, with which its figures were reached; "
        "as_drawn: those that it asks spconv 1 for, the ones of the paper's drawing",
    )
    grid: tuple[GridCells, GridCells, GridCells] = Field(
        (240, 180, 16), description="cells along rho, phi and z (published: 480 360 32)"
    )
    radius: float = Field(50.0, gt=0, description="metres: where the cells along rho end (published: 50)")
    height: tuple[float, float] = Field(
        (-4.0, 2.0), description="metres: z where the cells begin and where they end (published: -4 2)"
    )
    points: tuple[PositiveInt, ...] = Field(
        (16, 32, 64), min_length=1, description="channels of the layers on each point (published: 64 128 256)"
    )
    cell_features: int = Field(16, ge=1, description="channels of a cell before the first convolution (published: 16)")
    width: int = Field(
        8, ge=1, description="channels of the first block; each of the four stages doubles them (published: 32)"
    )

    @model_validator(mode="after")
    def _rises(self) -> "Cylinder3DConfig":
        if self.height[0] >= self.height[1]:
            raise ValueError(f"height is {self.height}; the first value must be below the second")
        return self


BackboneConfig = MinkUNetConfig | SPVCNNConfig | Cylinder3DConfig
"""The settings of any backbone, told apart by ``name``; the first one is meant where there is no name."""
