"""2D evaluation: a 2D network on target images, against the labels of the LiDAR points that the cameras see.

A network that names Cityscapes' classes is evaluated on these, to which the labels are mapped. Where a probe is asked
for, one is fitted to the network's features at the projected scribbles of the training images, and evaluated on the
LiDAR's classes. A point counts at the pixel nearest to it.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from ignet.config.training_2d import Evaluate2DConfig
from ignet.config.training_3d import EVALUATED_PROBE
from ignet.data.formats.kitti import image_path, labels_path
from ignet.data.images.target import class_labels, nearest_pixels, projected_labels, read_view
from ignet.data.label_sets.label_set import CITYSCAPES, LabelSet
from ignet.data.lidar.spacing import evenly_spaced_indices
from ignet.data.projection.correspondence import Correspondence, figure_name
from ignet.evaluate.confusion import confusion_matrix
from ignet.evaluate.segmentation2d import draw_prediction, predict_image, summary, write_figure
from ignet.files.atomic import write_json
from ignet.log import log, progress
from ignet.models.point_features import PointFeatures
from ignet.models.probed import probe_network
from ignet.stage.script import Stage, command


@command
def main() -> None:
    stage = Stage("evaluate_2d", Evaluate2DConfig, __doc__)
    stage.add_common(
        "network", "dataset", "sequences", "projection", "label-set", "evaluate-on", out="metrics to write (JSON)"
    )
    stage.add(
        "--figures",
        type=Path,
        required=True,
        help="folder for figures NN_NNNNNN.png: image, prediction, projected labels; those of a probe end in _probe",
    )
    stage.add(
        "--probe-sequences", nargs="*", default=[], help="training sequences that a probe is fitted to; none: none"
    )
    stage.add("--probe-projection", type=Path, help="folder of their correspondence")
    stage.add("--scribbles", type=Path, help="folder whose sequences/NN/scribbles the probe learns")
    args, settings = stage.start()

    args.figures.mkdir(parents=True, exist_ok=True)
    network = PointFeatures(args.network, args.dataset, args.device)
    files = {sequence: Correspondence(args.projection / f"{sequence}.h5") for sequence in args.sequences}
    cells = {sequence: file.attributes.get("cells") for sequence, file in files.items()}
    metrics: dict[str, Any] = {"sequences": args.sequences, "z_buffer_cells": cells}
    if network.classifier is not None:
        metrics |= evaluate(args, settings, files, network.teacher, CITYSCAPES)
        log.info("target images: mIoU over the classes that occur %.1f %%", 100 * metrics["miou_occurring"])
    if args.probe_sequences:
        seen = {name: Correspondence(args.probe_projection / f"{name}.h5") for name in args.probe_sequences}
        probed = probe_network(network, seen, args.scribbles, args.label_set, EVALUATED_PROBE)
        metrics["probe"] = evaluate(args, settings, files, probed, args.label_set, "_probe")
        log.info(
            "target images, probe: mIoU over the classes that occur %.1f %%", 100 * metrics["probe"]["miou_occurring"]
        )
    write_json(args.out, metrics)
    stage.write_settings(args.out.with_suffix(".settings.json"))


def evaluate(
    args: argparse.Namespace,
    settings: Evaluate2DConfig,
    files: dict[str, Correspondence],
    model: nn.Module,
    classes: LabelSet,
    suffix: str = "",
) -> dict[str, Any]:
    """Metrics of a network of these classes on the images of all sequences; draws some of them."""
    total = np.zeros((len(classes), len(classes) + 1), np.int64)
    for sequence, file in files.items():
        shown = evenly_spaced_indices(len(file.frames), settings.images)
        for number, frame in enumerate(progress(file.frames, f"image of sequence {sequence}")):
            points = file.read(frame)
            path = labels_path(args.dataset, sequence, frame, args.evaluate_on)
            labels = (projected_labels if classes is CITYSCAPES else class_labels)(path, points, args.label_set)
            for camera, view in points.views.items():
                image = read_view(image_path(args.dataset, sequence, frame, camera), view)
                seen = points.rows(camera)
                pixel, target = points.pixel[seen], labels[seen]
                prediction = predict_image(model, image, args.device)
                columns, rows = nearest_pixels(pixel, view.width, view.height)
                total += confusion_matrix(target, prediction[rows, columns], len(classes))
                if number in shown:
                    name = figure_name(sequence, frame, camera, file.cameras) + suffix
                    figure = draw_prediction(image, prediction, pixel, target, classes)
                    write_figure(args.figures / f"{name}.png", figure)
    return summary(total, classes)


if __name__ == "__main__":
    main()
