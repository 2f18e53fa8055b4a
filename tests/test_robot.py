"""docs/your-own-sensor.md as it stands: a robot with two cameras, 16 beams, six classes and no dense labels."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from snakemake_command import ROOT

from ignet.data.formats import kitti
from ignet.data.label_sets.label_set import load_label_set
from ignet.data.projection.correspondence import Correspondence
from ignet.files.atomic import read_json

PAGE = (ROOT / "docs" / "your-own-sensor.md").read_text(encoding="utf-8")
CLASSES = ("floor", "wall", "shelf", "person", "pallet", "plant")
WIDTH, HEIGHT, FOCAL = 160, 120, 90.0
DRIVES = {"monday": 3, "tuesday": 2}
UNMARKED = {("monday", 2), ("tuesday", 0)}
COLORS = {
    1: (120, 120, 120),
    2: (150, 150, 190),
    3: (200, 120, 30),
    4: (40, 40, 220),
    5: (120, 80, 40),
    6: (30, 170, 30),
}


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", PAGE, re.M | re.S)


def to_lidar(yaw: float, left: float) -> np.ndarray:
    """Camera to LiDAR: a camera that is turned by ``yaw`` degrees and mounted ``left`` metres, both to the left."""
    turned = cv2.Rodrigues(np.array([0.0, 0.0, np.deg2rad(yaw)]))[0]
    matrix = np.eye(4)
    matrix[:3, :3] = turned @ np.array(
        [[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]]
    )  # right, down, forward -> forward, left, up
    matrix[:3, 3] = (0.1, left, -0.1)
    return matrix


CAMERAS = {0: ("left", to_lidar(45, 0.2)), 1: ("right", to_lidar(-45, -0.2))}


def scan(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Points float32 (N, 4) of 16 beams in a hall, and the class of each."""
    elevation, azimuth = np.meshgrid(np.deg2rad(np.linspace(-15, 15, 16)), np.deg2rad(np.arange(-180, 180, 1.0)))
    elevation, azimuth = elevation.ravel(), azimuth.ravel()
    sector = (np.rad2deg(azimuth) // 30).astype(int) % 5
    distance = np.choose(sector, [8.0, 6.0, 4.0, 5.0, 7.0]) + rng.uniform(-0.05, 0.05, len(azimuth))
    kind = np.choose(sector, [2, 3, 4, 5, 6])
    floor = np.where(elevation < 0, 0.7 / np.maximum(np.sin(-elevation), 1e-3), np.inf)  # the LiDAR is 0.7 m above it
    kind, distance = np.where(floor < distance, 1, kind), np.minimum(floor, distance)
    direction = np.stack(
        [np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)], 1
    )
    points = np.column_stack([distance[:, None] * direction, 40.0 * kind])
    return points.astype(np.float32), kind.astype(np.uint8)


def photograph(points: np.ndarray, kind: np.ndarray, camera_to_lidar: np.ndarray) -> np.ndarray:
    """An image in which each point is a dot of its class's colour."""
    image = np.full((HEIGHT, WIDTH, 3), 60, np.uint8)
    in_camera = (np.linalg.inv(camera_to_lidar) @ np.column_stack([points[:, :3], np.ones(len(points))]).T)[:3]
    for (x, y, z), name in zip(in_camera.T, kind, strict=True):
        if z > 0.1:
            place = (round(FOCAL * x / z + WIDTH / 2), round(FOCAL * y / z + HEIGHT / 2))
            cv2.circle(image, place, 3, COLORS[int(name)], -1)
    return image


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root, rng = tmp_path_factory.mktemp("rover"), np.random.default_rng(0)
    matrix = np.array([[FOCAL, 0, WIDTH / 2], [0, FOCAL, HEIGHT / 2], [0, 0, 1]])
    poses = {f"camera{number}_to_lidar": pose for number, (_, pose) in CAMERAS.items()}
    np.savez(root / "rig.npz", K0=matrix, K1=matrix, **poses)
    for drive, frames in DRIVES.items():
        for part in ("lidar", "left", "right", "marks"):
            (root / drive / part).mkdir(parents=True)
        for frame in range(frames):
            points, kind = scan(rng)
            np.save(root / drive / f"lidar/{frame:03d}.npy", points)
            marked = np.where(rng.random(len(kind)) < 0.1, kind, 0)
            if (drive, frame) not in UNMARKED:
                np.save(root / drive / f"marks/{frame:03d}.npy", marked.astype(np.uint8))
            for folder, pose in CAMERAS.values():
                cv2.imwrite(str(root / drive / folder / f"{frame:03d}.jpg"), photograph(points, kind, pose))
    return root


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with the page's module, its line in the registry and its files."""
    folder = tmp_path_factory.mktemp("project")
    for part in ("ignet", "workflow", "envs"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy2(ROOT / "Snakefile", folder)
    (folder / "ignet/data/importers/rover.py").write_text(blocks("python")[0], encoding="utf-8")
    registry = folder / "ignet/data/importers/registry.py"
    text = registry.read_text(encoding="utf-8")
    for diff in blocks("diff"):
        added = re.findall(r"^\+(.*)$", diff, re.M)
        before = re.findall(r"^ (.*)$", diff, re.M) or ["from ignet.data.importers.nuscenes import nuscenes"]
        assert text.count(before[0]) == 1
        text = text.replace(before[0], "\n".join([before[0], *added]))
    registry.write_text(text, encoding="utf-8")
    classes, experiment = blocks("yaml")
    (folder / "rover.yaml").write_text(classes, encoding="utf-8")
    (folder / "rover-experiment.yaml").write_text(experiment, encoding="utf-8")
    return folder


def run(folder: Path, command: str) -> str:
    """A command of the page, with this interpreter."""
    for name in ("ignet", "snakemake"):
        command = command.replace(f".venv/bin/{name}", f"{sys.executable} -m {name}")
    environment = {
        "OMP_NUM_THREADS": "1",
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "PYTHONPATH": str(folder),
    }
    done = subprocess.run(["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def test_the_page_leads_from_recordings_to_a_network(recordings: Path, project: Path) -> None:
    tree = project / "rover-tree"
    ((imported, checked), [workflow], [predicted]) = (block.splitlines() for block in blocks("bash")[:3])
    here = {"/data/rover-tree": str(tree), "/data/rover ": f"{recordings} "}

    def as_here(text: str) -> str:
        for there, place in here.items():
            text = text.replace(there, place)
        return text

    assert "monday: 3 frames" in run(project, as_here(imported))
    run(project, as_here(checked))
    label_set = load_label_set(project / "rover.yaml")
    assert label_set.classes == CLASSES
    marks = np.load(recordings / "monday/marks/001.npy")
    written = kitti.read_labels(tree / "sequences/monday/scribbles/000001.label", len(marks))
    np.testing.assert_array_equal(written, marks)
    assert not (tree / "sequences/monday/labels").exists()
    assert {path.stem for path in (tree / "sequences/monday/scribbles").iterdir()} == {"000000", "000001"}
    points = np.load(recordings / "monday/lidar/001.npy") / (1, 1, 1, 255)
    np.testing.assert_allclose(kitti.read_scan(kitti.scan_path(tree, "monday", "000001")), points, rtol=1e-6)

    experiment = project / "rover-experiment.yaml"
    experiment.write_text(as_here(experiment.read_text(encoding="utf-8")), encoding="utf-8")
    # of the page's 2000 steps four, by a network of a few channels
    small = {"steps": 4, "backbone": {"stem": 8, "encoder": [8, 8, 16, 16], "decoder": [16, 8, 8, 8]}}
    run(project, f"{workflow} --config 'train_3d={json.dumps(small)}' 'teachers={{efficientnet: {{variant: 0}}}}'")
    results = project / "results/rover"
    for sequence, frames in DRIVES.items():
        seen = Correspondence(results / f"projection/{sequence}.h5")
        assert len(seen.frames) == frames and seen.cameras == (0, 1)
        points = seen.read("000000")
        assert all(len(points.rows(camera)) > 200 for camera in (0, 1))
        # what lies to the left is in the left camera's image
        y = kitti.read_positions(kitti.scan_path(tree, sequence, "000000"))[points.index, 1]
        assert (y[points.rows(0)] > -1).all() and (y[points.rows(1)] < 1).all()
    doubts = (results / "dataset/doubts.txt").read_text(encoding="utf-8")
    assert "found no scribble file for 1 of 3 scans" in doubts and "for 1 of 2 scans" in doubts
    log = (results / "logs/train_3d/ignet/seed0.log").read_text(encoding="utf-8")
    assert "2 of 3 scans are labelled: those with a label file" in log
    metrics = read_json(results / "evaluate/ignet/seed0/metrics.json")
    counted = sum(np.count_nonzero(np.load(path)) for path in (recordings / "tuesday/marks").iterdir())
    assert metrics["points"] == counted and set(metrics["iou"]) == set(CLASSES)
    # the images show each class in its colour, so that a probe reads most of them
    probe = read_json(results / "evaluate_2d/efficientnet/metrics.json")["probe"]
    assert probe["accuracy"] > 0.6
    for table in ("table", "slices", "networks_2d"):
        assert "held-out scribbles" in (results / f"compare/{table}.md").read_text(encoding="utf-8")
    assert (results / "report/index.html").stat().st_size > 0

    shutil.copy(kitti.scan_path(tree, "tuesday", "000001"), project / "scan.bin")
    run(project, predicted)
    assert set(np.fromfile(project / "scan.label", np.uint32)) <= set(range(1, 7))
