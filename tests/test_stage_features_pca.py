"""The scripts features_pca and extract from end to end, and a training that refuses features of another teacher or
with a changed byte."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import torch
from test_stages_2d import run_script
from training_files import training_files

from ignet.config.training_2d import SegformerConfig
from ignet.data.features.pca import read_pca
from ignet.data.features.store import FeatureStore
from ignet.data.formats import kitti
from ignet.files.atomic import read_weights
from ignet.models.teachers.segformer import build_segmenter, load_segmenter, save_segmenter

SHAPE = SegformerConfig(hidden_sizes=(8, 8, 10, 16), decoder_channels=28)
SETTINGS = {"channels": 22, "pca_frames": 3, "dtype": "float32"}
BACKBONE = {"voxel": 0.5, "stem": 4, "encoder": [4, 4, 4, 4], "decoder": [4, 4, 4, 4], "engine": "torch"}


Result = tuple[int, str]
"""Exit code, and what stood on standard error."""


@pytest.fixture
def work(make_tree: Callable[..., Path], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> SimpleNamespace:
    """Two networks, a tree of sequences 00 and 01 with their correspondences, and helpers that run the scripts in this
    process."""

    def run(script: str, settings: dict, *arguments: object) -> Result:
        capsys.readouterr()
        try:
            run_script(script, settings, *arguments)
        except SystemExit as ended:
            return int(ended.code or 0), capsys.readouterr().err
        return 0, capsys.readouterr().err

    tree = make_tree(sequences=("00", "01"), points=900)
    networks = {}
    for seed, name in enumerate(("one", "other")):
        torch.manual_seed(seed)
        networks[name] = tmp_path / f"{name}.safetensors"
        save_segmenter(networks[name], build_segmenter(SHAPE), SHAPE)
    for sequence in ("00", "01"):
        where = (
            "--dataset",
            tree,
            "--sequence",
            sequence,
            "--scribbles",
            tree,
            "--out",
            tmp_path / f"projection/{sequence}.h5",
        )
        assert run("projection", {"cell": 1}, *where)[0] == 0

    def fit(out: str = "pca.safetensors", network: str = "one", **changes: object) -> Result:
        where = ("--sequences", "00", "01", "--projection", tmp_path / "projection", "--out", tmp_path / out)
        return run("features_pca", {**SETTINGS, **changes}, "--network", networks[network], "--dataset", tree, *where)

    def extract(
        sequence: str = "00",
        out: str = "features",
        pca: str | None = "pca.safetensors",
        network: str = "one",
        **changes: object,
    ) -> Result:
        where = (
            "--sequence",
            sequence,
            "--projection",
            tmp_path / f"projection/{sequence}.h5",
            "--out",
            tmp_path / out / f"{sequence}.h5",
        )
        based = ("--pca", tmp_path / pca) if pca else ("--pca",)
        return run(
            "features", {**SETTINGS, **changes}, "--network", networks[network], "--dataset", tree, *based, *where
        )

    return SimpleNamespace(folder=tmp_path, tree=tree, networks=networks, run=run, fit=fit, extract=extract)


def test_a_store_in_a_pca_has_the_networks_logits(work: SimpleNamespace) -> None:
    for done in (work.fit(), work.extract("00"), work.extract("01"), work.extract("00", "full", None, channels=None)):
        assert done[0] == 0, done[1]
    reduced, other, full = (
        FeatureStore(work.folder / name) for name in ("features/00.h5", "features/01.h5", "full/00.h5")
    )
    assert (reduced.channels, full.channels) == (22, 28) and reduced.pca is not None and full.pca is None
    assert other.pca is not None and np.array_equal(reduced.pca.components, other.pca.components)
    (index, coordinates), (expected_index, feature) = reduced.read("000001"), full.read("000001")
    assert len(index) > 30
    np.testing.assert_array_equal(index, expected_index)
    np.testing.assert_allclose(coordinates, feature @ reduced.pca.components.T, atol=1e-4)
    assert reduced.classifier is not None and full.classifier is not None
    logits = [
        read @ made.weight.T + made.bias
        for read, made in ((coordinates, reduced.classifier), (feature, full.classifier))
    ]
    np.testing.assert_allclose(*logits, atol=1e-3)
    assert np.linalg.norm(reduced.pca.restore(coordinates) - feature) < 0.5 * np.linalg.norm(feature)
    noted = json.loads((work.folder / "pca.settings.json").read_text())
    assert 0.5 < noted["variance_kept"] < 1 and noted["settings"]["channels"] == 22


def test_the_pca_is_a_function_of_the_network_and_the_frames(work: SimpleNamespace) -> None:
    """Byte for byte, so that a repeated job of it changes nothing below; and image bytes that no chosen frame has do
    not matter."""
    names = ("pca.safetensors", "again.safetensors", "other.safetensors", "fewer.safetensors")
    for done in (
        work.fit(names[0]),
        work.fit(names[1]),
        work.fit(names[2], "other"),
        work.fit(names[3], pca_frames=2),
    ):
        assert done[0] == 0, done[1]
    contents = [(work.folder / name).read_bytes() for name in names]
    assert contents[0] == contents[1] and len(set(contents)) == 3
    # of four frames the first, third and last are chosen
    kitti.image_path(work.tree, "00", "000001").unlink()
    assert work.fit("unseen.safetensors", pca_frames=2)[0] == 0
    assert (work.folder / "unseen.safetensors").read_bytes() == contents[3]
    assert set(read_weights(work.folder / names[0])[0]) == {"mean", "components"}


def test_a_pca_of_another_network_and_wrong_channels_are_one_line(work: SimpleNamespace) -> None:
    assert work.fit("pca.safetensors", "other")[0] == 0
    for done, words in (
        (work.extract(), ("pca.safetensors", "was fitted to the 2D network", "features_pca")),
        (work.extract(pca=None), ("--pca", "features.channels")),
        (work.extract(network="other", channels=21), ("found 22 components, expected 21",)),
        (work.fit(channels=28), ("features.channels: found 28, expected less than 28",)),
        (work.fit(channels=19), ("channels", "19", "greater than or equal to 20")),
    ):
        assert done[0] == 1
        message = done[1].strip().splitlines()[-1]
        assert message.startswith("error: ") and all(word in message for word in words), message
    assert not (work.folder / "features").exists()


def test_a_training_reads_the_store_of_its_teacher_alone(work: SimpleNamespace) -> None:
    for done in (work.fit(), work.extract("00"), work.extract("01")):
        assert done[0] == 0, done[1]
    settings = {
        "backbone": BACKBONE,
        "steps": 4,
        "batch": 1,
        "image_guidance": {"weight": 1.0, "loss": "classifier_kl", "confidence": 0.0},
    }

    def train(name: str, *more: object, teacher: str = "one") -> Result:
        out = work.folder / name
        return work.run(
            "train_3d",
            settings,
            *(
                "--dataset",
                work.tree,
                "--sequences",
                "00",
                "01",
                "--labels",
                work.tree,
                "--projection",
                work.folder / "projection",
            ),
            *(
                "--features",
                work.folder / "features",
                *more,
                "--teacher",
                work.networks[teacher],
                "--state",
                out / "state",
            ),
            *training_files(out),
        )

    assert train("right")[0] == 0
    assert json.loads((work.folder / "right/metrics.json").read_text())["last_image"] > 0
    code, message = train("wrong", teacher="other")
    names = [hashlib.sha256(path.read_bytes()).hexdigest()[:12] for path in work.networks.values()]
    assert code == 1 and all(name in message.splitlines()[-1] for name in (*names, "00.h5"))

    with h5py.File(work.folder / "features/01.h5", "a") as file:
        file["feature"][...] = file["feature"][...][::-1]
    code, message = train("damaged")
    assert code == 1 and "01.h5: frame 00000" in message.splitlines()[-1] and "checksum" in message.splitlines()[-1]
    assert train("unasked", "--no-verify")[0] == 0


def test_the_pretrained_file_is_what_the_store_names(work: SimpleNamespace) -> None:
    assert work.fit()[0] == 0 and work.extract()[0] == 0
    name = hashlib.sha256(work.networks["one"].read_bytes()).hexdigest()
    assert FeatureStore(work.folder / "features/00.h5").attributes["network"] == name
    assert read_pca(work.folder / "pca.safetensors", name).components.shape == (
        22,
        load_segmenter(work.networks["one"]).channels,
    )
