"""Draw one sheet of all data: source images with labels.

Of each target sequence an image, its labelled points, a scan and its scribbles.

What a person looks at before anything is trained: do labels sit where they should, do the two domains differ, where do
scribbles run?
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure

from ignet.config.evaluation import FiguresConfig
from ignet.data.formats import kitti
from ignet.data.formats.calibration import frame_calibration
from ignet.data.formats.source_images import SourceDataset
from ignet.data.label_sets.files import read_classes
from ignet.data.label_sets.label_set import CITYSCAPES, IGNORE, LabelSet, colorize
from ignet.data.lidar.spacing import middles
from ignet.data.projection.geometry import project
from ignet.report.figures import BOX, WIDTH, class_legend, dot, new_figure, save_figure
from ignet.report.scan_figures import UNLABELLED_COLOR, class_colors
from ignet.stage.script import Stage, command

_SOURCE_COLUMNS = 4
_ROW = 490  # pixels: height of one sequence
_LEGEND = 110


@command
def main() -> None:
    stage = Stage("figures", FiguresConfig, __doc__)
    stage.add_common("source", "layout", "sequences", "cameras", "label-set", out="PNG to make")
    stage.add("--target", type=Path, required=True, help="folder of the target dataset, which holds sequences/")
    stage.add(
        "--scribbles", type=Path, help="folder whose sequences/NN/scribbles are shown; default: the target dataset's"
    )
    stage.add("--without-source", action="store_true", help="show no source images: no network is made from any")
    args, settings = stage.start()

    source = None if args.without_source else SourceDataset(args.source, args.layout)
    images = [source.read(number) for number in middles(range(len(source)), _SOURCE_COLUMNS)] if source else []
    heights = [_ROW] * len(args.sequences) + [_LEGEND]
    if images:
        height, width = images[0][0].shape[:2]
        heights = [2 * WIDTH / _SOURCE_COLUMNS * height / width + 60, _LEGEND, *heights]
    figure = new_figure(sum(heights))
    parts = list(figure.subfigures(len(heights), 1, height_ratios=heights, hspace=0))
    if images:
        _draw_source(parts.pop(0), images, f"Source: {len(source or ())} labelled images of {width} x {height} pixels")
        shown = np.unique(np.concatenate([labels.ravel() for _, labels in images]))
        parts.pop(0).legend(handles=class_legend(shown, CITYSCAPES), loc="center", ncols=10, **BOX)
    # closer than the report's figures, because scribbles are thin
    extent = 0.6 * settings.extent
    scribbles = args.scribbles or args.target
    classes = [
        _draw_sequence(part, args.target, scribbles, name, args.cameras, extent, args.label_set)
        for part, name in zip(parts[:-1], args.sequences, strict=True)
    ]
    handles = [*class_legend(np.concatenate(classes), args.label_set), dot("no label", UNLABELLED_COLOR)]
    parts[-1].legend(handles=handles, loc="center", ncols=10, **BOX)
    save_figure(args.out, figure)


def _draw_source(part: SubFigure, images: list[tuple[np.ndarray, np.ndarray]], title: str) -> None:
    part.suptitle(title, fontsize=15)
    axes = part.subplots(2, _SOURCE_COLUMNS, squeeze=False)
    for panel in axes.ravel():
        panel.set_axis_off()
    for column, (image, labels) in zip(axes.T, images, strict=False):
        column[0].imshow(image)
        column[1].imshow(colorize(labels, CITYSCAPES.colors))


def _draw_sequence(
    part: SubFigure,
    root: Path,
    scribble_root: Path,
    sequence: str,
    cameras: Sequence[int],
    extent: float,
    label_set: LabelSet,
) -> np.ndarray:
    """Draw the middle frame with the images that it has; returns the classes that occur in it."""
    frames = kitti.frame_ids(root, sequence)
    (frame,) = middles(frames, 1)
    points = kitti.read_positions(kitti.scan_path(root, sequence, frame))
    labels = read_classes(kitti.label_path(root, sequence, frame), len(points), label_set)
    scribbles = read_classes(kitti.scribble_path(scribble_root, sequence, frame), len(points), label_set)
    part.suptitle(
        f"Target sequence {sequence}: {len(frames)} frames; frame {frame} with {len(points):,} points", fontsize=15
    )
    shown = [number for number in cameras if kitti.image_path(root, sequence, frame, number).exists()]
    rows = [[*(f"{kind}{number}" for number in shown), "a", "b"] for kind in ("image", "points")]
    axes = part.subplot_mosaic(rows, width_ratios=[*[1.75 / max(len(shown), 1)] * len(shown), 1, 1])
    for panel in axes.values():
        panel.set_xticks([])
        panel.set_yticks([])
    for number in shown:
        image = kitti.read_image(kitti.image_path(root, sequence, frame, number))
        calibration = frame_calibration(root, sequence, frame, number)
        projected = project(points, calibration.projection, calibration.tr, image.shape[1], image.shape[0])
        axes[f"image{number}"].imshow(image)
        seen = projected.inside & (labels != IGNORE)
        panel = axes[f"points{number}"]
        _draw_pixels(panel, image, projected.pixel[seen], label_set.colors[labels[seen]])
        share = f"{projected.inside.mean():.0%} of the scan"
        words = f"camera {number}: {share}" if len(shown) > 1 else f"points in the image ({share}) with their labels"
        panel.set_xlabel(words, fontsize=11 if len(shown) < 4 else 8)
    _draw_from_above(axes["a"], points, labels, extent, label_set)
    axes["a"].set_xlabel(f"labels, {2 * extent:g} m x {2 * extent:g} m, forward is up", fontsize=11)
    _draw_from_above(axes["b"], points, scribbles, extent, label_set)
    drawn = (scribbles != IGNORE).mean()
    axes["b"].set_xlabel(f"scribbles on {drawn:.1%} of the points" if drawn else "no scribbles", fontsize=11)
    return np.union1d(labels, scribbles)


def _draw_pixels(panel: Axes, image: np.ndarray, pixel: np.ndarray, colors: np.ndarray) -> None:
    panel.imshow((255 - 0.45 * (255 - image.mean(axis=2, keepdims=True).repeat(3, axis=2))).astype(np.uint8))
    panel.scatter(pixel[:, 0], pixel[:, 1], s=2.5, c=colors / 255, linewidths=0)
    panel.set(xlim=(-0.5, image.shape[1] - 0.5), ylim=(image.shape[0] - 0.5, -0.5))


def _draw_from_above(panel: Axes, points: np.ndarray, labels: np.ndarray, extent: float, label_set: LabelSet) -> None:
    near = (np.abs(points[:, :2]) <= extent).all(axis=1)
    order = np.flatnonzero(near)[
        np.lexsort((points[near, 2], labels[near] != IGNORE))
    ]  # labelled over unlabelled, high over low
    colors = class_colors(labels[order], label_set.colors) / 255
    panel.scatter(-points[order, 1], points[order, 0], s=1.4, c=colors, linewidths=0)
    panel.plot(0, 0, marker="+", markersize=9, color="black")
    panel.set(xlim=(-extent, extent), ylim=(-extent, extent), aspect="equal")


if __name__ == "__main__":
    main()
