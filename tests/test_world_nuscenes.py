"""The embedded world in nuScenes' format: tables that hang together, and points where its cameras see them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ignet.config.world import WorldConfig
from ignet.data.label_sets.label_set import SEMANTICKITTI, load_label_set
from ignet.world.drive import target_drive
from ignet.world.files import number_of
from ignet.world.nuscenes import LIDAR, write_nuscenes
from ignet.world.surround import SURROUND_RIG

WORLD = WorldConfig(preset="surround", frames=2, beams=16, azimuths=300, image_width=256, image_height=144)
SCENES, VERSION = ("scene-0061", "scene-0103"), "v1.0-mini"
TABLES = (
    "attribute", "calibrated_sensor", "category", "ego_pose", "instance", "lidarseg", "log", "map", "sample",
    "sample_annotation", "sample_data", "scene", "sensor", "visibility",
)  # fmt: skip


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("nuscenes") / "tree"
    write_nuscenes(WORLD, folder, SCENES, VERSION)
    return folder


@pytest.fixture(scope="module")
def tables(root: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """Records of each table by token."""
    read = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in (root / VERSION).glob("*.json")}
    return {name: {row["token"]: row for row in rows} for name, rows in read.items()}


def test_every_token_leads_somewhere(root: Path, tables: dict[str, dict[str, dict[str, Any]]]) -> None:
    assert tuple(sorted(tables)) == TABLES
    assert {name: len(tables[name]) for name in ("scene", "sample", "sample_data", "ego_pose", "lidarseg")} == {
        "scene": 2, "sample": 4, "sample_data": 28, "ego_pose": 28, "lidarseg": 4,
    }  # fmt: skip
    # a key that ends in _token names a record of the table that it is called after; prev and next one of its own
    places = {"first_sample_token": "sample", "last_sample_token": "sample"}
    for name, rows in tables.items():
        for row in rows.values():
            for key, value in row.items():
                if key.endswith("_token"):
                    assert value in tables[places.get(key, key.removesuffix("_token"))], (name, key)
                elif key in ("prev", "next") and value:
                    assert rows[value][{"prev": "next", "next": "prev"}[key]] == row["token"]
                elif key == "filename":
                    assert (root / value).is_file()
    labels = {int(row["index"]): row["name"] for row in tables["category"].values()}
    assert len(labels) == 32 and (labels[17], labels[24]) == ("vehicle.car", "flat.driveable_surface")


def _pose(record: dict[str, Any]) -> np.ndarray:
    """(4, 4) of a translation and a quaternion w x y z, by its formula."""
    w, x, y, z = record["rotation"]
    pose = np.eye(4)
    pose[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    pose[:3, 3] = record["translation"]
    return pose


@pytest.mark.parametrize("scene", SCENES)
def test_points_and_pixels(scene: str, root: Path, tables: dict[str, dict[str, dict[str, Any]]]) -> None:
    """From the sweep through vehicle, world and vehicle into each image, to the pixel that the world sees."""
    drive, nuscenes = target_drive(WORLD, number_of(scene)), load_label_set("nuscenes")
    [record] = [row for row in tables["scene"].values() if row["name"] == scene]
    sample = tables["sample"][record["first_sample_token"]]["next"]
    data = {}
    for row in tables["sample_data"].values():
        if row["sample_token"] == sample:
            sensor = tables["calibrated_sensor"][row["calibrated_sensor_token"]]
            to_world = _pose(tables["ego_pose"][row["ego_pose_token"]]) @ _pose(sensor)
            data[tables["sensor"][sensor["sensor_token"]]["channel"]] = row, sensor, to_world

    sweep, (row, _, to_world) = drive.scan(1), data[LIDAR]
    points = np.fromfile(root / row["filename"], "<f4").reshape(-1, 5)
    x, y, z, remission = sweep.points.T
    np.testing.assert_array_equal(points[:, :3], np.stack([-y, x, z], axis=1))
    np.testing.assert_array_equal(points[:, 3], np.round(255 * remission))
    assert set(points[:, 4]) == set(range(16)) and points[points[:, 4] == 0, 2].max() < 0 < points[:, 2].max()
    raw = np.fromfile(root / f"lidarseg/{VERSION}/{row['token']}_lidarseg.bin", np.uint8)
    classes = SEMANTICKITTI.to_train_ids(sweep.label)
    for name, expected in (("road", "driveable_surface"), ("person", "pedestrian"), ("building", "manmade")):
        of_class = nuscenes.to_train_ids(raw[classes == SEMANTICKITTI.classes.index(name)].astype(np.uint32))
        assert set(of_class) == {nuscenes.classes.index(expected)}

    world = to_world @ np.column_stack([points[:, :3], np.ones(len(points))]).T
    for mount, camera in zip(SURROUND_RIG.mounts, drive.cameras(1), strict=True):
        row, sensor, to_world = data[mount.name]
        assert row["timestamp"] == tables["sample"][sample]["timestamp"] + round(1e6 * mount.delay)
        found = np.array(sensor["camera_intrinsic"]) @ (np.linalg.inv(to_world) @ world)[:3]
        expected = camera.matrix @ np.column_stack([sweep.points[:, :3], np.ones(len(sweep.points))]).T
        ahead = expected[2] > 1
        assert ahead.sum() > 200
        np.testing.assert_allclose((found / found[2])[:2, ahead], (expected / expected[2])[:2, ahead], atol=1e-3)
        image = np.asarray(Image.open(root / row["filename"])).astype(float)
        assert image.shape == (144, 256, 3) and (row["width"], row["height"]) == (256, 144)
        assert np.abs(image - drive.picture(1, camera.number).image).mean() < 10
