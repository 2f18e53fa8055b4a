"""Files of points in and out: .bin, .npy, .pcd and .ply scans; .label, .npy and .ply predictions."""

import io
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ignet.data.formats.kitti import scan_values
from ignet.data.label_sets.label_set import LabelSet, colorize
from ignet.errors import IgnetError
from ignet.files.atomic import atomic, write_array
from ignet.predict.segmenter import Prediction

REMISSIONS = ("remission", "intensity", "reflectance", "reflectivity", "i")
"""Usual names of the field of remissions, in any case, and with CloudCompare's ``scalar_`` before; the first counts."""

Fields = Mapping[str, NDArray]


def read_points(path: Path, remission_field: str | None = None) -> NDArray[np.float32]:
    """Read a scan as it stands in its file: float32 (N, 4), x, y, z, remission.

    Args:
        path: ``.bin`` (4 float32 a point), ``.npy`` ((N, 4) numbers, or a structured array), ``.pcd`` or ``.ply``.
        remission_field: field of a structured array, PCD or PLY that holds remissions; by default the first of
            `REMISSIONS` that is there.

    Raises:
        IgnetError: the file is missing, damaged, has no points, or lacks a field.
    """
    path = Path(path)
    if not path.is_file():
        raise IgnetError("no such file", "a scan", "correct its name", path=path)
    if path.suffix == ".bin":
        return scan_values(path)
    try:
        read = READERS[path.suffix](path)
    except IgnetError:
        raise
    except ImportError as error:
        raise IgnetError(str(error), "a package that reads it", "pip install 'ignet[formats]'", path=path) from None
    except Exception as error:  # of libraries, which fail in many ways on a damaged file
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise IgnetError(f"cannot be read ({reason})", f"a {path.suffix} scan", "write it again", path=path) from error
    points = read if isinstance(read, np.ndarray) else _columns(path, read, remission_field)
    if not len(points):
        raise IgnetError("found no points", "some", "write it again, or remove it", path=path)
    return points


def _columns(path: Path, fields: Fields, remission_field: str | None) -> NDArray[np.float32]:
    names = {name.lower().removeprefix("scalar_"): name for name in reversed(tuple(fields))}
    wanted = [remission_field.lower().removeprefix("scalar_")] if remission_field else REMISSIONS
    remission = next((name for name in wanted if name in names), None)
    missing = [name for name in "xyz" if name not in names] + ([] if remission else [" or ".join(wanted)])
    if missing:
        raise IgnetError(
            f"found the fields {', '.join(fields) or 'none'}",
            f"also {', '.join(missing)}",
            "write them too, or name the field of remissions with --remission-field",
            path=path,
        )
    return np.stack([np.asarray(fields[names[name]]).ravel() for name in (*"xyz", remission)], 1).astype(np.float32)


def _npy(path: Path) -> NDArray[np.float32] | Fields:
    array = np.load(path, allow_pickle=False)
    if array.dtype.names:
        return {name: array[name] for name in array.dtype.names}
    if array.ndim != 2 or array.shape[1] != 4 or array.dtype.kind not in "fiu":
        raise IgnetError(
            f"found {array.dtype} of shape {array.shape}",
            "numbers of shape (N, 4): x, y, z, remission, or a structured array with such fields",
            "leave other columns out",
            path=path,
        )
    return array.astype(np.float32)


def _pcd(path: Path) -> Fields:
    from pypcd4 import PointCloud

    cloud = PointCloud.from_path(path)
    return {name: cloud.pc_data[name] for name in cloud.fields}


def _ply(path: Path) -> Fields:
    from trimesh.exchange.ply import load_ply

    with path.open("rb") as file:
        elements = load_ply(file)["metadata"]["_ply_raw"]
    vertex = elements["vertex"]
    return {name: vertex["data"][name] for name in vertex["properties"]}


READERS: dict[str, Callable[[Path], NDArray[np.float32] | Fields]] = {
    ".bin": scan_values,
    ".npy": _npy,
    ".pcd": _pcd,
    ".ply": _ply,
}


def write_prediction(path: Path, points: NDArray[np.float32], prediction: Prediction, label_set: LabelSet) -> None:
    """Write what was predicted for a scan, in the format of the file's suffix.

    ``.label``: uint32 raw ids, 0 for a point without a return. ``.npy``: a structured array with `label` (such a raw
    id) and `confidence`. ``.ply``: binary, x, y, z, colour, label and confidence; a point without a return is black, at
    0 0 0.

    Args:
        path: the file to write.
        points: float32 (N, >= 3).
        prediction: of these points.
        label_set: gives raw ids and colours.
    """
    raw = label_set.to_raw_ids(prediction.labels)
    if path.suffix == ".label":
        data = raw
    else:
        table = np.zeros(len(raw), _PLY_TYPE if path.suffix == ".ply" else _PLY_TYPE[-2:])
        table["label"], table["confidence"] = raw, prediction.confidence
        if path.suffix == ".ply":
            there = prediction.confidence > 0
            for column, axis in enumerate("xyz"):
                table[axis] = np.where(there, points[:, column], 0)
            colors = colorize(prediction.labels, label_set.colors)
            table["red"], table["green"], table["blue"] = colors.T
        data = np.frombuffer(
            _npy_bytes(table) if path.suffix == ".npy" else _ply_header(len(raw)) + table.tobytes(), "u1"
        )
    with atomic(path) as temporary:
        write_array(temporary, data)


_PLY_TYPE = [
    *((axis, "<f4") for axis in "xyz"),
    *((color, "u1") for color in ("red", "green", "blue")),
    ("label", "<u4"),
    ("confidence", "<f4"),
]
_PLY_NAMES = {"<f4": "float", "u1": "uchar", "<u4": "uint"}


def _ply_header(points: int) -> bytes:
    properties = "".join(f"property {_PLY_NAMES[kind]} {name}\n" for name, kind in _PLY_TYPE)
    return f"ply\nformat binary_little_endian 1.0\nelement vertex {points}\n{properties}end_header\n".encode()


def _npy_bytes(table: NDArray) -> bytes:
    file = io.BytesIO()
    np.save(file, table, allow_pickle=False)
    return file.getvalue()
