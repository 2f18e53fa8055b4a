"""Find the pixel of every point that the camera sees, for all frames of one sequence.

Each scan is projected with the sequence's calibration; a z-buffer removes the occluded points. Kept are the visible
points, their pixels and, where scribbles are given, the Cityscapes id of each point's scribble: a sparse scribble
image. A calibration that cannot be right is refused; of a strange one a line is said, by the rules of the check.
"""

import argparse
from pathlib import Path

import numpy as np

from ignet.config.projection import ProjectionConfig
from ignet.data.check.calibration import calibration_faults, view_faults
from ignet.data.check.faults import Faults
from ignet.data.formats import kitti
from ignet.data.label_sets.label_set import IGNORE, LabelSet
from ignet.data.lidar.spacing import evenly_spaced_indices
from ignet.data.projection.correspondence import CorrespondenceWriter, FrameCorrespondence
from ignet.data.projection.geometry import Projected, camera_sector, point_spacing, project, visible
from ignet.errors import IgnetError
from ignet.log import log, progress
from ignet.stage.script import Stage, command

_CELL_FRAMES = 10  # frames of a sequence that `projection.cell: auto` looks at


@command
def main() -> None:
    stage = Stage("projection", ProjectionConfig, __doc__)
    stage.add_common("dataset", "sequence", "label-set", out="HDF5 file of the correspondence")
    stage.add("--scribbles", type=Path, help="folder whose sequences/NN/scribbles are projected too")
    stage.add(
        "--labelled",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="project the scribbles; not those of a validation sequence",
    )
    args, settings = stage.start()

    frames = kitti.frame_ids(args.dataset, args.sequence)
    path = kitti.calibration_path(args.dataset, args.sequence)
    calibration = kitti.read_calibration(path)
    first_size = kitti.image_size(kitti.image_path(args.dataset, args.sequence, frames[0]))
    report(calibration_faults(calibration, path, first_size))
    cell = find_cell(args, calibration, frames) if settings.cell == "auto" else settings.cell
    inside, seen, total = 0, 0, 0
    attributes = {"settings": settings.canonical(), "sequence": args.sequence, "cells": str(cell)}
    with CorrespondenceWriter(args.out, attributes) as writer:
        for frame in progress(frames, f"projecting {args.sequence}"):
            entry, in_image = project_frame(args, settings.tolerance, cell, calibration, frame)
            writer.add(frame, entry)
            inside, seen, total = inside + in_image, seen + len(entry.index), total + entry.points
        report(view_faults(inside, total, len(frames), path))
    shares = 100 * inside / total, 100 * seen / total
    log.info("sequence %s: %d points, %.1f %% of them in the image, %.1f %% visible", args.sequence, total, *shares)
    occluded = 1 - seen / max(inside, 1)
    log.info("sequence %s: z-buffer cells of %d pixels, %.1f %% occluded", args.sequence, cell, 100 * occluded)
    stage.write_settings(args.out.with_suffix(".settings.json"), cell=cell, occluded=occluded)


def find_cell(args: argparse.Namespace, calibration: kitti.Calibration, frames: list[str]) -> int:
    """Side of the z-buffer's cells: the spacing of the points in the image, the median of some frames."""
    chosen = [frames[i] for i in evenly_spaced_indices(len(frames), _CELL_FRAMES)]
    spacings = [point_spacing(read_projected(args, calibration, frame)[0]) for frame in chosen]
    known = [spacing for spacing in spacings if spacing is not None]
    return max(round(float(np.median(known))), 1) if known else 1  # without points there is nothing to hide


def read_projected(
    args: argparse.Namespace, calibration: kitti.Calibration, frame: str
) -> tuple[Projected, tuple[int, int]]:
    """The projected points of a frame, and width and height of its image."""
    points = kitti.read_positions(kitti.scan_path(args.dataset, args.sequence, frame))
    size = kitti.image_size(kitti.image_path(args.dataset, args.sequence, frame))
    return project(points, calibration.p2, calibration.tr, *size), size


def project_frame(
    args: argparse.Namespace, tolerance: float, cell: int, calibration: kitti.Calibration, frame: str
) -> tuple[FrameCorrespondence, int]:
    """The correspondence of a frame, and how many of its points lie in the image, occluded ones too."""
    projected, size = read_projected(args, calibration, frame)
    index = np.flatnonzero(visible(projected, *size, cell, tolerance)).astype(np.int32)
    count = len(projected.depth)
    scribbles = args.scribbles if args.labelled else None
    scribble = _scribble(scribbles, args.sequence, frame, count, args.label_set)[index]
    sector = camera_sector(calibration.p2, calibration.tr, *size)
    entry = FrameCorrespondence(index, projected.pixel[index], scribble, count, *size, sector)
    return entry, int(projected.inside.sum())


def report(faults: Faults) -> None:
    """Warn of what is strange about the calibration, and stop where it cannot be right."""
    for doubt in faults.doubts:
        log.warning("%s", doubt)
    if faults:
        raise IgnetError(str(faults[0]))


def _scribble(root: Path | None, sequence: str, frame: str, points: int, label_set: LabelSet) -> np.ndarray:
    """Cityscapes id of each point's scribble, uint8 (points,); 255 where it has none."""
    if root is None:
        return np.full(points, IGNORE, np.uint8)
    path = kitti.scribble_path(root, sequence, frame)
    return label_set.to_camera_ids(label_set.to_train_ids(kitti.read_labels(path, points), str(path)))


if __name__ == "__main__":
    main()
