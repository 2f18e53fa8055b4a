"""Files of a dataset in the SemanticKITTI layout: paths of all, and what scans, labels and images hold.

``ROOT/sequences/NN/{velodyne/F.bin, labels/F.label, scribbles/F.label, image_K/F.png, calib.txt, calib/F.txt}``, where
F is a frame's name and K a camera's number. Nothing here writes; calibrations: `ignet.data.formats.calibration`.
"""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ignet.data.formats import jpeg, png
from ignet.data.formats.official import CAMERA, JPEG
from ignet.data.formats.origin import restore
from ignet.data.formats.raw_files import read_dataset_file, unreadable
from ignet.data.formats.scan_values import check_live_scan, position_faults, scan_faults
from ignet.errors import IgnetError
from ignet.files.names import in_order, scan_name

POINT_BYTES = 16
"""Of a scan's point: x, y, z, remission as four float32."""

LABEL_BYTES = 4
"""Of a point's label: one uint32."""


def sequence_path(root: Path, sequence: str) -> Path:
    """Folder of one sequence."""
    return Path(root) / "sequences" / sequence


def scan_path(root: Path, sequence: str, frame: str) -> Path:
    """File of a scan."""
    return sequence_path(root, sequence) / "velodyne" / f"{frame}.bin"


def label_path(root: Path, sequence: str, frame: str) -> Path:
    """File of the dense labels of a scan."""
    return sequence_path(root, sequence) / "labels" / f"{frame}.label"


def scribble_path(root: Path, sequence: str, frame: str) -> Path:
    """File of the scribble labels of a scan."""
    return sequence_path(root, sequence) / "scribbles" / f"{frame}.label"


def labels_path(root: Path, sequence: str, frame: str, kind: str) -> Path:
    """File of a scan's labels of a kind: ``scribbles``, or what lies in the folder ``labels``."""
    return (scribble_path if kind == "scribbles" else label_path)(root, sequence, frame)


def image_path(root: Path, sequence: str, frame: str, camera: int = CAMERA) -> Path:
    """Image of a camera at a frame: a PNG, or a JPEG where there is no PNG."""
    path = sequence_path(root, sequence) / f"image_{camera}" / f"{frame}.png"
    other = path.with_suffix(JPEG)
    return other if not path.exists() and other.exists() else path


def calibration_path(root: Path, sequence: str, frame: str | None = None) -> Path:
    """Calibration file of a sequence; at a frame that has one of its own, that one."""
    if frame is not None and (own := frame_calibration_path(root, sequence, frame)).exists():
        return own
    return sequence_path(root, sequence) / "calib.txt"


def frame_calibration_path(root: Path, sequence: str, frame: str) -> Path:
    """Calibration file of a frame that has one of its own, which replaces the sequence's."""
    return sequence_path(root, sequence) / "calib" / f"{frame}.txt"


def frame_ids(root: Path, sequence: str) -> list[str]:
    """Names of the frames of a sequence in natural order: those of its scans, see `ignet.files.names`.

    Raises:
        IgnetError: the root, the sequence or its scans are not there.
    """
    root = Path(root)
    if not root.is_dir():
        raise IgnetError(
            "no such folder", "a dataset that holds sequences/", "set dataset.root to where it was unpacked", path=root
        )
    if not (root / "sequences").is_dir():
        raise IgnetError(
            "holds no folder sequences/", "sequences/NN/velodyne", "set dataset.root to the folder above it", path=root
        )
    folder = sequence_path(root, sequence)
    if not folder.is_dir():
        found = in_order(entry.name for entry in folder.parent.iterdir() if entry.is_dir())
        raise IgnetError(
            f"no such sequence, found {', '.join(found) or 'none'}",
            remedy=f"{restore(folder, how='here')}, or take it out of dataset.train_sequences and val_sequences",
            path=folder,
        )
    frames = in_order(scan for path in (folder / "velodyne").glob("*.bin") if (scan := scan_name(path.name, ".bin")))
    if not frames:
        scans = folder / "velodyne"
        raise IgnetError(
            "found no .bin file", "one for each frame", restore(scans, "data_odometry_velodyne", "here"), path=scans
        )
    return frames


def read_scan(path: Path, remission_scale: float = 1.0) -> NDArray[np.float32]:
    """Read a scan: float32 (N, 4), x forward, y left, z up in metres, remission 0-1.

    Args:
        path: a ``.bin`` file.
        remission_scale: what stands for a remission of 1 in the file; remissions are divided by it.

    Raises:
        IgnetError: the file is missing, empty or cut short, or its values are none that a scan can have
            (`ignet.data.formats.scan_values`).
    """
    points = scan_values(path)
    _refuse(path, scan_faults(points, remission_scale))
    return _divided(points, remission_scale)


def read_positions(path: Path) -> NDArray[np.float32]:
    """Read the coordinates of a scan alone: float32 (N, 3), x forward, y left, z up in metres.

    Raises:
        IgnetError: the file is missing, empty or cut short, or its coordinates are none that a scan can have.
    """
    points = scan_values(path)
    _refuse(path, position_faults(points))
    return np.ascontiguousarray(points[:, :3])


def read_live_scan(path: Path, remission_scale: float = 1.0) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Read a scan as a sensor gives it, with points that no pulse came back from.

    Args:
        path: a ``.bin`` file.
        remission_scale: as of `read_scan`.

    Returns:
        points float32 (N, 4) as of `read_scan`, and bool (N,): false for a point with a NaN, or at exactly 0 0 0.

    Raises:
        IgnetError: as `read_scan`, of the points with a return; or there is none.
    """
    points = scan_values(path)
    try:
        there = check_live_scan(points, remission_scale)
    except IgnetError as error:
        raise error.at(path) from None
    return _divided(points, remission_scale), there


def scan_values(path: Path) -> NDArray[np.float32]:
    """The values of a scan as they stand in its file, whatever they are: float32 (N, 4).

    Raises:
        IgnetError: the file is missing, empty or cut short.
    """
    data = read_dataset_file(path, "a scan", "data_odometry_velodyne")
    if not data or len(data) % POINT_BYTES:
        raise IgnetError(
            f"found {len(data)} bytes",
            f"a positive multiple of {POINT_BYTES} (4 float32 a point)",
            f"the file is cut short or is no scan: {restore(path)}",
            path=path,
        )
    return np.frombuffer(data, dtype="<f4").reshape(-1, 4).astype(np.float32)


def _refuse(path: Path, faults: Iterator[tuple[str, IgnetError]]) -> None:
    for _, fault in faults:
        raise fault.at(path)


def _divided(points: NDArray[np.float32], remission_scale: float) -> NDArray[np.float32]:
    if remission_scale != 1:
        points[:, 3] /= remission_scale
    return points


def read_labels(path: Path, points: int | None = None) -> NDArray[np.uint32]:
    """Read raw labels: uint32 (N,), the low 16 bits the class, the high 16 bits the instance.

    Args:
        path: a ``.label`` file.
        points: the number of points of its scan, where it is known.

    Raises:
        IgnetError: the file is missing, cut short, of another length than its scan, or holds floating-point numbers.
    """
    data = read_dataset_file(path, "a label file", "the labels")
    if len(data) % LABEL_BYTES:
        raise IgnetError(
            f"found {len(data)} bytes", f"a multiple of {LABEL_BYTES} (a uint32 a point)", restore(path), path=path
        )
    if points is not None and len(data) != LABEL_BYTES * points:
        raise IgnetError(
            f"found {len(data) // LABEL_BYTES} labels",
            f"{points}, as many as its scan has points",
            restore(path, "the labels that belong to these scans", "here"),
            path=path,
        )
    if _are_floats(data):
        raise IgnetError(
            "found float32 numbers", "uint32 (class and instance of each point)", "convert them", path=path
        )
    return np.frombuffer(data, dtype="<u4").astype(np.uint32)


def _are_floats(data: bytes) -> bool:
    """Whether labels are float32: whole numbers, not all 0 (read as float32, uint32 labels are next to 0)."""
    values = np.frombuffer(data, "<f4")
    return bool((values >= 1).any() and (values == np.round(values)).all())


def instance_ids(raw: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Number of the object that each point belongs to, uint32, 0 where it belongs to none.

    It is the whole label, since instances count within the raw class: car 7 and moving-car 7 are two objects.
    """
    raw = np.asarray(raw, np.uint32)
    return np.where(raw >> 16, raw, np.uint32(0))


def read_image(path: Path) -> NDArray[np.uint8]:
    """Read an image: uint8 (H, W, 3), RGB.

    Raises:
        IgnetError: the file is missing, is no whole image, or a grey one or one of more than 8 bits.
    """
    data = read_dataset_file(path, "an image", "data_odometry_color", "here")
    is_jpeg = data.startswith(jpeg.START)
    header = jpeg.read_header(data) if is_jpeg else png.parse_header(data[: png.START_BYTES])
    if header:
        _refuse(path, png.pixel_faults(header))
    # decoders fill what is missing with grey, silently
    whole = header is None or (jpeg.END in data[-jpeg.END_BYTES :] if is_jpeg else png.END in data[-png.END_BYTES :])
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data and whole else None
    if image is None:
        found = f"found {len(data)} bytes that are no whole image"
        raise IgnetError(found, "a PNG or a JPEG", restore(path), path=path)
    return np.ascontiguousarray(image[:, :, ::-1])


def image_size(path: Path) -> tuple[int, int]:
    """(width, height) in pixels of a PNG or a JPEG, from its header alone.

    Raises:
        IgnetError: the file is missing or is neither.
    """
    try:
        with Path(path).open("rb") as file:
            header = png.parse_header(file.read(png.START_BYTES)) or jpeg.read_header(Path(path))
    except OSError as error:
        raise unreadable(path, "an image", error, restore(path, "data_odometry_color", "here")) from None
    if header is None:
        raise IgnetError("found no header of a PNG or a JPEG", "an image", restore(path), path=path)
    return header.width, header.height
