"""Train one 3D network: scans and the run's labels, and where its terms ask for it 2D features and the camera's view.

The exported weights are the EMA teacher's backbone and classifier; no head, image or feature is needed to use them.
"""

import argparse
from pathlib import Path

from ignet.config.training_3d import Train3DConfig
from ignet.data.formats.kitti import frame_ids
from ignet.data.formats.splits import Scan, labelled_scans, labelled_split
from ignet.data.lidar.batches import BatchDataset
from ignet.data.lidar.lidar_dataset import LidarDataset
from ignet.devices import seed_everything
from ignet.files.atomic import file_hash
from ignet.log import log
from ignet.models.backbones.registry import collate_for
from ignet.models.segmentor3d import build_network, save_network
from ignet.models.sparse.engine import resolve_engine
from ignet.stage.fingerprint import sequence_fingerprint
from ignet.stage.script import Stage, command
from ignet.train.distributed import Ranks, join
from ignet.train.finished import take_back
from ignet.train.needs import needs_correspondence, needs_features, needs_teacher, standardizes, uses_unlabelled
from ignet.train.objective import Objective3D
from ignet.train.schedule import SCHEDULES_3D
from ignet.train.trainer import StageTraining, Trainer


def find_frames(args: argparse.Namespace, settings: Train3DConfig) -> tuple[dict[str, list[str]], set[Scan] | None]:
    """Frames of each sequence that the run's terms learn from, and the scans among them that have labels; None: all."""
    frames = {sequence: frame_ids(args.dataset, sequence) for sequence in args.sequences}
    root = args.dataset if settings.supervision == "dense" else args.labels
    split = labelled_scans(frames, settings.labelled_frames) or labelled_split(root, frames, settings.supervision)
    if split is None:
        return frames, None
    log.info("%s", split)
    # the others would only cost time where no loss learns from them
    return frames if uses_unlabelled(settings) else split.only(frames), split.scans


def make_samples(source: LidarDataset, settings: Train3DConfig, seed: int, ranks: Ranks) -> BatchDataset:
    """The batches of all steps, this process's part of each."""
    return BatchDataset(
        source,
        settings.batch,
        seed,
        collate_for(settings.backbone, source.label_set),
        settings.mixing,
        settings.augment,
        needs_teacher(settings),
        ranks.local_slice(settings.batch),
        context.dropout if (context := settings.backbone.local_context) else None,
        unmixed_teacher=settings.mean_teacher.scans == "unmixed",
    )


def read_arguments() -> tuple[Stage, argparse.Namespace, Train3DConfig]:
    stage = Stage("train_3d", Train3DConfig, __doc__, variants="runs")
    stage.add_common("dataset", "sequences", "label-set", "remission-scale")
    stage.add("--labels", type=Path, required=True, help="folder whose sequences/NN hold the run's labels")
    stage.add("--projection", type=Path, help="folder of NN.h5, the correspondences")
    stage.add("--features", type=Path, help="folder of NN.h5, the feature store")
    stage.add("--teacher", type=Path, nargs="?", help="the 2D network whose features are expected; others are refused")
    verify = "compare the checksums of the features that are read"
    stage.add("--verify", action=argparse.BooleanOptionalAction, default=True, help=verify)
    stage.add("--seed", type=int, default=0, help="seed of the weights and of the samples")
    stage.add_training("weights")
    return stage, *stage.start()


@command
def main() -> None:
    stage, args, settings = read_arguments()
    ranks = join(args.device)
    seed_everything(args.seed, args.device)

    frames, labelled = find_frames(args, settings)
    projection = {s: args.projection / f"{s}.h5" for s in args.sequences} if needs_correspondence(settings) else {}
    features = {s: args.features / f"{s}.h5" for s in args.sequences} if needs_features(settings) else {}
    engine = resolve_engine(settings.backbone.engine, args.device)
    kind = "scribbles" if settings.supervision == "scribbles" else "labels"
    data = [sequence_fingerprint(args.dataset, frames, ["scans"]), sequence_fingerprint(args.labels, frames, [kind])]
    inputs = {"data": data, "files": [*projection.values(), *features.values()], "sequences": args.sequences}
    remissions = {"remission_scale": args.remission_scale}
    identity = stage.identity(seed=args.seed, engine=engine, label_set=args.label_set.identity, **inputs, **remissions)
    if take_back(args, identity, ranks):
        return

    teacher = file_hash(args.teacher) if args.teacher else None
    read = {"labelled": labelled, "teacher": teacher, "verify": args.verify, "cache": True, **remissions}
    read |= {"label_set": args.label_set, "cameras": settings.cameras}
    labels, standardize = (settings.supervision, args.labels), standardizes(settings)
    source = LidarDataset(args.dataset, frames, *labels, projection or None, features or None, standardize, **read)
    network = build_network(settings.backbone, args.label_set)
    objective = Objective3D(network, settings, engine, source, args.seed, ranks).to(args.device)
    trainer = Trainer(objective, settings, SCHEDULES_3D[settings.schedule], ranks)
    with StageTraining(stage, identity, trainer) as training:
        training.fit(make_samples(source, settings, args.seed, ranks))
        facts = {"engine": engine, "parameters": sum(p.numel() for p in network.parameters())}
        metrics = {**facts, "scans": len(source), "steps": settings.steps}
        averaged = objective.teacher.network
        training.export(lambda path: save_network(path, averaged, settings.backbone, engine), metrics, **remissions)


if __name__ == "__main__":
    main()
