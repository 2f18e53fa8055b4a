"""nuScenes: a tree in its public format, written by the embedded world, imported; and every fault of such a tree."""

import hashlib
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from snakemake_command import ROOT, snakemake_command

from ignet.cli.main import main
from ignet.config.base import read_yaml
from ignet.config.world import WorldConfig
from ignet.data.formats import kitti
from ignet.data.formats.calibration import frame_calibration
from ignet.data.importers.nuscenes import CAMERAS, LIDAR, nuscenes
from ignet.data.label_sets.label_set import IGNORE, SEMANTICKITTI, load_label_set
from ignet.data.projection.correspondence import Correspondence
from ignet.errors import IgnetError
from ignet.workflow.experiment import load_experiment
from ignet.workflow.facts import data_facts
from ignet.workflow.schedule import Scheduled
from ignet.workflow.work import Workload
from ignet.world.drive import target_drive
from ignet.world.files import number_of
from ignet.world.nuscenes import token, write_nuscenes

LABELS = load_label_set("nuscenes")
WORLD = WorldConfig(preset="surround", frames=2, beams=16, azimuths=300, image_width=256, image_height=144)
SCENES = ("scene-0061", "scene-0103")
VERSION = "v1.0-mini"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree of two scenes with a sweep and an image between keyframes, of which only the records are there."""
    root = tmp_path_factory.mktemp("nuscenes") / "tree"
    write_nuscenes(WORLD, root, reversed(SCENES), VERSION)

    def between(rows: list[dict[str, Any]]) -> None:
        for channel in (LIDAR, CAMERAS[3]):
            [row] = [row for row in rows if row["token"] == token("data", SCENES[0], channel, 0)]
            name = token("between", channel)
            file = row["filename"].replace("samples/", "sweeps/")
            rows.append(row | {"token": name, "ego_pose_token": name, "is_key_frame": False, "filename": file})

    change(root, "sample_data", between)
    return root


@pytest.fixture(scope="module")
def imported(published: Path) -> Path:
    out = published.with_name("imported")
    with pytest.raises(SystemExit) as ended:
        main(["import", "nuscenes", str(published), str(out), "--version", VERSION])
    assert ended.value.code == 0
    return out


def change(root: Path, table: str, spoil: Callable[[Any], object]) -> None:
    """Change the rows of a table in its file, which may be linked elsewhere."""
    path = root / VERSION / f"{table}.json"
    rows = json.loads(path.read_text(encoding="utf-8"))
    spoil(rows)
    path.unlink()
    path.write_text(json.dumps(rows), encoding="utf-8")


def test_a_scene_becomes_a_sequence_of_its_keyframes(imported: Path) -> None:
    assert sorted(path.name for path in (imported / "sequences").iterdir()) == list(SCENES)
    rows = [line.split(",") for line in (imported / "frames.csv").read_text(encoding="utf-8").splitlines()]
    assert rows[1:] == [
        [scene, f"{frame:06d}", scene, token("data", scene, LIDAR, frame)] for scene in SCENES for frame in range(2)
    ]
    folder = imported / "sequences" / SCENES[1]
    images = [f"image_{number}" for number in range(6)]
    assert sorted(path.name for path in folder.iterdir()) == ["calib", "calib.txt", *images, "labels", "velodyne"]
    assert [path.name for path in (folder / "calib").iterdir()] == ["000001.txt"]


@pytest.mark.parametrize("scene", SCENES)
def test_points_labels_and_images_are_the_worlds(scene: str, imported: Path, published: Path) -> None:
    drive = target_drive(WORLD, number_of(scene))
    raw = {"road": 24, "car": 17, "person": 2, "vegetation": 30, "building": 28, "sidewalk": 26, "fence": 9}
    for frame in range(2):
        name, sweep = f"{frame:06d}", drive.scan(frame)
        scan = kitti.read_scan(kitti.scan_path(imported, scene, name))
        np.testing.assert_array_equal(scan[:, :3], sweep.points[:, :3])
        np.testing.assert_allclose(scan[:, 3], sweep.points[:, 3], atol=0.5 / 255 + 1e-6)
        labels = kitti.read_labels(kitti.label_path(imported, scene, name), len(scan))
        classes = SEMANTICKITTI.to_train_ids(sweep.label)
        for each, expected in raw.items():
            own = classes == SEMANTICKITTI.classes.index(each)
            assert own.any() and (labels[own] == expected).all(), each
        assert {LABELS.classes[each] for each in LABELS.to_train_ids(labels) if each != 255} >= {"car", "manmade"}
        for number, channel in enumerate(CAMERAS):
            path = kitti.image_path(imported, scene, name, number)
            image = kitti.read_image(path)
            assert path.is_symlink() and kitti.image_size(path) == (256, 144)
            [file] = (
                row["filename"]
                for row in json.loads((published / VERSION / "sample_data.json").read_text(encoding="utf-8"))
                if row["token"] == token("data", scene, channel, frame)
            )
            np.testing.assert_array_equal(image, np.asarray(Image.open(published / file)))


def test_each_frame_is_calibrated_as_the_world_was_when_it_was_exposed(imported: Path) -> None:
    """A point comes out at the world's own pixel, though it went through vehicle, world and vehicle again."""
    rng = np.random.default_rng(0)
    points = np.column_stack([rng.uniform(-30, 30, (200, 2)), rng.uniform(-2, 3, 200), np.ones(200)]).T
    for scene in SCENES:
        drive = target_drive(WORLD, number_of(scene))
        for frame in range(2):
            for number, camera in enumerate(drive.cameras(frame)):
                calibration = frame_calibration(imported, scene, f"{frame:06d}", number)
                assert calibration.size == (256, 144)
                found, expected = calibration.projection @ calibration.tr @ points, camera.matrix @ points
                ahead = expected[2] > 1
                assert ahead.sum() > 20
                np.testing.assert_allclose(
                    (found[:2] / found[2])[:, ahead], (expected[:2] / expected[2])[:, ahead], atol=1e-5
                )
                np.testing.assert_allclose(found[2], expected[2], atol=1e-8)
                # the reference frame is that of the camera in front, standing still
                np.testing.assert_allclose(calibration.tr, drive.camera.tr, atol=1e-9)


def test_three_jobs_on_the_imported_tree(imported: Path, tmp_path: Path) -> None:
    """The check, simulated scribbles and the correspondence of six cameras, by the workflow."""
    experiment = {
        "results": "results",
        "runs": {"full": {"supervision": "dense"}},
        "compare": {"baseline": "full"},
        "dataset": {
            "root": str(imported),
            "labels": "nuscenes",
            "cameras": list(range(6)),
            "train_sequences": [SCENES[0]],
            "val_sequences": [SCENES[1]],
            "scribbles": "simulated",
        },
    }
    (tmp_path / "experiment.json").write_text(json.dumps(experiment), encoding="utf-8")
    targets = [
        f"results/dataset/{SCENES[0]}.json",
        f"results/scribbles/sequences/{SCENES[0]}/scribbles",
        f"results/projection/{SCENES[0]}.h5",
    ]
    options = ("--cores", 1, "--configfile", tmp_path / "experiment.json")
    done = subprocess.run(
        snakemake_command(tmp_path, *options, "--", *targets), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    report = json.loads((tmp_path / targets[0]).read_text(encoding="utf-8"))
    assert report["frames"] == ["000000", "000001"]
    drawn = LABELS.to_train_ids(kitti.read_labels(tmp_path / targets[1] / "000001.label"))
    truth = LABELS.to_train_ids(kitti.read_labels(kitti.label_path(imported, SCENES[0], "000001")))
    assert 0.05 < (drawn != IGNORE).mean() < 0.1 and (drawn == truth)[drawn != IGNORE].all()
    seen = Correspondence(tmp_path / targets[2]).read("000001")
    assert set(seen.camera) == set(range(6)) and len(seen.index) > 0.5 * len(truth)
    # a point lies where the frame's own calibration puts it in the camera that it is seen by
    scan = kitti.read_scan(kitti.scan_path(imported, SCENES[0], "000001"))
    for camera in range(6):
        calibration = frame_calibration(imported, SCENES[0], "000001", camera)
        rows = seen.camera == camera
        u, v, depth = (
            calibration.projection
            @ calibration.tr
            @ np.column_stack([scan[seen.index[rows], :3], np.ones(rows.sum())]).T
        )
        np.testing.assert_allclose(seen.pixel[rows], np.stack([u / depth, v / depth], axis=1), atol=1e-2)


def linked(published: Path, copy: Path) -> Path:
    """A copy whose files are links: one that is spoilt has to be replaced."""
    shutil.copytree(published, copy, copy_function=lambda a, b: Path(b).hardlink_to(a))
    return copy


def replace_file(path: Path, data: bytes | None) -> None:
    path.unlink()
    if data is not None:
        path.write_bytes(data)


def files(root: Path, folder: str) -> list[Path]:
    return sorted((root / folder).iterdir())


def drop(key: str) -> Callable[[list[dict[str, Any]]], None]:
    return lambda rows: rows[0].pop(key)


def dangling(key: str) -> Callable[[list[dict[str, Any]]], None]:
    return lambda rows: rows[0].__setitem__(key, "0" * 32)


def without(channel: str) -> Callable[[list[dict[str, Any]]], None]:
    name = token("data", SCENES[0], channel, 1)
    return lambda rows: rows.__setitem__(slice(None), [row for row in rows if row["token"] != name])


SPOILT: dict[str, tuple[Callable[[Path], object], str]] = {
    "no table": (
        lambda root: (root / VERSION / "ego_pose.json").unlink(),
        r"/v1.0-mini/ego_pose.json: no such file, expected a table of nuScenes; unpack the tables of v1.0-mini here",
    ),
    "no labels": (
        lambda root: (root / VERSION / "lidarseg.json").unlink(),
        "/lidarseg.json: no such file, expected a table of nuScenes; unpack nuScenes-lidarseg of this version over",
    ),
    "cut table": (
        lambda root: replace_file(root / VERSION / "sensor.json", b'[{"token": "a'),
        "/sensor.json: no JSON ",
    ),
    "no records": (
        lambda root: replace_file(root / VERSION / "scene.json", b'{"name": 3}'),
        "/scene.json: found something else than records with tokens",
    ),
    "dangling pose": (
        lambda root: change(root, "sample_data", dangling("ego_pose_token")),
        "/ego_pose.json: found no record 0{32}, which sample_data [0-9a-f]{32} names",
    ),
    "dangling calibration": (
        lambda root: change(root, "sample_data", dangling("calibrated_sensor_token")),
        "/calibrated_sensor.json: found no record 0{32}, which sample_data [0-9a-f]{32} names",
    ),
    "dangling sample": (
        lambda root: change(root, "scene", dangling("first_sample_token")),
        "/sample.json: found no record 0{32}, which scene scene-0103 names",
    ),
    "no key": (
        lambda root: change(root, "calibrated_sensor", drop("rotation")),
        "/calibrated_sensor.json: record [0-9a-f]{32}: found no 'rotation'",
    ),
    "no pose": (
        lambda root: change(root, "calibrated_sensor", lambda rows: rows[2].__setitem__("rotation", [0, 0, 0, 0])),
        "/calibrated_sensor.json: record [0-9a-f]{32}: no pose ",
    ),
    "no matrix": (
        lambda root: change(root, "calibrated_sensor", lambda rows: rows[1].__setitem__("camera_intrinsic", [])),
        r"/calibrated_sensor.json: record [0-9a-f]{32}: found camera_intrinsic of shape \(0,\), expected 3 x 3",
    ),
    "no camera": (
        lambda root: change(root, "sample_data", without("CAM_BACK")),
        "/sample_data.json: sample [0-9a-f]{32} of scene-0061: found no keyframe of CAM_BACK, expected one of each",
    ),
    "labels of no sweep": (
        lambda root: change(root, "lidarseg", without(LIDAR)),
        "/lidarseg.json: found no labels of sweep [0-9a-f]{32}, expected one record for each keyframe",
    ),
    "labels of another length": (
        lambda root: replace_file(files(root, f"lidarseg/{VERSION}")[0], bytes(7)),
        r"_lidarseg.bin: found 7 labels, expected \d{4}, one for each point of n015.*__LIDAR_TOP__\d+.pcd.bin; unpack",
    ),
    "no file of labels": (
        lambda root: replace_file(files(root, f"lidarseg/{VERSION}")[0], None),
        "_lidarseg.bin: no such file, expected labels; unpack nuScenes-lidarseg",
    ),
    "cut sweep": (
        lambda root: replace_file(files(root, f"samples/{LIDAR}")[0], bytes(30)),
        r"samples/LIDAR_TOP/.*: found 30 bytes, expected a positive multiple of 20 \(5 float32 a point",
    ),
    "no sweep": (
        lambda root: replace_file(files(root, f"samples/{LIDAR}")[0], None),
        "samples/LIDAR_TOP/.*: no such file, expected a sweep; unpack samples again",
    ),
    "no image": (
        lambda root: replace_file(files(root, "samples/CAM_BACK")[0], None),
        "samples/CAM_BACK/.*jpg: no such file, expected one for each frame; unpack its archive again",
    ),
    "other tables": (
        lambda root: shutil.move(root / VERSION, root / "v1.0"),
        "tree: found tables of no version, expected one folder such as v1.0-mini/scene.json; give the folder",
    ),
    "two versions": (
        lambda root: shutil.copytree(root / VERSION, root / "v1.0-trainval"),
        "tree: found tables of v1.0-mini, v1.0-trainval, expected one folder .*; name it by --version",
    ),
}


@pytest.mark.parametrize("name", SPOILT)
def test_a_fault_of_the_tree_is_one_line(
    name: str, published: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = linked(published, tmp_path / "tree")
    spoil, expected = SPOILT[name]
    spoil(root)
    with pytest.raises(SystemExit) as ended:
        main(["import", "nuscenes", str(root), str(tmp_path / "out")])
    assert ended.value.code == 1
    [line] = [line for line in capsys.readouterr().err.splitlines() if "converted frame" not in line]
    with pytest.raises(IgnetError, match=expected):
        raise IgnetError(line.removeprefix("error: "))
    assert not (tmp_path / "out").exists()


def test_a_broken_image_is_found_by_the_check(
    published: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Images are linked, so that it is the tree's check that reads them; the tree stays to be looked at."""
    root = linked(published, tmp_path / "tree")
    replace_file(files(root, "samples/CAM_BACK")[0], b"GIF")
    with pytest.raises(SystemExit) as ended:
        main(["import", "nuscenes", str(root), str(tmp_path / "out")])
    assert ended.value.code == 1
    [line] = [line for line in capsys.readouterr().out.splitlines() if "found 3 bytes" in line]
    assert "scene-0103/image_3/000000.jpg: found 3 bytes that are no JPEG" in line


def test_the_test_split_has_no_labels(published: Path, tmp_path: Path) -> None:
    root = linked(published, tmp_path / "tree")
    (root / VERSION / "lidarseg.json").unlink()
    (root / VERSION).rename(root / "v1.0-test")
    frames = list(nuscenes(root, "v1.0-test"))
    assert len(frames) == 4 and all(frame.labels is None for frame in frames)


def test_the_pages_tree_can_be_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As docs/nuscenes.md writes it."""
    [code] = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs/nuscenes.md").read_text(encoding="utf-8"), re.M | re.S)
    monkeypatch.chdir(tmp_path)
    exec(code, {})
    assert [frame.sequence for frame in nuscenes(Path("data/pretended-nuscenes"))] == sorted(2 * SCENES)


def test_the_experiment_has_the_official_scenes() -> None:
    """Their number, and a hash of the lists of nuscenes-devkit 1.2.0."""
    known = {
        ("config/nuscenes.yaml", "train"): (700, "182d90e54953d7b067e5488298daef0c46fcb51c8aecddd40f8e3f64934fbdd5"),
        ("config/nuscenes.yaml", "val"): (150, "9c6d87239035bbd37818497915c95f6df980f62ffdb7dbcf1e527b997b74dc65"),
        ("config/nuscenes/mini.yaml", "train"): (8, "c849f160715c4c6f417e8595bd97978dda65bbacb6da8fbf8a0a3233e676c2c8"),
        ("config/nuscenes/mini.yaml", "val"): (2, "12657200a28a6a68f33613640947e7d1a2804e4e54c2ffc53c43d6bcbd8ddd75"),
    }
    for (file, part), expected in known.items():
        names = read_yaml(ROOT / file)["dataset"][f"{part}_sequences"]
        assert (len(names), hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()) == expected


def test_paper_scale_is_planned_without_the_data() -> None:
    values = read_yaml(ROOT / "config/nuscenes.yaml") | {"source": {}}
    experiment = load_experiment(values, "config/nuscenes.yaml")
    facts = data_facts(experiment)
    assert facts.count(experiment.dataset.sequences) == 34149
    assert set(facts.frames.values()) == {40, 41} and facts.cameras == 6
    assert (facts.points, facts.pixels) == (35000, 1600 * 900)
    assert 0.9 < facts.visible / facts.points <= 1
    assert "published mean length of nuScenes' scenes" in facts.notes[0]
    extraction = Scheduled("features", {"sequence": "scene-0001", "network": "source"}, True, [], "", "", [])
    [features] = Workload(experiment, facts).units(extraction)
    assert features.units == 6 * facts.frames["scene-0001"]


def test_only_a_layout_with_versions_takes_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["import", "kitti_object", str(tmp_path), str(tmp_path / "out"), "--version", "v1.0-mini"])
    assert "found --version, which the layout 'kitti_object' has none of" in capsys.readouterr().err
