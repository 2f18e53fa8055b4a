"""Find the pixel of every point that a camera sees, for all frames of one sequence.

Each scan is projected into the images with the calibration of its frame, or of its sequence; a z-buffer for each image
removes the occluded points. Kept are the visible points, their cameras and pixels and, where scribbles are given, the
Cityscapes id of each point's scribble: a sparse scribble image. A calibration that cannot be right is refused; of a
strange one a line is said, by the rules of the check.
"""

import argparse
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from ignet.config.projection import ProjectionConfig
from ignet.data.check.calibration import calibration_faults, view_faults
from ignet.data.check.faults import Faults
from ignet.data.formats import kitti
from ignet.data.formats.calibration import Calibration, read_calibration
from ignet.data.label_sets.files import read_classes
from ignet.data.label_sets.label_set import IGNORE, LabelSet
from ignet.data.lidar.spacing import evenly_spaced_indices
from ignet.data.projection.correspondence import CorrespondenceWriter, FrameCorrespondence
from ignet.data.projection.geometry import point_spacing
from ignet.data.projection.views import CameraFrame, assign_points, look
from ignet.errors import IgnetError
from ignet.log import log, progress
from ignet.stage.script import Stage, command

_CELL_FRAMES = 10  # frames of a sequence that `projection.cell: auto` looks at


@command
def main() -> None:
    stage = Stage("projection", ProjectionConfig, __doc__)
    stage.add_common("dataset", "sequence", "cameras", "label-set", out="HDF5 file of the correspondence")
    stage.add("--scribbles", type=Path, help="folder whose sequences/NN/scribbles are projected too")
    stage.add(
        "--labelled",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="project the scribbles; not those of a validation sequence",
    )
    stage.add("--missing-images", default="refuse", help="allow: a frame may lack a camera's image")
    args, settings = stage.start()

    frames = kitti.frame_ids(args.dataset, args.sequence)
    cells = dict.fromkeys(args.cameras, settings.cell)
    if settings.cell == "auto":
        cells = find_cells(args, frames)
    text = " ".join(map(str, cells.values()))
    attributes = {"settings": settings.canonical(), "sequence": args.sequence, "cells": text}
    counts: Counter[Any] = Counter()
    with CorrespondenceWriter(args.out, attributes, args.cameras) as writer:
        for frame in progress(frames, f"projecting {args.sequence}"):
            writer.add(frame, project_frame(args, settings.tolerance, cells, frame, counts))
        for camera in args.cameras if counts["points"] else ():
            path = kitti.calibration_path(args.dataset, args.sequence)
            report(view_faults(counts[camera, "inside"], counts["points"], counts[camera, "images"], path, camera))
    say(args, counts, cells, len(frames))
    facts = {"missing_images": {camera: len(frames) - counts[camera, "images"] for camera in args.cameras}}
    occluded = 1 - counts["visible"] / max(counts["inside"], 1)
    stage.write_settings(args.out.with_suffix(".settings.json"), cells=cells, occluded=occluded, **facts)


def find_cells(args: argparse.Namespace, frames: list[str]) -> dict[int, int]:
    """Side of each camera's z-buffer cells: the spacing of the points in its image, the median of some frames."""
    spacings: dict[int, list[float]] = {camera: [] for camera in args.cameras}
    for i in evenly_spaced_indices(len(frames), _CELL_FRAMES):
        points = read_points(args, frames[i])
        for camera, known in spacings.items():
            seen = read_camera(args, camera, frames[i], points)
            if seen and (spacing := point_spacing(seen.projected)) is not None:
                known.append(spacing)
    # without points there is nothing to hide
    return {camera: max(round(float(np.median(known))), 1) if known else 1 for camera, known in spacings.items()}


def project_frame(
    args: argparse.Namespace, tolerance: float, cells: dict[int, int], frame: str, counts: Counter[Any]
) -> FrameCorrespondence:
    """The correspondence of a frame; ``counts`` gets its points, those inside an image and those that are visible."""
    points = read_points(args, frame)
    found = {camera: read_camera(args, camera, frame, points) for camera in args.cameras}
    cameras = {camera: seen for camera, seen in found.items() if seen}
    index, camera, pixel = assign_points(points, cameras, cells, tolerance)
    scribbles = args.scribbles if args.labelled else None
    scribble = _scribble(scribbles, args.sequence, frame, len(points), args.label_set)[index]
    inside = np.zeros(len(points), bool)
    for number, seen in cameras.items():
        inside |= seen.projected.inside
        counts.update({(number, "images"): 1, (number, "inside"): int(seen.projected.inside.sum())})
    counts.update(points=len(points), inside=int(inside.sum()), visible=len(index))
    views = {number: seen.view for number, seen in cameras.items()}
    return FrameCorrespondence(index, camera, pixel, scribble, len(points), views)


def read_points(args: argparse.Namespace, frame: str) -> np.ndarray:
    """The points of a frame's scan, float32 (N, 3)."""
    return kitti.read_positions(kitti.scan_path(args.dataset, args.sequence, frame))


def read_camera(args: argparse.Namespace, camera: int, frame: str, points: np.ndarray) -> CameraFrame | None:
    """The points of a frame in a camera's image; None where it may be missing, and is."""
    path = kitti.image_path(args.dataset, args.sequence, frame, camera)
    if args.missing_images == "allow" and not path.exists():
        return None
    size = kitti.image_size(path)
    calibration = kitti.calibration_path(args.dataset, args.sequence, frame)
    return look(points, checked_calibration(calibration, camera, size), *size)


@cache
def checked_calibration(path: Path, camera: int, size: tuple[int, int]) -> Calibration:
    """The calibration of a file, for images of a size; one that cannot be right is refused."""
    calibration = read_calibration(path, camera)
    report(calibration_faults(calibration, path, size, camera))
    return calibration


def report(faults: Faults) -> None:
    """Warn of what is strange about the calibration, and stop where it cannot be right."""
    for doubt in faults.doubts:
        log.warning("%s", doubt)
    if faults:
        raise IgnetError(str(faults[0]))


def say(args: argparse.Namespace, counts: Counter[Any], cells: dict[int, int], frames: int) -> None:
    """Log what was found."""
    shares = 100 * counts["inside"] / counts["points"], 100 * counts["visible"] / counts["points"]
    where = "the image" if len(args.cameras) == 1 else f"an image of {len(args.cameras)} cameras"
    log.info(
        "sequence %s: %d points, %.1f %% of them in %s, %.1f %% visible",
        args.sequence, counts["points"], shares[0], where, shares[1],
    )  # fmt: skip
    occluded = 100 * (1 - counts["visible"] / max(counts["inside"], 1))
    sides = ", ".join(map(str, cells.values()))
    log.info("sequence %s: z-buffer cells of %s pixels, %.1f %% occluded", args.sequence, sides, occluded)
    for camera in args.cameras:
        if missing := frames - counts[camera, "images"]:
            log.warning("sequence %s: %d of %d images of camera %d are missing", args.sequence, missing, frames, camera)


def _scribble(root: Path | None, sequence: str, frame: str, points: int, label_set: LabelSet) -> np.ndarray:
    """Cityscapes id of each point's scribble, uint8 (points,); 255 where it has none."""
    if root is None:
        return np.full(points, IGNORE, np.uint8)
    return label_set.to_camera_ids(read_classes(kitti.scribble_path(root, sequence, frame), points, label_set))


if __name__ == "__main__":
    main()
