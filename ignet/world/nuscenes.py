"""The embedded world's preset `surround` in nuScenes' own format, whose data may not be shipped with a test.

Tables, tokens, files and frames of reference as its public schema has them: LiDAR x right, y forward, z up, five
float32 a point; vehicle frame on the ground at the rear axle; quaternions w x y z; label files of one byte a point.
There are no boxes of objects (the tables `instance` and `sample_annotation` are empty), and no sweeps between
keyframes.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy.spatial.transform import Rotation

from ignet.config.world import WorldConfig
from ignet.data.label_sets.label_set import SEMANTICKITTI, LabelSet, load_label_set
from ignet.files.atomic import atomic, write_array
from ignet.log import progress
from ignet.world.drive import FRAME_SECONDS, Drive, target_drive
from ignet.world.files import number_of
from ignet.world.surround import SURROUND_RIG, Mount

LIDAR = "LIDAR_TOP"
_REAR_AXLE = 0.94  # metres that the LiDAR stands ahead of it
_START = 1_532_402_927_000_000  # microseconds of the first sweep
_LOG = "n015-2018-07-24-11-22-45+0800"
_RAW = {
    "car": 17, "bicycle": 14, "motorcycle": 21, "truck": 23, "other-vehicle": 16, "person": 2, "bicyclist": 14,
    "motorcyclist": 21, "road": 24, "parking": 24, "sidewalk": 26, "other-ground": 25, "building": 28, "fence": 9,
    "vegetation": 30, "trunk": 30, "terrain": 27, "pole": 28, "traffic-sign": 28,
}  # fmt: skip
"""The world's classes -> nuScenes-lidarseg's raw ids."""

Tables = dict[str, list[dict[str, Any]]]


def write_nuscenes(config: WorldConfig, root: Path, scenes: Iterable[str], version: str = "v1.0-mini") -> None:
    """Write a tree, all or nothing: each scene is a drive of its own, each frame a keyframe.

    Args:
        config: a world of the preset ``surround``.
        root: the folder to make.
        scenes: their names, such as ``scene-0061``.
        version: of the tables.
    """
    with atomic(root) as tree:
        for folder in ("maps", f"lidarseg/{version}", version, *(f"samples/{name}" for name in _channels())):
            (tree / folder).mkdir(parents=True)
        tables = _constant_tables(config, load_label_set("nuscenes"))
        Image.new("L", (8, 8), 255).save(tree / tables["map"][0]["filename"])
        for number, scene in enumerate(progress(list(scenes), "nuScenes scene")):
            _write_scene(config, scene, number, tree, tables, version)
        for name, rows in tables.items():
            (tree / version / f"{name}.json").write_text(json.dumps(rows, indent=0), encoding="utf-8")


def _channels() -> list[str]:
    return [LIDAR, *(mount.name for mount in SURROUND_RIG.mounts)]


def token(*parts: object) -> str:
    """32 hexadecimal digits that name a record."""
    return hashlib.md5("/".join(map(str, parts)).encode(), usedforsecurity=False).hexdigest()


def _constant_tables(config: WorldConfig, labels: LabelSet) -> Tables:
    """What all scenes share, and empty lists of the rest."""
    tables: Tables = defaultdict(list)
    names = json.loads(labels.text)["labels"]
    tables["category"] = [
        {"token": token("category", raw), "name": name, "description": "", "index": int(raw)}
        for raw, name in names.items()
    ]
    tables["visibility"] = [
        {"description": "", "token": str(number), "level": f"v{level}"}
        for number, level in enumerate(("0-40", "40-60", "60-80", "80-100"), 1)
    ]
    tables["attribute"] = [{"token": token("attribute"), "name": "vehicle.moving", "description": ""}]
    log = {"token": token("log"), "logfile": _LOG, "vehicle": "n015", "date_captured": "2018-07-24"}
    tables["log"] = [log | {"location": "singapore-onenorth"}]
    tables["map"] = [
        {
            "category": "semantic_prior",
            "token": token("map"),
            "filename": f"maps/{token('map')}.png",
            "log_tokens": [token("log")],
        }
    ]
    height = target_drive(config.model_copy(update={"frames": 1}), 0).pose(0)[2, 3]
    for channel, mount in zip(_channels(), (None, *SURROUND_RIG.mounts), strict=True):
        modality = "camera" if mount else "lidar"
        tables["sensor"].append({"token": token(channel), "channel": channel, "modality": modality})
        intrinsic = mount.intrinsic(config.image_width, config.image_height).tolist() if mount else []
        tables["calibrated_sensor"].append(
            {
                "token": token("calibrated", channel),
                "sensor_token": token(channel),
                **_placed(_sensor_pose(mount, height)),
                "camera_intrinsic": intrinsic,
            }
        )
    for name in ("instance", "ego_pose", "scene", "sample", "sample_data", "sample_annotation", "lidarseg"):
        tables[name] = []
    return tables


def _sensor_pose(mount: Mount | None, height: float) -> np.ndarray:
    """Sensor -> vehicle, (4, 4) float64; of the LiDAR where there is no mount."""
    to_vehicle = np.eye(4)
    to_vehicle[:3, 3] = _REAR_AXLE, 0, height
    return to_vehicle @ (_lidar_axes() if mount is None else np.linalg.inv(mount.extrinsic()))


def _lidar_axes() -> np.ndarray:
    """nuScenes' LiDAR frame (right, forward, up) -> the world's (forward, left, up), (4, 4) float64."""
    axes = np.eye(4)
    axes[:3, :3] = [[0, 1, 0], [-1, 0, 0], [0, 0, 1]]
    return axes


def _placed(pose: np.ndarray) -> dict[str, list[float]]:
    """A pose as the tables have it: metres, and a quaternion w x y z."""
    x, y, z, w = Rotation.from_matrix(pose[:3, :3]).as_quat().tolist()
    return {"translation": pose[:3, 3].tolist(), "rotation": [w, x, y, z]}


def _write_scene(config: WorldConfig, scene: str, number: int, tree: Path, tables: Tables, version: str) -> None:
    drive = target_drive(config, number_of(scene))
    start = _START + number * 10**9
    samples = [token("sample", scene, frame) for frame in range(config.frames)]
    tables["scene"].append(
        {
            "token": token("scene", scene),
            "log_token": token("log"),
            "nbr_samples": config.frames,
            "first_sample_token": samples[0],
            "last_sample_token": samples[-1],
            "name": scene,
            "description": "embedded world",
        }
    )
    for frame, sample in enumerate(samples):
        moment = start + round(frame * FRAME_SECONDS * 1e6)
        around = _neighbours(samples, frame)
        tables["sample"].append({"token": sample, "timestamp": moment, **around, "scene_token": token("scene", scene)})
        _write_sweep(config, drive, scene, frame, moment, tree, tables, version)
        for index, camera in enumerate(drive.rig):
            taken = moment + round(camera.delay * 1e6)
            place = frame + camera.delay / FRAME_SECONDS
            size = {"height": config.image_height, "width": config.image_width}
            mount = SURROUND_RIG.mounts[index]
            record = _data_record(config, scene, frame, mount.name, taken, "jpg") | size
            Image.fromarray(drive.picture(frame, index).image).save(tree / record["filename"], quality=95)
            tables["sample_data"].append(record)
            tables["ego_pose"].append(_vehicle(drive, record, place))


def _write_sweep(
    config: WorldConfig, drive: Drive, scene: str, frame: int, moment: int, tree: Path, tables: Tables, version: str
) -> None:
    sweep = drive.scan(frame)
    x, y, z, remission = sweep.points.T
    up = np.arctan2(z, np.hypot(x, y))
    angles = drive.lidar.elevations(config.beams)
    ring = config.beams - 1 - np.abs(up[:, None] - angles).argmin(axis=1)  # counted from below
    values = np.stack([-y, x, z, np.round(remission * 255), ring], axis=1)
    record = _data_record(config, scene, frame, LIDAR, moment, "pcd")
    write_array(tree / record["filename"], values.astype("<f4"))
    tables["sample_data"].append(record)
    tables["ego_pose"].append(_vehicle(drive, record, frame))
    raw_ids = np.array([_RAW[name] for name in SEMANTICKITTI.classes] + [0] * (256 - len(SEMANTICKITTI)), np.uint8)
    labels = f"lidarseg/{version}/{record['token']}_lidarseg.bin"
    write_array(tree / labels, raw_ids[SEMANTICKITTI.to_train_ids(sweep.label)])
    tables["lidarseg"].append({"token": record["token"], "sample_data_token": record["token"], "filename": labels})


def _data_record(config: WorldConfig, scene: str, frame: int, channel: str, moment: int, kind: str) -> dict[str, Any]:
    name = token("data", scene, channel, frame)
    suffix = "pcd.bin" if kind == "pcd" else kind
    return {
        "token": name,
        "sample_token": token("sample", scene, frame),
        "ego_pose_token": name,
        "calibrated_sensor_token": token("calibrated", channel),
        "timestamp": moment,
        "fileformat": kind,
        "is_key_frame": True,
        "height": 0,
        "width": 0,
        "filename": f"samples/{channel}/{_LOG}__{channel}__{moment}.{suffix}",
        **_neighbours([token("data", scene, channel, each) for each in range(config.frames)], frame),
    }


def _vehicle(drive: Drive, record: dict[str, Any], place: float) -> dict[str, Any]:
    """Where the vehicle is, at a frame or between two."""
    lidar = drive.pose(place)
    ahead = np.eye(4)
    ahead[:3, 3] = -_REAR_AXLE, 0, -lidar[2, 3]
    return {"token": record["ego_pose_token"], "timestamp": record["timestamp"], **_placed(lidar @ ahead)}


def _neighbours(tokens: list[str], index: int) -> dict[str, str]:
    return {
        "prev": tokens[index - 1] if index else "",
        "next": tokens[index + 1] if index + 1 < len(tokens) else "",
    }
