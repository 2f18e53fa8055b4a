"""Values that no scan can have: one answer, wherever a scan is read."""

import json
import runpy
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT

from ignet.cli.main import main
from ignet.config.backbones import MinkUNetConfig
from ignet.data.check.dataset import check_dataset
from ignet.data.check.wanted import wanted_at
from ignet.data.formats import kitti
from ignet.data.formats.scan_values import returns, scan_doubts, scan_faults
from ignet.data.label_sets.label_set import SEMANTICKITTI
from ignet.data.lidar.lidar_dataset import LidarDataset
from ignet.errors import IgnetError
from ignet.evaluate.benchmark import evaluate
from ignet.models.segmentor3d import build_network, save_network


def scan(points: int = 400, seed: int = 0) -> np.ndarray:
    """float32 (N, 4): as a LiDAR of a car sees a street."""
    rng = np.random.default_rng(seed)
    return rng.uniform([-40, -20, -2, 0], [60, 20, 3, 1], (points, 4)).astype(np.float32)


def changed(column: int | slice, value: Any, rows: int | slice = slice(None)) -> np.ndarray:
    points = scan()
    points[rows, column] = value
    return points


def times(column: int | slice, factor: float) -> np.ndarray:
    points = scan()
    points[:, column] *= factor
    return points


def text() -> np.ndarray:
    lines = "\n".join(" ".join(f"{value:.6f}" for value in row) for row in scan(100)).encode()
    return np.frombuffer(lines + b" " * (-len(lines) % 16), np.float32).reshape(-1, 4)


def wide(width: int) -> np.ndarray:
    """Points with more values, such as the number of the beam, in a file of which four are read."""
    points = np.zeros((400, width), np.float32)
    points[:, :4] = scan()
    points[:, 4:] = np.arange(400)[:, None] % 64
    return points.reshape(-1, 4)


FAULTY = [
    # values, scale of the remission, kinds of the faults, what the first says
    (text(), 1, ["text"], "found text, expected float32"),
    (wide(5), 1, ["values"], "found values as of 400 points with 5 values each, expected 4 (x, y, z, remission)"),
    (wide(6), 1, ["values"], "400 points with 6 values"),
    (np.zeros((400, 4), np.float32), 1, ["no-return"], "found no point with a return (all are 0 0 0 or NaN)"),
    (np.full((400, 4), np.nan, np.float32), 1, ["no-return"], "found no point with a return"),
    (changed(1, np.nan, 7), 1, ["not-finite"], "found 1 points that are not finite, expected none"),
    (changed(3, np.nan, slice(5, 9)), 1, ["not-finite"], "found 4 points"),
    (changed(2, -np.inf, 0), 1, ["not-finite"], "found 1 points"),
    (changed(3, np.inf, 399), 1, ["not-finite"], "found 1 points"),
    (times(slice(3), 1000), 1, ["units"], "expected metres from the sensor, 1000 at most"),
    (changed(0, -1001, 3), 1, ["units"], "found a coordinate of 1001"),
    (times(slice(3), 0.01), 1, ["units"], "expected metres from the sensor, some beyond 1"),
    (
        times(3, 255),
        1,
        ["remission"],
        "expected 0 to 1; set dataset.remission_scale (ignet predict: --remission-scale)",
    ),
    (times(3, 65535), 1, ["remission"], "such as 65535"),
    (times(3, 65535), 255, ["remission"], "expected 0 to 255; set dataset.remission_scale"),
    (changed(3, 1.5, 0), 1, ["remission"], "to 1.5, expected 0 to 1"),
    (changed(3, -0.5, 0), 1, ["remission"], "is no remission: convert it"),
    (changed(slice(None), [2000, 0, 0, 90], 0), 1, ["units", "remission"], "found a coordinate of 2000"),
]


@pytest.mark.parametrize(("points", "scale", "kinds", "said"), FAULTY)
def test_what_cannot_be_right(points: np.ndarray, scale: float, kinds: list[str], said: str) -> None:
    found = list(scan_faults(points, scale))
    assert [kind for kind, _ in found] == kinds
    message = str(found[0][1])
    assert said in message
    assert "\n" not in message and ", expected " in message and "; " in message


def test_what_is_right_or_only_strange() -> None:
    for points, scale, doubts in (
        (scan(), 1, []),
        (scan(1), 1, []),
        (changed(3, 1.0), 1, []),
        (times(3, 255), 255, []),
        (times(slice(3), 10), 1, []),
        (changed(slice(3), 0, slice(4)), 1, []),
        (changed(slice(3), 0, slice(5)), 1, ["few-returns"]),
        (changed(3, 0), 1, ["faint"]),
        (times(3, 1 / 255), 1, ["faint"]),
        (scan(), 255, ["faint"]),
    ):
        assert list(scan_faults(points, scale)) == []
        assert [kind for kind, _ in scan_doubts(points, scale)] == doubts


def test_returns() -> None:
    """NaN in any value, or all three coordinates exactly 0."""
    points = scan(8)
    assert returns(points) is None
    points[1, 0], points[2, 3], points[3, :3], points[4, 0], points[5, :2] = np.nan, np.nan, 0, 0, 0
    there = returns(points)
    assert there is not None
    np.testing.assert_array_equal(np.flatnonzero(~there), [1, 2, 3])


# --- every reader asks --------------------------------------------------------


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    settings = MinkUNetConfig(voxel=0.5, stem=4, encoder=(4, 4, 8, 8), decoder=(8, 4, 4, 4))
    save_network(tmp_path / "model.safetensors", build_network(settings, label_set=SEMANTICKITTI), settings, "torch")
    return tmp_path / "model.safetensors"


def spoil(tree: Path, change: Callable[[np.ndarray], Any], sequence: str = "00", frame: str = "000001") -> Path:
    path = kitti.scan_path(tree, sequence, frame)
    points = kitti.scan_values(path)
    change(points)
    points.astype("<f4").tofile(path)
    return path


def _beyond(points: np.ndarray) -> None:
    points[3, 1] = np.inf


def _loud(points: np.ndarray) -> None:
    points[:, 3] *= 255


def test_readers_of_scans_and_of_positions(tiny_tree: Path) -> None:
    path = spoil(tiny_tree, _loud)
    with pytest.raises(
        IgnetError, match=rf"{path}: found remission 0.* to 25\d.*, expected 0 to 1; set dataset\.remission_scale"
    ):
        kitti.read_scan(path)
    np.testing.assert_allclose(kitti.read_scan(path, 255)[:, 3], kitti.scan_values(path)[:, 3] / 255)
    assert kitti.read_positions(path).shape == (400, 3)  # what asks for no remission takes any
    np.testing.assert_array_equal(kitti.read_positions(path), kitti.scan_values(path)[:, :3])
    spoil(tiny_tree, _beyond)
    for read in (kitti.read_scan, kitti.read_positions, kitti.read_live_scan):
        with pytest.raises(IgnetError, match=rf"{path}: found 1 points that are not finite"):
            read(path)


def test_training(tiny_tree: Path) -> None:
    path = spoil(tiny_tree, _loud)
    frames = {"00": ["000001"]}
    with pytest.raises(IgnetError, match=f"{path}: found remission"):
        LidarDataset(tiny_tree, frames, "scribbles", label_set=SEMANTICKITTI).load(0)
    assert (
        LidarDataset(tiny_tree, frames, "scribbles", remission_scale=255, label_set=SEMANTICKITTI)
        .load(0)
        .points[:, 3]
        .max()
        <= 1
    )


def test_check(tiny_tree: Path) -> None:
    wanted = wanted_at(tiny_tree, part=True)
    path = spoil(tiny_tree, _loud, frame="000000")  # the scan that is read in any case
    for deep in (False, True):
        (fault,) = check_dataset(tiny_tree, wanted, deep=deep, label_set=SEMANTICKITTI).faults
        assert (fault.kind, fault.path, fault.files) == ("remission", path, ())
        assert "remission_scale" in fault.remedy
    spoil(tiny_tree, _loud)
    found = check_dataset(tiny_tree, wanted, deep=True, remission_scale=255, label_set=SEMANTICKITTI).faults
    assert found == []
    assert {doubt.kind for doubt in found.doubts} == {"faint"}  # the other sequence's are 0 to 1


def test_check_of_a_live_sensor(tiny_tree: Path) -> None:
    """Where there are no labels, only predictions can be made."""
    path = spoil(tiny_tree, lambda points: points.__setitem__(slice(40), np.nan))
    shutil.rmtree(tiny_tree / "sequences/00/labels")  # those that are there are checked, wanted or not
    for kinds, deep in (({"scans"}, True), ({"scans", "images"}, True), ({"scans", "images"}, False)):
        report = check_dataset(tiny_tree, {"00": frozenset(kinds)}, deep=deep, label_set=SEMANTICKITTI)
        assert report.faults == []
        (doubt,) = report.faults.doubts
        assert (doubt.kind, doubt.path, doubt.found) == (
            "few-returns",
            path,
            "found 10% of the points without a return",
        )
        assert doubt.files == ()  # said once
    (fault,) = check_dataset(
        tiny_tree, {"00": frozenset({"scans", "scribbles"})}, deep=True, label_set=SEMANTICKITTI
    ).faults
    assert fault.kind == "not-finite"


def test_evaluate(tiny_tree: Path, tmp_path: Path) -> None:
    path = spoil(tiny_tree, _beyond, frame="000000")
    with pytest.raises(IgnetError, match=f"{path}: found 1 points that are not finite"):
        evaluate(tiny_tree, tmp_path, ["00"], label_set=SEMANTICKITTI)


@pytest.mark.parametrize("script", ["projection", "scribbles", "predict", "pseudo_label"])
def test_stages(
    script: str, weights: Path, tiny_tree: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = spoil(tiny_tree, _beyond, frame="000000")
    monkeypatch.chdir(weights.parent)
    arguments = {
        "predict": f"--sequence 00 --weights {weights}",
        "pseudo_label": f"--sequences 00 --weights {weights} --scribbles {tiny_tree}",
    }.get(script, "--sequence 00")
    code = str(ROOT / "workflow" / "scripts" / f"{script}.py")
    monkeypatch.setattr(
        "sys.argv", [code, "--dataset", str(tiny_tree), "--device", "cpu", "--out", "out", *arguments.split()]
    )
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(code, run_name="__main__")
    assert ended.value.code == 1
    assert f"error: {path}: found 1 points that are not finite" in capsys.readouterr().err
    assert not list(weights.parent.glob("out*"))


def test_nobody_reads_a_scan_without_asking() -> None:
    """`scan_values` is for those that ask themselves."""
    files = [path for folder in ("ignet", "workflow") for path in sorted((ROOT / folder).rglob("*.py"))]
    users = {path.relative_to(ROOT).as_posix() for path in files if "scan_values(" in path.read_text(encoding="utf-8")}
    assert users == {
        "ignet/data/formats/kitti.py",
        "ignet/data/check/sequence.py",
        "ignet/predict/point_files.py",  # the segmenter asks, whatever the scan comes from
    }


# --- predictions for live sensors ---------------------------------------------


def predict(
    capsys: pytest.CaptureFixture[str], weights: Path, points: np.ndarray, *options: object
) -> tuple[dict[str, Any], np.ndarray | None, str]:
    """`ignet predict`: its document, the labels, and what it says."""
    files = weights.with_name("scan.bin"), weights.with_name("scan.label")
    files[1].unlink(missing_ok=True)
    points.astype("<f4").tofile(files[0])
    command = [
        "predict",
        "--weights",
        weights,
        files[0],
        "--out",
        files[1],
        "--device",
        "cpu",
        "--engine",
        "torch",
        "--json",
    ]
    with pytest.raises(SystemExit):
        main([str(word) for word in (*command, *options)])
    out, err = capsys.readouterr()
    if not files[1].exists():
        return {}, None, err
    return json.loads(out, parse_constant=pytest.fail), np.fromfile(files[1], "<u4"), err


def test_points_without_a_return_get_no_class(weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And change nothing for the others: as if they were not there."""
    points = scan()
    lost = np.zeros(400, bool)
    lost[[0, 7, 8, 399]] = True
    points[0], points[7, 3], points[8], points[399, :3] = np.nan, np.nan, 0, 0
    found, labels, _ = predict(capsys, weights, points)
    alone, expected, _ = predict(capsys, weights, points[~lost])
    assert labels is not None and expected is not None
    np.testing.assert_array_equal(labels[lost], 0)
    np.testing.assert_array_equal(labels[~lost], expected)
    assert (expected > 0).all()
    assert (found["points"], found["without_return"], alone["without_return"]) == (400, 4, 0)
    assert found["mean_confidence"] == alone["mean_confidence"]
    assert found["classes"] == alone["classes"]


def test_the_stage_takes_a_live_sensor(
    weights: Path, tiny_tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(tiny_tree, lambda points: points.__setitem__(slice(7), np.nan))
    spoil(tiny_tree, lambda points: points.__setitem__((slice(7, 9), slice(3)), 0))
    stage = str(ROOT / "workflow/scripts/predict.py")
    arguments = (
        f"--dataset {tiny_tree} --sequence 00 --weights {weights} --device cpu --threads 1 --out {tmp_path / 'out'}"
    )
    monkeypatch.setattr("sys.argv", [stage, *arguments.split()])
    runpy.run_path(stage, run_name="__main__")
    without = [np.flatnonzero(kitti.read_labels(path) == 0).tolist() for path in sorted((tmp_path / "out").iterdir())]
    assert without == [[], list(range(9))]


def test_predict_refuses_the_rest(weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for points, scale, kinds, said in FAULTY:
        if kinds == ["not-finite"] and np.isnan(points).any():
            continue  # those points alone get no class
        _, labels, err = predict(capsys, weights, points, "--remission-scale", scale)
        assert labels is None
        (line,) = (line for line in err.splitlines() if " INFO " not in line)
        assert "scan.bin: found " in line and said in line
    loud = predict(capsys, weights, times(3, 255), "--remission-scale", 255)
    np.testing.assert_array_equal(loud[1], predict(capsys, weights, scan())[1])
    assert "doubt: " in predict(capsys, weights, changed(3, 0))[2]
