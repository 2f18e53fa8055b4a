"""A label set of one's own through the whole workflow: the one of docs/extending.md, 7 classes with other raw ids."""

import base64
import json
import re
import shutil
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image
from snakemake_command import ROOT, snakemake_command

from ignet.config.world import WorldConfig
from ignet.data.formats import kitti
from ignet.data.label_sets.label_set import CITYSCAPES, IGNORE, SEMANTICKITTI, LabelSet, load_label_set
from ignet.data.projection.correspondence import Correspondence
from ignet.evaluate.tensor import read_tensor
from ignet.models.segmentor3d import load_network
from ignet.world.files import write_sequence

PAGE = ROOT / "docs/extending.md"
TINY = ROOT / "config/tiny.yaml"
CLASSES = ("soil", "path", "maize", "weed", "tractor", "person", "fence")
CAMERA_CLASSES = {"terrain", "road", "vegetation", "truck", "person", "fence"}
RAW_IDS = {
    "path": ("road", "parking"),
    "soil": ("sidewalk", "other-ground"),
    "maize": ("vegetation", "trunk"),
    "weed": ("terrain",),
    "tractor": ("car", "truck", "other-vehicle", "bicycle", "motorcycle"),
    "person": ("person", "bicyclist", "motorcyclist"),
    "fence": ("fence",),
    "wall": ("building",),
}
"""Which of the embedded world's classes each label stands for; poles have none, fence and wall are one class."""

SEQUENCES = {"00": 2, "08": 2}
RUNS = ("full", "ignet")


def relabelled_world(root: Path, raw_ids: dict[str, int]) -> None:
    """The tiny world's streets, without scribbles and with other labels; the instances stay."""
    config = WorldConfig.model_validate(yaml.safe_load(TINY.read_text(encoding="utf-8"))["world"])
    table = np.zeros(256, np.uint32)  # by train id; what is named nowhere, 255 included, is nothing
    for name, classes in RAW_IDS.items():
        table[[SEMANTICKITTI.classes.index(each) for each in classes]] = raw_ids[name]
    for sequence, frames in SEQUENCES.items():
        folder = root / "sequences" / sequence
        write_sequence(config.model_copy(update={"frames": frames}), sequence, folder)
        shutil.rmtree(folder / "scribbles")
        for path in (folder / "labels").iterdir():
            raw = kitti.read_labels(path)
            (table[SEMANTICKITTI.to_train_ids(raw)] | raw & np.uint32(0xFFFF0000)).tofile(path)


def run(folder: Path, *words: object) -> subprocess.CompletedProcess[str]:
    command = [str(word) for word in words]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)


def ignet(folder: Path, *words: object) -> subprocess.CompletedProcess[str]:
    return run(folder, sys.executable, "-m", "ignet", *words)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("label_set") / "crops.yaml"
    [text] = re.findall(r"^```yaml\n(labels: .*?)^```$", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def crops(file: Path) -> LabelSet:
    return load_label_set(file)


@pytest.fixture(scope="module")
def finished(file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Working directory of the finished workflow; its dataset lies in ``data``, its results in ``results``."""
    folder = tmp_path_factory.mktemp("crops")
    values = yaml.safe_load(file.read_text(encoding="utf-8"))
    relabelled_world(folder / "data", {name: raw for raw, name in values["labels"].items()})
    experiment = yaml.safe_load(TINY.read_text(encoding="utf-8"))
    dataset = {"root": str(folder / "data"), "labels": str(file), "scribbles": "simulated"}
    experiment["dataset"] = dataset | {"train_sequences": ["00"], "val_sequences": ["08"]}
    experiment |= {"results": "results", "adaptations": {"adapted": {}}, "compare": {"baseline": "full"}}
    experiment["runs"] = {name: experiment["runs"][name] for name in RUNS}
    experiment["runs"]["ignet"]["image_guidance"]["loss"] = "probe_kl"
    experiment["train_3d"]["steps"] = 40
    (folder / "experiment.yaml").write_text(json.dumps(experiment), encoding="utf-8")
    done = run(folder, *snakemake_command(folder, "--cores", 2, "--configfile", folder / "experiment.yaml"))
    assert done.returncode == 0, done.stderr[-4000:]
    return folder


def test_scribbles_and_projection(finished: Path, crops: LabelSet) -> None:
    drawn = kitti.read_labels(finished / "results/scribbles/sequences/00/scribbles/000000.label")
    dense = kitti.read_labels(kitti.label_path(finished / "data", "00", "000000")) & 0xFFFF
    assert dense.max() == 65535
    assert 0.05 < (drawn > 0).mean() < 0.1
    # a wall is written as its class's first raw id
    assert (drawn[drawn > 0] == np.where(dense == 65535, 41000, dense)[drawn > 0]).all()
    seen = Correspondence(finished / "results/projection/00.h5").read("000000").scribble
    named = {CITYSCAPES.classes[each] for each in seen[seen != IGNORE]}
    assert {"road", "vegetation"} <= named <= CAMERA_CLASSES
    metrics = json.loads((finished / "results/evaluate_2d/adapted/metrics.json").read_text(encoding="utf-8"))
    assert {name for name, count in metrics["count"].items() if count} <= CAMERA_CLASSES


def test_predictions_and_metrics(finished: Path, crops: LabelSet) -> None:
    results = finished / "results"
    network, _, _ = load_network(results / "train_3d/ignet/seed0/model.safetensors")
    assert network.label_set.classes == crops.classes == CLASSES
    assert network.classifier.out_features == 7
    labels, predicted = [], []
    for frame in ("000000", "000001"):
        raw = kitti.read_labels(results / f"predict/ignet/seed0/sequences/08/predictions/{frame}.label")
        assert set(raw) <= set(crops.raw_ids)
        predicted.append(crops.to_train_ids(raw))
        labels.append(crops.to_train_ids(kitti.read_labels(kitti.label_path(finished / "data", "08", frame))))
    target, guess = np.concatenate(labels), np.concatenate(predicted)
    assert (target == IGNORE).any()
    known = target != IGNORE
    values = json.loads((results / "evaluate/ignet/seed0/metrics.json").read_text(encoding="utf-8"))
    assert values["points"] == known.sum()
    assert values["accuracy"] == (target == guess)[known].mean()
    assert set(values["iou"]) == set(values["benchmark"]["iou"]) == set(CLASSES)
    assert values["small_objects"]["classes"] == ["weed", "person"]
    tensor = read_tensor(results / "evaluate/ignet/seed0/confusion.h5")
    assert tensor.counts.shape[-2:] == (7, 8)
    assert (tensor.classes, tensor.small_objects) == (CLASSES, ("weed", "person"))


def test_tables(finished: Path) -> None:
    results = finished / "results"
    confusion = pd.read_csv(results / "evaluate/ignet/seed0/confusion.csv", index_col=0)
    assert (tuple(confusion.index), tuple(confusion.columns)) == (CLASSES, (*CLASSES, "nothing"))
    assert tuple(pd.read_csv(results / "compare/per_class.csv")["class"]) == CLASSES
    assert tuple(pd.read_csv(results / "dataset/manifest.csv").columns[-7:]) == CLASSES
    assert "the mean over all 7 classes" in (results / "compare/table.md").read_text(encoding="utf-8")
    assert "small objects: weed, person" in (results / "compare/slices.md").read_text(encoding="utf-8")


def test_page_and_figures(finished: Path, crops: LabelSet) -> None:
    results = finished / "results"
    text = (results / "report/index.html").read_text(encoding="utf-8")
    data = dict(re.findall(r'<script type="application/json" id="data-(\w+)">(.*?)</script>', text, re.S))
    colors = crops.colors.tolist()
    shown = [{"name": name, "color": color} for name, color in zip(CLASSES, colors, strict=True)]
    assert json.loads(data["classes"])["lidar"] == shown
    names = set(json.loads(data["charts"])["confusion/ignet"]["data"][0]["y"])
    assert names <= set(CLASSES)
    assert {"path", "maize"} <= names
    [frame, *_] = re.findall(r'<script type="application/json" class="frame" id="frame-0">(.*?)</script>', text, re.S)
    layers = json.loads(frame)["layers"]
    number = json.loads(frame)["name"].split(" / ")[1]
    dense = crops.to_train_ids(kitti.read_labels(kitti.label_path(finished / "data", "08", number)))
    assert zlib.decompress(base64.b64decode(layers["truth"])) == dense.tobytes()

    own, kitti_only = ({tuple(color) for color in each} for each in (colors, SEMANTICKITTI.colors.tolist()))
    figures = [next((results / "figures/predictions").glob(f"*_{kind}.png")) for kind in ("above", "image")]
    for path in (results / "figures/data.png", *figures):
        pixels = np.asarray(Image.open(path).convert("RGB")).reshape(-1, 3)
        drawn = {tuple(color) for color in np.unique(pixels, axis=0).tolist()}
        assert {tuple(colors[CLASSES.index(name)]) for name in ("path", "maize")} <= drawn, path
        # the contact sheet shows photographs, which may have any colour
        assert path.stem == "data" or not (kitti_only - own) & drawn, path


def test_commands_on_the_results(finished: Path, file: Path, crops: LabelSet, tmp_path: Path) -> None:
    results, data = finished / "results", finished / "data"
    scan, out = kitti.scan_path(data, "08", "000001"), tmp_path / "scan.label"
    weights = results / "train_3d/ignet/seed0/model.safetensors"
    done = ignet(tmp_path, "predict", "--weights", weights, scan, "--out", out, "--engine", "torch")
    assert done.returncode == 0, done.stderr
    raw = kitti.read_labels(out)
    assert set(raw) <= set(crops.raw_ids)
    stored = kitti.read_labels(results / "predict/ignet/seed0/sequences/08/predictions/000001.label")
    assert (raw == stored).mean() > 0.999

    predictions = ("--dataset", data, "--predictions", results / "predict/ignet/seed0", "--sequences", "08")
    done = ignet(tmp_path, "evaluate", *predictions, "--label-set", file, "--json")
    metrics = json.loads((results / "evaluate/ignet/seed0/metrics.json").read_text(encoding="utf-8"))
    assert json.loads(done.stdout) == metrics["benchmark"], done.stderr
    submission = tmp_path / "crops.zip"
    done = ignet(tmp_path, "submit", *predictions, "--out", submission)
    assert done.returncode == 1
    assert "expected raw ids of the 19 classes" in done.stderr
    assert not submission.exists()
    done = ignet(tmp_path, "submit", *predictions, "--label-set", file, "--out", submission)
    assert done.stdout.startswith(f"{submission}: ready, 2 scans of sequences 08"), done.stderr
    done = ignet(tmp_path, "submit", *predictions[:4], "--label-set", file, "--out", tmp_path / "all.zip")
    assert "found --label-set" in done.stderr
    assert "no --sequences" in done.stderr

    done = ignet(tmp_path, "check", data, "--part", "--deep", "--label-set", file)
    assert done.returncode == 0, done.stdout
    done = ignet(tmp_path, "check", data, "--part", "--deep")
    assert "41000" in done.stdout
