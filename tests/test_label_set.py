"""A label set of one's own through the stages: the one of docs/extending.md, with 7 classes and other raw ids."""

import json
import re
from pathlib import Path

import numpy as np
import torch
from test_stages_2d import run_script

from ignet.data.check.sequence import check_sequence
from ignet.data.formats import kitti
from ignet.data.label_sets.label_set import CITYSCAPES, IGNORE, SEMANTICKITTI, load_label_set
from ignet.data.projection.correspondence import Correspondence
from ignet.evaluate.tensor import read_tensor
from ignet.models.segmentor3d import load_network

PAGE = Path(__file__).parents[1] / "docs/extending.md"
CLASSES = ("soil", "path", "maize", "weed", "tractor", "person", "fence")
CAMERA_CLASSES = {"terrain", "road", "vegetation", "truck", "person", "fence"}
SETTINGS = {
    "steps": 3,
    "batch": 1,
    "backbone": {"voxel": 0.5, "stem": 4, "encoder": [4, 4, 8, 8], "decoder": [8, 4, 4, 4], "local_context": {}},
    "contrastive": {"weight": 0.5},
    "fovmix": {"probability": 0.0},
}


def test_scribbles_training_predictions_and_evaluation(tiny_tree: Path, tmp_path: Path) -> None:
    file = tmp_path / "crops.yaml"
    [text] = re.findall(r"^```yaml\n(labels: .*?)^```$", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    file.write_text(text, encoding="utf-8")
    crops = load_label_set(file)
    assert crops.classes == CLASSES
    raw_ids = np.array([0, 7, 8, 300, 301, 302, 40000, 41000, 41001], "<u4")
    for sequence in ("00", "08"):
        for number, frame in enumerate(kitti.frame_ids(tiny_tree, sequence)):
            drawn = np.random.default_rng([int(sequence), number]).choice(raw_ids, 400).astype("<u4")
            drawn.tofile(kitti.label_path(tiny_tree, sequence, frame))
            np.where(np.arange(400) % 10, 0, drawn).astype("<u4").tofile(
                kitti.scribble_path(tiny_tree, sequence, frame)
            )
    report = check_sequence(tiny_tree, "08", ("scans", "images", "labels"), label_set=crops)
    assert not report.faults
    assert [len(facts.class_counts) for facts in report.frames] == [7, 7]
    assert "unknown-id" in {
        fault.kind for fault in check_sequence(tiny_tree, "08", ("scans", "labels"), label_set=SEMANTICKITTI).faults
    }

    threads = torch.get_num_threads()
    target, one = ("--dataset", tiny_tree, "--label-set", file), ("--threads", 1)
    scribbles = tmp_path / "drawn/sequences/00/scribbles"
    run_script("scribbles", {"fraction": 0.2}, *target, "--sequence", "00", "--out", scribbles)
    drawn = kitti.read_labels(scribbles / "000000.label")
    dense = kitti.read_labels(kitti.label_path(tiny_tree, "00", "000000"))
    assert (drawn > 0).any()
    # 41001 is written as its class's first raw id
    assert (drawn[drawn > 0] == np.where(dense == 41001, 41000, dense)[drawn > 0]).all()

    for sequence in ("00", "08"):
        out = tmp_path / f"projection/{sequence}.h5"
        run_script("projection", {}, *target, "--sequence", sequence, "--scribbles", tiny_tree, "--out", out)
    seen = Correspondence(tmp_path / "projection/00.h5").read("000000").scribble
    assert {CITYSCAPES.classes[each] for each in seen[seen != IGNORE]} <= CAMERA_CLASSES
    assert (seen != IGNORE).any()

    model, state = tmp_path / "model.safetensors", ("--state", tmp_path / "state")
    files = ("--metrics", tmp_path / "metrics.json", "--curves-csv", tmp_path / "curves.csv", "--out", model)
    sources = ("--sequences", "00", "--labels", tmp_path / "drawn", "--projection", tmp_path / "projection")
    run_script("train_3d", SETTINGS, *target, *one, *sources, *state, *files)
    network, _, _ = load_network(model)
    assert network.label_set.classes == CLASSES
    assert network.classifier.out_features == 7

    file.rename(tmp_path / "gone.yaml")  # the weights know their classes
    predictions = tmp_path / "predict/sequences/08/predictions"
    run_script(
        "predict", {}, *one, "--weights", model, "--dataset", tiny_tree, "--sequence", "08", "--out", predictions
    )
    assert set(kitti.read_labels(predictions / "000001.label")) <= set(crops.raw_ids)

    pseudo = tmp_path / "pseudo"
    drawn_too = ("--scribbles", tmp_path / "drawn", "--out", pseudo)
    run_script("pseudo_label", {}, *one, "--weights", model, "--dataset", tiny_tree, "--sequences", "00", *drawn_too)
    labelled = kitti.read_labels(kitti.label_path(pseudo, "00", "000000"))
    assert (labelled[drawn > 0] == drawn[drawn > 0]).all()
    assert set(labelled) <= {0, *crops.raw_ids}

    metrics, tensor = tmp_path / "evaluation.json", tmp_path / "confusion.h5"
    arguments = ("--dataset", tiny_tree, "--label-set", tmp_path / "gone.yaml", "--sequences", "08")
    outputs = ("--out", metrics, "--confusion", tmp_path / "confusion.csv", "--tensor", tensor)
    folders = ("--predictions", tmp_path / "predict", "--projection", tmp_path / "projection")
    run_script("evaluate", {}, *arguments, *folders, *outputs)
    torch.set_num_threads(threads)
    values = json.loads(metrics.read_text(encoding="utf-8"))
    assert set(values["iou"]) == set(values["benchmark"]["iou"]) == set(CLASSES)
    assert values["small_objects"]["classes"] == ["weed", "person"]
    assert read_tensor(tensor).counts.shape[-2:] == (7, 8)
    labels = np.stack(
        [crops.to_train_ids(kitti.read_labels(kitti.label_path(tiny_tree, "08", f"{n:06d}"))) for n in (0, 1)]
    )
    predicted = np.stack([crops.to_train_ids(kitti.read_labels(predictions / f"{n:06d}.label")) for n in (0, 1)])
    known = labels != IGNORE
    assert values["points"] == known.sum()
    assert values["accuracy"] == (labels == predicted)[known].mean()
