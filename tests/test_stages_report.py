"""The stages evaluate, compare and report as command lines, on a small dataset whose figures are counted anew here."""

import csv
import json
import shutil

import numpy as np
import pytest
import torch
from matplotlib.image import imread
from one_camera import seen_by_one
from script import SCRIPTS, run_here

from ignet.config.training_2d import SegformerConfig
from ignet.data.label_sets.label_set import SEMANTICKITTI as LABELS
from ignet.data.projection.correspondence import CorrespondenceWriter
from ignet.evaluate.confusion import confusion_matrix
from ignet.evaluate.tensor import read_tensor, write_tensor
from ignet.models.teachers.segformer import build_segmenter, save_segmenter
from ignet.stage.identity import import_closure

WIDTH, HEIGHT, POINTS, SEQUENCE = 192, 64, 400, "08"
FRAMES = ("000000", "000001")


def run_stage(name, *arguments):
    """Run a stage as `python workflow/scripts/NAME` does, in this process."""
    run_here([SCRIPTS / name, "--device", "cpu", *arguments])


def error_of(capsys, name, *arguments):
    """The one line that a stage ends with."""
    with pytest.raises(SystemExit) as stop:
        run_stage(name, *arguments)
    assert stop.value.code == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    return line


def write_labels(path, ids):
    path.parent.mkdir(parents=True, exist_ok=True)
    # instances in the high bits, as in the dataset
    (LABELS.to_raw_ids(ids) | np.uint32(7 << 16)).tofile(path)


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A dataset of two scans, correspondences, and predictions of two runs with one right in two and two right in three
    points."""
    import cv2

    root, rng = tmp_path_factory.mktemp("tree"), np.random.default_rng(0)
    folder = root / "dataset" / "sequences" / SEQUENCE
    for name in ("velodyne", "image_2"):
        (folder / name).mkdir(parents=True)
    (root / "projection").mkdir()
    with CorrespondenceWriter(root / "projection" / f"{SEQUENCE}.h5") as writer:
        for frame in FRAMES:
            points = rng.uniform([-60, -60, -2, 0], [60, 60, 3, 1], (POINTS, 4)).astype(np.float32)
            points[:200, :2] /= 20  # dense enough for class boundaries
            points.tofile(folder / "velodyne" / f"{frame}.bin")
            cv2.imwrite(str(folder / "image_2" / f"{frame}.png"), rng.integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8))
            truth = rng.choice(np.array([0, 5, 8, 14, 17, 255], np.uint8), POINTS)
            write_labels(folder / "labels" / f"{frame}.label", truth)
            index = np.sort(rng.choice(POINTS, 90, replace=False)).astype(np.int32)
            pixel = rng.uniform(1, [WIDTH - 2, HEIGHT - 2], (90, 2)).astype(np.float32)
            writer.add(frame, seen_by_one(index, pixel, np.full(90, 255, np.uint8), POINTS, WIDTH, HEIGHT, (-0.7, 0.7)))
            for run, wrong in (("baseline", 2), ("full", 3)):
                predicted = np.where(
                    np.arange(POINTS) % wrong == 0, rng.choice(np.array([0, 8, 9, 255]), POINTS), truth
                ).astype(np.uint8)
                write_labels(
                    root / "predictions" / run / "sequences" / SEQUENCE / "predictions" / f"{frame}.label", predicted
                )
    return root


def evaluate(tree, out, run="baseline", **replaced):
    folders = {
        "dataset": tree / "dataset",
        "predictions": tree / "predictions" / run,
        "projection": tree / "projection",
    } | replaced
    arguments = [part for name, path in folders.items() for part in (f"--{name}", path)]
    files = ("--out", out / "metrics.json", "--confusion", out / "c.csv", "--tensor", out / "confusion.h5")
    run_stage("evaluate.py", *arguments, "--sequences", SEQUENCE, *files)
    return json.loads((out / "metrics.json").read_text(), parse_constant=lambda name: pytest.fail(f"{name} in JSON"))


def read_ids(path):
    return LABELS.to_train_ids(np.fromfile(path, np.uint32))


def all_points(tree, run):
    """Truth, prediction, distance and whether the camera sees it, of all points."""
    from ignet.data.projection.correspondence import Correspondence

    folder, parts = tree / "dataset" / "sequences" / SEQUENCE, []
    for frame in FRAMES:
        points = np.fromfile(folder / "velodyne" / f"{frame}.bin", np.float32).reshape(-1, 4)
        seen = np.isin(np.arange(POINTS), Correspondence(tree / "projection" / f"{SEQUENCE}.h5").read(frame).index)
        predicted = read_ids(tree / "predictions" / run / "sequences" / SEQUENCE / "predictions" / f"{frame}.label")
        truth = read_ids(folder / "labels" / f"{frame}.label")
        parts.append((truth, predicted, np.sqrt((points[:, :3].astype(float) ** 2).sum(1)), seen))
    return (np.concatenate(part) for part in zip(*parts, strict=True))


def ious(truth, predicted):
    """IoU of each class by its definition, None where it does not occur."""
    counted = truth != 255
    found = {}
    for number, name in enumerate(LABELS.classes):
        is_one, said_one = (truth == number) & counted, (predicted == number) & counted
        found[name] = (is_one & said_one).sum() / (is_one | said_one).sum() if (is_one | said_one).any() else None
    return found


def test_evaluate(tree, tmp_path):
    metrics = evaluate(tree, tmp_path)
    truth, predicted, distance, seen = all_points(tree, "baseline")
    labelled = truth != 255
    expected = ious(truth, predicted)
    assert metrics["iou"] == pytest.approx(expected)
    assert metrics["miou"] == pytest.approx(sum(value or 0 for value in expected.values()) / 19)
    assert metrics["miou_occurring"] == pytest.approx(np.mean([expected[LABELS.classes[c]] for c in (0, 5, 8, 14, 17)]))
    assert metrics["accuracy"] == pytest.approx((truth == predicted)[labelled].mean())
    assert metrics["points"] == labelled.sum() and metrics["frames"] == 2
    small = [expected[name] for name in ("person", "pole")]
    assert metrics["small_objects"]["miou_occurring"] == pytest.approx(np.mean(small))

    slices = {key: {part["name"]: part for part in parts} for key, parts in metrics["slices"].items()}
    assert list(slices["range"]) == ["0-10 m", "10-20 m", "20-30 m", "30-40 m", "40-50 m", "50+ m"]
    ring = (distance >= 10) & (distance < 20)
    assert slices["range"]["10-20 m"]["iou"] == pytest.approx(ious(truth[ring], predicted[ring]))
    assert slices["camera"]["in-FOV"]["points"] == (labelled & seen).sum()
    assert slices["camera"]["in-FOV"]["iou"] == pytest.approx(ious(truth[seen], predicted[seen]))
    for parts in slices.values():
        assert sum(part["points"] for part in parts.values()) == metrics["points"]
    assert 0 < slices["boundary"]["boundary"]["points"] < metrics["points"]

    rows = list(csv.DictReader((tmp_path / "c.csv").open()))
    assert [row["truth"] for row in rows] == list(LABELS.classes)
    assert int(rows[0]["nothing"]) == ((truth == 0) & (predicted == 255)).sum()
    assert int(rows[5]["parking"]) == ((truth == 5) & (predicted == 9)).sum() > 0
    assert json.loads((tmp_path / "metrics.settings.json").read_text())["settings"]["boundary"] == 0.5

    tensor = read_tensor(tmp_path / "confusion.h5")
    assert tensor.frames == tuple(f"{SEQUENCE}/{frame}" for frame in FRAMES)
    assert tensor.names == {axis: tuple(parts) for axis, parts in slices.items()}
    second = np.arange(len(truth)) >= POINTS
    np.testing.assert_array_equal(tensor.whole()[1], confusion_matrix(truth[second], predicted[second], 19))
    unseen = second & ~seen
    np.testing.assert_array_equal(
        tensor.slice("camera", "out-of-FOV")[1], confusion_matrix(truth[unseen], predicted[unseen], 19)
    )


def test_evaluate_on_scribbles(tree, tmp_path):
    """The points that a scribble covers count, and no dense label is read."""
    dataset = tmp_path / "dataset"
    shutil.copytree(tree / "dataset", dataset)
    folder = dataset / "sequences" / SEQUENCE
    truth, predicted, _, _ = all_points(tree, "baseline")
    covered = np.arange(len(truth)) % 5 < 2
    for number, frame in enumerate(FRAMES):
        part = slice(number * POINTS, (number + 1) * POINTS)
        write_labels(
            folder / "scribbles" / f"{frame}.label", np.where(covered[part], truth[part], 255).astype(np.uint8)
        )
    shutil.rmtree(folder / "labels")
    metrics = evaluate(tree, tmp_path, dataset=dataset, **{"evaluate-on": "scribbles"})
    expected = ious(truth[covered], predicted[covered])
    assert metrics["iou"] == pytest.approx(expected)


def test_evaluate_names_the_faulty_file(tree, tmp_path, capsys):
    def error(**replaced):
        with pytest.raises(SystemExit):
            evaluate(tree, tmp_path / "out", **replaced)
        (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
        return line

    assert "000000.label: no such file" in error(predictions=tmp_path) and not (tmp_path / "out").exists()
    shutil.copytree(tree / "predictions" / "full", tmp_path / "short")
    path = tmp_path / "short" / "sequences" / SEQUENCE / "predictions" / "000001.label"
    path.write_bytes(path.read_bytes()[:-4])
    assert f"000001.label: found {POINTS - 1} predictions, expected {POINTS}" in error(predictions=tmp_path / "short")
    path.write_bytes(np.full(POINTS, 77, np.uint32).tobytes())
    assert "000001.label: found raw class 77" in error(predictions=tmp_path / "short")
    assert "08.h5: no such file" in error(projection=tmp_path)

    nothing = np.zeros(0)
    with CorrespondenceWriter(tmp_path / "stale" / f"{SEQUENCE}.h5") as writer:
        for frame in FRAMES:
            rows = (nothing.astype(np.int32), nothing.reshape(0, 2).astype(np.float32), nothing.astype(np.uint8))
            writer.add(frame, seen_by_one(*rows, POINTS + 1, WIDTH, HEIGHT, (-0.7, 0.7)))
    assert f"found {POINTS + 1} points, expected {POINTS}" in error(projection=tmp_path / "stale")


def test_compare(tree, tmp_path, capsys):
    files, curves = [], []
    for run in ("baseline", "full"):
        metrics = evaluate(tree, tmp_path / run, run)
        files.append(f"{run}:0={tmp_path / run / 'confusion.h5'}")
        (tmp_path / run / "curves.csv").write_text("step,loss\n0,2\n1,1\n")
        curves.append(f"{run}:0={tmp_path / run / 'curves.csv'}")
    (tmp_path / "2d.json").write_text(json.dumps({"miou_occurring": 0.25, "accuracy": 0.5}))
    out, claim = tmp_path / "compare", {"text": "dense labels help", "run": "full", "against": "baseline"}
    settings = {"method": "full", "statements": [claim], "controls": [claim], "bootstrap_samples": 100}
    networks = ("--metrics-2d", f"source={tmp_path / '2d.json'}", "--supervision-2d", "source=source")
    arguments = ("--settings", json.dumps(settings), "--curves", *curves, *networks, "--out")
    run_stage("compare.py", "--confusions", *files, *arguments, out)

    first, second = csv.DictReader((out / "table.csv").open())
    full = 100 * metrics["miou"]
    assert "held-out scribbles" not in (out / "table.md").read_text()
    assert second["run"] == "full" and float(second["mIoU (benchmark)"]) == pytest.approx(full)
    assert float(first["relative to full"]) == pytest.approx(100 * float(first["mIoU (benchmark)"]) / full)
    assert float(second["difference to baseline"]) == pytest.approx(full - float(first["mIoU (benchmark)"]))
    assert (out / "summary.txt").read_text() in capsys.readouterr().out
    row = next(line for line in (out / "summary.txt").read_text().splitlines() if line.startswith("| source"))
    assert [cell.strip() for cell in row.strip("|").split("|")] == [
        "source",
        "synthetic source images only",
        "25.0",
        "50.0",
    ]
    tables = ("table", "controls", "gains", "gains_per_class", "per_class", "slices", "networks_2d", "published")
    for name in tables:
        assert all((out / f"{name}{suffix}").stat().st_size for suffix in (".csv", ".md", ".tex"))
    for name in ("ablation.png", "gains.png", "curves.png", "per_class.png"):
        assert imread(out / name).shape[1] == 1600
    (found,) = json.loads((out / "statements.json").read_text())["statements"]
    assert found["low"] <= found["difference"] <= found["high"] and (found["scans"], found["seeds"]) == (2, 1)
    assert found["difference"] == pytest.approx(float(second["difference to baseline"]))
    assert "dense labels help" in (out / "statements.md").read_text()

    # equal input gives equal bytes
    run_stage("compare.py", "--confusions", *files, *arguments, tmp_path / "again")
    for path in out.iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes(), path.name

    # test sequences get a table of their own; what stood there before stays as it is
    run_stage("compare.py", "--confusions", *files, "--test-confusions", files[1], *arguments, tmp_path / "t")
    assert (tmp_path / "t/table.md").read_bytes() == (out / "table.md").read_bytes()
    text = (tmp_path / "t/test.md").read_text()
    assert text.startswith("### Runs, % on the test sequences")
    assert [row["run"] for row in csv.DictReader((tmp_path / "t/test.csv").open())] == ["full"]
    assert "on the test sequences" in (tmp_path / "t/summary.txt").read_text()
    assert json.loads((tmp_path / "t/tables.json").read_text())["test"]["rows"][0][0] == "full"

    # a second dataset's figures do not belong into the same table
    other = read_tensor(tmp_path / "full" / "confusion.h5")
    other.counts[0, 0, 0, 0, 0, 0] += 1
    write_tensor(tmp_path / "other.h5", other)
    line = error_of(
        capsys,
        "compare.py",
        "--confusions",
        files[0],
        f"other:3={tmp_path / 'other.h5'}",
        "--out",
        tmp_path / "none",
    )
    assert "run other seed 3 was evaluated on" in line and not (tmp_path / "none").exists()


@pytest.mark.parametrize("text", ["run=x.json", "run:a=x.json", ":0=x.json", "run:0", "run:0="])
def test_compare_refuses_arguments_that_are_no_runs(tmp_path, capsys, text):
    assert f"'{text}': expected" in error_of(capsys, "compare.py", "--confusions", text, "--out", tmp_path)


def test_compare_refuses_a_seed_given_twice(tmp_path, capsys):
    assert "given twice" in error_of(capsys, "compare.py", "--confusions", "run:0=a", "run:0=b", "--out", tmp_path)


def test_report(tree, tmp_path, capsys):
    torch.manual_seed(0)
    shape = SegformerConfig()
    save_segmenter(tmp_path / "network.safetensors", build_segmenter(shape), shape)
    runs = [f"{run}={tree / 'predictions' / run}" for run in ("baseline", "full")]
    arguments = [
        "--dataset",
        tree / "dataset",
        "--sequences",
        SEQUENCE,
        "--predictions",
        *runs,
        "--projection",
        tree / "projection",
    ]
    networks = ["--networks-2d", f"source={tmp_path / 'network.safetensors'}", "--settings", '{"frames": 1}']
    run_stage(
        "figures_predictions.py",
        *arguments,
        *networks,
        "--scribbles-note",
        "scribbles: simulated",
        "--out",
        tmp_path / "out",
    )
    pictures = sorted(path.name for path in (tmp_path / "out").glob("*.png"))
    assert pictures == [f"08_000001_{kind}.png" for kind in ("above", "image", "networks_2d")]
    for name in pictures:
        picture = imread(tmp_path / "out" / name)
        red = np.unique(picture[..., 0])
        assert picture.shape[1] == 1600 and len(red) > 20

    assert "'full': expected NAME=PATH" in error_of(
        capsys,
        "figures_predictions.py",
        *arguments[:4],
        "--predictions",
        "full",
        *arguments[-2:],
        "--out",
        tmp_path,
    )


def test_only_the_reporting_stages_depend_on_the_reports():
    reporting = {
        script.name
        for script in SCRIPTS.glob("*.py")
        if any(name.startswith("ignet.report.") for name in import_closure(script))
    }
    assert {"compare.py", "figures_predictions.py"} <= reporting
    assert not reporting & {
        "train_3d.py",
        "predict.py",
        "evaluate.py",
        "pretrain_2d.py",
        "adapt_2d.py",
        "features_pca.py",
        "features.py",
        "evaluate_2d.py",
        "projection.py",
    }


def test_tables_say_that_they_are_of_scribbles(tree, tmp_path):
    evaluate(tree, tmp_path)
    files = ("--confusions", f"baseline:0={tmp_path / 'confusion.h5'}", "--evaluate-on", "scribbles")
    run_stage("compare.py", *files, "--settings", json.dumps({"bootstrap_samples": 100}), "--out", tmp_path / "compare")
    told = {path.name for path in (tmp_path / "compare").glob("*.md") if "held-out scribbles" in path.read_text()}
    assert {
        "table.md",
        "gains.md",
        "slices.md",
        "per_class.md",
        "networks_2d.md",
    } <= told and "published.md" not in told
