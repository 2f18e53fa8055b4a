"""A finished experiment in miniature, with all that the report reads: random scans, predictions that are partly right,
real tables."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from conftest import write_tree
from script import SCRIPTS, run_here

from ignet.config.training_2d import SegformerConfig
from ignet.data.formats import kitti
from ignet.data.label_sets.label_set import SEMANTICKITTI
from ignet.files.atomic import write_json, write_png
from ignet.models.teachers.segformer import build_segmenter, save_segmenter
from ignet.train.run import write_curves

TRAIN, VAL, FRAMES, POINTS = "04", "08", 2, 400
RUNS = {"full": 5, "baseline": 2, "ignet": 3}
"""Every so many points are wrong."""
NOTE = "A remark </script><b id=spoiled>with</b> marks."


def run_stage(name: str, *arguments: object) -> None:
    """Run a stage as `python workflow/scripts/NAME` does, in this process."""
    run_here([SCRIPTS / name, "--device", "cpu", *arguments])


def make_results(root: Path, controls: Sequence[dict[str, str]] = ()) -> Path:
    """Everything below ``root / "results"`` but the report."""
    results, data = root / "results", write_tree(root / "dataset", (TRAIN, VAL), FRAMES, POINTS)
    for sequence, more in ((TRAIN, ("--scribbles", data)), (VAL, ())):
        run_stage(
            "projection.py",
            "--dataset",
            data,
            "--sequence",
            sequence,
            *more,
            "--out",
            results / f"projection/{sequence}.h5",
        )
        checked = ("--role", "val" if sequence == VAL else "train", "--out", results / f"dataset/{sequence}.json")
        run_stage("dataset_check.py", "--dataset", data, "--sequence", sequence, *checked)
    parts = [results / f"dataset/{sequence}.json" for sequence in (TRAIN, VAL)]
    run_stage(
        "dataset_manifest.py",
        "--sequences",
        *parts,
        "--out",
        results / "dataset/manifest.csv",
        "--doubts",
        results / "dataset/doubts.txt",
    )
    for number, (run, wrong) in enumerate(RUNS.items()):
        _predict(data, results / f"predict/{run}/seed0", wrong)
        folder = results / f"evaluate/{run}/seed0"
        files = (
            "--out",
            folder / "metrics.json",
            "--confusion",
            folder / "confusion.csv",
            "--tensor",
            folder / "confusion.h5",
        )
        where = ("--predictions", results / f"predict/{run}/seed0", "--projection", results / "projection", *files)
        run_stage("evaluate.py", "--dataset", data, "--sequences", VAL, *where)
        steps = [{"step": float(step), "loss": 3 / (1 + step) + number, "learning_rate": 0.1} for step in range(20)]
        write_curves(results / f"train_3d/{run}/seed0/curves.csv", steps)
        record = results / f"benchmarks/train_3d/{run}/seed0.tsv"
        record.parent.mkdir(parents=True)
        record.write_text(f"s\th:m:s\tmax_rss\tcpu_time\n{60 * (number + 1)}\t-\t{100 + number}\t-\n")
    torch.manual_seed(0)
    for path in networks(results).values():
        save_segmenter(path, build_segmenter(SegformerConfig()), SegformerConfig())
        write_curves(path.with_name("curves.csv"), [{"step": 0.0, "loss": 2.0}, {"step": 1.0, "loss": 1.0}])
        write_json(path.with_name("metrics.json"), {"miou": 0.1, "miou_occurring": 0.25, "accuracy": 0.5})
    (results / "figures").mkdir()
    write_png(results / "figures/data.png", np.random.default_rng(0).integers(0, 255, (90, 160, 3), np.uint8))
    _compare(results, controls)
    return results


def networks(results: Path) -> dict[str, Path]:
    """Weights of the 2D networks."""
    return {
        "source": results / "pretrain_2d/model.safetensors",
        "adapted": results / "adapt_2d/adapted/model.safetensors",
    }


def make_page(results: Path, out: Path, **replaced: object) -> Path:
    """Write the report as the workflow does; ``replaced`` are other values of its arguments."""
    arguments: dict[str, object] = {
        "results": results,
        "runs": [f"{run}:0" for run in RUNS],
        "dataset": results.parent / "dataset",
        "scribbles": results.parent / "dataset",
        "val": [f"{VAL}={results}/projection/{VAL}.h5"],
        "train": [f"{TRAIN}={results}/projection/{TRAIN}.h5"],
        "networks-2d": [f"{name}={path}" for name, path in networks(results).items()],
        "features-of": "adapted",
        "records": ["train_3d/full", "train_3d/baseline", "train_3d/ignet", "compare"],
        "note": NOTE,
        "out": out,
    }
    words: list[object] = []
    for name, value in (arguments | replaced).items():
        words += [f"--{name}", *(value if isinstance(value, list) else [value])]
    run_stage("report.py", *words)
    return out


def truth_of(results: Path, sequence: str, frame: str) -> np.ndarray:
    """LiDAR train ids of a scan."""
    return SEMANTICKITTI.to_train_ids(kitti.read_labels(kitti.label_path(results.parent / "dataset", sequence, frame)))


def predicted_by(results: Path, run: str, frame: str) -> np.ndarray:
    """What a run says of a validation scan."""
    path = results / f"predict/{run}/seed0/sequences/{VAL}/predictions/{frame}.label"
    return SEMANTICKITTI.to_train_ids(kitti.read_labels(path))


def _predict(data: Path, folder: Path, wrong: int) -> None:
    for frame in range(FRAMES):
        truth = SEMANTICKITTI.to_train_ids(kitti.read_labels(kitti.label_path(data, VAL, f"{frame:06d}")))
        said = np.where((np.arange(len(truth)) % wrong == 0) | (truth == 255), (truth + 1) % 19, truth).astype(np.uint8)
        path = folder / "sequences" / VAL / "predictions" / f"{frame:06d}.label"
        path.parent.mkdir(parents=True, exist_ok=True)
        SEMANTICKITTI.to_raw_ids(said).tofile(path)


def _compare(results: Path, controls: Sequence[dict[str, str]]) -> None:
    files = [f"{run}:0={results}/evaluate/{run}/seed0/confusion.h5" for run in RUNS]
    curves = [f"{run}:0={results}/train_3d/{run}/seed0/curves.csv" for run in RUNS]
    metrics = [f"{name}={path.with_name('metrics.json')}" for name, path in networks(results).items()]
    statements = [{"text": "ignet is better", "run": "ignet", "against": "baseline"}]
    settings = json.dumps({"bootstrap_samples": 100, "statements": statements, "controls": list(controls)})
    more = ("--curves", *curves, "--metrics-2d", *metrics, "--out", results / "compare")
    run_stage("compare.py", "--settings", settings, "--confusions", *files, *more)
