"""Draw validation frames: predictions from above and in the camera image, and the 2D segmentations."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ignet.config.evaluation import FiguresConfig
from ignet.data.formats.kitti import image_path, labels_path, read_positions, scan_path
from ignet.data.images.target import read_view
from ignet.data.label_sets.files import labelled_frames, read_classes
from ignet.data.lidar.spacing import middles
from ignet.data.projection.correspondence import Correspondence, FrameCorrespondence, figure_name
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
            (sequence, frame, correspondence.read(frame), correspondence.cameras)
            for frame in middles(
                labelled_frames(args.dataset, sequence, correspondence.frames, args.evaluate_on), settings.frames
            )
        ]

    for sequence, frame, visible, cameras in progress(chosen, "drawn frame"):
        draw_frame(args, settings, sequence, frame, visible, cameras, predictions, networks)
    stage.write_settings(args.out / "settings.json")
    log.info("figures of %d frames in %s", len(chosen), args.out)


def draw_frame(
    args: argparse.Namespace,
    settings: FiguresConfig,
    sequence: str,
    frame: str,
    visible: FrameCorrespondence,
    cameras: Sequence[int],
    predictions: Mapping[str, Path],
    networks: Mapping[str, FrozenTeacher],
) -> None:
    """Write the figures of one frame: from above, in each image, and where there are 2D networks theirs."""
    label_set = args.label_set
    points = read_positions(scan_path(args.dataset, sequence, frame))
    check_correspondence(visible, points, f"{args.projection / sequence}.h5: frame {frame}")
    labels = labels_path(args.dataset, sequence, frame, args.evaluate_on)
    target = read_classes(labels, len(points), label_set)
    predicted = [
        (run, read_predictions(folder, sequence, frame, len(points), label_set)) for run, folder in predictions.items()
    ]
    title, name, note = f"sequence {sequence}, frame {frame}", f"{sequence}_{frame}", args.scribbles_note
    heading, extent = f"From above, {title}", settings.extent
    above = from_above(points, target, predicted, visible.sectors.values(), label_set, heading, extent, note)
    save_figure(args.out / f"{name}_above.png", above)
    for camera, view in visible.views.items():
        image = read_view(image_path(args.dataset, sequence, frame, camera), view)
        rows, which = visible.rows(camera), f", camera {camera}" if len(cameras) > 1 else ""
        name, pixel, index = figure_name(sequence, frame, camera, cameras), visible.pixel[rows], visible.index[rows]
        seen = [(run, ids[index]) for run, ids in predicted]
        heading = f"Points that the camera sees, {title}{which}"
        overlay = in_image(image, pixel, target[index], seen, label_set, heading, note)
        save_figure(args.out / f"{name}_image.png", overlay)
        segmented = [(network, predict_image(model, image, args.device)) for network, model in networks.items()]
        if segmented:
            street = label_set.to_camera_ids(target[index])
            panels = before_after(image, pixel, street, segmented, f"2D networks, {title}{which}", note)
            save_figure(args.out / f"{name}_networks_2d.png", panels)


def check_correspondence(visible: FrameCorrespondence, points: NDArray[np.float32], where: str) -> None:
    """Raise an error where the correspondence was made from another scan."""
    if visible.points != len(points):
        raise IgnetError(
            f"{where}: found {visible.points} points, expected {len(points)}; run the stage projection again"
        )


if __name__ == "__main__":
    main()
