"""Figures of single frames: scans from above, points in the image, 2D segmentation before and after adaptation."""

from collections.abc import Iterable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Wedge
from numpy.typing import NDArray

from ignet.data.label_sets.label_set import CITYSCAPES, IGNORE, LabelSet, colorize
from ignet.report.figures import BOX, WIDTH, class_legend, dot, new_figure

Named = Sequence[tuple[str, NDArray[np.uint8]]]
"""Predictions with their names."""

UNLABELLED_COLOR = (225, 225, 225)
RIGHT_COLOR = (185, 185, 185)
WRONG_COLOR = (214, 20, 20)

_IMAGES_IN_A_COLUMN = 3
_SCANS_IN_A_ROW = 4
_TITLE = 34
_LEGEND = 90


def from_above(
    points: NDArray[np.float32],
    target: NDArray[np.uint8],
    predictions: Named,
    sectors: Iterable[tuple[float, float]],
    label_set: LabelSet,
    title: str,
    extent: float = 50.0,
    note: str = "",
) -> Figure:
    """A scan from above, forward up: its labels, each prediction, and below each prediction its errors.

    All to one scale.

    Args:
        points: float32 (N, >= 3), x forward, y left, z up in metres.
        target: uint8 (N,), train ids, 255 for none.
        predictions: names and train ids (N,), at least one.
        sectors: each camera's azimuth interval (low, high) in radians in the LiDAR frame; low > high where it crosses
            the back.
        label_set: names and colours of the classes.
        title: of the figure.
        extent: metres drawn on each side of the sensor.
        note: remark below the figure.
    """
    columns = min(len(predictions) + 1, _SCANS_IN_A_ROW)
    blocks = -(-(len(predictions) + 1) // columns)
    side = WIDTH / columns
    figure = new_figure(2 * blocks * (side + _TITLE) + _TITLE)
    axes = figure.subplots(2 * blocks, columns, squeeze=False)
    for panel in axes.ravel():
        panel.set_axis_off()
    wedges = list(sectors)
    order = np.argsort(points[:, 2], kind="stable")  # what is higher hides what is lower

    def draw(panel: Axes, name: str, colors: NDArray[np.uint8]) -> None:
        _draw_scan(panel, points[order], colors[order], wedges, extent)
        panel.set_title(name, fontsize=13)

    draw(axes[0, 0], "labels", class_colors(target, label_set.colors))
    for number, (name, predicted) in enumerate(predictions, start=1):
        block, column = divmod(number, columns)
        draw(axes[2 * block, column], name, class_colors(predicted, label_set.colors))
        share = _share_wrong(target, predicted)
        draw(axes[2 * block + 1, column], f"{name}: {share}", error_colors(target, predicted))
    shown = np.concatenate([target, *(predicted for _, predicted in predictions)])
    dots = {"no label": UNLABELLED_COLOR, "right": RIGHT_COLOR, "wrong": WRONG_COLOR}
    handles = [*class_legend(shown, label_set), *(dot(*each) for each in dots.items())]
    scale = f"{2 * extent:g} m x {2 * extent:g} m, forward is up; grey sector: camera"
    axes[1, 0].legend(handles=handles, loc="center", ncols=2, title=scale, **BOX)
    return _captioned(figure, title, note)


def in_image(
    image: NDArray[np.uint8],
    pixel: NDArray[np.float32],
    target: NDArray[np.uint8],
    predictions: Named,
    label_set: LabelSet,
    title: str,
    note: str = "",
) -> Figure:
    """The camera image with the visible points in the colours of their classes: labels first, then each prediction.

    Args:
        image: uint8 (H, W, 3) RGB.
        pixel: float32 (n, 2), column and row of the visible points.
        target: uint8 (n,), train ids of these points, 255 for none.
        predictions: names and train ids (n,).
        label_set: names and colours of the classes.
        title: of the figure.
        note: remark below the figure.
    """
    panels = [
        ("labels", target),
        *((f"{name}: {_share_wrong(target, predicted)}", predicted) for name, predicted in predictions),
    ]
    figure, axes = _image_panels(image, len(panels))
    for panel, (name, ids) in zip(axes, panels, strict=False):
        _draw_points(panel, image, pixel, ids, label_set)
        panel.set_title(name, fontsize=12)
    shown = np.concatenate([ids for _, ids in panels])
    return _captioned(figure, title, note, class_legend(shown, label_set))


def before_after(
    image: NDArray[np.uint8],
    pixel: NDArray[np.float32],
    target: NDArray[np.uint8],
    predictions: Named,
    title: str,
    note: str = "",
) -> Figure:
    """The camera image, its labelled points, and the segmentation by each 2D network.

    Args as of `in_image`, but ``target`` holds Cityscapes train ids, and each of ``predictions`` those of all pixels,
    uint8 (H, W).
    """
    figure, axes = _image_panels(image, len(predictions) + 2)
    axes[0].imshow(image)
    axes[0].set_title("image", fontsize=12)
    _draw_points(axes[1], image, pixel, target, CITYSCAPES)
    axes[1].set_title("labels of the points, as Cityscapes classes", fontsize=12)
    columns, rows = np.rint(pixel).astype(np.int64).T
    for panel, (name, predicted) in zip(axes[2:], predictions, strict=False):
        panel.imshow((0.35 * _faded(image) + 0.65 * colorize(predicted, CITYSCAPES.colors)).astype(np.uint8))
        panel.set_title(f"{name}: {_share_wrong(target, predicted[rows, columns])}", fontsize=12)
    shown = np.concatenate([target, *(predicted.ravel() for _, predicted in predictions)])
    return _captioned(figure, title, note, class_legend(shown, CITYSCAPES))


def class_colors(ids: NDArray[np.uint8], palette: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Colours, uint8 (..., 3), of class ids (...,) for a white background: what has no class is pale grey."""
    colors = colorize(ids, palette)
    colors[ids == IGNORE] = UNLABELLED_COLOR
    return colors


def error_colors(target: NDArray[np.uint8], predicted: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Colours, uint8 (N, 3): right grey, wrong red, pale grey where there is no label to compare with."""
    colors = np.where((target == predicted)[:, None], RIGHT_COLOR, WRONG_COLOR).astype(np.uint8)
    colors[target == IGNORE] = UNLABELLED_COLOR
    return colors


def _share_wrong(target: NDArray[np.uint8], predicted: NDArray[np.uint8]) -> str:
    labelled = target != IGNORE
    return f"{(target != predicted)[labelled].mean():.1%} wrong" if labelled.any() else "no labels"


def _draw_scan(
    panel: Axes,
    points: NDArray[np.float32],
    colors: NDArray[np.uint8],
    sectors: Sequence[tuple[float, float]],
    extent: float,
) -> None:
    near = (np.abs(points[:, :2]) <= extent).all(axis=1)
    for low, high in np.degrees(sectors):
        # the figure's axes are (-y, x), so that forward is up: azimuth 0 is at 90 degrees there
        panel.add_patch(
            Wedge(
                (0, 0),
                2 * extent,
                low + 90,
                high + 90,
                facecolor="0.94",
                edgecolor="0.25",
                linewidth=0.8,
                linestyle="--",
                zorder=0,
            )
        )
    panel.scatter(-points[near, 1], points[near, 0], s=1.6, c=colors[near] / 255, marker="o", linewidths=0, zorder=1)
    panel.plot(0, 0, marker="+", markersize=9, color="black", zorder=2)
    panel.set(xlim=(-extent, extent), ylim=(-extent, extent), aspect="equal")


def _draw_points(
    panel: Axes,
    image: NDArray[np.uint8],
    pixel: NDArray[np.float32],
    ids: NDArray[np.uint8],
    label_set: LabelSet,
) -> None:
    panel.imshow(_faded(image))
    known = ids != IGNORE
    panel.scatter(pixel[known, 0], pixel[known, 1], s=5, c=label_set.colors[ids[known]] / 255, marker="o", linewidths=0)
    panel.set(xlim=(-0.5, image.shape[1] - 0.5), ylim=(image.shape[0] - 0.5, -0.5))


def _faded(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    grey = image.mean(axis=2, keepdims=True).repeat(3, axis=2)
    return (255 - 0.45 * (255 - grey)).astype(np.uint8)


def _image_panels(image: NDArray[np.uint8], count: int) -> tuple[Figure, NDArray]:
    """A figure of ``count`` panels in the image's shape, one below the other, in two columns if many."""
    columns = 1 if count <= _IMAGES_IN_A_COLUMN else 2
    rows = -(-count // columns)
    height = WIDTH / columns * image.shape[0] / image.shape[1]
    figure = new_figure(rows * (height + _TITLE) + _TITLE + _LEGEND)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for panel in axes:
        panel.set_axis_off()
    return figure, axes


def _captioned(figure: Figure, title: str, note: str, legend: Sequence[Line2D] = ()) -> Figure:
    if legend:
        figure.legend(handles=legend, loc="outside lower center", ncols=8, **BOX)
    figure.suptitle(title, fontsize=15)
    if note:
        figure.supxlabel(note, fontsize=10, color="0.35", x=0.995, ha="right")
    return figure
