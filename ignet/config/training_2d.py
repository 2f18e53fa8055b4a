"""Settings of the 2D stages: source pretraining, adaptation, feature extraction, evaluation.

The defaults are the recipe of the reported experiments on two cores, but for what longer trainings and larger images
ask for; docs/recipe-2d.md compares them with the published values.
"""

from typing import Any, Literal

from pydantic import Field, model_validator

from ignet.config.base import LabelledPercent, Section, added
from ignet.config.optimizer import OptimizerConfig

ATTENTION_HEADS = (1, 2, 5, 8)
"""Attention heads of SegFormer's four stages, the same in MiT-B0 to B5."""


MIT_SHAPES = {
    "b0": ((32, 64, 160, 256), (2, 2, 2, 2), 256),
    "b1": ((64, 128, 320, 512), (2, 2, 2, 2), 256),
    "b2": ((64, 128, 320, 512), (3, 4, 6, 3), 768),
    "b3": ((64, 128, 320, 512), (3, 4, 18, 3), 768),
    "b4": ((64, 128, 320, 512), (3, 8, 27, 3), 768),
    "b5": ((64, 128, 320, 512), (3, 6, 40, 3), 768),
}
"""hidden_sizes, depths and decoder_channels of SegFormer with MiT-B0 to B5 (Xie et al., NeurIPS 2021)."""


class SegformerConfig(Section):
    """SegFormer's shape. The defaults are a network for the embedded world; ``mit`` takes those of MiT-B0 to B5."""

    weights: str = Field(
        "random",
        description="random, or a local folder or hub id of a transformers SegFormer with safetensors (encoder or "
        "whole network); a "
        "checkpoint brings its own shape, and hidden_sizes, depths and decoder_channels are then not used",
    )
    hidden_sizes: tuple[int, int, int, int] = Field(
        (32, 64, 80, 128),
        description="channels of the four encoder stages; multiples of 1, 2, 5 and 8 (MiT-B0: 32 64 160 256)",
    )
    depths: tuple[int, int, int, int] = Field(
        (1, 1, 1, 1), description="transformer blocks of the four encoder stages (MiT-B0: 2 2 2 2)"
    )
    decoder_channels: int = Field(
        64, ge=4, description="channels of the decoder, which are the features that the 3D network learns from"
    )
    mit: Literal["b0", "b1", "b2", "b3", "b4", "b5"] | None = added(
        None,
        description="hidden_sizes, depths and decoder_channels of this published SegFormer; null: as these keys say",
    )
    dropout: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="probability, before the classifier, in training (SegFormer: 0.1; off for short trainings)",
    )
    drop_path: float = Field(
        0.0, ge=0, lt=1, description="probability of stochastic depth in the last block, in training (SegFormer: 0.1)"
    )

    def unread(self) -> frozenset[str]:
        """A checkpoint brings its own shape; `mit` stands for the three keys that it sets."""
        return frozenset({"mit"} if self.weights == "random" else {"hidden_sizes", "depths", "decoder_channels", "mit"})

    @model_validator(mode="before")
    @classmethod
    def _published(cls, values: Any) -> Any:
        if not isinstance(values, dict) or values.get("mit") not in MIT_SHAPES:
            return values
        shape = dict(zip(("hidden_sizes", "depths", "decoder_channels"), MIT_SHAPES[values["mit"]], strict=True))
        for key, expected in shape.items():
            found = values.get(key, expected)
            if found != expected and (not isinstance(found, list) or tuple(found) != expected):
                raise ValueError(
                    f"mit is {values['mit']}, whose {key} are {expected}, but {key} is {found}; leave one of "
                    "the two out"
                )
        return {**values, **shape}

    @model_validator(mode="after")
    def _heads(self) -> "SegformerConfig":
        if any(size < 1 or size % heads for size, heads in zip(self.hidden_sizes, ATTENTION_HEADS, strict=True)):
            raise ValueError(
                f"hidden_sizes are {self.hidden_sizes}; they must be multiples of the stages' attention heads "
                f"{ATTENTION_HEADS}"
            )
        return self


class ImageConfig(Section):
    """Training images: crops and colours, the same for pretraining and adaptation."""

    crop: tuple[int, int] = Field(
        (96, 192), description="pixels: height and width of the training crops (DAFormer: 512 512)"
    )
    source_scale: float = Field(
        1.0, gt=0, description="factor by which source images are resized first (DAFormer, GTA-V: 1280/1914)"
    )
    source_scale_range: tuple[float, float] = added(
        (1.0, 1.0),
        description="limits of a random further factor on the size of source images, log-uniform (multi-scale; our "
        "choice); 1 1: off",
    )
    jitter: float = Field(
        0.0,
        ge=0,
        le=1,
        description="largest relative change of brightness, contrast, saturation of source images; our choice",
    )
    rare_class_temperature: float = Field(0.1, gt=0, description="T in P(c) ~ exp((1 - f_c) / T) (DAFormer: 0.01)")

    @model_validator(mode="after")
    def _rising(self) -> "ImageConfig":
        if not 0 < self.source_scale_range[0] <= self.source_scale_range[1]:
            raise ValueError(f"source_scale_range is {self.source_scale_range}; the factors must be above 0 and rise")
        return self


class FeatureDistanceConfig(Section):
    """DAFormer's feature distance: the encoder stays near an ImageNet encoder where a source image shows things."""

    weight: float = Field(0.0, ge=0, description="of the mean distance (DAFormer: 0.005); 0: off")
    weights: str = Field(
        "",
        description="local folder or hub id of the ImageNet encoder of the same shape (a transformers SegFormer with "
        "safetensors)",
    )
    share: float = Field(
        0.75,
        gt=0.5,
        le=1,
        description="share of a cell of 32 pixels that one thing class must fill for the cell to count "
        "(DAFormer: 0.75)",
    )

    def unread(self) -> frozenset[str]:
        """Of a term that is off all but the weight."""
        return frozenset() if self.weight else frozenset({"weights", "share"})

    @model_validator(mode="after")
    def _named(self) -> "FeatureDistanceConfig":
        if self.weight and not self.weights:
            raise ValueError(
                "feature_distance.weight is above 0, but feature_distance.weights names no ImageNet encoder; give "
                "a folder"
            )
        return self


class MaskConfig(Section):
    """Masked image consistency (MIC, Hoyer et al., CVPR 2023).

    The student predicts the teacher's labels of a target image from a masked copy.
    """

    weight: float = Field(0.0, ge=0, description="of the cross-entropy on the masked image (MIC: 1); 0: off")
    ratio: float = Field(0.7, gt=0, lt=1, description="share of the blocks that are hidden (MIC: 0.7)")
    block: int = Field(
        64,
        ge=1,
        description="pixels: side of the blocks (MIC: 64; a quarter of the crop's height is nearer to that here)",
    )

    def unread(self) -> frozenset[str]:
        """Of a term that is off all but the weight."""
        return frozenset() if self.weight else frozenset({"ratio", "block"})


class OptimizerConfig2D(OptimizerConfig):
    """AdamW with linear warm-up and polynomial decay (power 1)."""

    learning_rate: float = Field(
        1e-3, gt=0, description="of the encoder, after the warm-up (DAFormer: 6e-5, with ImageNet weights)"
    )
    head_learning_rate_factor: float = Field(
        1.0, gt=0, description="the decoder's learning rate over the encoder's (DAFormer: 10)"
    )
    weight_decay: float = Field(0.01, ge=0, description="of AdamW (DAFormer: 0.01)")
    warmup_steps: int = Field(30, ge=0, description="steps of linear warm-up (DAFormer: 1500)")


class Pretrain2DConfig(ImageConfig, OptimizerConfig2D):
    """Source pretraining: cross-entropy with rare-class sampling."""

    seed: int = Field(0, ge=0, description="seed of the network and of the sampling")
    network: SegformerConfig = SegformerConfig()
    steps: int = Field(1200, ge=1, description="training steps")
    batch: int = Field(1, ge=1, description="images a step (DAFormer: 2)")
    feature_distance: FeatureDistanceConfig = FeatureDistanceConfig()


class Adapt2DConfig(ImageConfig, OptimizerConfig2D):
    """Adaptation to the target camera: mean teacher, ClassMix, projected scribbles."""

    seed: int = Field(0, ge=0, description="seed of the sampling and of the mixing")
    learning_rate: float = Field(
        4e-3, gt=0, description="of the encoder, after the warm-up (DAFormer: 6e-5, with ImageNet weights)"
    )
    steps: int = Field(500, ge=1, description="training steps (DAFormer: 40000)")
    crop: tuple[int, int] = Field(
        (128, 256), description="pixels: height and width of the training crops (DAFormer: 512 512)"
    )
    batch: int = Field(1, ge=1, description="source images and target images a step, each (DAFormer: 2)")
    ema: float = Field(0.99, ge=0, lt=1, description="largest decay of the teacher's moving average (DAFormer: 0.999)")
    confidence: float = Field(
        0.968, ge=0, le=1, description="teacher confidence from which a pixel counts in the weight q (DAFormer: 0.968)"
    )
    initial_weights: Literal["pretrained", "random"] = Field(
        "pretrained",
        description="weights to start from: those of pretrain_2d, or random ones in its shape, for controls (what "
        "does pretraining give?)",
    )
    supervision: Literal["none", "scribbles", "dense"] = Field(
        "scribbles",
        description="none: unsupervised adaptation; scribbles: projected scribbles (the method); dense: projected "
        "dense labels, a ceiling that the method may not use",
    )
    cameras: tuple[int, ...] | None = added(
        None,
        min_length=1,
        description="some of dataset.cameras, whose images alone are adapted to; null: all",
    )
    labelled_frames: LabelledPercent | None = Field(
        None,
        description="per cent of the training frames whose labels may be used, as in train_3d; half of the target "
        "images are then labelled ones (our choice); null: all frames have labels",
    )
    source_weight: float = Field(1.0, ge=0, description="weight of the source cross-entropy")
    mix_weight: float = Field(1.0, ge=0, description="weight of the cross-entropy on the mixed image")
    scribble_weight: float = Field(
        1.0, ge=0, description="weight of the cross-entropy at the projected labels (our choice)"
    )
    class_weight_power: float = Field(
        0.5,
        ge=0,
        le=1,
        description="e: the cross-entropies weigh class c by f_c^-e, where f_c is its share of the projected labels, "
        "with the mean 1 over them; 0: all alike, as in DAFormer (our choice)",
    )
    class_weight_domain: Literal["target", "each"] = Field(
        "target",
        description="whose f_c: target: that of the projected labels, for all pixels; each: source pixels are "
        "weighed by the source's shares, target pixels by the projected labels'. Take each where labelled frames are "
        "few: a class of one label would weigh source pixels fifty-fold (our choice)",
    )
    target_rare_class_temperature: float | None = Field(
        0.1,
        gt=0,
        description="T by which target images are chosen for a class of their labels, as rare_class_temperature for "
        "the source; every second crop is then placed over a label of it; null: images and crops at random, as in "
        "DAFormer (our choice)",
    )
    mix_jitter: float = Field(
        0.2,
        ge=0,
        le=1,
        description="as jitter, on mixed images, with probability 0.8; hue a quarter of it (DAFormer: 0.2)",
    )
    mix_blur: float = Field(
        1.15,
        ge=0,
        description="pixels: largest sigma of the blur of mixed images, with probability 0.5 (DAFormer: 1.15)",
    )

    feature_distance: FeatureDistanceConfig = FeatureDistanceConfig()
    masked: MaskConfig = MaskConfig()

    @model_validator(mode="after")
    def _labels(self) -> "Adapt2DConfig":
        if self.supervision == "none" and self.labelled_frames:
            raise ValueError(
                f"labelled_frames is {self.labelled_frames}, but supervision 'none' uses no label; leave "
                "labelled_frames out"
            )
        return self

    def unread(self) -> frozenset[str]:
        """Without labels, what weighs them."""
        of_labels = frozenset(
            {"scribble_weight", "class_weight_power", "class_weight_domain", "target_rare_class_temperature"}
        )
        return of_labels if self.supervision == "none" else frozenset()


class FeatureConfig(Section):
    """The feature store."""

    dtype: Literal["int8", "float16", "float32"] = Field(
        "int8", description="number format; int8 has one float32 scale per channel"
    )
    calibration_frames: int = Field(8, ge=1, description="frames, evenly spaced, from which the int8 scales are read")
    channels: int | None = added(
        None,
        ge=20,
        description="channels to keep, by principal components (our choice); 20 of them keep the mean and what the "
        "2D network's 19 classes depend on, so fewer cannot do; null: all, as they are",
    )
    pca_frames: int = Field(
        64,
        ge=1,
        description="frames, evenly spaced over the training sequences, from which the components are fitted; with "
        "channels only",
    )

    def unread(self) -> frozenset[str]:
        """Only int8 has scales, and only fewer channels take a PCA."""
        scales = set() if self.dtype == "int8" else {"calibration_frames"}
        pca = {"pca_frames"} if self.channels is None else set()
        return frozenset(scales | pca)

    def store_identity(self) -> dict[str, Any]:
        """What the store itself depends on; the PCA is a result of its own."""
        return self.identity("pca_frames")

    def pca_identity(self) -> dict[str, Any]:
        """What the PCA depends on."""
        return self.identity("dtype", "calibration_frames")


class Evaluate2DConfig(Section):
    """Evaluation of a 2D network on the target images of the validation sequences."""

    images: int = Field(2, ge=0, description="frames of each validation sequence drawn as a figure")
    probe: bool = added(
        False,
        description="fit a probe of LiDAR classes to the features of every 2D network at the projected scribbles of "
        "the training images, and evaluate it on the validation images; false: of frozen teachers alone, which name no "
        "classes of their own (our choice)",
    )
