"""A run, or an adaptation, that learns from some of a rig's cameras."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ignet.config.training_2d import Adapt2DConfig
from ignet.config.training_3d import Train3DConfig
from ignet.data.features.store import FeatureWriter
from ignet.data.images.target import TargetFrames
from ignet.data.label_sets.label_set import IGNORE, SEMANTICKITTI
from ignet.data.lidar.lidar_dataset import LidarDataset
from ignet.data.projection.correspondence import Correspondence, CorrespondenceWriter, FrameCorrespondence, View
from ignet.errors import IgnetError
from ignet.train.needs import needs_correspondence, needs_features
from ignet.workflow.experiment import load_experiment

SEEN = FrameCorrespondence(
    index=np.array([2, 5, 7, 9], np.int32),
    camera=np.array([0, 3, 0, 3], np.uint8),
    pixel=np.array([[1, 2], [3, 4], [5, 6], [7, 8]], np.float32),
    scribble=np.array([1, IGNORE, 3, 4], np.uint8),
    points=400,
    views={0: View(64, 32, (-0.5, 0.5)), 3: View(64, 32, (2.0, 3.0))},
)


@pytest.fixture
def projection(tmp_path: Path) -> Path:
    """Of frames 000000 and 000001; the second one lacks camera 3's image."""
    path = tmp_path / "00.h5"
    with CorrespondenceWriter(path, cameras=(0, 3)) as writer:
        writer.add("000000", SEEN)
        front = {name: getattr(SEEN, name)[SEEN.camera == 0] for name in ("index", "camera", "pixel", "scribble")}
        writer.add("000001", FrameCorrespondence(**front, points=400, views={0: SEEN.views[0]}))
    return path


def test_a_correspondence_gives_the_views_that_are_asked_for(projection: Path) -> None:
    whole, front, back = (Correspondence(projection, cameras) for cameras in (None, (0,), (3,)))
    assert whole.read("000000").index.tolist() == [2, 5, 7, 9]
    found = front.read("000000")
    assert (found.index.tolist(), found.camera.tolist(), found.scribble.tolist()) == ([2, 7], [0, 0], [1, 3])
    assert found.pixel.tolist() == [[1, 2], [5, 6]] and found.points == 400
    assert found.sectors == front.read("000001").sectors == {0: (-0.5, 0.5)}
    assert back.read("000001").sectors == {} and len(back.read("000001").index) == 0
    with pytest.raises(IgnetError, match=r"00.h5: found cameras 0 3, not 4, expected all that are asked for"):
        Correspondence(projection, (0, 4))


def test_samples_have_the_features_of_these_cameras_alone(tiny_tree: Path, projection: Path, tmp_path: Path) -> None:
    store = tmp_path / "store.h5"
    values = np.arange(8, dtype=np.float32).reshape(4, 2)
    with FeatureWriter(store, 2, "float32", attributes={"network": "some"}) as writer:
        writer.add("000000", SEEN.index, values)
    frames = {"00": ["000000"]}
    options: dict[str, Any] = {"correspondence": {"00": projection}, "features": {"00": store}}
    samples = {
        cameras: LidarDataset(tiny_tree, frames, "scribbles", cameras=cameras, label_set=SEMANTICKITTI, **options).load(
            0
        )
        for cameras in (None, (0,), (3,))
    }
    for cameras, points, rows in ((None, [2, 5, 7, 9], [0, 1, 2, 3]), ((0,), [2, 7], [0, 2]), ((3,), [5, 9], [1, 3])):
        sample = samples[cameras]
        assert np.flatnonzero(sample.in_fov).tolist() == np.flatnonzero(sample.feature_of >= 0).tolist() == points
        np.testing.assert_allclose(sample.feature[sample.feature_of[points]], values[rows])
    assert samples[3,].sectors == {3: (2.0, 3.0)}


def test_an_adaptation_takes_the_images_of_these_cameras(projection: Path, tiny_tree: Path) -> None:
    options: dict[str, Any] = {"supervision": "scribbles", "label_set": SEMANTICKITTI}
    items = {
        cameras: TargetFrames(tiny_tree, {"00": projection}, cameras=cameras, **options).items
        for cameras in (None, (3,))
    }
    assert items[None] == [("00", "000000", 0), ("00", "000000", 3), ("00", "000001", 0)]
    assert items[3,] == [("00", "000000", 3)]


def test_features_of_some_cameras_need_the_correspondence() -> None:
    """It says which of a store's features are theirs."""
    guided: dict[str, Any] = {"image_guidance": {"weight": 1.0}}
    assert needs_features(Train3DConfig(**guided)) and needs_correspondence(Train3DConfig(**guided))
    assert "cameras" not in Train3DConfig().identity() and "cameras" not in Adapt2DConfig().identity()


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (lambda values: values["runs"]["front"].update(cameras=[0, 9]), "runs.front"),
        (lambda values: values.update(adaptations={"front": {"cameras": [9]}}), "adaptations.front"),
    ],
)
def test_cameras_that_the_experiment_lacks_are_refused(change: Callable[[dict[str, Any]], object], where: str) -> None:
    values: dict[str, Any] = {
        "results": "results/x",
        "world": {"preset": "surround"},
        "dataset": {"cameras": [0, 1, 2, 3, 4, 5]},
        "runs": {"full": {}, "baseline": {}, "front": {"cameras": [0]}},
    }
    load_experiment(values, "x")
    change(values)
    with pytest.raises(IgnetError, match=rf"{where}.cameras: found \[9\], expected some of dataset.cameras, \[0, 1"):
        load_experiment(values, "x")
