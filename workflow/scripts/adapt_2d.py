"""Adaptation: fits the pretrained 2D network to the target camera, and writes its EMA teacher.

Mean teacher with ClassMix (DAFormer's frame), plus cross-entropy at the scribbles that are projected into the target
images. The teacher labels in evaluation mode (DAFormer keeps its dropout on). Only the sequences that are named are
read.
"""

from pathlib import Path

import torch
from torch import Tensor

from ignet.config.training_2d import Adapt2DConfig
from ignet.data.formats.official import image_kinds
from ignet.data.formats.source_images import SourceDataset
from ignet.data.images.dataset import SourceBatches, TargetBatches
from ignet.data.images.target import TargetFrames, open_target
from ignet.data.label_sets.label_set import CITYSCAPES
from ignet.data.projection.correspondence import Correspondence
from ignet.devices import seed_everything
from ignet.log import log
from ignet.models.teachers.segformer import load_segmenter, save_segmenter, untrained_like
from ignet.stage.fingerprint import sequence_fingerprint, tree_fingerprint
from ignet.stage.script import Stage, command
from ignet.train.adaptation import AdaptationObjective
from ignet.train.class_weights import domain_weights
from ignet.train.distributed import join
from ignet.train.finished import take_back
from ignet.train.imagenet_distance import FeatureDistance
from ignet.train.schedule import linear_decay
from ignet.train.trainer import StageTraining, Trainer


def class_weights(source: SourceDataset, target: TargetFrames, settings: Adapt2DConfig) -> tuple[Tensor, Tensor]:
    """Weights of the classes on source pixels and on target pixels, float32 (C,) each; ones without labels."""
    if settings.supervision == "none" or not settings.class_weight_power:  # counting reads every frame's labels
        return torch.ones(len(CITYSCAPES)), torch.ones(len(CITYSCAPES))
    counts = target.class_counts().sum(axis=0)
    return domain_weights(source.class_frequencies(), counts, settings.class_weight_power, settings.class_weight_domain)


@command
def main() -> None:
    stage = Stage("adapt_2d", Adapt2DConfig, __doc__, variants="adaptations")
    stage.add_common("source", "layout", "dataset", "sequences", "projection", "label-set")
    stage.add("--pretrained", type=Path, required=True, help="weights of pretrain_2d")
    stage.add_training("weights of the teacher")
    args, settings = stage.start()
    ranks = join(args.device)
    seed_everything(settings.seed, args.device)

    student = load_segmenter(args.pretrained)
    student = (untrained_like(student) if settings.initial_weights == "random" else student).to(args.device)
    distance = FeatureDistance(settings.feature_distance, student, ranks)
    projections = {sequence: args.projection / f"{sequence}.h5" for sequence in args.sequences}
    cameras = {camera for path in projections.values() for camera in Correspondence(path).cameras}
    kinds = [*image_kinds(sorted(cameras)).values(), *(["labels"] if settings.supervision == "dense" else [])]
    target_data = sequence_fingerprint(args.dataset, args.sequences, kinds)
    data = [tree_fingerprint(args.source), args.layout, target_data, distance.content, args.label_set.identity]
    identity = stage.identity(data=data, sequences=args.sequences, projections=projections, pretrained=args.pretrained)
    if take_back(args, identity, ranks):
        return

    source = SourceDataset(args.source, args.layout)
    labels = (settings.supervision, settings.labelled_frames, settings.cameras)
    target = open_target(args.dataset, projections, *labels, label_set=args.label_set)
    log.info("%d source images, %d target images, supervision: %s", len(source), len(target), settings.supervision)
    temperature = settings.target_rare_class_temperature if settings.supervision != "none" else None
    source_batches = SourceBatches(source, range(len(source)), settings, settings.batch, settings.seed)
    target_batches = TargetBatches(target, settings, settings.batch, settings.seed, temperature)
    objective = AdaptationObjective(student, settings, class_weights(source, target, settings), distance, ranks)
    trainer = Trainer(objective, settings, linear_decay, ranks, settings.head_learning_rate_factor)
    with StageTraining(stage, identity, trainer) as training:
        training.fit(source_batches, target_batches)
        training.export(lambda path: save_segmenter(path, objective.teacher))


if __name__ == "__main__":
    main()
