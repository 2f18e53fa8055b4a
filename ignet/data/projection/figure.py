"""A picture of one frame's correspondence: depths and scribbles drawn over the camera image."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from ignet.data.label_sets.label_set import CITYSCAPES, IGNORE, colorize

_LEGEND_ROWS = 28
_WIDTH = 1024  # pixels of an image whose points are drawn with the radius 1 or 2
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def draw_correspondence(
    image: NDArray[np.uint8],
    pixel: NDArray[np.float32],
    depth: NDArray[np.float32],
    scribble: NDArray[np.uint8],
    caption: str = "",
) -> NDArray[np.uint8]:
    """Two panels with legends: visible points coloured by depth, and their scribbles in the colours of Cityscapes.

    Args:
        image: uint8 (H, W, 3) RGB.
        pixel: float32 (n, 2), column and row.
        depth: float32 (n,), metres.
        scribble: uint8 (n,), Cityscapes train ids, 255 none. Where there are none, the second panel is left out.
        caption: a line above the panels; none where it is empty.

    Returns:
        uint8 (..., W', 3) RGB; small images are enlarged to about 1024 pixels, so that the points can be told apart.
    """
    zoom = max(1, round(1024 / image.shape[1]))
    far_first = np.argsort(-depth)
    colors, legend = _depth_colors(depth, image.shape[1] * zoom)
    panels = [_points(image, pixel[far_first], colors[far_first], zoom, 0.8, 1), legend]
    drawn = scribble != IGNORE
    if drawn.any():
        panels.append(_points(image, pixel[drawn], colorize(scribble[drawn], CITYSCAPES.colors), zoom, 0.45, 2))
        panels.append(_class_legend(np.unique(scribble[drawn]), image.shape[1] * zoom))
    if caption:
        strip = np.full((_LEGEND_ROWS, image.shape[1] * zoom, 3), 60, np.uint8)
        _text(strip, caption, 8)
        panels.insert(0, strip)
    return np.concatenate(panels)


def in_columns(drawings: Sequence[NDArray[np.uint8]], columns: int = 3) -> NDArray[np.uint8]:
    """Drawings, uint8 (H, W, 3) each, side by side from the left, in rows of up to ``columns``, on white."""
    rows = [drawings[start : start + columns] for start in range(0, len(drawings), columns)]
    height, width = (max(drawing.shape[axis] for drawing in drawings) for axis in (0, 1))
    if len(drawings) == 1:
        return drawings[0]
    sheet = np.full((len(rows) * height, min(columns, len(drawings)) * width, 3), 255, np.uint8)
    for number, drawing in enumerate(drawings):
        top, left = (number // columns) * height, (number % columns) * width
        sheet[top : top + drawing.shape[0], left : left + drawing.shape[1]] = drawing
    return sheet


def _points(
    image: NDArray[np.uint8],
    pixel: NDArray[np.float32],
    colors: NDArray[np.uint8],
    zoom: int,
    brightness: float,
    radius: int,
) -> NDArray[np.uint8]:
    """Discs over a greyed and dimmed image, so that only the points have colour."""
    grey = (image.mean(axis=2, keepdims=True) * brightness).astype(np.uint8).repeat(3, axis=2)
    canvas = cv2.resize(grey, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_NEAREST)
    radius = max(1, round(radius * canvas.shape[1] / _WIDTH))
    centres = np.rint((pixel + 0.5) * zoom - 0.5).astype(int)
    for (u, v), color in zip(centres.tolist(), colors.tolist(), strict=True):
        cv2.circle(canvas, (u, v), radius, color, thickness=-1)
    return canvas


def _depth_colors(depth: NDArray[np.float32], width: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Colours (n, 3) on a logarithmic scale, because most points are near, and the scale as a strip."""
    near, far = (float(np.percentile(depth, share)) for share in (0.5, 99.5)) if len(depth) else (1.0, 2.0)
    near, far = max(near, 0.1), max(far, near + 0.1, 0.2)

    def color(values: NDArray) -> NDArray[np.uint8]:
        if not len(values):  # no point of this frame is visible
            return np.zeros((0, 3), np.uint8)
        level = np.clip(np.log(values / near) / np.log(far / near), 0, 1)
        turbo = cv2.applyColorMap(np.rint((1 - level) * 255).astype(np.uint8).reshape(-1, 1), cv2.COLORMAP_TURBO)
        return turbo.reshape(-1, 3)[:, ::-1]

    scale = np.geomspace(near, far, width)
    strip = np.repeat(color(scale)[None], _LEGEND_ROWS, axis=0).copy()
    ticks = [near, *(tick for tick in (5, 10, 20, 30, 40, 60) if 1.2 * near < tick < 0.8 * far), far]
    for tick in ticks:
        text = f"{tick:.0f} m" if tick >= 2 else f"{tick:.1f} m"
        column = int(np.searchsorted(scale, tick))
        _text(strip, text, min(max(column - 20, 4), width - 56))
    return color(depth), strip


def _class_legend(classes: NDArray[np.uint8], width: int) -> NDArray[np.uint8]:
    """The classes' names on their colours, in as many lines as they need."""
    lines = [np.full((_LEGEND_ROWS, width, 3), 255, np.uint8)]
    column = 4
    for train in classes.tolist():
        name = CITYSCAPES.classes[train]
        room = cv2.getTextSize(name, _FONT, 0.5, 1)[0][0] + 12
        if column + room > width:
            lines.append(np.full((_LEGEND_ROWS, width, 3), 255, np.uint8))
            column = 4
        lines[-1][4:-4, column : column + room] = CITYSCAPES.colors[train]
        _text(lines[-1], name, column + 6)
        column += room + 6
    return np.concatenate(lines)


def _text(strip: NDArray[np.uint8], text: str, column: int) -> None:
    """White letters with a shadow, readable on any colour."""
    for shift, color in ((1, (0, 0, 0)), (0, (255, 255, 255))):
        cv2.putText(strip, text, (column + shift, _LEGEND_ROWS - 10 + shift), _FONT, 0.5, color, 1, cv2.LINE_AA)
