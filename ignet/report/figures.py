"""What all figures have in common: size, colours of runs, legends, files."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from ignet.data.label_sets.label_set import LabelSet
from ignet.files.atomic import atomic

WIDTH = 1600
"""Pixels: width of every figure."""

DPI = 100
BOX = {"frameon": False, "fontsize": 11}


def new_figure(height: float) -> Figure:
    """An empty figure, ``WIDTH`` pixels wide and ``height`` pixels high, that lays itself out."""
    return Figure(figsize=(WIDTH / DPI, height / DPI), dpi=DPI, layout="constrained", facecolor="white")


def save_figure(path: Path, figure: Figure) -> None:
    """Write a figure as PNG, atomically; equal figures give equal bytes."""
    with atomic(path) as temporary:
        figure.savefig(temporary, dpi=DPI, metadata={"Software": None})


def run_colors(names: Sequence[str]) -> dict[str, tuple[float, float, float]]:
    """A colour for each run, by its place in ``names``; the first ten are easy to tell apart."""
    return {
        name: matplotlib.colormaps["tab10" if number < 10 else "Set2"](number % 10)[:3]
        for number, name in enumerate(names)
    }


def run_lines(names: Sequence[str]) -> dict[str, str]:
    """A line style for each run, by its place in ``names``.

    It changes where the colours that are easy to tell apart end.
    """
    return {name: ("-", "--", ":", "-.")[number // 10 % 4] for number, name in enumerate(names)}


def class_legend(ids: NDArray[np.uint8], label_set: LabelSet) -> list[Line2D]:
    """Legend entries of the classes that occur among ``ids``, in the order of the classes."""
    present = [number for number in np.unique(ids).tolist() if number < len(label_set)]
    return [dot(label_set.classes[number], label_set.colors[number]) for number in present]


def dot(label: str, color: Sequence[int] | NDArray[np.uint8]) -> Line2D:
    """Legend entry of points of one colour, RGB 0..255."""
    face = tuple((np.asarray(color) / 255).tolist())
    return Line2D([], [], linestyle="", marker="o", markersize=9, mfc=face, mec="0.4", mew=0.5, label=label)
