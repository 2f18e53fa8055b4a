"""KITTI's 3D object detection benchmark: a calibration for each frame, with the rectification as a matrix of its own.

``ROOT/training/{velodyne/F.bin, image_2/F.png, calib/F.txt}``. It has boxes and no classes of points; where somebody
has made these, they are read from ``ROOT/training/labels/F.label``. Source: the development kit's readme of the
benchmark.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ignet.data.formats.calibration import Calibration
from ignet.data.importers.frame import SensorFrame
from ignet.errors import IgnetError
from ignet.files.names import scan_name

_MATRICES = {"P2": (3, 4), "R0_rect": (3, 3), "Tr_velo_to_cam": (3, 4)}


def kitti_object(root: Path) -> Iterator[SensorFrame]:
    """Frames below ``root``.

    Their order of time is not published, so all are of one drive, which is split by calibration.

    Raises:
        IgnetError: there is no frame, or a calibration is missing or broken.
    """
    folder = root / "training"
    scans = sorted(path for path in (folder / "velodyne").glob("*.bin") if scan_name(path.name, ".bin"))
    if not scans:
        raise IgnetError(
            f"{folder / 'velodyne'}: found no .bin file, expected KITTI's object data; unpack "
            "data_object_velodyne.zip here"
        )
    for scan in scans:
        labels = folder / "labels" / f"{scan.stem}.label"
        yield SensorFrame(
            drive="training",
            name=scan.stem,
            calibration=read_object_calibration(folder / "calib" / f"{scan.stem}.txt"),
            scan=scan,
            image=folder / "image_2" / f"{scan.stem}.png",
            labels=labels if labels.is_file() else None,
        )


def read_object_calibration(path: Path) -> Calibration:
    """Calibration of one frame: x -> P2 · R0_rect · Tr_velo_to_cam · x, with the latter two as one matrix Tr.

    Raises:
        IgnetError: the file is missing, or a matrix is missing or broken.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")  # with or without a byte order mark
        lines = {key.strip(): values.split() for key, _, values in (line.partition(":") for line in text.splitlines())}
    except (OSError, UnicodeDecodeError) as error:
        raise IgnetError(
            f"{path}: cannot be read ({error}), expected a calibration; unpack data_object_calib.zip here"
        ) from None
    matrices = {key: _matrix(path, key, lines.get(key, []), shape) for key, shape in _MATRICES.items()}
    rectify, to_camera = np.eye(4), np.eye(4)
    rectify[:3, :3] = matrices["R0_rect"]
    to_camera[:3] = matrices["Tr_velo_to_cam"]
    return Calibration(projection=matrices["P2"], tr=rectify @ to_camera)


def _matrix(path: Path, key: str, values: list[str], shape: tuple[int, int]) -> NDArray[np.float64]:
    try:
        matrix = np.array([float(value) for value in values])
    except ValueError:
        matrix = np.zeros(0)
    if matrix.size != shape[0] * shape[1] or not np.isfinite(matrix).all():
        found = f"found {len(values)} values" if values else "found no such line"
        raise IgnetError(
            f"{path}: line '{key}': {found}, expected {shape[0] * shape[1]} numbers; unpack data_object_calib.zip again"
        )
    return matrix.reshape(shape)
