"""Class-range balanced pseudo-labels, by hand and by property."""

import json
import runpy
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ignet.config.backbones import MinkUNetConfig
from ignet.config.self_training import PseudoLabelConfig
from ignet.data.formats import kitti
from ignet.data.label_sets.label_set import SEMANTICKITTI
from ignet.data.lidar.pseudo_labels import BINS, choose, confidence_histogram, rings, thresholds
from ignet.models.segmentor3d import build_network, predict_scan, save_network

SCRIPT = str(Path(__file__).parents[1] / "workflow/scripts/pseudo_label.py")


def test_rings_by_hand() -> None:
    points = np.array([[3, 4, 9], [6, 8, 0], [0, -14.9, 0], [100, 0, 0]], np.float32)
    assert rings(points, 5.0, 3).tolist() == [1, 2, 2, 2]
    assert rings(points, 5.1, 30).tolist() == [0, 1, 2, 19]


def test_half_of_each_class_and_ring_is_kept() -> None:
    """Class 0 is sure near and unsure far; class 1 is unsure everywhere: each keeps its better half all the same."""
    classes = np.array([0, 0, 0, 0, 1, 1], np.uint8)
    ring = np.array([0, 0, 1, 1, 0, 0])
    confidence = np.array([0.99, 0.95, 0.41, 0.30, 0.35, 0.25], np.float32)
    threshold = thresholds(confidence_histogram(classes, confidence, ring, (2, 2)), 0.5)
    assert threshold[0].tolist() == [0.99, 0.41]
    assert threshold[1].tolist() == [0.35, 1.0]
    given_labels = np.array([255, 255, 255, 255, 255, 0], np.uint8)
    assert choose(given_labels, classes, confidence, ring, threshold).tolist() == [0, 255, 0, 255, 1, 0]


@given(st.integers(0, 2**32 - 1), st.floats(0.0, 1.0))
def test_at_least_the_fraction_is_kept_and_the_most_confident_first(seed: int, fraction: float) -> None:
    rng = np.random.default_rng(seed)
    count = 200
    classes, ring = rng.integers(0, 3, count).astype(np.uint8), rng.integers(0, 2, count)
    confidence = rng.random(count).astype(np.float32)
    threshold = thresholds(confidence_histogram(classes, confidence, ring, (3, 2)), fraction)
    kept = choose(np.full(count, 255, np.uint8), classes, confidence, ring, threshold) != 255
    for c in range(3):
        for r in range(2):
            cell = (classes == c) & (ring == r)
            assert kept[cell].sum() >= fraction * cell.sum()
            if kept[cell].any() and not kept[cell].all():
                assert confidence[cell & kept].min() > confidence[cell & ~kept].max() - 1 / BINS


def test_full_confidence_counts_in_the_last_bin() -> None:
    classes, ring = np.zeros(2, np.uint8), np.zeros(2, np.int64)
    confidence = np.array([1.0, (BINS - 1.5) / BINS], np.float32)
    histogram = confidence_histogram(classes, confidence, ring, (1, 1))
    assert histogram[0, 0, -2:].tolist() == [1, 1] and histogram.sum() == 2
    nothing = np.full(2, 255, np.uint8)
    assert choose(nothing, classes, confidence, ring, np.array([[(BINS - 1) / BINS]])).tolist() == [0, 255]
    assert choose(nothing, classes, confidence, ring, np.ones((1, 1))).tolist() == [255, 255]


def test_given_labels_are_never_overwritten() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 19, 50).astype(np.uint8)
    classes = rng.integers(0, 19, 50).astype(np.uint8)
    found = choose(labels, classes, np.ones(50, np.float32), np.zeros(50, np.int64), np.zeros((19, 1)))
    assert (found == labels).all()


def test_the_stage_keeps_its_share_of_each_ring_over_all_scans(tiny_tree: Path, tmp_path: Path) -> None:
    """A network that is the surer the nearer a point is: with one ring for all, no far point would be kept."""
    stage = runpy.run_path(SCRIPT)
    settings = PseudoLabelConfig(rings=4, ring_width=10.0, fraction=0.5)
    frames = [("00", "000000"), ("00", "000001")]
    scans = [(kitti.scan_path(tiny_tree, *frame), kitti.scribble_path(tiny_tree, *frame)) for frame in frames]
    asked = []

    def predict(points: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        asked.append(labels)
        return np.zeros(len(points), np.uint8), np.exp(-np.hypot(points[:, 0], points[:, 1]) / 40).astype(np.float32)

    threshold = stage["predict_all"](scans, predict, settings, tmp_path, 1.0, SEMANTICKITTI)
    assert threshold.shape == (19, 4)
    # points lie 3 to 40 m away, evenly: half of a ring is nearer than its middle
    np.testing.assert_allclose(threshold[0], np.exp(-np.array([6.5, 15, 25, 35]) / 40), atol=0.02)
    assert (threshold[1:] == 1).all()
    for number, ((path, scribbles), given_labels) in enumerate(zip(scans, asked, strict=True)):
        known = SEMANTICKITTI.to_train_ids(kitti.read_labels(scribbles, 400), "")
        assert np.array_equal(given_labels, known)
        labels = stage["label"](scribbles, tmp_path / f"{number}.npz", threshold, SEMANTICKITTI)
        assert np.array_equal(labels[known != 255], known[known != 255])
        ring = rings(kitti.read_scan(path), 10.0, 4)
        kept = [(labels[(ring == each) & (known == 255)] != 255).mean() for each in range(4)]
        np.testing.assert_allclose(kept, 0.5, atol=0.12)


@pytest.mark.filterwarnings("error")
def test_the_stage_writes_labels_and_its_settings(
    tiny_tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    backbone = MinkUNetConfig(voxel=0.5, stem=4, encoder=(4, 4, 8, 8), decoder=(8, 4, 4, 4))
    network, out = build_network(backbone, label_set=SEMANTICKITTI), tmp_path / "made/pseudo"
    for number, parameter in enumerate(network.parameters()):  # so that it is surer of one point than of another
        torch.nn.init.normal_(parameter, std=0.5, generator=torch.Generator().manual_seed(number))
    save_network(tmp_path / "model.safetensors", network, backbone, "torch")
    settings = PseudoLabelConfig(rings=3, ring_width=12.0, fraction=0.5)
    places = ["--dataset", tiny_tree, "--scribbles", tiny_tree, "--weights", tmp_path / "model.safetensors"]
    options = ["--sequences", "00", "08", "--settings", settings.model_dump_json(), "--remission-scale", 2.0]
    command = [SCRIPT, "--device", "cpu", "--out", out, *places, *options]
    monkeypatch.setattr("sys.argv", list(map(str, command)))
    runpy.run_path(SCRIPT, run_name="__main__")

    frames = [(sequence, frame) for sequence in ("00", "08") for frame in ("000000", "000001")]
    scans, histogram = [], np.zeros((19, 3, BINS), np.int64)
    for frame in frames:
        points = kitti.read_scan(kitti.scan_path(tiny_tree, *frame), 2.0)
        predicted = predict_scan(network, backbone, "torch", points, torch.device("cpu"))
        scans.append((*predicted, rings(points, 12.0, 3)))
        histogram += confidence_histogram(*scans[-1], (19, 3))
    shares, threshold = [], thresholds(histogram, 0.5)
    for frame, scan in zip(frames, scans, strict=True):
        known = SEMANTICKITTI.to_train_ids(kitti.read_labels(kitti.scribble_path(tiny_tree, *frame), 400), "")
        made = SEMANTICKITTI.to_train_ids(kitti.read_labels(kitti.label_path(out, *frame), 400), "")
        np.testing.assert_array_equal(made, choose(known, *scan, threshold))
        shares.append((made != 255).mean())
    assert f"labels on {100 * np.mean(shares):.1f} % of the points of 4 scans" in capsys.readouterr().err
    assert 0.5 < np.mean(shares) < 0.7
    made_files = {path for path in out.parent.rglob("*") if path.is_file()}
    assert made_files == {tmp_path / "made/pseudo.settings.json", *(kitti.label_path(out, *frame) for frame in frames)}
    facts = json.loads((tmp_path / "made/pseudo.settings.json").read_text())
    assert facts["remission_scale"] == 2.0 and facts["settings"]["rings"] == 3

    kitti.scribble_path(tiny_tree, "00", "000001").write_bytes(b"cut")
    shutil.rmtree(out.parent)
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(SCRIPT, run_name="__main__")
    assert ended.value.code == 1 and "error: " in (said := capsys.readouterr().err) and "Traceback" not in said
    assert not list(out.parent.iterdir())


def test_predictions_are_never_unpickled(tmp_path: Path) -> None:
    np.savez(tmp_path / "0.npz", classes=np.array([{}]), confidence=np.ones(1), ring=np.zeros(1, int))
    with pytest.raises(ValueError, match="allow_pickle"):
        runpy.run_path(SCRIPT)["label"](tmp_path / "scribbles", tmp_path / "0.npz", np.zeros((19, 1)), SEMANTICKITTI)
