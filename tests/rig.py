"""A small dataset of a rig with several cameras, in the exact layout."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from conftest import TINY_CALIBRATION, write_tree

from ignet.data.formats import kitti
from ignet.data.formats.calibration import Calibration, write_calibration

YAWS = {0: 0.0, 2: 60.0, 5: 180.0}
"""Camera -> degrees that it looks to the left; the views of 0 and 2 overlap (77 degrees wide, the image 64 x 32)."""

SIZES = {0: (64, 32), 2: (64, 32), 5: (48, 24)}
"""Width and height of each camera's images."""


def camera(number: int, moved: float = 0.0) -> Calibration:
    """A camera of the rig, its rotation in the projection.

    Args:
        number: of the camera.
        moved: metres that the vehicle has gone ahead since the scan.
    """
    yaw, (width, height) = np.deg2rad(YAWS[number]), SIZES[number]
    intrinsic = np.array([[40.0 * width / 64, 0, (width - 1) / 2], [0, 40.0 * width / 64, (height - 1) / 2], [0, 0, 1]])
    # about the reference camera's y axis, which points down: a camera that looks left sees the left ahead
    turn = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    shift = np.array([0, 0, -moved])
    return Calibration(intrinsic @ np.column_stack([turn, turn @ shift]), TINY_CALIBRATION.tr)


def write_rig(
    root: Path, sequences: Sequence[str] = ("00", "08"), frames: int = 2, points: int = 400, per_frame: bool = False
) -> Path:
    """`conftest.write_tree` with the cameras of ``YAWS``.

    Args:
        root: the folder to make.
        sequences, frames, points: as there.
        per_frame: each frame has a calibration of its own, of a vehicle that has gone half a metre; calib.txt too.
    """
    write_tree(root, tuple(sequences), frames, points)
    for sequence in sequences:
        folder = kitti.sequence_path(root, sequence)
        write_calibration(folder / "calib.txt", {number: camera(number) for number in YAWS})
        for frame in kitti.frame_ids(root, sequence):
            rng = np.random.default_rng([int(sequence), int(frame)])
            for number, (width, height) in SIZES.items():
                path = kitti.image_path(root, sequence, frame, number)
                path.parent.mkdir(exist_ok=True)
                cv2.imwrite(str(path), rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
            if per_frame:
                own = kitti.frame_calibration_path(root, sequence, frame)
                own.parent.mkdir(exist_ok=True)
                write_calibration(own, {number: camera(number, 0.5) for number in YAWS})
    return root
