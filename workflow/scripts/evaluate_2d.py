"""2D evaluation: a 2D network on target images, against the dense labels of the LiDAR points that the camera sees.

The labels are mapped to Cityscapes classes; a point counts at the pixel nearest to it.
"""

from pathlib import Path

import numpy as np

from ignet.config.training_2d import Evaluate2DConfig
from ignet.data.formats.kitti import evaluation_label_path, image_path
from ignet.data.images.target import nearest_pixels, projected_labels, read_view
from ignet.data.lidar.spacing import evenly_spaced_indices
from ignet.data.projection.correspondence import Correspondence, figure_name
from ignet.evaluate.confusion import confusion_matrix
from ignet.evaluate.segmentation2d import CLASSES, draw_prediction, predict_image, summary, write_figure
from ignet.files.atomic import write_json
from ignet.log import log, progress
from ignet.models.teachers.registry import load_teacher
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
        help="folder for figures NN_NNNNNN.png: image, prediction, projected labels",
    )
    args, settings = stage.start()

    args.figures.mkdir(parents=True, exist_ok=True)
    model = load_teacher(args.network).to(args.device)
    total = np.zeros((CLASSES, CLASSES + 1), np.int64)
    cells = {}
    for sequence in args.sequences:
        correspondence = Correspondence(args.projection / f"{sequence}.h5")
        cells[sequence] = correspondence.attributes.get("cells")
        shown = evenly_spaced_indices(len(correspondence.frames), settings.images)
        for number, frame in enumerate(progress(correspondence.frames, f"image of sequence {sequence}")):
            points = correspondence.read(frame)
            path = evaluation_label_path(args.dataset, sequence, frame, args.evaluate_on)
            labels = projected_labels(path, points, args.label_set)
            for camera, view in points.views.items():
                image = read_view(image_path(args.dataset, sequence, frame, camera), view)
                seen = points.rows(camera)
                pixel, target = points.pixel[seen], labels[seen]
                prediction = predict_image(model, image, args.device)
                columns, rows = nearest_pixels(pixel, view.width, view.height)
                total += confusion_matrix(target, prediction[rows, columns], CLASSES)
                if number in shown:
                    name = figure_name(sequence, frame, camera, correspondence.cameras)
                    write_figure(args.figures / f"{name}.png", draw_prediction(image, prediction, pixel, target))

    figures = summary(total)
    log.info("target images: mIoU over the classes that occur %.1f %%", 100 * figures["miou_occurring"])
    write_json(args.out, {"sequences": args.sequences, "z_buffer_cells": cells, **figures})
    stage.write_settings(args.out.with_suffix(".settings.json"))


if __name__ == "__main__":
    main()
