"""Predict the class of every point of one sequence's scans; needs the weights and the scans alone.

A point without a return, as live sensors give them (NaN, or exactly 0 0 0), gets the label 0: no class.
"""

from ignet.config.evaluation import PredictConfig
from ignet.data.formats.kitti import frame_ids, read_live_scan, scan_path
from ignet.files.atomic import atomic, write_array
from ignet.log import log, progress
from ignet.models.segmentor3d import load_network, predict_live_scan
from ignet.models.sparse.engine import resolve_engine
from ignet.stage.script import Stage, command


@command
def main() -> None:
    stage = Stage("predict", PredictConfig, __doc__)
    stage.add_common("dataset", "weights", "sequence", "remission-scale", out="folder of the .label files")
    args, settings = stage.start()

    network, backbone, trained_on = load_network(args.weights)
    engine = resolve_engine(trained_on if settings.engine == "same" else settings.engine, args.device)
    network = network.to(args.device).eval()
    lost = total = 0
    with atomic(args.out) as folder:
        folder.mkdir()
        for frame in progress(frame_ids(args.dataset, args.sequence), "scan"):
            points, there = read_live_scan(scan_path(args.dataset, args.sequence, frame), args.remission_scale)
            classes, _ = predict_live_scan(network, backbone, engine, points, there, args.device)
            write_array(folder / f"{frame}.label", network.label_set.to_raw_ids(classes))
            lost, total = lost + int((~there).sum()), total + len(points)
    if lost:
        log.info("sequence %s: %d of %d points have no return, and no class", args.sequence, lost, total)
    stage.write_settings(args.out.parent / f"{args.out.name}.settings.json", remission_scale=args.remission_scale)


if __name__ == "__main__":
    main()
