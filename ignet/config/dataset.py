"""Where the target dataset lies and how it is split."""

from itertools import combinations
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from ignet.config.base import Section, added
from ignet.config.folder import DataFolder, Folder
from ignet.files.names import SETTINGS, in_order, is_name


def _sequence_names(values: Any) -> Any:
    if not isinstance(values, list | tuple):
        return values  # pydantic's own words
    if numbers := [value for value in values if not isinstance(value, str)]:
        raise ValueError(
            f"expected names in quotes, such as ['00', '08']: without them {numbers[0]!r} is no text, for YAML reads "
            "00 as the number 0 and 010 as 8"
        )
    if wrong := [value for value in values if not is_name(value)]:
        raise ValueError(
            f"expected letters, digits, '_', '-' and '.' in '{wrong[0]}', a name that does not end in {SETTINGS}"
        )
    if twice := [value for value in values if values.count(value) > 1]:
        raise ValueError(f"expected each sequence once, and '{twice[0]}' stands there {values.count(twice[0])} times")
    return values


SequenceNames = Annotated[tuple[str, ...], BeforeValidator(_sequence_names)]
"""Names of sequences, each once."""


class DatasetConfig(Section):
    """The target dataset: LiDAR scans, camera images and labels in the SemanticKITTI layout."""

    root: DataFolder | None = Field(
        None,
        description="folder that holds sequences/; null: the embedded world is made; required: to be named on the "
        "command line, else the experiment is refused. Never written to.",
    )
    train_sequences: SequenceNames = Field(("00", "01", "02"), min_length=1, description="sequences to train on")
    val_sequences: SequenceNames = Field(
        ("08",), min_length=1, description="sequences to evaluate on, never trained on"
    )
    test_sequences: SequenceNames = Field(
        (),
        description="sequences that no choice was made on: all runs are evaluated on them too, in a table of its own, "
        "and submission packs one run's predictions; named at the end, they train nothing again",
    )
    hidden_test_labels: bool = added(
        False,
        description="the test sequences have no labels here, as those of a benchmark: they are not evaluated on, only "
        "predicted for submission, and hold scans alone",
    )
    scribbles: Literal["dataset", "simulated"] = Field(
        "dataset",
        description="dataset: sequences/NN/scribbles as published by ScribbleKITTI; simulated: drawn from the dense "
        "labels (our choice, for trees without scribbles)",
    )

    evaluate_on: Literal["labels", "scribbles"] = Field(
        "labels",
        description="what validation and test sequences are evaluated on; labels: dense ones; scribbles: their "
        "sequences/NN/scribbles, where there are no dense labels (our choice; tables say so)",
    )
    require_all_scans: bool = Field(
        False,
        description="the sequences must hold all scans that SemanticKITTI has of them; false: a part of them, or "
        "another dataset",
    )
    labels: Folder = Field(
        "semantickitti",
        description="label set: semantickitti, nuscenes, or the path of a YAML file in semantic-kitti-api's format",
    )
    remission_scale: float = Field(
        1.0,
        gt=0,
        allow_inf_nan=False,
        description="what stands for a remission of 1 in the scans, such as 255 or 65535: networks are given "
        "remissions divided by it",
    )

    cameras: tuple[Annotated[int, Field(ge=0, le=99)], ...] = added(
        (2,),
        min_length=1,
        description="numbers K of the cameras, of folders image_K and lines PK of the calibration; each once, rising",
    )
    missing_images: Literal["refuse", "allow"] = added(
        "refuse",
        description="allow: a frame may lack a camera's image, and then has fewer views; they are counted in the "
        "manifest, the log and the report",
    )
    missing_labels: Literal["refuse", "allow"] = added(
        "refuse",
        description="allow: a scan may lack a label or scribble file, and then has no labels; half of each batch is "
        "drawn from the scans that have some",
    )

    @field_validator("cameras")
    @classmethod
    def _rising(cls, cameras: tuple[int, ...]) -> tuple[int, ...]:
        if list(cameras) != sorted(set(cameras)):
            raise ValueError(f"expected each camera once and in order, such as {sorted(set(cameras))}")
        return cameras

    @model_validator(mode="after")
    def _labels_of_world(self) -> "DatasetConfig":
        if self.root is None and self.labels != "semantickitti":
            raise ValueError(
                f"labels is '{self.labels}', but the embedded world has SemanticKITTI's; set root to your dataset's "
                "folder"
            )
        return self

    @model_validator(mode="after")
    def _held_out_scribbles(self) -> "DatasetConfig":
        if self.evaluate_on == "scribbles" and self.scribbles == "simulated":
            raise ValueError(
                "evaluate_on is scribbles, but scribbles are simulated from dense labels; set evaluate_on to labels, "
                "or scribbles to dataset"
            )
        return self

    @model_validator(mode="after")
    def _disjoint(self) -> "DatasetConfig":
        for first, second in combinations(("train_sequences", "val_sequences", "test_sequences"), 2):
            if both := sorted(set(getattr(self, first)) & set(getattr(self, second))):
                why = (
                    "a network is never evaluated on its training data"
                    if first == "train_sequences"
                    else "what choices were made on is no test"
                )
                raise ValueError(f"sequences {both} are in {first} and in {second}; {why}")
        return self

    def of_check(self) -> dict[str, Any]:
        """What the check of one sequence depends on; where the dataset lies and which other sequences it has is not."""
        return self.identity(
            "root", "train_sequences", "val_sequences", "test_sequences", "hidden_test_labels", "labels"
        )

    @property
    def sequences(self) -> tuple[str, ...]:
        """All sequences that have labels, in natural order."""
        return tuple(in_order([*self.train_sequences, *self.val_sequences, *self.evaluated_test_sequences]))

    @property
    def evaluated_test_sequences(self) -> tuple[str, ...]:
        """The test sequences that have labels."""
        return () if self.hidden_test_labels else self.test_sequences


class ScribbleConfig(Section):
    """Simulated scribbles: lines along objects and surfaces, drawn from the dense labels. All values are our choice."""

    fraction: float = Field(
        0.08, gt=0, le=1, description="share of the points that carry a scribble (ScribbleKITTI reports about 8 %)"
    )
    margin: float = Field(
        0.3, ge=0, description="metres: what a scribble keeps from the nearest point of another class"
    )
    seed: int = Field(0, ge=0, description="seed of the lines")


class SourceConfig(Section):
    """The labelled synthetic images that the 2D network starts from."""

    root: DataFolder | None = Field(
        None,
        description="folder of the dataset; null: the embedded world's source set is made; required: as in dataset. "
        "Never written to.",
    )
    layout: Literal["gtav", "synthia", "cityscapes"] = Field(
        "gtav", description="folders and labels as in GTA-V, Synthia or Cityscapes"
    )
