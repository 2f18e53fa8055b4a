"""Compare the predictions of one run with the labels, point by point, as the SemanticKITTI benchmark does.

Counts each scan once, into one tensor of true class, predicted class and slice (distance, camera coverage, class
boundaries), and sums it up to the metrics over all points and over the slices. Beside them stand the metrics that the
benchmark's own evaluators give.
"""

import argparse
from pathlib import Path

import numpy as np

from ignet.config.evaluation import EvaluateConfig
from ignet.data.formats.kitti import frame_ids, labels_path, read_positions, scan_path
from ignet.data.label_sets.files import read_classes
from ignet.data.projection.correspondence import Correspondence
from ignet.errors import IgnetError
from ignet.evaluate.benchmark import BenchmarkCounts
from ignet.evaluate.metrics import metrics, write_confusion
from ignet.evaluate.predictions import read_camera_slices, read_predictions
from ignet.evaluate.slices import BOUNDARY_SLICES, CAMERA_SLICES, boundary_points, distance_bins, distance_names
from ignet.evaluate.tensor import ConfusionTensor, count_cells, write_tensor
from ignet.files.atomic import write_json
from ignet.log import log, progress
from ignet.stage.script import Stage, command


@command
def main() -> None:
    stage = Stage("evaluate", EvaluateConfig, __doc__)
    stage.add_common("dataset", "sequences", "projection", "label-set", "evaluate-on", out="metrics.json")
    stage.add("--predictions", type=Path, required=True, help="folder that holds sequences/NN/predictions/*.label")
    stage.add(
        "--confusion", type=Path, required=True, help="confusion.csv: rows are true classes, columns predicted ones"
    )
    stage.add(
        "--tensor", type=Path, required=True, help="confusion.h5: counts by scan, slice, true and predicted class"
    )
    args, settings = stage.start()

    tensor, benchmark = count_points(args, settings)
    if not tensor.counts.any():
        raise IgnetError(
            f"{args.dataset}: sequences {args.sequences} have no labelled point, expected some; check their labels"
        )
    values = metrics(tensor) | {"sequences": args.sequences, "benchmark": benchmark.metrics()}
    write_tensor(args.tensor, tensor)
    write_confusion(args.confusion, tensor.whole().sum(axis=0), args.label_set.classes)
    write_json(args.out, values)
    stage.write_settings(args.out.with_suffix(".settings.json"))
    log.info("mIoU %.1f %%, over the classes that occur %.1f %%", 100 * values["miou"], 100 * values["miou_occurring"])


def count_points(args: argparse.Namespace, settings: EvaluateConfig) -> tuple[ConfusionTensor, BenchmarkCounts]:
    """The points of all scans, counted for the project's metrics and for the benchmark's."""
    frames = [(sequence, frame) for sequence in args.sequences for frame in frame_ids(args.dataset, sequence)]
    covered = {sequence: Correspondence(args.projection / f"{sequence}.h5") for sequence in args.sequences}
    names = {"range": distance_names(settings.ranges), "camera": CAMERA_SLICES, "boundary": BOUNDARY_SLICES}
    label_set, sizes = args.label_set, [len(axis) for axis in names.values()]
    counts = np.zeros((len(frames), *sizes, len(label_set), len(label_set) + 1), np.int64)
    benchmark = BenchmarkCounts(label_set)

    for number, (sequence, frame) in enumerate(progress(frames, "evaluated frame")):
        points = read_positions(scan_path(args.dataset, sequence, frame))
        labels = labels_path(args.dataset, sequence, frame, args.evaluate_on)
        target = read_classes(labels, len(points), label_set)
        predicted = read_predictions(args.predictions, sequence, frame, len(points), label_set)
        slices = (
            distance_bins(points, settings.ranges),
            read_camera_slices(covered[sequence], frame, len(points)),
            boundary_points(points, target, settings.boundary),
        )
        counts[number] = count_cells(target, predicted, slices, sizes, len(label_set))
        benchmark.add(points, target, predicted)

    scans = tuple(f"{sequence}/{frame}" for sequence, frame in frames)
    return ConfusionTensor(scans, names, counts, label_set.classes, label_set.small_objects), benchmark


if __name__ == "__main__":
    main()
