"""nuScenes with the labels of nuScenes-lidarseg: keyframes of a LiDAR and six cameras, in tables of JSON.

``ROOT/{v1.0-*/*.json, samples/SENSOR/*, lidarseg/v1.0-*/*_lidarseg.bin}``. Source: the schema of nuscenes-devkit, whose
projection of points this one agrees with. It is no dependency: the tables are plain JSON, and it wants numpy below 2.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ignet.data.formats.calibration import Calibration
from ignet.data.formats.raw_files import read_bytes
from ignet.data.importers.frame import SensorFrame
from ignet.data.importers.nuscenes_tables import Record, Tables
from ignet.errors import IgnetError

LIDAR = "LIDAR_TOP"
CAMERAS = (
    "CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_BACK_RIGHT", "CAM_BACK", "CAM_BACK_LEFT", "CAM_FRONT_LEFT",
)  # fmt: skip
"""Cameras 0 to 5: from the front, clockwise."""

_POINT_BYTES = 20  # x, y, z, intensity, ring as float32
_AXES = np.array([[0.0, -1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
"""This project's LiDAR frame (forward, left, up) -> nuScenes' (right, forward, up)."""


def nuscenes(root: Path, version: str | None = None) -> Iterator[SensorFrame]:
    """Keyframes below ``root``, scene by scene; each scene becomes a sequence of its name.

    Args:
        root: the folder that holds the tables' folder and ``samples``.
        version: of the tables, such as ``v1.0-mini``; None: the only one that is there.

    Raises:
        IgnetError: a table, a record or a file is missing or broken.
    """
    tables = Tables(root, version or _only_version(root), {LIDAR, *CAMERAS})
    for scene in sorted(tables["scene"].values(), key=lambda record: str(record.get("name"))):
        name, sample = tables.value("scene", scene, "name"), tables.value("scene", scene, "first_sample_token")
        while sample:
            record = tables.get("sample", sample, f"scene {name}")
            yield _frame(tables, name, sample)
            sample = tables.value("sample", record, "next")


def _only_version(root: Path) -> str:
    found = sorted(path.parent.name for path in root.glob("v1.0-*/scene.json"))
    if len(found) != 1:
        raise IgnetError(
            f"found tables of {', '.join(found) or 'no version'}",
            "one folder such as v1.0-mini/scene.json",
            "name it by --version" if found else "give the folder that holds the tables' folder and samples/",
            path=root,
        )
    return found[0]


def _frame(tables: Tables, scene: str, sample: str) -> SensorFrame:
    sensors = tables.data.get(sample, {})
    if missing := [name for name in (LIDAR, *CAMERAS) if name not in sensors]:
        raise IgnetError(
            f"sample {sample} of {scene}: found no keyframe of {', '.join(missing)}",
            "one of each sensor",
            f"unpack the tables of {tables.version} again",
            path=tables.path("sample_data"),
        )
    sweep = sensors[LIDAR]
    scan = tables.root / tables.value("sample_data", sweep, "filename")
    labels = None
    if tables.labels is not None:
        if sweep["token"] not in tables.labels:
            raise IgnetError(
                f"found no labels of sweep {sweep['token']}",
                "one record for each keyframe",
                "unpack nuScenes-lidarseg of this version over the tree",
                path=tables.path("lidarseg"),
            )
        labels = partial(read_labels, tables.root / tables.labels[sweep["token"]], scan)
    images = {
        number: tables.root / tables.value("sample_data", sensors[channel], "filename")
        for number, channel in enumerate(CAMERAS)
    }
    return SensorFrame(
        drive=scene,
        name=sweep["token"],
        calibration=_calibration(tables, sensors),
        scan=partial(read_sweep, scan),
        image=images,
        labels=labels,
        sequence=scene,
    )


def _calibration(tables: Tables, sensors: dict[str, Record]) -> dict[int, Calibration]:
    """Of each camera at one keyframe.

    The vehicle moves between sweep and exposure, so that a point goes from the LiDAR through the vehicle at the sweep
    and the world into the vehicle at the exposure; this motion is part of each projection. ``tr`` is that of a vehicle
    that stands still, to the camera in front.
    """
    world = _to_world(tables, sensors[LIDAR]) @ _AXES
    lidar = _placed(tables, sensors[LIDAR]) @ _AXES
    tr = np.linalg.inv(_placed(tables, sensors[CAMERAS[0]])) @ lidar
    cameras = {}
    for number, channel in enumerate(CAMERAS):
        record = sensors[channel]
        to_camera = np.linalg.inv(_to_world(tables, record)) @ world @ np.linalg.inv(tr)
        size = tables.value("sample_data", record, "width"), tables.value("sample_data", record, "height")
        cameras[number] = Calibration(_intrinsic(tables, record) @ to_camera[:3], tr, size)
    return cameras


def _placed(tables: Tables, record: Record) -> NDArray[np.float64]:
    """Sensor -> vehicle, (4, 4) float64."""
    name = tables.value("sample_data", record, "calibrated_sensor_token")
    return tables.pose("calibrated_sensor", tables.get("calibrated_sensor", name, f"sample_data {record['token']}"))


def _to_world(tables: Tables, record: Record) -> NDArray[np.float64]:
    """Sensor -> world at the moment of a record, (4, 4) float64."""
    name = tables.value("sample_data", record, "ego_pose_token")
    vehicle = tables.pose("ego_pose", tables.get("ego_pose", name, f"sample_data {record['token']}"))
    return vehicle @ _placed(tables, record)


def _intrinsic(tables: Tables, record: Record) -> NDArray[np.float64]:
    calibrated = tables["calibrated_sensor"][record["calibrated_sensor_token"]]
    matrix = np.array(tables.value("calibrated_sensor", calibrated, "camera_intrinsic"), np.float64)
    if matrix.shape != (3, 3):
        raise IgnetError(
            f"record {calibrated['token']}: found camera_intrinsic of shape {matrix.shape}",
            "3 x 3 numbers",
            f"unpack the tables of {tables.version} again",
            path=tables.path("calibrated_sensor"),
        )
    return matrix


def read_sweep(path: Path) -> NDArray[np.float32]:
    """A sweep: float32 (N, 4), x forward, y left, z up in metres, remission 0 to 1 (the file's intensity / 255).

    Raises:
        IgnetError: the file is missing, empty or cut short.
    """
    data = read_bytes(path, "a sweep", "unpack samples again")
    if not data or len(data) % _POINT_BYTES:
        raise IgnetError(
            f"found {len(data)} bytes",
            f"a positive multiple of {_POINT_BYTES} (5 float32 a point: x y z intensity ring)",
            "unpack samples again",
            path=path,
        )
    right, forward, up, intensity, _ = np.frombuffer(data, "<f4").reshape(-1, 5).T
    return np.stack([forward, -right, up, intensity / np.float32(255)], axis=1).astype(np.float32)


def read_labels(path: Path, scan: Path) -> NDArray[np.uint32]:
    """Raw ids of a sweep's points, uint32 (N,).

    Args:
        path: of the labels, a byte a point.
        scan: the file of the sweep, which is there.

    Raises:
        IgnetError: the file is missing, or of another length than its sweep.
    """
    remedy = "unpack nuScenes-lidarseg of this version over the tree"
    labels = np.frombuffer(read_bytes(path, "labels", remedy), np.uint8)
    points = scan.stat().st_size // _POINT_BYTES
    if len(labels) != points:
        raise IgnetError(
            f"found {len(labels)} labels", f"{points}, one for each point of {scan.name}", remedy, path=path
        )
    return labels.astype(np.uint32)
