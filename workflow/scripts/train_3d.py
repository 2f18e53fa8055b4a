"""Train one 3D network from scans, labels and, where its losses ask for it, 2D features and the camera view.

The exported weights are the EMA teacher's backbone and classifier; no head, image or feature is needed to use them.
"""

import argparse
from pathlib import Path

import torch

from ignet.config.training_3d import ImageGuidanceConfig, Train3DConfig
from ignet.data.formats.kitti import frame_ids
from ignet.data.formats.splits import labelled_scans
from ignet.data.label_sets.labels import CLASSES
from ignet.data.lidar.batches import TrainingSamples
from ignet.data.lidar.lidar_dataset import ScanSource
from ignet.devices import autocast, seed_everything, step_generator
from ignet.files.atomic import file_hash, write_json
from ignet.files.names import Sequences
from ignet.log import log
from ignet.models.heads import GuidanceHead, ProjectionHead
from ignet.models.probe import Probe, fit_probe
from ignet.models.segmentor3d import build_network, save_network
from ignet.models.sparse.engine import resolve_engine
from ignet.stage.fingerprint import sequence_fingerprint
from ignet.stage.scheduler import deadline
from ignet.stage.script import Stage, command
from ignet.train.distributed import join
from ignet.train.finished import note_identity, take_back
from ignet.train.loader import read_ahead
from ignet.train.needs import (
    compares_features,
    needs_correspondence,
    needs_features,
    needs_probe,
    needs_teacher,
    standardizes,
    uses_unlabelled,
)
from ignet.train.objective import Objective, StudentWithHeads
from ignet.train.run import TrainingRun, write_curves
from ignet.train.schedule import one_cycle


def make_probe(source: ScanSource, guidance: ImageGuidanceConfig, seed: int) -> Probe | None:
    """The probe of guidance by labels, fitted to what the run may see; None for another loss."""
    if not needs_probe(guidance):
        return None
    features, labels = source.labelled_features(guidance.probe.scans)
    probe = fit_probe(features, labels, len(CLASSES), guidance.probe.hidden, guidance.probe.steps, seed)
    log.info("probe: fitted to %d labelled points that the camera sees", len(labels))
    return probe


@command
def main() -> None:
    stage = Stage("train_3d", Train3DConfig, __doc__, variants="runs")
    stage.add("--dataset", type=Path, required=True, help="folder that holds sequences/")
    stage.add("--sequences", action=Sequences, nargs="+", required=True, help="sequences to train on")
    stage.add(
        "--labels", type=Path, required=True, help="folder whose sequences/NN hold the labels of the run's supervision"
    )
    stage.add("--projection", type=Path, help="folder of NN.h5, the correspondences")
    stage.add("--features", type=Path, help="folder of NN.h5, the feature store")
    stage.add("--teacher", type=Path, nargs="?", help="the 2D network whose features are expected; others are refused")
    stage.add(
        "--verify",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="compare the checksums of the features that are read",
    )
    stage.add_remission_scale()
    stage.add("--seed", type=int, default=0, help="seed of the weights and of the samples")
    stage.add_training("weights")
    args, settings = stage.start()
    ranks = join(args.device)
    seed_everything(args.seed)

    projection = {s: args.projection / f"{s}.h5" for s in args.sequences} if needs_correspondence(settings) else None
    features = {s: args.features / f"{s}.h5" for s in args.sequences} if needs_features(settings) else None
    frames = {sequence: frame_ids(args.dataset, sequence) for sequence in args.sequences}
    split = labelled_scans(frames, settings.labelled_frames)
    if split:
        log.info("%s", split)
        # the others would only cost time where no loss learns from them
        frames = frames if uses_unlabelled(settings) else split.only(frames)
    standardize = standardizes(settings.image_guidance)
    labelled = split and split.scans
    labels, teacher = (settings.supervision, args.labels), file_hash(args.teacher) if args.teacher else None
    source = ScanSource(
        args.dataset,
        frames,
        *labels,
        projection,
        features,
        standardize,
        True,
        labelled,
        teacher,
        args.verify,
        args.remission_scale,
    )
    engine = resolve_engine(settings.backbone.engine, args.device)
    network = build_network(settings.backbone)
    guidance = settings.image_guidance
    guidance_head = GuidanceHead(network.channels, source.channels) if compares_features(guidance) else None
    projection_head = (
        ProjectionHead(network.channels, settings.contrastive.channels) if settings.contrastive.weight else None
    )
    trainee = StudentWithHeads(network, guidance_head, projection_head)
    objective = Objective(
        trainee, settings, engine, source.classifier, make_probe(source, guidance, args.seed), ranks
    ).to(args.device)
    compute_losses = ranks.wrap(objective)
    optimizer = torch.optim.AdamW(
        objective.student.parameters(), settings.learning_rate, weight_decay=settings.weight_decay, fused=True
    )
    scheduler = one_cycle(optimizer, settings.steps, settings.warmup_steps)
    samples = TrainingSamples(
        source,
        settings.batch,
        args.seed,
        settings.backbone.voxel,
        settings.fovmix,
        settings.augment,
        needs_teacher(settings),
        ranks.local_slice(settings.batch),
        settings.backbone.local_context,
    )

    kind = "scribbles" if settings.supervision == "scribbles" else "labels"
    data = [sequence_fingerprint(args.dataset, frames, ["scans"]), sequence_fingerprint(args.labels, frames, [kind])]
    files = [*(projection or {}).values(), *(features or {}).values()]
    facts = {"data": data, "files": files, "remission_scale": args.remission_scale}
    identity = stage.identity(seed=args.seed, sequences=args.sequences, engine=engine, **facts)
    if ranks.any(ranks.main and take_back(args, identity)):
        return
    parts = {"objective": objective, "optimizer": optimizer, "scheduler": scheduler}
    limits = {"checkpoint_every": args.checkpoint_every, "deadline": deadline(args.max_minutes, args.job_start)}
    run = TrainingRun(
        args.state, identity, steps=settings.steps, parts=parts, curves=args.curves, ranks=ranks, **limits
    )
    with run:
        for step, batch in zip(run, read_ahead(samples, range(run.step, settings.steps), args.workers), strict=False):
            batch = batch.to(args.device)
            first, points = ranks.local_offset(len(batch.labels))
            chosen = step_generator(args.seed, step, 1).random(points)[first : first + len(batch.labels)]
            objective.student.train()
            with autocast(args.device):
                losses = compute_losses(batch, step, torch.from_numpy(chosen).to(args.device))
            optimizer.zero_grad(set_to_none=True)
            ranks.backward(losses["loss"])
            torch.nn.utils.clip_grad_norm_(objective.student.parameters(), 10.0)
            optimizer.step()
            run.log(**losses, learning_rate=scheduler.get_last_lr()[0])
            scheduler.step()
            objective.update_teacher(step)

        if not ranks.main:
            return
        save_network(args.out, objective.teacher.network, settings.backbone, engine)
        write_curves(args.curves_csv, run.history)
        record = args.out.with_suffix(".settings.json")
        stage.write_settings(record, processes=run.processes, remission_scale=args.remission_scale)
        note_identity(args.out, identity)
        last = run.history[-max(1, settings.steps // 10) :]
        metrics = {
            f"last_{key}": sum(row[key] for row in last) / len(last)
            for key in last[0]
            if key not in ("step", "learning_rate")
        }
        size = sum(p.numel() for p in network.parameters())
        write_json(
            args.metrics,
            {**metrics, "engine": engine, "parameters": size, "scans": len(source), "steps": settings.steps},
        )
        run.finish(args.out, args.metrics, args.curves_csv, record)
    log.info("wrote %s", args.out)


if __name__ == "__main__":
    main()
