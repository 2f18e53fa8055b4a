"""Adaptation: fits the pretrained 2D network to the target camera, and writes its EMA teacher.

Mean teacher with ClassMix (DAFormer's frame), plus cross-entropy at the scribbles that are projected into the target
images. The teacher labels in evaluation mode (DAFormer keeps its dropout on). Only the sequences that are named are
read.
"""

import copy
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ignet.config.training_2d import Adapt2DConfig
from ignet.data.formats.kitti import frame_ids
from ignet.data.formats.source_images import SourceDataset
from ignet.data.formats.splits import labelled_scans
from ignet.data.images.dataset import MASK_STREAM, MIX_STREAM, SourceBatches, TargetBatches, strong_augmentation
from ignet.data.images.target import TargetFrames
from ignet.data.label_sets.labels import CITYSCAPES_CLASSES, IGNORE
from ignet.devices import seed_everything, step_generator
from ignet.files.atomic import write_json
from ignet.files.names import Sequences
from ignet.log import log
from ignet.losses.weighted_cross_entropy import weighted_cross_entropy
from ignet.models.segformer import load_segmenter, save_segmenter, untrained_like
from ignet.stage.fingerprint import sequence_fingerprint, tree_fingerprint
from ignet.stage.scheduler import deadline
from ignet.stage.script import Stage, command
from ignet.train.class_weights import domain_weights, weight_each
from ignet.train.classmix import classmix, overwrite_with_scribbles, pseudo_label
from ignet.train.distributed import join
from ignet.train.ema import update_ema
from ignet.train.finished import note_identity, take_back
from ignet.train.loader import read_ahead
from ignet.train.masking import mask_patches
from ignet.train.regularise2d import FeatureDistance, arithmetic
from ignet.train.run import TrainingRun, write_curves
from ignet.train.schedule2d import make_optimizer

Labelled = tuple[Tensor, Tensor, Tensor]


def mix(source: Labelled, target: Labelled, settings: Adapt2DConfig, step: int) -> Labelled:
    """Mixed images (B, 3, H, W), labels and weights (B, H, W) from those of the source and of the target."""
    rng = step_generator(settings.seed, step, MIX_STREAM)
    mixed = (classmix(*one, rng) for one in zip(*source, *target, strict=True))
    images, mixed_labels, mixed_weights = (torch.stack(part) for part in zip(*mixed, strict=True))
    return strong_augmentation(images, settings.mix_jitter, settings.mix_blur, rng), mixed_labels, mixed_weights


@command
def main() -> None:
    stage = Stage("adapt_2d", Adapt2DConfig, __doc__, variants="adaptations")
    stage.add("--source", type=Path, required=True, help="folder of the source dataset")
    stage.add("--layout", default="gtav", help="its layout: gtav, synthia or cityscapes")
    stage.add("--dataset", type=Path, required=True, help="folder of the target dataset")
    stage.add("--sequences", action=Sequences, nargs="+", required=True, help="training sequences")
    stage.add("--projection", type=Path, required=True, help="folder of the sequences' correspondence files NN.h5")
    stage.add("--pretrained", type=Path, required=True, help="weights of pretrain_2d")
    stage.add_training("weights of the teacher")
    args, settings = stage.start()
    ranks = join(args.device)
    seed_everything(settings.seed)

    source = SourceDataset(args.source, args.layout)
    projections = {sequence: args.projection / f"{sequence}.h5" for sequence in args.sequences}
    split = labelled_scans(
        {sequence: frame_ids(args.dataset, sequence) for sequence in args.sequences}, settings.labelled_frames
    )
    frames = TargetFrames(args.dataset, projections, settings.supervision, split and split.scans)
    source_batches = SourceBatches(source, range(len(source)), settings, settings.batch, settings.seed)
    supervised = settings.supervision != "none"
    temperature = settings.target_rare_class_temperature if supervised else None
    target_batches = TargetBatches(frames, settings, settings.batch, settings.seed, temperature)
    power, domain = (settings.class_weight_power, settings.class_weight_domain) if supervised else (0.0, "target")
    # counting reads every frame's labels
    counts = frames.class_counts().sum(axis=0) if power else np.zeros(len(CITYSCAPES_CLASSES), np.int64)
    domains = domain_weights(source.class_frequencies(), counts, power, domain)
    source_weights, target_weights = (weights.to(args.device) for weights in domains)
    part = ranks.local_slice(settings.batch)
    student = load_segmenter(args.pretrained)
    student = (untrained_like(student) if settings.initial_weights == "random" else student).to(args.device)
    teacher = copy.deepcopy(student).eval().requires_grad_(False)
    segment, distance = ranks.wrap(student), FeatureDistance(settings.feature_distance, student, ranks)
    optimizer, schedule = make_optimizer(student, settings, settings.steps)
    log.info("%d source images, %d target images, supervision: %s", len(source), len(frames), settings.supervision)
    if split:
        log.info("%s", split)

    kinds = ["images", "labels"] if settings.supervision == "dense" else ["images"]
    data = [
        tree_fingerprint(args.source),
        args.layout,
        sequence_fingerprint(args.dataset, args.sequences, kinds),
        distance.content,
    ]
    identity = stage.identity(data=data, sequences=args.sequences, projections=projections, pretrained=args.pretrained)
    if ranks.any(ranks.main and take_back(args, identity)):
        return
    parts = {"student": student, "teacher": teacher, "optimizer": optimizer, "schedule": schedule}
    limits = {"checkpoint_every": args.checkpoint_every, "deadline": deadline(args.max_minutes, args.job_start)}
    run = TrainingRun(
        args.state, identity, steps=settings.steps, parts=parts, curves=args.curves, ranks=ranks, **limits
    )

    def cross_entropy(logits: Tensor, labels: Tensor, weight: Tensor) -> Tensor:
        return ranks.mean(weighted_cross_entropy(logits, labels, weight), (labels != IGNORE).sum())

    with run:
        student.train()
        steps = range(run.step, settings.steps)
        batches = zip(
            read_ahead(source_batches, steps, args.workers),
            read_ahead(target_batches, steps, args.workers),
            strict=True,
        )
        for step, pair in zip(run, batches, strict=True):
            source_batch, target_batch = ((images.to(args.device), labels.to(args.device)) for images, labels in pair)
            with torch.no_grad(), arithmetic(args.device, settings.precision):
                # mixing draws its random numbers image by image, so each process mixes the whole batch and learns from
                # its part
                teacher_logits = ranks.gather(teacher(target_batch[0][part]).logits)
            pseudo, q = pseudo_label(teacher_logits, settings.confidence)
            labels, weights = overwrite_with_scribbles(pseudo, q, target_batch[1])
            weights = weights * weight_each(labels, target_weights)
            on_source_pixels = weight_each(source_batch[1], source_weights)
            mixed, mixed_labels, mixed_weights = mix(
                (*source_batch, on_source_pixels), (target_batch[0], labels, weights), settings, step
            )
            images = [source_batch[0], mixed, target_batch[0]]
            if settings.masked.weight:
                blocks = step_generator(settings.seed, step, MASK_STREAM)
                images.append(mask_patches(target_batch[0], settings.masked.ratio, settings.masked.block, blocks))
            with arithmetic(args.device, settings.precision):
                found = segment(torch.cat([image[part] for image in images]))
            on_source, on_mix, on_target, *on_masked = found.logits.float().chunk(len(images))
            source_loss = cross_entropy(on_source, source_batch[1][part], on_source_pixels[part])
            mix_loss = cross_entropy(on_mix, mixed_labels[part], mixed_weights[part])
            scribble_loss = cross_entropy(
                on_target, target_batch[1][part], weight_each(target_batch[1][part], target_weights)
            )
            loss = settings.source_weight * source_loss + settings.mix_weight * mix_loss
            if supervised:
                loss = loss + settings.scribble_weight * scribble_loss
            if distance:
                apart = distance(source_batch[0][part], found.deep.chunk(len(images))[0], source_batch[1][part])
                loss = loss + apart
                run.log(feature_distance=apart)
            if on_masked:
                masked_loss = cross_entropy(on_masked[0], labels[part], weights[part])
                loss = loss + settings.masked.weight * masked_loss
                run.log(masked=masked_loss)
            optimizer.zero_grad()
            ranks.backward(loss)
            optimizer.step()
            figures = {
                "source": source_loss.detach(),
                "mix": mix_loss.detach(),
                "scribble": scribble_loss.detach(),
                "q": q.mean(),
            }
            run.log(loss=loss.detach(), **figures, learning_rate=schedule.get_last_lr()[0])
            schedule.step()
            update_ema(teacher, student, step, settings.ema)

        if not ranks.main:
            return
        save_segmenter(args.out, teacher)
        last = run.history[-min(20, len(run.history)) :]
        write_json(
            args.metrics,
            {
                name: sum(row[name] for row in last) / len(last)
                for name in last[0]
                if name not in ("step", "learning_rate")
            },
        )
        write_curves(args.curves_csv, run.history)
        record = args.out.with_suffix(".settings.json")
        stage.write_settings(record, processes=run.processes)
        note_identity(args.out, identity)
        run.finish(args.out, args.metrics, args.curves_csv, record)


if __name__ == "__main__":
    main()
