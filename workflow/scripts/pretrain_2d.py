"""Source pretraining: trains the 2D network on labelled synthetic images.

Cross-entropy with rare-class sampling. Every tenth source image is held out; metrics.json has the figures on these.
"""

from pathlib import Path

import numpy as np
import torch

from ignet.config.training_2d import Pretrain2DConfig
from ignet.data.formats.source_images import SourceDataset
from ignet.data.images.dataset import SourceBatches
from ignet.data.label_sets.labels import IGNORE
from ignet.devices import seed_everything
from ignet.evaluate.confusion import confusion_matrix
from ignet.evaluate.segmentation2d import CLASSES, predict_image, summary
from ignet.files.atomic import write_json
from ignet.log import log, progress
from ignet.losses.weighted_cross_entropy import weighted_cross_entropy
from ignet.models.segformer import Segmenter, build_segmenter, content_hash, save_segmenter
from ignet.stage.fingerprint import tree_fingerprint
from ignet.stage.scheduler import deadline
from ignet.stage.script import Stage, command
from ignet.train.distributed import Ranks, join
from ignet.train.finished import note_identity, take_back
from ignet.train.loader import read_ahead
from ignet.train.regularise2d import FeatureDistance, arithmetic
from ignet.train.run import TrainingRun, write_curves
from ignet.train.schedule2d import make_optimizer

HOLD_OUT_EVERY = 10


def evaluate(model: Segmenter, source: SourceDataset, held_out: range, ranks: Ranks) -> dict:
    """Figures on the held-out source images, all labelled pixels counted."""
    total = np.zeros((CLASSES, CLASSES + 1), np.int64)
    for i in progress(held_out[ranks.rank :: ranks.size], "held-out source image"):
        image, labels = source.read(i)
        total += confusion_matrix(labels.ravel(), predict_image(model, image, ranks.device).ravel(), CLASSES)
    return summary(ranks.sum(torch.from_numpy(total).to(ranks.device)).cpu().numpy())


@command
def main() -> None:
    stage = Stage("pretrain_2d", Pretrain2DConfig, __doc__)
    stage.add("--source", type=Path, required=True, help="folder of the source dataset")
    stage.add("--layout", default="gtav", help="its layout: gtav, synthia or cityscapes")
    stage.add_training("weights")
    args, settings = stage.start()
    ranks = join(args.device)
    seed_everything(settings.seed)

    source = SourceDataset(args.source, args.layout)
    held_out = range(0, len(source), HOLD_OUT_EVERY)
    batches = SourceBatches(
        source, sorted(set(range(len(source))) - set(held_out)), settings, settings.batch, settings.seed
    )
    part = ranks.local_slice(settings.batch)
    model = build_segmenter(settings.network).to(args.device)
    segment, distance = ranks.wrap(model), FeatureDistance(settings.feature_distance, model, ranks)
    optimizer, schedule = make_optimizer(model, settings, settings.steps)
    log.info(
        "%d source images, %d held out, %d parameters",
        len(source),
        len(held_out),
        sum(p.numel() for p in model.parameters()),
    )

    # settings name checkpoints by their folder, which may hold another one by the time that a killed training goes on
    weights = ["" if settings.network.weights == "random" else content_hash(model), distance.content]
    identity = stage.identity(source=tree_fingerprint(args.source), layout=args.layout, weights=weights)
    if ranks.any(ranks.main and take_back(args, identity)):
        return
    parts = {"model": model, "optimizer": optimizer, "schedule": schedule}
    limits = {"checkpoint_every": args.checkpoint_every, "deadline": deadline(args.max_minutes, args.job_start)}
    run = TrainingRun(
        args.state, identity, steps=settings.steps, parts=parts, curves=args.curves, ranks=ranks, **limits
    )
    with run:
        model.train()
        for _, (images, labels) in zip(
            run, read_ahead(batches, range(run.step, settings.steps), args.workers), strict=True
        ):
            images, labels = images[part].to(args.device), labels[part].to(args.device)
            with arithmetic(args.device, settings.precision):
                found = segment(images)
            loss = ranks.mean(weighted_cross_entropy(found.logits.float(), labels), (labels != IGNORE).sum())
            if distance:
                apart = distance(images, found.deep, labels)
                loss = loss + apart
                run.log(feature_distance=apart)
            optimizer.zero_grad()
            ranks.backward(loss)
            optimizer.step()
            run.log(loss=loss.detach(), learning_rate=schedule.get_last_lr()[0])
            schedule.step()

        figures = evaluate(model.eval(), source, held_out, ranks)
        if not ranks.main:
            return
        log.info("held-out source images: mIoU over the classes that occur %.1f %%", 100 * figures["miou_occurring"])
        save_segmenter(args.out, model, settings.network)
        write_json(args.metrics, figures)
        write_curves(args.curves_csv, run.history)
        record = args.out.with_suffix(".settings.json")
        stage.write_settings(record, processes=run.processes)
        note_identity(args.out, identity)
        run.finish(args.out, args.metrics, args.curves_csv, record)


if __name__ == "__main__":
    main()
