"""What each job does, in countable units, and what it leaves on disk. Pure: settings and facts in, numbers out."""

from collections.abc import Mapping
from dataclasses import dataclass

from ignet.config.backbones import BackboneConfig
from ignet.config.experiment import ExperimentConfig
from ignet.config.training_2d import Adapt2DConfig, ImageConfig, Pretrain2DConfig, SegformerConfig
from ignet.config.training_3d import EVALUATED_PROBE, Train3DConfig
from ignet.data.label_sets.label_set import LabelSet, load_label_set
from ignet.train.needs import needs_teacher
from ignet.workflow.facts import Facts
from ignet.workflow.networks_2d import is_probed
from ignet.workflow.schedule import Scheduled
from ignet.workflow.shared_results import find_artifacts
from ignet.workflow.sizes import (
    CellShares,
    Shares,
    network_3d_parameters,
    network_3d_traffic,
    network_3d_work,
    segformer_parameters,
    segformer_traffic,
    segformer_work,
    teacher_channels,
    teacher_parameters,
    teacher_traffic,
    teacher_work,
)

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
        traffic: bytes of memory moved for each multiply-add of a network.
    """

    stage: str
    units: float
    load: float
    engine: str = ""
    traffic: float = 0.0


def crop_pixels(settings: ImageConfig) -> int:
    """Pixels of a training crop."""
    return settings.crop[0] * settings.crop[1]


def pretrain_load(settings: Pretrain2DConfig) -> float:
    """Multiply-adds of one step of source pretraining."""
    return settings.batch * BACKWARD * segformer_work(settings.network, crop_pixels(settings))


def adapt_load(settings: Adapt2DConfig, network: SegformerConfig) -> float:
    """Multiply-adds of a step of adaptation: source, mixed and target image of a sample, teacher on the target."""
    return settings.batch * (3 * BACKWARD + 1) * segformer_work(network, crop_pixels(settings))


def train_3d_load(settings: Train3DConfig, label_set: LabelSet, points: float, shares: Shares | CellShares) -> float:
    """Multiply-adds of one step of a 3D training; the teacher takes one forward pass where a loss asks for it."""
    forward = network_3d_work(settings.backbone, label_set, points, shares)
    return settings.batch * (BACKWARD + needs_teacher(settings)) * forward


class Workload:
    """What the jobs of an experiment do."""

    def __init__(self, experiment: ExperimentConfig, facts: Facts) -> None:
        self.experiment, self.facts = experiment, facts
        self.network = experiment.pretrain_2d.network
        self.label_set = load_label_set(experiment.dataset.labels)
        # jobs of shared features name their network by a key
        self._features = {artifact.key: name for name, artifact in find_artifacts(experiment).features.items()}

    def units(self, job: Scheduled) -> tuple[Work, ...]:
        """The work of one job."""
        facts, experiment, rule, wildcards = self.facts, self.experiment, job.rule, job.wildcards
        frames = facts.frames.get(wildcards.get("sequence", ""), 0)
        data = experiment.dataset
        train, val, test = map(facts.count, (data.train_sequences, data.val_sequences, data.evaluated_test_sequences))
        source_labels = Work("count_labels", facts.source_images, facts.source_pixels)
        match rule:
            case "world_source":
                return (Work(rule, facts.source_images, facts.source_pixels),)
            case "world_target" | "dataset_check" | "scribbles" | "projection":
                return (Work(rule, frames, facts.points),)
            case "pretrain_2d":
                pretraining = experiment.pretrain_2d
                held_out = -(-facts.source_images // HOLD_OUT_EVERY)
                steps = self._training_2d(rule, pretraining, pretrain_load(pretraining))
                return steps, source_labels, self._images("evaluate_2d", held_out, facts.source_pixels)
            case "adapt_2d":
                adaptation = experiment.adaptation(wildcards["network"])
                return self._training_2d(rule, adaptation, adapt_load(adaptation, self.network)), source_labels
            case "teachers":
                return self._head(wildcards["network"])
            case "evaluate_2d":
                return self._evaluation_2d(wildcards["network"], train, val)
            case "features_pca":
                frames = min(experiment.features.pca_frames, train)
                return (self._images("features", frames * facts.cameras, network=wildcards["network"]),)
            case "features":
                return (self._images(rule, frames * facts.cameras, network=self._network_of_features(wildcards)),)
            case "train_3d":
                run = experiment.run(wildcards["run"])
                load = train_3d_load(run, self.label_set, facts.points, facts.shares(run.backbone))
                return (Work(rule, run.steps, load, run.backbone.engine, self._traffic(run.backbone)),)
            case "predict" | "pseudo_label":
                backbone, engine = experiment.run(wildcards["run"]).backbone, experiment.predict.engine
                load = network_3d_work(backbone, self.label_set, facts.points, facts.shares(backbone))
                scans = frames if rule == "predict" else train
                engine = backbone.engine if engine == "same" else engine
                return (Work("predict", scans, load, engine, self._traffic(backbone)),)
            case "evaluate" | "evaluate_test":
                return (Work("evaluate", val if rule == "evaluate" else test, facts.points),)
        return (Work(rule, 1, 1),)

    def disk(self, job: Scheduled) -> dict[str, float]:
        """Bytes that a job leaves, by kind; kinds that are missing are none."""
        facts, train = self.facts, self.experiment.dataset.train_sequences
        frames, label = facts.frames.get(job.wildcards.get("sequence", ""), 0), facts.points * _LABEL_BYTES
        match job.rule:
            case "world_source":
                return {"world": facts.source_images * facts.source_pixels * _IMAGE_BYTES}
            case "world_target":
                images = facts.cameras * facts.pixels * _IMAGE_BYTES
                return {"world": frames * (facts.points * (_SCAN_BYTES + 2 * _LABEL_BYTES) + images)}
            case "scribbles":
                return {"scribbles": frames * label}
            case "projection":
                return {"projection": frames * facts.visible * _CORRESPONDENCE_BYTES}
            case "features":
                features = self.experiment.features
                channels = features.channels or self._channels(self._network_of_features(job.wildcards))
                row = _INDEX_BYTES + channels * _FEATURE_BYTES[features.dtype]
                return {"features": frames * facts.visible * row}
            case "predict":
                return {"predictions": frames * label}
            case "pseudo_label":
                return {"pseudo-labels": facts.count(train) * label}
            case "pretrain_2d":
                return _training(segformer_parameters(self.network), self.experiment.pretrain_2d.steps)
            case "adapt_2d":
                return _training(
                    segformer_parameters(self.network), self.experiment.adaptation(job.wildcards["network"]).steps
                )
            case "teachers":
                return {"weights": 4 * teacher_parameters(self.experiment.teacher(job.wildcards["network"]))}
            case "train_3d":
                settings = self.experiment.run(job.wildcards["run"])
                return _training(network_3d_parameters(settings.backbone, self.label_set), settings.steps)
        return {}

    def _evaluation_2d(self, network: str, train: int, val: int) -> tuple[Work, ...]:
        cameras, probed = self.facts.cameras, is_probed(self.experiment, network)
        own = self._images("evaluate_2d", val * cameras, network=network)
        fitted = self._images("features", min(train, EVALUATED_PROBE.scans) * cameras, network=network)
        passes = (own,) if network not in self.experiment.teachers else ()
        return (*passes, *((fitted, own) if probed else ()))

    def _head(self, network: str) -> tuple[Work, ...]:
        """The training of a head, as steps of an adaptation of as many multiply-adds; without one a moment."""
        config = self.experiment.teacher(network)
        if not config.head:
            return (Work("teachers", 1, 1),)
        load = config.head.batch * teacher_work(config, config.head.crop[0] * config.head.crop[1])
        return (Work("adapt_2d", config.head.steps, load, traffic=teacher_traffic(config, self.facts.pixels)),)

    def _network_of_features(self, wildcards: Mapping[str, str]) -> str:
        return self._features.get(wildcards["network"], wildcards["network"])

    def _channels(self, network: str) -> int:
        if network not in self.experiment.teachers:
            return self.network.decoder_channels
        config = self.experiment.teacher(network)
        return config.head.channels if config.head else teacher_channels(config)

    def _images(self, stage: str, images: int, pixels: float | None = None, network: str = "") -> Work:
        if network in self.experiment.teachers:
            config = self.experiment.teacher(network)
            work, traffic = teacher_work(config, self.facts.pixels), teacher_traffic(config, self.facts.pixels)
            return Work(stage, images, work, traffic=traffic)
        size = (self.network, pixels or self.facts.pixels)
        return Work(stage, images, segformer_work(*size), traffic=segformer_traffic(*size))

    def _training_2d(self, stage: str, settings: Pretrain2DConfig | Adapt2DConfig, load: float) -> Work:
        return Work(stage, settings.steps, load, traffic=segformer_traffic(self.network, crop_pixels(settings)))

    def _traffic(self, backbone: BackboneConfig) -> float:
        return network_3d_traffic(backbone, self.label_set, self.facts.points, self.facts.shares(backbone))


def _training(parameters: float, steps: int) -> dict[str, float]:
    size = 4 * parameters
    return {"weights": size, "curves": steps * _CURVE_BYTES, "training state": size * _STATE_COPIES}
