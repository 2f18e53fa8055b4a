"""What a term of the 3D objective is: its weight, what it needs, and the scalar that it makes of one step."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from ignet.config.training_3d import Train3DConfig
    from ignet.data.features.pca import Classifier
    from ignet.data.lidar.batches import Batch
    from ignet.train.distributed import Ranks


class Need(StrEnum):
    """What a term asks for beside scans and labels."""

    TEACHER = "predictions of the EMA teacher on its own view of the scans"
    FEATURES = "stored 2D features"
    CAMERA = "which points the camera sees"
    UNLABELLED = "scans without any label"


class StoredFeatures(Protocol):
    """What a term may ask of the feature store; a `LidarDataset` gives it."""

    channels: int
    classifier: "Classifier | None"

    def labelled_features(self, most: int) -> "tuple[NDArray, NDArray]":
        """Features (n, D) and labels (n,) of points that have both, of at most ``most`` scans."""
        ...


@dataclass(frozen=True)
class Forward:
    """One step, as the terms see it; N points.

    Attributes:
        step: 0-based number of the step.
        seed: of the training.
        batch: labels, camera view and stored features of the points.
        logits: float32 (N, C), the student's, with gradient.
        points: float (N, D), the student's last point features, with gradient.
        teacher_logits: float32 (N, C), without gradient; None where no term needs the teacher.
        teacher_points: float (N, D), likewise.
        head: the term's head on the student's point features, and its moving average in the teacher.
        module: the term's `Term.module`.
        ranks: the processes that share the batch.
    """

    step: int
    seed: int
    batch: "Batch"
    logits: "Tensor"
    points: "Tensor"
    teacher_logits: "Tensor | None"
    teacher_points: "Tensor | None"
    head: "tuple[nn.Module, nn.Module] | None"
    module: Any
    ranks: "Ranks"

    @property
    def unlabelled(self) -> "Tensor":
        """bool (N,), the points without a label."""
        from ignet.data.label_sets.label_set import IGNORE

        return self.batch.labels == IGNORE


class Term:
    """One term of the objective; a subclass names itself, declares its needs, and gives a scalar.

    Modules of terms import torch inside their methods alone: the workflow reads the needs, and would wait for torch.

    Attributes:
        name: in the curves, and in ``train_3d.terms``.
        needs: decides what is loaded, whether the teacher predicts, and which scans are drawn.
        section: key of ``train_3d`` that is the term's weight, or its section with the weight and, where it has one,
            the ramp-up; ``terms`` holds weights by the terms' names.
        weight: in the sum; 0: the term is off, and needs nothing.
        ramp: steps over which the weight rises linearly from 0.
    """

    name: ClassVar[str]
    needs: ClassVar[frozenset[Need]] = frozenset()
    section: ClassVar[str] = "terms"

    def __init__(self, settings: "Train3DConfig") -> None:
        self.settings = settings
        own = getattr(settings, self.section)
        self.weight: float = own.get(self.name, 0.0) if isinstance(own, dict) else getattr(own, "weight", own)
        self.ramp: int = getattr(own, "ramp", 0) if self.weight else 0

    def head(self, inputs: int, stored: StoredFeatures | None) -> "nn.Module | None":
        """A head on point features of ``inputs`` channels, trained with the student; none by default."""
        return None

    def module(self, stored: StoredFeatures | None, seed: int, classes: int) -> "nn.Module | None":
        """What the term keeps between steps without a gradient, saved with the state; none by default."""
        return None

    def __call__(self, forward: Forward) -> "Tensor":
        """The unweighted scalar of one step, of the points of all processes."""
        raise NotImplementedError
