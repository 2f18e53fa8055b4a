"""What each job does, in countable units, and what it leaves on disk. Pure: settings and facts in, numbers out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ignet.config.experiment import ExperimentConfig
from ignet.config.training_2d import Adapt2DConfig, ImageConfig, Pretrain2DConfig, SegformerConfig
from ignet.config.training_3d import Train3DConfig
from ignet.train.needs import needs_teacher
from ignet.workflow.facts import Facts
from ignet.workflow.jobs import Job
from ignet.workflow.sizes import Shares, minkunet_parameters, minkunet_work, segformer_parameters, segformer_work

BACKWARD = 3
"""A training pass over a forward pass: the gradients of the activations and of the weights take about one forward pass
each."""

HOLD_OUT_EVERY = 10
"""As in the stage pretrain_2d: every tenth source image is segmented at the end."""

_FEATURE_BYTES = {"int8": 1, "float16": 2, "float32": 4}
_CORRESPONDENCE_BYTES, _INDEX_BYTES, _LABEL_BYTES, _SCAN_BYTES = 13, 4, 4, 16
_CURVE_BYTES = 300  # a step: curves.csv and TensorBoard, as measured on the embedded world
_IMAGE_BYTES = 1.3  # a pixel: PNGs of the embedded world, as measured
_STATE_COPIES = 2 * 4  # two checkpoints of student, teacher and two moments of the optimiser

DISK_KINDS = (
    "world",
    "scribbles",
    "projection",
    "features",
    "pseudo-labels",
    "predictions",
    "weights",
    "curves",
    "training state",
)
"""Kinds of artifacts; the last is removed when its training ends."""


@dataclass(frozen=True)
class Work:
    """Equal units of one kind of work.

    Attributes:
        stage: a stage of the table of throughputs.
        units: how many.
        load: the size of one unit: multiply-adds for a network, pixels or points for all else; only ratios count.
        engine: the sparse engine that is asked for, '' where there is none.
    """

    stage: str
    units: float
    load: float
    engine: str = ""


def crop_pixels(settings: ImageConfig) -> int:
    """Pixels of a training crop."""
    return settings.crop[0] * settings.crop[1]


def pretrain_load(settings: Pretrain2DConfig) -> float:
    """Multiply-adds of one step of source pretraining."""
    return settings.batch * BACKWARD * segformer_work(settings.network, crop_pixels(settings))


def adapt_load(settings: Adapt2DConfig, network: SegformerConfig) -> float:
    """Multiply-adds of a step of adaptation: source, mixed and target image of a sample, teacher on the target."""
    return settings.batch * (3 * BACKWARD + 1) * segformer_work(network, crop_pixels(settings))


def train_3d_load(settings: Train3DConfig, points: float, voxels: Shares) -> float:
    """Multiply-adds of one step of a 3D training; the teacher takes one forward pass where a loss asks for it."""
    return settings.batch * (BACKWARD + needs_teacher(settings)) * minkunet_work(settings.backbone, points, voxels)


class Workload:
    """What the jobs of an experiment do; each method is named as its rule."""

    def __init__(self, experiment: ExperimentConfig, facts: Facts) -> None:
        self.experiment, self.facts = experiment, facts
        self.network = experiment.pretrain_2d.network

    def of(self, job: Job) -> tuple[Work, ...]:
        """The work of one job."""
        rule: Callable[[Job], Sequence[Work]] = getattr(self, job.rule)
        return tuple(rule(job))

    def world_source(self, job: Job) -> list[Work]:
        return [Work("world_source", self.facts.source_images, self.facts.source_pixels)]

    def world_target(self, job: Job) -> list[Work]:
        return [self._scans("world_target", job)]

    def dataset_check(self, job: Job) -> list[Work]:
        return [self._scans("dataset_check", job)]

    def dataset_manifest(self, job: Job) -> list[Work]:
        return [Work("dataset_manifest", 1, 1)]

    def scribbles(self, job: Job) -> list[Work]:
        return [self._scans("scribbles", job)]

    def projection(self, job: Job) -> list[Work]:
        return [self._scans("projection", job)]

    def figures_projection(self, job: Job) -> list[Work]:
        return [Work("figures_projection", 1, 1)]

    def pretrain_2d(self, job: Job) -> list[Work]:
        settings = self.experiment.pretrain_2d
        held_out = -(-self.facts.source_images // HOLD_OUT_EVERY)
        whole = segformer_work(self.network, self.facts.source_pixels)
        return [
            Work("pretrain_2d", settings.steps, pretrain_load(settings)),
            self._source_labels(),
            Work("evaluate_2d", held_out, whole),
        ]

    def adapt_2d(self, job: Job) -> list[Work]:
        settings = self.experiment.adaptation(job.network)
        return [Work("adapt_2d", settings.steps, adapt_load(settings, self.network)), self._source_labels()]

    def evaluate_2d(self, job: Job) -> list[Work]:
        return [self._images("evaluate_2d", self.facts.count(self.experiment.dataset.val_sequences))]

    def features_pca(self, job: Job) -> list[Work]:
        frames = self.facts.count(self.experiment.dataset.train_sequences)
        return [self._images("features", min(self.experiment.features.basis_frames, frames))]

    def features(self, job: Job) -> list[Work]:
        return [self._images("features", self.facts.frames[job.sequence])]

    def train_3d(self, job: Job) -> list[Work]:
        settings = self.experiment.run(job.run)
        load = train_3d_load(settings, self.facts.points, self.facts.voxels)
        return [Work("train_3d", settings.steps, load, settings.backbone.engine)]

    def pseudo_label(self, job: Job) -> list[Work]:
        return [self._predicted(job, self.facts.count(self.experiment.dataset.train_sequences))]

    def predict(self, job: Job) -> list[Work]:
        return [self._predicted(job, self.facts.frames[job.sequence])]

    def evaluate(self, job: Job) -> list[Work]:
        return [Work("evaluate", self.facts.count(self.experiment.dataset.val_sequences), self.facts.points)]

    def compare(self, job: Job) -> list[Work]:
        return [Work("compare", 1, 1)]

    def figures_data(self, job: Job) -> list[Work]:
        return [Work("figures_data", 1, 1)]

    def figures_predictions(self, job: Job) -> list[Work]:
        return [Work("figures_predictions", 1, 1)]

    def report(self, job: Job) -> list[Work]:
        return [Work("report", 1, 1)]

    def disk(self, job: Job) -> dict[str, float]:
        """Bytes that a job leaves, by kind; kinds that are missing are none."""
        facts, train = self.facts, self.experiment.dataset.train_sequences
        frames, label = facts.frames.get(job.sequence, 0), facts.points * _LABEL_BYTES
        match job.rule:
            case "world_source":
                return {"world": facts.source_images * facts.source_pixels * _IMAGE_BYTES}
            case "world_target":
                return {
                    "world": frames * (facts.points * (_SCAN_BYTES + 2 * _LABEL_BYTES) + facts.pixels * _IMAGE_BYTES)
                }
            case "scribbles":
                return {"scribbles": frames * label}
            case "projection":
                return {"projection": frames * facts.visible * _CORRESPONDENCE_BYTES}
            case "features":
                features = self.experiment.features
                row = (
                    _INDEX_BYTES + (features.channels or self.network.decoder_channels) * _FEATURE_BYTES[features.dtype]
                )
                return {"features": frames * facts.visible * row}
            case "predict":
                return {"predictions": frames * label}
            case "pseudo_label":
                return {"pseudo-labels": facts.count(train) * label}
            case "pretrain_2d":
                return _training(segformer_parameters(self.network), self.experiment.pretrain_2d.steps)
            case "adapt_2d":
                return _training(segformer_parameters(self.network), self.experiment.adaptation(job.network).steps)
            case "train_3d":
                settings = self.experiment.run(job.run)
                return _training(minkunet_parameters(settings.backbone), settings.steps)
        return {}

    def _scans(self, stage: str, job: Job) -> Work:
        return Work(stage, self.facts.frames[job.sequence], self.facts.points)

    def _images(self, stage: str, images: int) -> Work:
        return Work(stage, images, segformer_work(self.network, self.facts.pixels))

    def _source_labels(self) -> Work:
        return Work("count_labels", self.facts.source_images, self.facts.source_pixels)

    def _predicted(self, job: Job, scans: int) -> Work:
        backbone, engine = self.experiment.run(job.run).backbone, self.experiment.predict.engine
        load = minkunet_work(backbone, self.facts.points, self.facts.voxels)
        return Work("predict", scans, load, backbone.engine if engine == "same" else engine)


def _training(parameters: float, steps: int) -> dict[str, float]:
    size = 4 * parameters
    return {"weights": size, "curves": steps * _CURVE_BYTES, "training state": size * _STATE_COPIES}
