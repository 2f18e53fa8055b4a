"""A training learns: from the scribbles of one street of the embedded world, classes of the points of another."""

from pathlib import Path

import numpy as np
import torch
from test_stages_2d import run_script

from ignet.config.world import WorldConfig
from ignet.data.formats.kitti import frame_ids, label_path, read_labels, read_scan, scan_path
from ignet.data.label_sets.label_set import SEMANTICKITTI
from ignet.evaluate.confusion import confusion_matrix, iou
from ignet.models.segmentor3d import load_network, predict_scan
from ignet.world.files import write_sequence

WORLD = WorldConfig(frames=6, beams=16, azimuths=300, image_width=64, image_height=32)
SETTINGS = {
    "steps": 60,
    "batch": 2,
    "backbone": {"voxel": 0.4, "stem": 8, "encoder": [8, 8, 16, 16], "decoder": [16, 8, 8, 8]},
    "mean_teacher": {"ema": 0.9},
}


def test_a_baseline_learns_from_scribbles_what_it_meets_elsewhere(tmp_path: Path) -> None:
    for sequence in ("00", "08"):
        write_sequence(WORLD, sequence, tmp_path / "sequences" / sequence)
    arguments = (
        "--dataset",
        tmp_path,
        "--sequences",
        "00",
        "--labels",
        tmp_path,
        "--threads",
        1,
        "--state",
        tmp_path / "state",
    )
    files = ("--metrics", tmp_path / "metrics.json", "--curves-csv", tmp_path / "curves.csv")
    threads = torch.get_num_threads()
    run_script("train_3d", SETTINGS, *arguments, "--out", tmp_path / "model.safetensors", *files)

    network, backbone, engine = load_network(tmp_path / "model.safetensors")
    total = np.zeros((len(SEMANTICKITTI.classes), len(SEMANTICKITTI.classes) + 1), np.int64)
    for frame in frame_ids(tmp_path, "08"):
        points = read_scan(scan_path(tmp_path, "08", frame))
        truth = SEMANTICKITTI.to_train_ids(read_labels(label_path(tmp_path, "08", frame)))
        total += confusion_matrix(
            truth, predict_scan(network, backbone, engine, points, torch.device("cpu"))[0], len(SEMANTICKITTI.classes)
        )
    torch.set_num_threads(threads)
    each, share = (
        dict(zip(SEMANTICKITTI.classes, iou(total), strict=True)),
        dict(zip(SEMANTICKITTI.classes, total.sum(axis=1) / total.sum(), strict=True)),
    )
    # whoever calls every point a class gets its share as its IoU and 0 for all others: at most 1.6 % on average here
    assert np.nanmean(list(each.values())) > 3 * max(share.values()) / len(SEMANTICKITTI.classes)
    assert all(each[name] > 1.4 * share[name] for name in ("car", "road", "building"))
