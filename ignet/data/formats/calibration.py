"""Calibration files of a dataset in the SemanticKITTI layout: how each camera stands to the LiDAR."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ignet.data.formats.kitti import calibration_path
from ignet.data.formats.official import CAMERA
from ignet.data.formats.origin import restore
from ignet.data.formats.raw_files import calibration_lines, finite_numbers
from ignet.errors import IgnetError
from ignet.files.atomic import atomic


@dataclass(frozen=True)
class Calibration:
    """How a camera stands to the LiDAR: pixel = projection · tr · (x, y, z, 1).

    Attributes:
        projection: float64 (3, 4), pixels: ``PK`` of camera K (`image_K`), which may hold a rotation.
        tr: float64 (4, 4), LiDAR frame to the frame that the cameras of a rig have in common (KITTI: camera 0), in
            metres; the last row is 0 0 0 1.
        size: width and height in pixels of the images that `projection` is of, where the file says them.
    """

    projection: NDArray[np.float64]
    tr: NDArray[np.float64]
    size: tuple[int, int] | None = None


def frame_calibration(root: Path, sequence: str, frame: str, camera: int = CAMERA) -> Calibration:
    """How a camera stood to the LiDAR at a frame, by the frame's own file, else by the sequence's.

    Raises:
        IgnetError: as `read_calibration`.
    """
    return read_calibration(calibration_path(root, sequence, frame), camera)


def read_calibration(path: Path, camera: int = CAMERA) -> Calibration:
    """Read `PK` and `Tr` of a ``calib.txt`` for camera K: lines ``KEY: 12 numbers``, row-major (3, 4).

    And `S_rect_0K`, two numbers, if it is there.

    Raises:
        IgnetError: the file is missing, lacks one of the two, says one twice, or holds something that is no number.
    """
    lines = calibration_lines(path)
    found, key, size_key = ", ".join(lines) or "nothing", f"P{camera}", f"S_rect_{camera:02d}"
    if key not in lines:
        raise IgnetError(
            f"found {found}",
            f"a line '{key}:' (the projection of camera {camera})",
            restore(path, "data_odometry_calib", "here")
            if camera == CAMERA
            else "add it, or take it out of dataset.cameras",
            path=path,
        )
    if "Tr" not in lines:
        raise IgnetError(
            f"found {found}",
            "a line 'Tr:' (LiDAR to camera), which the calib.txt of the velodyne and SemanticKITTI archives lacks",
            restore(path, "data_odometry_calib", "over it"),
            path=path,
        )
    projection, tr = (finite_numbers(path, name, lines[name], 12).reshape(3, 4) for name in (key, "Tr"))
    size = finite_numbers(path, size_key, lines[size_key], 2) if size_key in lines else None
    return Calibration(
        projection, np.vstack([tr, [[0.0, 0.0, 0.0, 1.0]]]), None if size is None else (round(size[0]), round(size[1]))
    )


def write_calibration(path: Path, calibration: Calibration | Mapping[int, Calibration]) -> None:
    """Write `PK`, `Tr` and the images' sizes, where they are given, so that `read_calibration` gives the same values.

    Args:
        path: of the file.
        calibration: of each camera by its number, all with the same ``tr``; of one alone, of camera 2.

    Raises:
        ValueError: there is no camera, or they differ in ``tr``.
    """
    cameras = {CAMERA: calibration} if isinstance(calibration, Calibration) else dict(calibration)
    first, *others = cameras.values()
    if any(not np.array_equal(other.tr, first.tr) for other in others):
        raise ValueError(f"cameras {sorted(cameras)} differ in tr, expected one; put the difference into projection")
    rows = {f"P{number}": camera.projection.ravel() for number, camera in cameras.items()}
    rows["Tr"] = first.tr[:3].ravel()
    for number, camera in cameras.items():
        if camera.size:
            rows[f"S_rect_{number:02d}"] = np.array(camera.size, np.float64)
    with atomic(path) as temporary:
        temporary.write_text(
            "".join(f"{key}: {' '.join(repr(float(v)) for v in values)}\n" for key, values in rows.items()),
            encoding="utf-8",
        )
