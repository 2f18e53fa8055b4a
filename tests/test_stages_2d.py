"""The four 2D scripts from end to end on a small made tree, and a killed adaptation that goes on."""

import hashlib
import json
import os
import shutil
import signal
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from script import SCRIPTS, run_here
from training_files import training_files

from ignet.config.teachers import EfficientNetLiteConfig
from ignet.config.training_2d import Adapt2DConfig, Pretrain2DConfig
from ignet.data.features.store import FeatureStore
from ignet.data.formats import kitti
from ignet.data.formats.calibration import Calibration, read_calibration, write_calibration
from ignet.data.formats.splits import labelled_scans
from ignet.data.label_sets.label_set import CITYSCAPES, SEMANTICKITTI
from ignet.data.projection.correspondence import Correspondence
from ignet.errors import IgnetError
from ignet.models.teachers.base import image_batch, sample_features
from ignet.models.teachers.efficientnet_lite import build as build_efficientnet
from ignet.models.teachers.registry import load_teacher
from ignet.models.teachers.segformer import load_segmenter
from ignet.train.finished import set_aside
from ignet.train.interruption import EXIT_PREEMPTED
from ignet.train.run import TrainingRun
from ignet.train.schedule import linear_decay

HEIGHT, WIDTH = 48, 80
SKY, ROAD, CAR = 23, 7, 26  # Cityscapes label ids
NETWORK = {"hidden_sizes": [8, 8, 10, 16], "depths": [1, 1, 1, 1], "decoder_channels": 12}
COMMON = {"crop": [32, 48], "batch": 2, "warmup_steps": 2}
PRETRAIN = {**COMMON, "network": NETWORK, "steps": 40, "head_learning_rate_factor": 10.0}
ADAPT = {**COMMON, "steps": 6, "class_weight_power": 0.5, "class_weight_domain": "each"}


def run_script(name: str, settings: dict, *arguments: object) -> None:
    """Run a script of the workflow in this process, as its command line would."""
    run_here([SCRIPTS / f"{name}.py", "--settings", json.dumps(settings), "--device", "cpu", *arguments])


def street(rng: np.random.Generator, colors: dict[int, tuple[int, int, int]]) -> tuple[np.ndarray, np.ndarray]:
    """An image (H, W, 3) of sky over road with a car, and its Cityscapes label ids (H, W)."""
    label = np.full((HEIGHT, WIDTH), SKY, np.uint8)
    label[HEIGHT // 2 :] = ROAD
    left = int(rng.integers(8, WIDTH - 28))
    label[HEIGHT // 2 - 4 : HEIGHT // 2 + 10, left : left + 20] = CAR
    image = np.zeros((HEIGHT, WIDTH, 3), np.int64)
    for name, color in colors.items():
        image[label == name] = color
    return (image + rng.integers(-15, 15, image.shape)).clip(0, 255).astype(np.uint8), label


def write_source(root: Path) -> None:
    rng = np.random.default_rng(0)
    for folder in ("images", "labels"):
        (root / folder).mkdir(parents=True)
    for number in range(6):
        image, label = street(rng, {SKY: (200, 160, 120), ROAD: (90, 90, 90), CAR: (30, 30, 200)})
        cv2.imwrite(str(root / "images" / f"{number:05d}.png"), image)
        cv2.imwrite(str(root / "labels" / f"{number:05d}.png"), label)


def write_target(root: Path, sequence: str) -> None:
    """Two frames whose points are the pixels of a coarse grid, ten metres away; every fourth point has a scribble."""
    rng = np.random.default_rng(int(sequence))
    focal = 40.0
    p2 = np.array([[focal, 0, WIDTH / 2, 0], [0, focal, HEIGHT / 2, 0], [0, 0, 1, 0]])
    tr = np.array([[0.0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]])
    for frame in ("000000", "000001"):
        image, label = street(rng, {SKY: (240, 240, 240), ROAD: (60, 70, 60), CAR: (140, 40, 40)})
        u, v = (axis.ravel() for axis in np.meshgrid(np.arange(2, WIDTH, 3), np.arange(HEIGHT // 2 - 3, HEIGHT, 3)))
        depth = 10.0
        points = np.stack(
            [np.full(u.shape, depth), -(u - WIDTH / 2) * depth / focal, -(v - HEIGHT / 2) * depth / focal, u * 0.0],
            axis=1,
        )
        raw = np.select([label[v, u] == ROAD, label[v, u] == CAR], [40, 10], 0).astype(np.uint32)
        for folder in ("velodyne", "labels", "scribbles", "image_2"):
            (kitti.sequence_path(root, sequence) / folder).mkdir(parents=True, exist_ok=True)
        points.astype(np.float32).tofile(kitti.scan_path(root, sequence, frame))
        raw.tofile(kitti.label_path(root, sequence, frame))
        np.where(np.arange(len(raw)) % 4 == 0, raw, 0).astype(np.uint32).tofile(
            kitti.scribble_path(root, sequence, frame)
        )
        cv2.imwrite(str(kitti.image_path(root, sequence, frame)), image)
    write_calibration(kitti.calibration_path(root, sequence), Calibration(p2, tr))


def project(work: Path, sequence: str, *scribbles: object) -> None:
    out = work / "projection" / f"{sequence}.h5"
    arguments = ("--dataset", work / "target", "--sequence", sequence, "--out", out)
    run_script("projection", {"cell": 1}, *arguments, *scribbles)


def adapt(work: Path, out: Path, settings: dict) -> None:
    arguments = (
        "--source",
        work / "source",
        "--dataset",
        work / "target",
        "--sequences",
        "00",
        "--projection",
        work / "projection",
    )
    files = training_files(out)
    run_script(
        "adapt_2d",
        settings,
        *arguments,
        *files,
        "--pretrained",
        work / "pretrain" / "model.safetensors",
        "--state",
        out / "state",
    )


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """Source images, one projected training sequence, a pretrained and an adapted network; validation data come only
    afterwards."""
    work = tmp_path_factory.mktemp("stages")
    write_source(work / "source")
    write_target(work / "target", "00")
    project(work, "00", "--scribbles", work / "target")
    out = work / "pretrain"
    files = training_files(out)
    run_script(
        "pretrain_2d",
        PRETRAIN,
        "--source",
        work / "source",
        *files,
        "--state",
        work / "state",
        "--curves",
        out / "curves",
    )
    adapt(work, work / "adapted", ADAPT)
    write_target(work / "target", "08")
    project(work, "08")
    return work


def test_whose_shares_weigh_the_source_images_changes_their_loss_alone(work, tmp_path):
    adapt(work, tmp_path, {**ADAPT, "class_weight_domain": "target"})
    files = (work / "adapted" / "curves.csv", tmp_path / "curves.csv")
    each, target = (
        np.genfromtxt(path, delimiter=",", names=True)[0] for path in files
    )  # the first step: the same network and images
    assert each["scribble"] == target["scribble"] and abs(each["source"] - target["source"]) > 1e-3


def test_pretraining_learns_and_reports_held_out_images(work):
    curves = np.genfromtxt(work / "pretrain" / "curves.csv", delimiter=",", names=True)
    assert len(curves) == PRETRAIN["steps"] and curves["loss"][-5:].mean() < 0.6 * curves["loss"][:5].mean()
    metrics = json.loads((work / "pretrain" / "metrics.json").read_text())
    assert sum(metrics["count"].values()) == HEIGHT * WIDTH  # one image of six
    assert {name for name, count in metrics["count"].items() if count} == {"sky", "road", "car"}
    assert 0.7 < metrics["miou_occurring"] <= 1 and metrics["iou"]["bus"] in (None, 0)
    assert list((work / "pretrain" / "curves").glob("events*"))
    assert json.loads((work / "pretrain" / "model.settings.json").read_text())["settings"]["steps"] == PRETRAIN["steps"]


@pytest.mark.parametrize(("training", "settings"), [("pretrain", PRETRAIN), ("adapted", ADAPT)])
def test_curves_hold_the_learning_rate_of_the_step_itself(work, training, settings):
    rates = np.genfromtxt(work / training / "curves.csv", delimiter=",", names=True)["learning_rate"]
    full = (Pretrain2DConfig if training == "pretrain" else Adapt2DConfig)(**settings)
    expected = [full.learning_rate * linear_decay(step, full.steps, full.warmup_steps) for step in range(full.steps)]
    np.testing.assert_allclose(rates, expected, rtol=1e-5)  # six digits are written
    assert "learning_rate" not in json.loads((work / training / "metrics.json").read_text())


def test_adaptation_moves_the_network_and_names_its_losses(work):
    curves = np.genfromtxt(work / "adapted" / "curves.csv", delimiter=",", names=True)
    assert {"loss", "source", "mix", "scribble", "q"} <= set(curves.dtype.names)
    np.testing.assert_allclose(curves["loss"], curves["source"] + curves["mix"] + curves["scribble"], rtol=1e-4)
    before, after = (load_segmenter(work / name / "model.safetensors").state_dict() for name in ("pretrain", "adapted"))
    assert before.keys() == after.keys() and not torch.equal(before["classifier.weight"], after["classifier.weight"])


def test_an_adaptation_that_was_set_aside_is_taken_back(work, tmp_path, monkeypatch):
    out = tmp_path / "adapted"
    shutil.copytree(work / "adapted", out)
    names = ("model.safetensors", "metrics.json", "curves.csv")
    assert set_aside(out / "state", [out / name for name in names])
    for name in (*names, "model.settings.json"):
        (out / name).unlink()

    def train(run):
        raise RuntimeError("trains")

    monkeypatch.setattr(TrainingRun, "__enter__", train)
    with pytest.raises(RuntimeError, match="trains"):
        adapt(work, out, {**ADAPT, "class_weight_domain": "target"})
    adapt(work, out, ADAPT)
    for name in (*names, "model.settings.json"):
        assert (out / name).read_bytes() == (work / "adapted" / name).read_bytes()


def test_a_killed_adaptation_ends_bit_identical(work, monkeypatch):
    log, calls = TrainingRun.log, []

    def log_and_ask_to_stop(run: TrainingRun, **values: float) -> None:
        log(run, **values)
        calls.append(values)
        if len(calls) == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(TrainingRun, "log", log_and_ask_to_stop)
    with pytest.raises(SystemExit) as stopped:
        adapt(work, work / "killed", ADAPT)
    assert stopped.value.code == EXIT_PREEMPTED and not (work / "killed" / "model.safetensors").exists()
    adapt(work, work / "killed", ADAPT)
    assert len(calls) == ADAPT["steps"]
    for name in ("model.safetensors", "metrics.json", "curves.csv"):
        assert (work / "killed" / name).read_bytes() == (work / "adapted" / name).read_bytes(), name


def test_adaptation_without_supervision_reads_neither_scribbles_nor_labels(work):
    adapt(work, work / "none", {**ADAPT, "steps": 2, "supervision": "none"})
    curves = np.genfromtxt(work / "none" / "curves.csv", delimiter=",", names=True)
    assert (curves["scribble"] == 0).all() and (curves["source"] > 0).all()


def test_a_random_start_knows_nothing_of_the_pretrained_network_but_its_shape(work):
    found = {}
    for start in ("pretrained", "random"):
        adapt(work, work / start, {**ADAPT, "steps": 1, "warmup_steps": 100, "initial_weights": start})
        found[start] = load_segmenter(work / start / "model.safetensors").state_dict()
    before = load_segmenter(work / "pretrain" / "model.safetensors").state_dict()
    matrices = [name for name, tensor in before.items() if tensor.ndim > 1]
    assert found["random"].keys() == before.keys() and len(matrices) > 10
    for name in matrices:
        correlation = {
            start: np.corrcoef(before[name].flatten(), tensors[name].flatten())[0, 1]
            for start, tensors in found.items()
        }
        assert correlation["pretrained"] > 0.99 and abs(correlation["random"]) < 0.9, name


@pytest.mark.parametrize("supervision", ["scribbles", "dense"])
def test_labels_of_unlabelled_frames_do_not_reach_the_adaptation(work, tmp_path, supervision):
    settings = {**ADAPT, "steps": 4, "supervision": supervision, "labelled_frames": 50}
    for name in ("source", "pretrain"):
        (tmp_path / name).symlink_to(work / name)
    write_target(tmp_path / "target", "00")
    project(tmp_path, "00", "--scribbles", tmp_path / "target")
    adapt(tmp_path, tmp_path / "whole", settings)
    curves = np.genfromtxt(tmp_path / "whole" / "curves.csv", delimiter=",", names=True)
    assert (curves["scribble"] > 0).all()  # each batch of two has a labelled frame

    ((_, labelled),) = labelled_scans({"00": ["000000", "000001"]}, 50).scans
    for frame, counts in (({"000000": "000001", "000001": "000000"}[labelled], False), (labelled, True)):
        for path in (kitti.scribble_path, kitti.label_path):
            labels = np.fromfile(path(tmp_path / "target", "00", frame), np.uint32)
            np.where(labels, 70, 0).astype(np.uint32).tofile(path(tmp_path / "target", "00", frame))
        project(tmp_path, "00", "--scribbles", tmp_path / "target")
        if not counts and supervision == "dense":
            kitti.label_path(tmp_path / "target", "00", frame).unlink()
        adapt(tmp_path, tmp_path / f"changed-{frame}", settings)
        weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", f"changed-{frame}")]
        assert (weights[0] != weights[1]) == counts


@pytest.mark.parametrize("dtype", ["int8", "float32"])
def test_the_store_holds_the_frozen_networks_features(work, dtype):
    network, out = work / "adapted" / "model.safetensors", work / f"features-{dtype}.h5"
    where = ("--dataset", work / "target", "--sequence", "08", "--projection", work / "projection" / "08.h5")
    run_script("features", {"dtype": dtype}, "--network", network, *where, "--out", out)
    store, points = FeatureStore(out), Correspondence(work / "projection" / "08.h5").read("000001")
    index, feature = store.read("000001")
    image = (
        torch.from_numpy(kitti.read_image(kitti.image_path(work / "target", "08", "000001"))).permute(2, 0, 1)[None]
        / 255
    )
    with torch.no_grad():
        expected = sample_features(
            load_segmenter(network)(image).features[0], torch.from_numpy(points.pixel), 4, 1.5
        ).numpy()
    np.testing.assert_array_equal(index, points.index)
    largest = expected.max(axis=0)
    np.testing.assert_allclose(feature, expected, atol=largest.max() / 127 if dtype == "int8" else 1e-5)
    assert feature.std() > 0
    assert store.attributes["network"] == hashlib.sha256(network.read_bytes()).hexdigest()


def test_evaluation_counts_the_visible_labelled_points(work):
    network, out = work / "pretrain" / "model.safetensors", work / "evaluate"
    where = ("--dataset", work / "target", "--sequences", "08", "--projection", work / "projection")
    run_script("evaluate_2d", {"images": 1}, "--network", network, *where, "--out", out / "m.json", "--figures", out)
    metrics = json.loads((out / "m.json").read_text())
    hits = count = 0
    model = load_segmenter(network)
    for frame in ("000000", "000001"):
        raw = kitti.read_labels(kitti.label_path(work / "target", "08", frame))
        points = Correspondence(work / "projection" / "08.h5").read(frame)
        image = (
            torch.from_numpy(kitti.read_image(kitti.image_path(work / "target", "08", frame))).permute(2, 0, 1)[None]
            / 255
        )
        with torch.no_grad():
            predicted = model(image).logits[0].argmax(dim=0).numpy()
        for number, (u, v) in zip(points.index, points.pixel, strict=True):
            truth = {40: 0, 10: 13}.get(int(raw[number]))
            if truth is not None:
                count, hits = count + 1, hits + (predicted[round(float(v)), round(float(u))] == truth)
    assert count > 100 and sum(metrics["count"].values()) == count == metrics["count"]["road"] + metrics["count"]["car"]
    assert metrics["accuracy"] == pytest.approx(hits / count)
    assert metrics["miou_occurring"] == pytest.approx((metrics["iou"]["road"] + metrics["iou"]["car"]) / 2)
    # as the benchmark counts: all 19 classes, one that is nowhere has the IoU 0
    assert metrics["miou"] == pytest.approx(sum(value or 0 for value in metrics["iou"].values()) / 19)
    assert 0 < metrics["miou"] < metrics["miou_occurring"]
    picture = cv2.imread(str(out / "08_000000.png"))
    assert picture.shape[1] == WIDTH and picture.shape[0] > 3 * HEIGHT


def test_projecting_says_the_share_in_the_image_and_judges_as_the_check(tmp_path, capsys):
    write_target(tmp_path / "target", "00")
    path = kitti.calibration_path(tmp_path / "target", "00")
    right = read_calibration(path)
    scan = kitti.scan_path(tmp_path / "target", "00", "000001")
    points = kitti.read_scan(scan)
    np.concatenate([points, points * [-1, 1, 1, 1], points * [-1, 1, 1, 1]]).astype("<f4").tofile(
        scan
    )  # two thirds lie behind
    project(tmp_path, "00")
    said = capsys.readouterr().err
    assert (
        f"sequence 00: {4 * len(points)} points, 50.0 % of them in the image, 50.0 % visible" in said
        and "WARNING" not in said
    )
    far = right.tr.copy()
    far[0, 3] = 6.0  # strange, and no fault: a camera six metres aside
    write_calibration(path, Calibration(right.projection, far))
    project(tmp_path, "00")
    assert "WARNING" in (said := capsys.readouterr().err) and "found a camera 6 m from the LiDAR" in said
    behind = right.tr.copy()
    behind[2, 3] = -20.0
    for tr, found in ((np.linalg.inv(right.tr), "only when it is inverted"), (behind, "no point of 2 scans")):
        (tmp_path / "projection/00.h5").unlink(missing_ok=True)
        write_calibration(path, Calibration(right.projection, tr))
        with pytest.raises(SystemExit):
            project(tmp_path, "00")
        assert f"error: {path}: " in (said := capsys.readouterr().err) and found in said
        assert not (tmp_path / "projection/00.h5").exists()


def test_a_missing_network_is_one_line(work, capsys):
    where = (
        "--dataset",
        work / "target",
        "--sequences",
        "08",
        "--projection",
        work / "projection",
        "--out",
        work / "x.json",
    )
    with pytest.raises(SystemExit):
        run_script("evaluate_2d", {}, "--network", work / "none.safetensors", *where, "--figures", work)
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert message.startswith("error: ") and "none.safetensors" in message


LITE = {"kind": "efficientnet_lite", "variant": 0, "strides": [4, 8]}


def teach(work: Path, out: Path, head: dict | None = None, network: dict = LITE) -> None:
    where = ("--dataset", work / "target", "--projection", work / "projection", "--scribbles", work / "target")
    settings = {**network, **({"head": head} if head else {})}
    run_script("teachers", settings, *where, *(("--sequences", "00") if head else ()), "--out", out)


def evaluate(work: Path, network: Path, out: Path, *probe: object) -> dict:
    where = ("--dataset", work / "target", "--sequences", "08", "--projection", work / "projection")
    run_script(
        "evaluate_2d", {"images": 1}, *where, "--network", network, *probe, "--out", out, "--figures", out.parent
    )
    return json.loads(out.read_text())


PROBE = ("--probe-sequences", "00", "--probe-projection", "projection", "--scribbles", "target")


def test_a_frozen_teacher_is_written_and_judged_by_a_probe(work, tmp_path, monkeypatch):
    monkeypatch.chdir(work)
    teach(work, tmp_path / "model.safetensors")
    network = build_efficientnet(EfficientNetLiteConfig(variant=0, strides=(4, 8)))
    image = torch.rand(1, 3, 40, 72)
    teacher = load_teacher(tmp_path / "model.safetensors")
    assert torch.equal(teacher(image).features, network(image).features)
    assert json.loads((tmp_path / "model.settings.json").read_text())["origin"]["licence"] == "Apache-2.0"

    metrics = evaluate(work, tmp_path / "model.safetensors", tmp_path / "metrics.json", *PROBE)
    assert "miou_occurring" not in metrics
    probe = metrics["probe"]
    # cars and roads differ in colour, and the probe has learnt them from another sequence's scribbles
    assert {name for name, count in probe["count"].items() if count} == {"road", "car"}
    assert probe["miou_occurring"] > 0.8 and set(probe["iou"]) == set(SEMANTICKITTI.classes)
    assert (tmp_path / "08_000000_probe.png").exists() and not (tmp_path / "08_000000.png").exists()


def test_a_network_with_classes_of_its_own_keeps_them_beside_a_probe(work, tmp_path, monkeypatch):
    monkeypatch.chdir(work)
    alone = evaluate(work, work / "adapted" / "model.safetensors", tmp_path / "alone.json")
    both = evaluate(work, work / "adapted" / "model.safetensors", tmp_path / "both.json", *PROBE)
    assert "probe" not in alone and set(alone["iou"]) == set(CITYSCAPES.classes)
    assert {key: value for key, value in both.items() if key != "probe"} == alone and 0 <= both["probe"][
        "accuracy"
    ] <= 1


def test_a_head_learns_scribbles_and_leaves_the_network_below_as_it_is(work, tmp_path):
    head = {"channels": 8, "steps": 60, "crop": [32, 48], "learning_rate": 0.01, "warmup_steps": 5}
    teach(work, tmp_path / "frozen.safetensors")
    for name, settings in {"model": head, "again": head, "other": {**head, "class_weight_power": 0}}.items():
        teach(work, tmp_path / f"{name}.safetensors", settings)
    assert (tmp_path / "model.safetensors").read_bytes() == (tmp_path / "again.safetensors").read_bytes()
    assert (tmp_path / "model.safetensors").read_bytes() != (tmp_path / "other.safetensors").read_bytes()
    teacher, frozen = (load_teacher(tmp_path / f"{name}.safetensors") for name in ("model", "frozen"))
    below = teacher.network.base.state_dict()
    assert all(torch.equal(below[name], value) for name, value in frozen.state_dict().items())
    assert not list(teacher.parameters()) and teacher.channels == 8
    assert teacher.network.stride == frozen.network.stride == 4 and teacher.classifier() is None
    image = cv2.imread(str(kitti.image_path(work / "target", "00", "000000")))[..., ::-1].copy()
    features = teacher(image_batch(image, torch.device("cpu"))).features[0]
    assert features.shape == (8, HEIGHT // 4, WIDTH // 4) and (features >= 0).all()


def test_a_network_that_another_experiment_trained_teaches_frozen_and_below_a_head(work, tmp_path):
    file = work / "adapted" / "model.safetensors"
    network = {"kind": "file", "weights": str(file)}
    teach(work, tmp_path / "same.safetensors", network=network)
    teach(work, tmp_path / "headed.safetensors", {"channels": 8, "steps": 2, "crop": [32, 48]}, network)
    same, headed = (load_teacher(tmp_path / f"{name}.safetensors") for name in ("same", "headed"))
    expected = load_segmenter(file).state_dict()
    assert same.classifier() is not None and headed.channels == 8 and headed.network.stride == 4
    for found in (same.network, headed.network.base.network):
        assert all(torch.equal(found.state_dict()[name], value) for name, value in expected.items())
    with pytest.raises((SystemExit, IgnetError)):
        teach(work, tmp_path / "none.safetensors", network={"kind": "file", "weights": str(tmp_path / "gone")})


def test_a_head_uses_no_label_of_an_unlabelled_frame(work, tmp_path):
    (tmp_path / "projection").symlink_to(work / "projection")
    shutil.copytree(work / "target", tmp_path / "target")
    head = {"channels": 8, "steps": 4, "crop": [32, 48], "labelled_frames": 50}
    teach(tmp_path, tmp_path / "whole.safetensors", head)
    ((_, labelled),) = labelled_scans({"00": ["000000", "000001"]}, 50).scans
    other = {"000000": "000001", "000001": "000000"}[labelled]
    for frame, changes in ((other, False), (labelled, True)):
        path = kitti.scribble_path(tmp_path / "target", "00", frame)
        labels = np.fromfile(path, np.uint32)
        np.where(labels, 70, 0).astype(np.uint32).tofile(path)
        teach(tmp_path, tmp_path / "changed.safetensors", head)
        same = (tmp_path / "changed.safetensors").read_bytes() == (tmp_path / "whole.safetensors").read_bytes()
        assert same != changes


def test_a_head_without_a_scribble_in_view_is_refused(work, tmp_path, capsys):
    shutil.copytree(work / "target", tmp_path / "target")
    (tmp_path / "projection").symlink_to(work / "projection")
    for frame in ("000000", "000001"):
        path = kitti.scribble_path(tmp_path / "target", "00", frame)
        np.zeros_like(np.fromfile(path, np.uint32)).tofile(path)
    with pytest.raises((SystemExit, IgnetError)):
        teach(tmp_path, tmp_path / "none.safetensors", {"steps": 2, "crop": [32, 48]})
    assert not (tmp_path / "none.safetensors").exists()
