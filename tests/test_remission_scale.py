"""Remissions of another scale: the stages whose networks are given them divide by it, and nothing else differs."""

import json
from pathlib import Path

import numpy as np
import pytest
from script import SCRIPTS, run_here

from ignet.data.formats import kitti

BACKBONE = {"voxel": 0.5, "stem": 4, "encoder": [4, 4, 8, 8], "decoder": [8, 4, 4, 4]}
SETTINGS = {"steps": 2, "batch": 1, "backbone": BACKBONE, "mean_teacher": {"weight": 0.0}}
SCALE = 256.0  # a division by a power of two is exact


def run(script: str, *arguments: object) -> None:
    """A script of the workflow in this process."""
    run_here([SCRIPTS / f"{script}.py", "--device", "cpu", "--threads", 1, *arguments])


def make_results(tree: Path, out: Path, scale: float) -> list[Path]:
    """Train, predict and make pseudo-labels; returns what was made."""
    common = ["--dataset", tree, "--remission-scale", scale]
    files = {"out": "model.safetensors", "metrics": "metrics.json", "curves-csv": "curves.csv", "state": "state"}
    made = [word for option, name in files.items() for word in (f"--{option}", out / name)]
    run(
        "train_3d",
        *common,
        "--settings",
        json.dumps(SETTINGS),
        "--sequences",
        "00",
        "--labels",
        tree,
        *made,
    )
    weights = ["--weights", out / "model.safetensors"]
    run("predict", *common, *weights, "--sequence", "08", "--out", out / "predictions")
    run(
        "pseudo_label",
        *common,
        *weights,
        "--sequences",
        "00",
        "--scribbles",
        tree,
        "--out",
        out / "pseudo",
    )
    return [out / "model.safetensors", *sorted(out.rglob("*.label"))]


def test_the_same_results(tiny_tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    expected = make_results(tiny_tree, tmp_path / "plain", 1)
    for sequence in ("00", "08"):
        for frame in kitti.frame_ids(tiny_tree, sequence):
            path = kitti.scan_path(tiny_tree, sequence, frame)
            points = kitti.scan_values(path)
            points[:, 3] *= SCALE
            points.astype("<f4").tofile(path)
    found = make_results(tiny_tree, tmp_path / "scaled", SCALE)
    assert len(found) == len(expected) == 5
    assert [path.read_bytes() for path in found] == [path.read_bytes() for path in expected]
    for name in ("model.settings.json", "predictions.settings.json", "pseudo.settings.json"):
        assert json.loads((tmp_path / "scaled" / name).read_text())["remission_scale"] == SCALE
    assert np.fromfile(found[1], "<u4").min() > 0
    with pytest.raises(SystemExit):
        make_results(tiny_tree, tmp_path / "wrong", 1)
    assert "expected 0 to 1; set dataset.remission_scale" in capsys.readouterr().err
