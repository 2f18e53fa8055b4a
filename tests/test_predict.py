"""The front door: the Python API, and `ignet predict` on files, folders, patterns and sequences."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import ignet
from ignet.cli.main import main
from ignet.config.backbones import MinkUNetConfig
from ignet.data.label_sets.label_set import IGNORE, SEMANTICKITTI
from ignet.models.segmentor3d import build_network, save_network
from ignet.predict.point_files import read_points
from ignet.predict.segmenter import Prediction, Segmenter

ROOT = Path(__file__).resolve().parent.parent
PLY = {"<f4": "float", "<f8": "double", "<u2": "ushort", "|u1": "uchar"}


def scan(seed: int = 0, points: int = 60) -> np.ndarray:
    return np.random.default_rng(seed).random((points, 4), np.float32) * np.float32([9, 9, 2, 1])


def structured(points: np.ndarray, remission: str = "Intensity", scale: float = 1) -> np.ndarray:
    """The same points with named fields in another order, one of them of no use, and doubles."""
    kinds = [("time", "<f8"), (remission, "<u2" if scale > 1 else "<f4"), ("z", "<f4"), ("y", "<f8"), ("x", "<f4")]
    table = np.zeros(len(points), kinds)
    for name, values in zip(("x", "y", "z", remission), (*points.T[:3], points[:, 3] * scale), strict=True):
        table[name] = values
    return table


def write_ply(path: Path, table: np.ndarray, ascii_text: bool = False) -> None:
    head = "".join(f"property {PLY[kind[0].str]} {name}\n" for name, kind in table.dtype.fields.items())
    kind = "ascii" if ascii_text else "binary_little_endian"
    body = (
        "".join(" ".join(map(repr, row.tolist())) + "\n" for row in table).encode() if ascii_text else table.tobytes()
    )
    path.write_bytes(f"ply\nformat {kind} 1.0\nelement vertex {len(table)}\n{head}end_header\n".encode() + body)


def write_pcd(path: Path, table: np.ndarray, encoding: str = "binary_compressed") -> None:
    from pypcd4 import Encoding, PointCloud

    kinds = tuple(table.dtype[name].type for name in table.dtype.names)
    PointCloud.from_points([table[name] for name in table.dtype.names], table.dtype.names, kinds).save(
        path, Encoding(encoding)
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's folder with the weights of a network that was never trained."""
    folder = tmp_path_factory.mktemp("run")
    settings = MinkUNetConfig(voxel=0.5, stem=4, encoder=(4, 4, 8, 8), decoder=(8, 4, 4, 4))
    save_network(folder / "model.safetensors", build_network(settings, label_set=SEMANTICKITTI), settings, "torch")
    return folder


@pytest.fixture
def instant(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that calls everything a car at once: for tests of which files are read and written."""

    def predict(network: Segmenter, points: np.ndarray, remission_scale: float = 1.0) -> Prediction:
        return Prediction(np.zeros(len(points), np.uint8), np.full(len(points), 0.5, np.float32))

    monkeypatch.setattr(Segmenter, "predict", predict)


def predict(run: Path, *arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["predict", "--weights", str(run), "--device", "cpu", *map(str, arguments)])
    return int(ended.value.code or 0)


# --- Python -------------------------------------------------------------------


def test_importing_the_package_does_not_import_torch():
    code = "import sys, ignet; assert ignet.IgnetError; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert not {"torch", "numpy", "pydantic"} & set(done.stdout.split())
    assert len(ignet.__all__) <= 5
    assert all(getattr(ignet, name) for name in ignet.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        ignet.nothing  # noqa: B018


def test_points_in_memory(run: Path):
    network = ignet.load(run, device="cpu")
    assert network.classes[0] == ("car", (100, 150, 245), 10) and len(network.classes) == 19
    labels, confidence = network.predict(scan())
    assert labels.dtype == np.uint8 and confidence.dtype == np.float32 and labels.max() < 19
    lost = np.vstack([scan(), [[np.nan, 1, 1, 0.5], [0, 0, 0, 0.5]]]).astype(np.float32)
    again = network.predict(lost)
    assert np.array_equal(again.labels, [*labels, IGNORE, IGNORE])
    assert np.array_equal(again.confidence, [*confidence, 0, 0])
    given = scan() * np.float32([1, 1, 1, 255])
    kept = given.copy()
    assert np.allclose(network.predict(given, remission_scale=255).confidence, confidence, atol=1e-6)
    assert np.array_equal(given, kept)  # what one gives is not changed
    assert network.predict(np.zeros((0, 4))).labels.shape == (0,)
    assert np.array_equal(ignet.load(run / "model.safetensors", "cpu").predict(scan()).labels, labels)


def test_points_that_no_scan_can_have_are_refused(run: Path):
    network = ignet.load(run, device="cpu")
    for points, words in (
        (scan()[:, :3], r"found shape \(60, 3\), expected \(N, 4\)"),
        (scan() * 1e4, "found a coordinate of"),
        (scan() * np.float32([1, 1, 1, 200]), "--remission-scale"),
        (np.full((5, 4), np.nan), "no point with a return"),
    ):
        with pytest.raises(ignet.IgnetError, match=words):
            network.predict(points)
    with pytest.raises(ignet.IgnetError, match=r"nothing.*not a readable safetensors file"):
        ignet.load(run / "nothing")


def test_the_examples_of_the_page_run(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "results/demo/train_3d/ignet").mkdir(parents=True)
    (tmp_path / "results/demo/train_3d/ignet/seed0").symlink_to(run)
    scan().tofile(tmp_path / "scan.bin")
    monkeypatch.chdir(tmp_path)
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/predict.md").read_text(), re.S)
    exec(compile(example, "docs/predict.md", "exec"), {})


# --- files in -----------------------------------------------------------------


def test_every_format_gives_the_same_points(tmp_path: Path):
    points = scan()
    points[3, 0] = np.nan
    points.tofile(tmp_path / "a.bin")
    np.save(tmp_path / "b.npy", points.astype(np.float64))
    np.save(tmp_path / "c.npy", structured(points, "i"))
    write_ply(tmp_path / "d.ply", structured(points, "scalar_Intensity"))
    write_ply(tmp_path / "e.ply", structured(points, "reflectance"), ascii_text=True)
    for encoding in ("ascii", "binary", "binary_compressed"):
        write_pcd(tmp_path / f"{encoding}.pcd", structured(points), encoding)
    files = sorted(tmp_path.iterdir())
    assert len(files) == 8
    for file in files:
        found = read_points(file)
        assert found.dtype == np.float32 and np.allclose(found, points, equal_nan=True, atol=1e-6), file
    both = np.zeros(2, [(name, "<f4") for name in ("x", "y", "z", "intensity", "other")])
    both["other"] = 0.5
    np.save(tmp_path / "both.npy", both)
    assert read_points(tmp_path / "both.npy")[:, 3].max() == 0
    assert read_points(tmp_path / "both.npy", "Other")[:, 3].min() == 0.5


def test_a_file_that_is_no_scan_is_one_line(tmp_path: Path):
    write_ply(tmp_path / "whole.ply", structured(scan()))
    write_pcd(tmp_path / "whole.pcd", structured(scan()), "binary")
    for suffix in ("ply", "pcd"):
        (tmp_path / f"cut.{suffix}").write_bytes((tmp_path / f"whole.{suffix}").read_bytes()[:-7])
        (tmp_path / f"empty.{suffix}").touch()
    (tmp_path / "text.npy").write_text("hello")
    np.save(tmp_path / "pickle.npy", np.array([{}]), allow_pickle=True)
    np.save(tmp_path / "wide.npy", np.zeros((3, 5)))
    np.save(tmp_path / "none.npy", np.zeros((0, 4)))
    np.save(tmp_path / "field.npy", np.zeros(3, [("x", "f4"), ("y", "f4"), ("colour", "f4")]))
    words = {"wide.npy": "(3, 5)", "none.npy": "no points", "field.npy": "x, y, colour, expected also z, remission or"}
    for name in ("cut.ply", "cut.pcd", "empty.ply", "empty.pcd", "text.npy", "pickle.npy", *words, "missing.ply"):
        with pytest.raises(ignet.IgnetError) as error:
            read_points(tmp_path / name)
        line = str(error.value)
        assert line.startswith(f"{tmp_path / name}: ") and "\n" not in line and ", expected " in line and "; " in line
        assert words.get(name, "") in line


# --- files out ----------------------------------------------------------------


def test_each_format_of_predictions_holds_the_same(run: Path, tmp_path: Path):
    points = np.vstack([scan(), [[np.nan, 1, 1, 0.5]]]).astype(np.float32)
    points.tofile(tmp_path / "a.bin")
    labels, confidence = ignet.load(run, "cpu").predict(points)
    raw = np.array([each.raw_id for each in ignet.load(run, "cpu").classes] + [0] * 237, np.uint32)[labels]
    assert raw[-1] == 0
    for form in ("label", "npy", "ply"):
        assert predict(run, tmp_path / "a.bin", "--out", tmp_path / "out", "--format", form) == 0
        assert predict(run, tmp_path / "a.bin", "--out", tmp_path / f"one.{form}") == 0
        assert (tmp_path / "out" / f"a.{form}").read_bytes() == (tmp_path / f"one.{form}").read_bytes()
    assert np.array_equal(np.fromfile(tmp_path / "one.label", "<u4"), raw)
    table = np.load(tmp_path / "one.npy", allow_pickle=False)
    assert np.array_equal(table["label"], raw) and np.array_equal(table["confidence"], confidence)
    from trimesh import load

    cloud = load(tmp_path / "one.ply", process=False)
    vertex = cloud.metadata["_ply_raw"]["vertex"]["data"]
    assert np.array_equal(vertex["label"], raw)
    assert np.allclose(cloud.vertices[:-1], points[:-1, :3]) and not cloud.vertices[-1].any()
    colors = np.array([each.color for each in ignet.load(run, "cpu").classes])
    assert np.array_equal(cloud.visual.vertex_colors[:-1, :3], colors[labels[:-1]])
    assert not cloud.visual.vertex_colors[-1, :3].any()


def test_folders_patterns_and_sequences(instant: None, run: Path, tiny_tree: Path, tmp_path: Path):
    for name in ("a/x", "a/b/y", "c/x"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        scan().tofile(tmp_path / "in" / f"{name}.bin")
    (tmp_path / "in" / "notes.txt").write_text("no scan")
    sequence = [f"sequences/08/predictions/{n:06d}.label" for n in range(2)]
    for given, expected in (
        (["in"], ["a/b/y.label", "a/x.label", "c/x.label"]),
        (["in/*/x.bin"], ["a/x.label", "c/x.label"]),
        (["in/**/y.bin", "in/c/x.bin"], ["a/b/y.label", "x.label"]),
        ([tiny_tree / "sequences/08"], sequence),
    ):
        out = tmp_path / f"out{len(list(tmp_path.iterdir()))}"
        inputs = [os.path.join(tmp_path, part) for part in given]
        assert predict(run, *inputs, "--out", out) == 0
        found = sorted(str(file.relative_to(out)) for file in out.rglob("*.*") if file.suffix != ".json")
        assert found == sorted(expected), given
    out = tmp_path / "everything"
    assert predict(run, tiny_tree, "--out", out) == 0
    assert {str(file.relative_to(out)) for file in out.rglob("*.label")} >= set(sequence)


def test_what_is_done_is_skipped_unless_something_changed(
    instant: None, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    for name in "ab":
        scan().tofile(tmp_path / f"{name}.bin")
    out = tmp_path / "out"

    def counts(*options: str) -> tuple[int, int]:
        assert predict(run, tmp_path / "a.bin", tmp_path / "b.bin", "--out", out, "--json", *options) == 0
        found = json.loads(capsys.readouterr().out)
        return found["scans"], found["skipped"]

    assert counts() == (2, 0)
    assert counts() == (0, 2)
    assert counts("--overwrite") == (2, 0)
    later = (out / "a.label").stat().st_mtime + 5
    os.utime(tmp_path / "a.bin", (later, later))
    assert counts() == (1, 1)
    assert predict(run, tmp_path / "b.bin", "--out", out, "--remission-scale", "2") == 1
    assert "made with other remission_scale" in capsys.readouterr().err
    assert predict(run, tmp_path / "b.bin", "--out", out, "--remission-scale", "2", "--overwrite") == 0
    capsys.readouterr()
    assert counts("--remission-scale", "2")[0] == 1  # a.label is still of the former scale


def test_a_bad_scan_stops_no_other(instant: None, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    for number in range(8):
        scan(number).tofile(tmp_path / f"{number}.bin")
    (tmp_path / "2.bin").write_bytes(b"short")
    (scan() * np.float32([1, 1, 1, 200])).tofile(tmp_path / "5.bin")
    assert predict(run, tmp_path, tmp_path / "none.pcd", "--out", tmp_path / "out", "--json") == 1
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert found["scans"] == 6 and found["points"] == 6 * 60 == sum(found["classes"].values())
    assert [Path(each["file"]).name for each in found["faults"]] == ["2.bin", "5.bin", "none.pcd"]
    assert "--remission-scale" in found["faults"][1]["remedy"] and found["faults"][2]["found"] == "no such file"
    assert "2.bin: found 5 bytes" in err
    assert sorted(file.stem for file in (tmp_path / "out").glob("*.label")) == list("013467")


def test_nothing_is_overwritten_by_mistake(
    instant: None, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    for name in ("a/x.bin", "b/x.bin"):
        (tmp_path / name).parent.mkdir()
        scan().tofile(tmp_path / name)
    np.save(tmp_path / "a/y.npy", scan())
    (tmp_path / "empty").mkdir()
    for given, out, words in (
        (["a/x.bin", "b/x.bin"], "out", "found two scans of this name"),
        (["a/x.bin", "a/y.npy"], "one.label", "found 2 scans for one file"),
        (["a/y.npy", "--format", "npy"], "a", "is a scan"),
        (["a/y.npy"], "a/y.npy", "is a scan"),
        (["empty"], "out", "found no scan"),
        (["a/*.ply"], "out", "found no scan"),
        (["a/x.txt"], "out", "is no scan by its name"),
        (["a/x.bin", "--format", "ply"], "one.label", "found --format ply"),
    ):
        inputs = [part if part in ("--format", "npy", "ply") else tmp_path / part for part in given]
        assert predict(run, *inputs, "--out", tmp_path / out) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("error: ") and words in line, line
    assert np.array_equal(np.load(tmp_path / "a/y.npy"), scan())
    assert not (tmp_path / "out").exists()
    # predictions inside of the folder of scans are no scans
    for _ in range(2):
        assert predict(run, tmp_path / "a", "--out", tmp_path / "a/out", "--format", "ply") == 0
    assert sorted(file.name for file in (tmp_path / "a/out").glob("*.ply")) == ["x.ply", "y.ply"]
