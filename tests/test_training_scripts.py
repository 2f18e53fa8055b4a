"""What the trainings' scripts hand on: identities, data, weights, and what they export. No step is taken."""

import runpy
import shutil
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from script import SCRIPTS
from test_segformer import checkpoint
from test_stages_2d import NETWORK, run_script

from ignet.config.training_2d import Adapt2DConfig, SegformerConfig
from ignet.data.projection.correspondence import CorrespondenceWriter
from ignet.files.atomic import file_hash
from ignet.models.teachers.segformer import Segmenter, build_segmenter, save_segmenter
from ignet.train.class_weights import domain_weights

SHAPE = {"voxel": 0.5, "stem": 4, "encoder": [4, 4, 8, 8], "decoder": [8, 4, 4, 4]}
SUPERVISED = {"backbone": SHAPE, "mean_teacher": {"weight": 0.0}}
GUIDED = {**SUPERVISED, "image_guidance": {"weight": 1.0, "loss": "cosine", "standardize": True}}
FILES = ("--out", "w.safetensors", "--metrics", "m.json", "--curves-csv", "c.csv", "--state", "state")


@pytest.fixture
def identity_of(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Run a script until it asks whether its training is finished already; returns the identity."""
    found: list[str] = []

    def take_back(args: Namespace, identity: str, ranks: object) -> bool:
        found.append(identity)
        return True

    def run(*arguments: Any) -> str:
        run_script(*arguments, *FILES)
        return found.pop()

    monkeypatch.setattr("ignet.train.finished.take_back", take_back)
    return run


@pytest.fixture
def stubbed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Run a script with its data and its loop replaced; returns what each was called with, by name."""
    calls: dict[str, Any] = {}

    def noted(name: str, value: Any = None) -> Callable[..., Any]:
        return lambda *args, **facts: calls.update({name: (args, facts)}) or value

    class Loop:
        def __init__(self, stage: Any, identity: str, trainer: Any) -> None:
            calls["objective"], self.fit, self.export = trainer.objective, noted("fit"), noted("export")

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None:
            pass

    image = np.zeros((32, 32, 3), np.uint8), np.zeros((32, 32), np.uint8)
    source = type("Source", (), {"__len__": lambda _: 23, "read": lambda _, number: noted("read", image)(number)})()
    scans = type("Scans", (), {"__len__": lambda _: 3, "channels": 5, "classifier": None, "label_set": range(19)})()
    monkeypatch.setattr("ignet.train.trainer.StageTraining", Loop)
    monkeypatch.setattr("ignet.data.lidar.lidar_dataset.LidarDataset", noted("scans", scans))
    monkeypatch.setattr("ignet.data.lidar.batches.BatchDataset", noted("samples", "samples"))
    monkeypatch.setattr("ignet.data.formats.source_images.SourceDataset", noted("source", source))
    monkeypatch.setattr("ignet.data.images.target.TargetFrames", noted("target", range(2)))
    monkeypatch.setattr("ignet.data.images.dataset.SourceBatches", noted("source batches", "source"))
    monkeypatch.setattr("ignet.data.images.dataset.TargetBatches", noted("target batches", "target"))

    def run(*arguments: Any) -> dict[str, Any]:
        calls.clear()
        run_script(*arguments, *(tmp_path / each if "." in each or each == "state" else each for each in FILES))
        return dict(calls)

    return run


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Files of the 2D trainings, whose content counts for the identity alone, and a pretrained network."""
    torch.manual_seed(0)
    save_segmenter(tmp_path / "pretrained", build_segmenter(SegformerConfig(**NETWORK)))
    for name in ("source/images/0.png", "source/labels/0.png", "target/sequences/00/image_2/000000.png",
                 "target/sequences/00/labels/000000.label", "target/sequences/00/velodyne/000000.bin"):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"1")
    shutil.copytree(tmp_path / "target/sequences/00", tmp_path / "target/sequences/01")
    write_correspondence(tmp_path / "projection/00.h5", "first")
    shutil.copy(tmp_path / "projection/00.h5", tmp_path / "projection/01.h5")
    return tmp_path


def write_correspondence(path: Path, content: str) -> None:
    """One without a frame: the script asks for its cameras, and its content counts for the identity."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with CorrespondenceWriter(path, {"content": content}):
        pass


def pretraining(folder: Path, settings: dict, *more: object) -> tuple:
    return ("pretrain_2d", settings, "--source", folder / "source", *more)


def adaptation(folder: Path, settings: dict, *more: object) -> tuple:
    arguments = ("--source", folder / "source", "--dataset", folder / "target", "--projection", folder / "projection")
    return ("adapt_2d", settings, *arguments, "--pretrained", folder / "pretrained", "--sequences", "00", *more)


def test_faulty_settings_of_a_3d_or_2d_training_are_one_line(tmp_path: Path, capsys) -> None:
    for arguments in (
        pretraining(tmp_path, {"steps": -1}),
        adaptation(tmp_path, {"steps": -1}, "--name", "a"),
        ("train_3d", {"steps": -1}, "--dataset", "x", "--labels", "x", "--sequences", "00", "--name", "a"),
    ):
        with pytest.raises(SystemExit):
            run_script(*arguments, *FILES)
        assert capsys.readouterr().err.splitlines()[-1].startswith("error: ")


def test_identity_of_a_3d_training(tiny_tree: Path, tmp_path: Path, identity_of, monkeypatch) -> None:
    def identity(settings: dict = SUPERVISED, *more: object) -> str:
        where = ("--dataset", tiny_tree, "--labels", tiny_tree, "--sequences", "00")
        return identity_of("train_3d", settings, *where, "--name", "a", *more)

    dense = {**SUPERVISED, "supervision": "dense"}
    first, first_dense = identity(), identity(dense)
    assert identity() == first
    others = {identity(SUPERVISED, *more) for more in (("--seed", 1), ("--remission-scale", 2))}
    labels = tiny_tree / "sequences/00/labels/000000.label"
    labels.write_bytes(labels.read_bytes()[4:])
    assert identity() == first and identity(dense) != first_dense
    first_dense = identity(dense)
    scribbles = tiny_tree / "sequences/00/scribbles/000000.label"
    scribbles.write_bytes(scribbles.read_bytes()[4:])
    second = identity()
    assert identity(dense) == first_dense
    monkeypatch.setattr("ignet.data.label_sets.label_set.LabelSet.identity", "another")
    others.add(identity())
    monkeypatch.undo()
    assert len({*others, first, second}) == 5


def test_the_engine_is_part_of_the_identity_of_a_3d_training(tiny_tree: Path, identity_of, monkeypatch) -> None:
    arguments = ("train_3d", SUPERVISED, "--dataset", tiny_tree, "--labels", tiny_tree, "--sequences", "00")
    first = identity_of(*arguments)
    monkeypatch.setattr("ignet.models.sparse.engine.resolve_engine", lambda *_: "another")
    assert identity_of(*arguments) != first


def test_what_a_3d_training_reads_and_writes(tiny_tree: Path, tmp_path: Path, stubbed) -> None:
    for name in ("p/00.h5", "f/00.h5", "teacher"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    where = ("--dataset", tiny_tree, "--labels", tiny_tree, "--sequences", "00", "--seed", 3)
    stored = ("--projection", tmp_path / "p", "--features", tmp_path / "f", "--teacher", tmp_path / "teacher")
    frames = {"00": ["000000", "000001"]}
    weights = []
    for seed in (1, 2):  # torch's own, which the script sets
        torch.manual_seed(seed)
        calls = stubbed("train_3d", GUIDED, *where, *stored)
        weights.append(calls["objective"].student.network.classifier.weight)
    assert torch.equal(*weights)
    (root, read, *_, projection, features, standardize), facts = calls["scans"]
    assert (root, read, standardize) == (tiny_tree, frames, True)
    assert (projection, features) == ({"00": tmp_path / "p/00.h5"}, {"00": tmp_path / "f/00.h5"})
    assert facts["teacher"] == file_hash(tmp_path / "teacher") and facts["cache"] is True and facts["labelled"] is None
    assert calls["fit"] == (("samples",), {})
    (save, metrics), _ = calls["export"]
    assert (metrics["scans"], metrics["engine"]) == (3, "torch")
    calls["objective"].teacher.network.classifier.weight.fill_(7)
    save(tmp_path / "w.safetensors")
    assert any((tensor == 7).all() for tensor in load_file(tmp_path / "w.safetensors").values())

    half = {"labelled_frames": 50}
    calls = stubbed("train_3d", {**SUPERVISED, **half}, *where)
    (*_, projection, features, standardize), facts = calls["scans"]
    assert projection is features is facts["teacher"] is None and not standardize and calls["samples"][0][-1] is None
    ((_, frame),) = facts["labelled"]
    assert calls["scans"][0][1] == {"00": [frame]}
    taught = {"backbone": {**SHAPE, "local_context": {"dropout": 0.25}}, "batch": 2, **half}
    calls = stubbed("train_3d", taught, *where)
    assert calls["scans"][0][1] == frames and calls["samples"][0][-1] == 0.25


def test_identity_of_the_pretraining(data: Path, identity_of) -> None:
    def identity(*more: object, **settings: Any) -> str:
        return identity_of(*pretraining(data, {"network": NETWORK, **settings}, *more))

    found = [identity(), identity("--layout", "synthia")]
    assert identity() == found[0]
    (data / "source/images/0.png").write_bytes(b"12")
    found.append(identity())
    network = checkpoint(19)
    for added in (0.0, 1.0):
        next(network.parameters()).data += added
        network.save_pretrained(data / "imagenet")
        found.append(identity(network={"weights": str(data / "imagenet")}))
    assert len({*found}) == 5


def test_what_the_pretraining_reads_and_writes(data: Path, stubbed) -> None:
    weights = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        calls = stubbed(*pretraining(data, {"network": NETWORK}))
        weights.append(calls["objective"].student.classifier.weight)
    assert torch.equal(*weights)
    assert calls["source batches"][0][1] == [*range(1, 10), *range(11, 20), 21, 22]
    assert calls["fit"] == (("source",), {}) and calls["read"] == ((20,), {})
    (save, figures), _ = calls["export"]
    assert figures["count"]["road"] == 3 * 32 * 32
    save(data / "w.safetensors")
    assert torch.equal(load_file(data / "w.safetensors")["classifier.weight"], weights[1])


def test_identity_of_the_adaptation(data: Path, identity_of, monkeypatch) -> None:
    def identity(*more: object, **settings: Any) -> str:
        return identity_of(*adaptation(data, settings, "--name", "a", *more))

    found = [identity(), identity("--layout", "synthia")]
    found += [identity("--sequences", "00", "01"), identity("--sequences", "01", "00")]
    assert identity() == found[0]
    dense = identity(supervision="dense")
    (data / "target/sequences/00/labels/000000.label").write_bytes(b"12")
    assert identity() == found[0] and identity(supervision="dense") != dense
    for name in ("source/labels/0.png", "target/sequences/00/image_2/000000.png"):
        (data / name).write_bytes(b"123")
        found.append(identity())
    write_correspondence(data / "projection/00.h5", "second")
    found.append(identity())
    save_segmenter(data / "pretrained", build_segmenter(SegformerConfig(**NETWORK)))
    found.append(identity())
    monkeypatch.setattr("ignet.data.label_sets.label_set.LabelSet.identity", "another")
    found.append(identity())
    assert len({*found}) == 9


def test_what_the_adaptation_reads_and_writes(data: Path, stubbed) -> None:
    settings = {"target_rare_class_temperature": 0.5, "class_weight_power": 0}
    before = load_file(data / "pretrained")["classifier.weight"]

    def start(**more: Any) -> tuple[Segmenter, dict[str, Any]]:
        calls = stubbed(*adaptation(data, {**settings, **more}))
        return calls["objective"].student.classifier.weight, calls

    student, calls = start()
    assert torch.equal(student, before)
    (_, *read), facts = calls["target"]
    assert read == [{"00": data / "projection/00.h5"}, "scribbles", None, None]
    assert facts["label_set"].name == "semantickitti"
    assert calls["target batches"][0][-1] == 0.5 and calls["fit"] == (("source", "target"), {})
    (save,), _ = calls["export"]
    calls["objective"].teacher.classifier.weight.fill_(7)
    save(data / "w.safetensors")
    assert (load_file(data / "w.safetensors")["classifier.weight"] == 7).all()
    assert start(supervision="none")[1]["target batches"][0][-1] is None
    starts = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        starts.append(start(initial_weights="random")[0])
    assert torch.equal(*starts) and not torch.equal(starts[0], before)


def test_class_weights_of_the_adaptation() -> None:
    weigh = runpy.run_path(str(SCRIPTS / "adapt_2d.py"))["class_weights"]
    frequencies, counts = np.linspace(1, 2, 19) / 28.5, np.arange(38).reshape(2, 19)
    source = SimpleNamespace(class_frequencies=lambda: frequencies)
    target = SimpleNamespace(class_counts=lambda: counts)
    settings = Adapt2DConfig(class_weight_power=0.5, class_weight_domain="each")
    expected = domain_weights(frequencies, counts.sum(0), 0.5, "each")
    found = weigh(source, target, settings)
    assert all(torch.equal(*pair) for pair in zip(found, expected, strict=True)) and len(found[0].unique()) > 10
    for changes in ({"supervision": "none"}, {"class_weight_power": 0.0}):
        off = weigh(None, None, settings.model_copy(update=changes))
        assert all(torch.equal(each, torch.ones(19)) for each in off)
