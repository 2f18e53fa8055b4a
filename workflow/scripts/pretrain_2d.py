"""Source pretraining: trains the 2D network on labelled synthetic images.

Cross-entropy with rare-class sampling. Every tenth source image is held out; metrics.json has the metrics on these.
"""

import numpy as np
import torch

from ignet.config.training_2d import Pretrain2DConfig
from ignet.data.formats.source_images import SourceDataset
from ignet.data.images.dataset import SourceBatches
from ignet.devices import seed_everything
from ignet.evaluate.confusion import confusion_matrix
from ignet.evaluate.segmentation2d import CLASSES, predict_image, summary
from ignet.log import log, progress
from ignet.models.teachers.base import content_hash
from ignet.models.teachers.segformer import Segmenter, build_segmenter, save_segmenter
from ignet.stage.fingerprint import tree_fingerprint
from ignet.stage.script import Stage, command
from ignet.train.distributed import Ranks, join
from ignet.train.finished import take_back
from ignet.train.imagenet_distance import FeatureDistance
from ignet.train.pretraining import PretrainingObjective
from ignet.train.schedule import linear_decay
from ignet.train.trainer import StageTraining, Trainer

HOLD_OUT_EVERY = 10


def evaluate(model: Segmenter, source: SourceDataset, held_out: range, ranks: Ranks) -> dict:
    """Metrics on the held-out source images, all labelled pixels counted."""
    total = np.zeros((CLASSES, CLASSES + 1), np.int64)
    for i in progress(held_out[ranks.rank :: ranks.size], "held-out source image"):
        image, labels = source.read(i)
        total += confusion_matrix(labels.ravel(), predict_image(model, image, ranks.device).ravel(), CLASSES)
    return summary(ranks.sum(torch.from_numpy(total).to(ranks.device)).cpu().numpy())


@command
def main() -> None:
    stage = Stage("pretrain_2d", Pretrain2DConfig, __doc__)
    stage.add_common("source", "layout")
    stage.add_training("weights")
    args, settings = stage.start()
    ranks = join(args.device)
    seed_everything(settings.seed, args.device)

    model = build_segmenter(settings.network).to(args.device)
    distance = FeatureDistance(settings.feature_distance, model, ranks)
    # settings name checkpoints by their folder, which may hold another one by the time that a training is resumed
    weights = ["" if settings.network.weights == "random" else content_hash(model), distance.content]
    identity = stage.identity(source=tree_fingerprint(args.source), layout=args.layout, weights=weights)
    if take_back(args, identity, ranks):
        return

    source = SourceDataset(args.source, args.layout)
    held_out = range(0, len(source), HOLD_OUT_EVERY)
    trained_on = sorted(set(range(len(source))) - set(held_out))
    batches = SourceBatches(source, trained_on, settings, settings.batch, settings.seed)
    size = sum(p.numel() for p in model.parameters())
    log.info("%d source images, %d held out, %d parameters", len(source), len(held_out), size)
    objective = PretrainingObjective(model, settings, distance, ranks)
    trainer = Trainer(objective, settings, linear_decay, ranks, settings.head_learning_rate_factor)
    with StageTraining(stage, identity, trainer) as training:
        training.fit(batches)
        metrics = evaluate(model.eval(), source, held_out, ranks)
        log.info("held-out source images: mIoU over the classes that occur %.1f %%", 100 * metrics["miou_occurring"])
        training.export(lambda path: save_segmenter(path, model, settings.network), metrics)


if __name__ == "__main__":
    main()
