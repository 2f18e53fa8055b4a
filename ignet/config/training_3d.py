"""Settings of one trained 3D network.

The defaults are the recipe of the reported experiments on two cores, so that an experiment that names no value of its
own trains the method whose figures the documentation gives; docs/recipe-3d.md says how they were chosen.
"""

from typing import Any, Literal

from pydantic import Field, NonNegativeFloat, field_validator, model_validator

from ignet.config.backbones import BackboneConfig, BackboneSettings, MinkUNetConfig
from ignet.config.base import LabelledPercent, Section, added, all_but, section_named, sections_of
from ignet.config.mixing import MixingConfig
from ignet.config.optimizer import OptimizerConfig


class MeanTeacherConfig(Section):
    """The ScribbleKITTI baseline: the teacher's predictions on unlabelled points."""

    weight: float = Field(1.0, ge=0, description="weight of KL(teacher || student) on the unlabelled points; 0: off")
    ema: float = Field(
        0.99, ge=0, lt=1, description="largest decay of the teacher's moving average (ScribbleKITTI: 0.99)"
    )
    ramp: int = Field(0, ge=0, description="steps over which the weight rises linearly from 0 (our choice)")
    batch_norm: Literal["averaged", "own"] = Field(
        "averaged",
        description="the teacher's batch norm statistics; averaged: those of the student, averaged like the weights "
        "(our choice); own: the teacher normalises by its own batches, and keeps their running statistics "
        "(ScribbleKITTI); where no term asks the teacher, averaged",
    )

    loss: Literal["kl", "pseudo_labels"] = Field(
        "kl",
        description="kl: KL(teacher || student) (ScribbleKITTI); pseudo_labels: cross-entropy with the teacher's "
        "likeliest class where it is confident (LaserMix)",
    )
    confidence: float = Field(
        0.9, ge=0, le=1, description="pseudo_labels: probability from which a class counts (LaserMix: 0.9)"
    )
    scans: Literal["mixed", "unmixed"] = Field(
        "mixed",
        description="what the teacher predicts on; mixed: the student's scans; unmixed: the scans that they were mixed "
        "of, of which it sees all points (LaserMix)",
    )

    def unread(self) -> frozenset[str]:
        """The average is always taken; it is what is exported."""
        off = frozenset() if self.weight else frozenset({"ramp", "loss"})
        return off if self.weight and self.loss == "pseudo_labels" else off | {"confidence"}


class ProbeConfig(Section):
    """The classifier for guidance by labels (our choice).

    It is fitted to the stored features of labelled points before the training.
    """

    hidden: int = Field(128, ge=1, description="width of its hidden layer")
    steps: int = Field(300, ge=1, description="steps of its training, on up to 2048 points each")
    scans: int = Field(512, ge=1, description="labelled scans, evenly spaced, whose points it learns from at most")


EVALUATED_PROBE = ProbeConfig(scans=128)
"""Of the evaluation of 2D networks: more scans would take gigabytes of wide features."""


_READ = {
    "classifier_kl": ("standardize", "confidence"),
    "probe_kl": ("confidence", "probe"),  # a probe standardises by itself
    "info_nce": ("standardize", "temperature", "pairs"),
}
"""The settings of image guidance that a loss reads; a distance of features reads ``standardize``."""


class ImageGuidanceConfig(Section):
    """Distillation of stored 2D features."""

    weight: float = Field(0.0, ge=0, description="w_img, of L_img in the total loss (our choice); 0: off")
    loss: Literal["cosine", "smooth_l1", "l2", "info_nce", "classifier_kl", "probe_kl"] = Field(
        "probe_kl",
        description="what L_img is; cosine, smooth_l1, l2: a distance of features; info_nce: a contrast of points and "
        "pixels (PPKT, SLidR); classifier_kl: KL divergence of "
        "what the 2D network's frozen classifier makes of both features; probe_kl: KL divergence of the 3D network's "
        "classes from those that a probe reads from the stored feature (both our choice)",
    )
    standardize: bool = Field(
        False,
        description="bring each channel of the stored features to zero mean and unit variance over the training points "
        "first (our choice)",
    )

    confidence: float = Field(
        0.5,
        ge=0,
        le=1,
        description="probability of the likeliest class by the stored feature, from which a point guides; "
        "classifier_kl and probe_kl only",
    )
    probe: ProbeConfig = ProbeConfig()
    temperature: float = Field(0.07, gt=0, description="tau, by which info_nce divides similarities (SLidR: 0.07)")
    pairs: int = Field(
        2048,
        ge=2,
        description="largest number of points that info_nce compares in a step, drawn at random (our choice)",
    )

    @model_validator(mode="after")
    def _raw_features(self) -> "ImageGuidanceConfig":
        if self.loss == "classifier_kl" and self.standardize:
            raise ValueError(
                "the 2D network's classifier needs its features as they are; set standardize to false for loss "
                "classifier_kl"
            )
        return self

    def unread(self) -> frozenset[str]:
        """What the loss does not read; of a loss that is off all but the weight."""
        if not self.weight:
            return all_but(self, "weight")
        return all_but(self, "weight", "loss", *_READ.get(self.loss, ("standardize",)))


class ContrastiveConfig(Section):
    """One-way supervised contrastive loss from out-of-FOV anchors to in-FOV prototypes."""

    weight: float = Field(0.0, ge=0, description="w_con, of L_con in the total loss (our choice); 0: off")
    direction: Literal["one_way", "two_way"] = Field(
        "one_way",
        description="two_way: the gradient also reaches the in-FOV points that the prototypes stand for (a control)",
    )
    ramp: int | None = Field(
        None,
        ge=0,
        description="steps over which the weight rises linearly from 0; null: half of the training's (our choice)",
    )
    temperature: float = Field(0.1, gt=0, description="tau, by which similarities are divided (our choice)")
    channels: int = Field(32, ge=2, description="width of z (our choice)")
    momentum: float = Field(0.9, ge=0, lt=1, description="of the prototypes' moving average over steps (our choice)")
    confidence: float = Field(
        0.9, ge=0, le=1, description="teacher confidence from which an unlabelled point is an anchor (our choice)"
    )
    anchors: int = Field(4096, ge=1, description="largest number of anchors a step, drawn at random (our choice)")

    def unread(self) -> frozenset[str]:
        """Of a loss that is off all but the weight."""
        return frozenset() if self.weight else all_but(self, "weight")


class AugmentConfig(Section):
    """Random views of a scan.

    ScribbleKITTI's are ``{rotation: 45, scale: 0.05, scale_axes: xy, noise: 0, shift: 0.1}``.
    """

    rotation: float = Field(
        20.0,
        ge=0,
        le=180,
        description="degrees: largest rotation about z (ScribbleKITTI: 45; a network that need not learn every "
        "direction of driving gets farther in few steps)",
    )
    flip: bool = Field(True, description="mirror x and y, each with probability 1/2 (ScribbleKITTI: true)")
    scale: float = Field(
        0.05, ge=0, lt=1, description="largest relative change of scale, student only (ScribbleKITTI: 0.05)"
    )
    scale_axes: Literal["xyz", "xy"] = Field("xyz", description="the coordinates that are scaled (ScribbleKITTI: xy)")
    noise: float = Field(
        0.02,
        ge=0,
        description="metres: standard deviation of the noise on each coordinate of each point, student only "
        "(our choice; ScribbleKITTI: 0)",
    )
    shift: float = added(
        0.0,
        ge=0,
        description="metres: standard deviation, along each axis, of one shift of the whole scan, student only "
        "(ScribbleKITTI: 0.1)",
    )


class Train3DConfig(OptimizerConfig):
    """One 3D training: backbone x supervision x losses."""

    supervision: Literal["scribbles", "dense", "pseudo"] = Field(
        "scribbles",
        description="the labels that the training sees; pseudo: scribbles and the predictions of another run",
    )
    labelled_frames: LabelledPercent | None = Field(
        None,
        description="per cent of the training scans that have labels (the published lists, else a like draw); the "
        "others train the losses that need none; null: all have labels",
    )
    cameras: tuple[int, ...] | None = added(
        None,
        min_length=1,
        description="some of dataset.cameras, whose views alone this run learns from; null: all (a control: does "
        "seeing all round help?)",
    )
    pseudo_labels_of: str | None = Field(None, description="run whose predictions are the pseudo-labels, seed by seed")
    features: str = Field(
        "adapted", description="the 2D network whose features guide: a key of adaptations or teachers, or 'source'"
    )
    backbone: BackboneConfig = MinkUNetConfig()
    steps: int = Field(400, ge=1, description="training steps")
    batch: int = Field(1, ge=1, description="scans a step")
    learning_rate: float = Field(1e-2, gt=0, description="largest learning rate of AdamW (one cycle, cosine)")
    weight_decay: float = Field(1e-3, ge=0, description="of AdamW (our choice)")
    decay_norms_and_biases: bool = Field(
        True, description="weight decay on normalisation layers and biases, too; false: on all other weights alone"
    )
    gradient_clip: float | None = Field(
        10.0, gt=0, description="largest norm of the whole gradient (our choice); null: gradients are not clipped"
    )
    warmup_steps: int | None = Field(
        None, ge=0, description="steps of linear warm-up from a tenth of the learning rate; null: a tenth of the steps"
    )
    schedule: Literal["one_cycle", "constant"] = Field(
        "one_cycle",
        description="learning rate after the warm-up; one_cycle: half a cosine down to a thousandth; constant: it "
        "stays (ScribbleKITTI: constant, no warm-up)",
    )
    lovasz_weight: float = Field(1.0, ge=0, description="weight of Lovász-softmax on labelled points")
    normalisation: Literal["own", "all"] = Field(
        "own",
        description="what cross-entropy and mean-teacher KL are divided by; own: the number of points that each sums "
        "over, so that they are two means; all: the number of all points of the batch, with or without a label "
        "(ScribbleKITTI: all, batches of one scan)",
    )
    terms: dict[str, NonNegativeFloat] = added(
        {},
        description="further terms of the objective, by their names in `ignet/train/terms` -> weight; {}: none",
    )
    mean_teacher: MeanTeacherConfig = MeanTeacherConfig()
    image_guidance: ImageGuidanceConfig = ImageGuidanceConfig()
    contrastive: ContrastiveConfig = ContrastiveConfig()
    mixing: MixingConfig = MixingConfig()
    augment: AugmentConfig = AugmentConfig()

    @field_validator("backbone", mode="before")
    @classmethod
    def _named(cls, values: Any) -> Any:
        if isinstance(values, BackboneSettings):
            return values
        if not isinstance(values, dict):
            raise ValueError("expected a mapping")
        networks = sections_of(cls.model_fields["backbone"])
        network = section_named(networks, values)
        if network is None:
            known = " or ".join(each.model_fields["name"].default for each in networks)
            raise ValueError(f"no network has this name; expected {known}")
        # a file that overrides another one cannot delete a key that its own network lacks, but it can set it to null
        own = {key: value for key, value in values.items() if value is not None or key in network.model_fields}
        return network.model_validate(own)

    @model_validator(mode="after")
    def _pseudo(self) -> "Train3DConfig":
        if (self.supervision == "pseudo") != (self.pseudo_labels_of is not None):
            raise ValueError("supervision 'pseudo' and pseudo_labels_of belong together; give both or neither")
        if self.supervision == "pseudo" and self.labelled_frames:
            raise ValueError(
                f"labelled_frames is {self.labelled_frames}, but pseudo-labels join the scribbles of all scans; take "
                "supervision 'dense' or 'scribbles', or leave labelled_frames out"
            )
        return self

    def unread(self) -> frozenset[str]:
        """The 2D network that guides: its name chooses files, and these count."""
        return frozenset({"features"})
