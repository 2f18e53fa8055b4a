"""Draw validation frames: predictions from above and in the camera image, and the 2D segmentations."""

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ignet.config.evaluation import FiguresConfig
from ignet.data.formats.kitti import (
    evaluation_label_path,
    image_path,
    read_image,
    read_labels,
    read_positions,
    scan_path,
)
from ignet.data.lidar.spacing import middles
from ignet.data.projection.correspondence import Correspondence, FrameCorrespondence
from ignet.errors import IgnetError
from ignet.evaluate.predictions import read_predictions
from ignet.evaluate.segmentation2d import predict_image
from ignet.log import log, progress
from ignet.models.teachers.base import FrozenTeacher
from ignet.models.teachers.registry import load_teacher
from ignet.report.arguments import name_and_path
from ignet.report.figures import save_figure
from ignet.report.scan_figures import before_after, from_above, in_image
from ignet.stage.script import Stage, command


@command
def main() -> None:
    stage = Stage("figures", FiguresConfig, __doc__)
    stage.add_common(
        "dataset", "networks-2d", "sequences", "projection", "label-set", "evaluate-on", out="folder of the figures"
    )
    stage.add(
        "--predictions",
        nargs="+",
        required=True,
        metavar="RUN=DIR",
        help="folder that holds sequences/NN/predictions of each run",
    )
    stage.add("--scribbles-note", default="", help="a remark on the scribbles that the runs were trained with")
    args, settings = stage.start()

    predictions = dict(map(name_and_path, args.predictions))
    networks = {name: load_teacher(path).to(args.device) for name, path in map(name_and_path, args.networks_2d)}
    chosen = []
    for sequence in args.sequences:
        correspondence = Correspondence(args.projection / f"{sequence}.h5")
        chosen += [
            (sequence, frame, correspondence.read(frame)) for frame in middles(correspondence.frames, settings.frames)
        ]

    for sequence, frame, visible in progress(chosen, "drawn frame"):
        draw_frame(args, settings, sequence, frame, visible, predictions, networks)
    stage.write_settings(args.out / "settings.json")
    log.info("figures of %d frames in %s", len(chosen), args.out)


def draw_frame(
    args: argparse.Namespace,
    settings: FiguresConfig,
    sequence: str,
    frame: str,
    visible: FrameCorrespondence,
    predictions: Mapping[str, Path],
    networks: Mapping[str, FrozenTeacher],
) -> None:
    """Write the figures of one frame: from above, in the image, and where there are 2D networks theirs."""
    label_set = args.label_set
    points = read_positions(scan_path(args.dataset, sequence, frame))
    image = read_image(image_path(args.dataset, sequence, frame))
    check_correspondence(visible, points, image, f"{args.projection / sequence}.h5: frame {frame}")
    labels = evaluation_label_path(args.dataset, sequence, frame, args.evaluate_on)
    target = label_set.to_train_ids(read_labels(labels, len(points)), str(labels))
    predicted = [
        (run, read_predictions(folder, sequence, frame, len(points), label_set)) for run, folder in predictions.items()
    ]
    seen = [(run, ids[visible.index]) for run, ids in predicted]
    segmented = [(name, predict_image(model, image, args.device)) for name, model in networks.items()]

    title, name, note = f"sequence {sequence}, frame {frame}", f"{sequence}_{frame}", args.scribbles_note
    heading, extent = f"From above, {title}", settings.extent
    above = from_above(points, target, predicted, visible.sector, label_set, heading, extent, note)
    save_figure(args.out / f"{name}_above.png", above)
    visible_target = target[visible.index]
    heading = f"Points that the camera sees, {title}"
    overlay = in_image(image, visible.pixel, visible_target, seen, label_set, heading, note)
    save_figure(args.out / f"{name}_image.png", overlay)
    if segmented:
        street = label_set.to_camera_ids(visible_target)
        panels = before_after(image, visible.pixel, street, segmented, f"2D networks, {title}", note)
        save_figure(args.out / f"{name}_networks_2d.png", panels)


def check_correspondence(
    visible: FrameCorrespondence, points: NDArray[np.float32], image: NDArray[np.uint8], where: str
) -> None:
    """Raise an error where the correspondence was made from another scan or image."""
    expected = (len(points), image.shape[1], image.shape[0])
    if (visible.points, visible.width, visible.height) != expected:
        raise IgnetError(
            f"{where}: found {visible.points} points and an image of {visible.width} x {visible.height}, expected "
            f"{expected[0]} and {expected[1]} x {expected[2]}; run the stage projection again"
        )


if __name__ == "__main__":
    main()
