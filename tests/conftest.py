"""Fixtures that several test files share."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import settings
from script import run_script
from tiny_state import finish

from ignet.data.formats import kitti
from ignet.data.formats.calibration import Calibration, write_calibration
from ignet.world.files import number_of

# no test depends on how busy the machine is
settings.register_profile("any-speed", deadline=None)
settings.load_profile("any-speed")

ROOT = Path(__file__).resolve().parent.parent
TINY_CALIBRATION = Calibration(
    projection=np.array([[40.0, 0, 31.5, 0], [0, 40.0, 15.5, 0], [0, 0, 1, 0]]),
    tr=np.array([[0.0, -1, 0, 0], [0, 0, -1, -0.1], [1, 0, 0, -0.3], [0, 0, 0, 1]]),
)
TINY_RAW_CLASSES = (0, 10, 30, 40, 48, 50, 70, 252)


@pytest.fixture(scope="session")
def kitti_sample() -> Path:
    """Dataset folder of some real SemanticKITTI frames, which are no part of this project."""
    named = os.environ.get("IGNET_KITTI_SAMPLE")
    folder = Path(named) if named else ROOT.parent / "shared" / "semantickitti-sample" / "dataset"
    if not (folder / "sequences").is_dir():
        pytest.skip(f"no real frames at {folder}; set IGNET_KITTI_SAMPLE to a folder that holds sequences/")
    return folder


@pytest.fixture(scope="session")
def tiny_finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Working directory of the tiny DAG with nothing left to do; its files are empty. Only to be read."""
    return finish(tmp_path_factory.mktemp("tiny_finished"))


@pytest.fixture
def make_tree(tmp_path: Path) -> Callable[..., Path]:
    """Factory of tiny datasets in the exact layout: random points and images, every tenth point scribbled."""

    def make(name: str = "tiny", sequences: tuple[str, ...] = ("00", "08"), frames: int = 2, points: int = 400) -> Path:
        return write_tree(tmp_path / name, sequences, frames, points)

    return make


@pytest.fixture
def tiny_tree(make_tree: Callable[..., Path]) -> Path:
    """Sequences 00 and 08 with frames 000000 and 000001 of 400 points, 64 x 32 pixels; a test may spoil it."""
    return make_tree()


@pytest.fixture(name="run_script")
def _run_script() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a script of workflow/scripts; returns its exit code and texts."""
    return run_script


def write_tree(root: Path, sequences: tuple[str, ...], frames: int, points: int) -> Path:
    """The dataset of the fixture `make_tree`, in any folder."""
    for sequence in sequences:
        kitti.sequence_path(root, sequence).mkdir(parents=True)
        write_calibration(kitti.calibration_path(root, sequence), TINY_CALIBRATION)
        for frame in range(frames):
            _write_frame(root, sequence, f"{frame:06d}", points, np.random.default_rng([number_of(sequence), frame]))
    return root


def _write_frame(root: Path, sequence: str, frame: str, points: int, rng: np.random.Generator) -> None:
    azimuth = rng.uniform(-np.pi, np.pi, points)
    distance = rng.uniform(3, 40, points)
    cloud = np.stack(
        [distance * np.cos(azimuth), distance * np.sin(azimuth), rng.uniform(-1.7, 2, points), rng.random(points)],
        axis=1,
    )
    raw = rng.choice(TINY_RAW_CLASSES, points).astype("<u4") | np.uint32(3 << 16)
    files = {
        kitti.scan_path(root, sequence, frame): cloud.astype("<f4"),
        kitti.label_path(root, sequence, frame): raw,
        kitti.scribble_path(root, sequence, frame): np.where(np.arange(points) % 10 == 0, raw, 0).astype("<u4"),
    }
    for path, values in files.items():
        path.parent.mkdir(exist_ok=True)
        values.tofile(path)
    image = kitti.image_path(root, sequence, frame)
    image.parent.mkdir(exist_ok=True)
    cv2.imwrite(str(image), rng.integers(0, 256, (32, 64, 3), dtype=np.uint8))
