"""Results that experiments share: when two of them have the same, and where a person finds them."""

import json
import os
from pathlib import Path

import pytest

from ignet.config.base import merge, read_yaml
from ignet.config.experiment import ExperimentConfig
from ignet.errors import IgnetError
from ignet.workflow.experiment import load_experiment
from ignet.workflow.shared_results import find_artifacts, link_artifacts

CONFIG = Path(__file__).parents[1] / "config"
BASE = {"results": "results/a", "runs": {"baseline": {}, "ignet": {"image_guidance": {"weight": 1}}}}
PROJECTED = {"projection/train", "projection/val"}
LEARNT = {"adapt_2d/adapted", "features/adapted", "evaluate_2d/adapted"}
FROM_SOURCE = {"features/source", "evaluate_2d/source"}
FROM_TARGET = PROJECTED | LEARNT | FROM_SOURCE


def experiment(**changes: object) -> ExperimentConfig:
    return load_experiment(merge(BASE, changes), "test")


def keys(settings: ExperimentConfig) -> dict[str, str]:
    return {name: artifact.key for name, artifact in find_artifacts(settings).by_name().items()}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"results": "results/b", "seeds": [1], "execution": {"device": "cpu", "threads": 4}}, set()),
        (
            {"train_3d": {"steps": 7}, "runs": {"more": {}}, "evaluate": {"boundary": 1}, "figures": {"frames": 1}},
            set(),
        ),
        ({"shared": "elsewhere"}, set()),
        # drawn for a dataset without scribbles only
        ({"scribbles": {"fraction": 0.5}}, set()),
        ({"evaluate_2d": {"images": 1}}, {"evaluate_2d/adapted", "evaluate_2d/source"}),
        ({"features": {"dtype": "float16"}}, {"features/adapted", "features/source"}),
        ({"features": {"channels": 32}}, {"features/adapted", "features/source"}),
        ({"features": {"pca_frames": 3}}, set()),
        ({"adapt_2d": {"confidence": 0.5}}, LEARNT),
        ({"adaptations": {"adapted": {"supervision": "none"}}}, LEARNT),
        ({"pretrain_2d": {"seed": 1}}, {"pretrain_2d"} | LEARNT | FROM_SOURCE),
        ({"source": {"layout": "synthia"}}, {"pretrain_2d"} | LEARNT | FROM_SOURCE),
        ({"projection": {"cell": 2}}, FROM_TARGET),
        # the source set serves all presets, and with it its network
        ({"world": {"preset": "avenue"}}, {"world/target"} | FROM_TARGET),
        ({"world": {"source_images": 9}}, {"world/source", "pretrain_2d"} | LEARNT | FROM_SOURCE),
        ({"dataset": {"val_sequences": ["09"]}}, {"evaluate_2d/adapted", "evaluate_2d/source"}),
        ({"dataset": {"train_sequences": ["00"]}}, LEARNT),
    ],
)
def test_a_setting_moves_what_it_leads_to_and_nothing_else(changes: dict, expected: set[str]) -> None:
    before, after = keys(experiment()), keys(experiment(**changes))
    assert {name for name in before if before[name] != after[name]} == expected


def test_a_pca_belongs_to_a_network_and_to_the_training_sequences() -> None:
    base = {"features": {"channels": 32}}
    before, both = (
        keys(experiment(**base)),
        {"features_pca/adapted", "features_pca/source", "features/adapted", "features/source"},
    )
    assert both <= set(before)
    for changes, expected in (
        ({"features": {"channels": 40}}, both),
        ({"features": {"channels": 32, "pca_frames": 9}}, both),
        ({"features": {"channels": 32, "dtype": "float16"}}, {"features/adapted", "features/source"}),
        ({**base, "dataset": {"train_sequences": ["00"]}}, LEARNT | both),
        ({**base, "adapt_2d": {"confidence": 0.5}}, LEARNT | {"features_pca/adapted"}),
    ):
        after = keys(experiment(**changes))
        assert {name for name in before if before[name] != after[name]} == expected


def test_what_is_off_or_not_read_is_no_part_of_a_name() -> None:
    assert find_artifacts(experiment()).features["adapted"].origin["settings"] == {
        "dtype": "int8",
        "calibration_frames": 8,
    }


def test_keys_are_told_apart_by_stage_and_role() -> None:
    found = keys(experiment())
    assert len(set(found.values())) == len(found) == 10
    assert all(len(key) == 12 for key in found.values())


def test_a_name_is_no_part_of_what_a_network_is() -> None:
    other = find_artifacts(
        experiment(adaptations={"mine": {}, "deeper": {"steps": 501}}, runs={"ignet": {"features": "mine"}})
    )
    adapted = find_artifacts(experiment()).networks["adapted"]
    assert other.networks["mine"].key == adapted.key != other.networks["deeper"].key


def test_datasets_differ_by_their_place(tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    (tmp_path / "link").symlink_to("first")
    first, second, link = (
        keys(experiment(dataset={"root": str(tmp_path / name), "scribbles": "simulated"}))
        for name in ("first", "second", "link")
    )
    assert first == link
    assert {name for name in first if first[name] != second[name]} == {"scribbles"} | FROM_TARGET
    assert "world/target" not in first and first["pretrain_2d"] == keys(experiment())["pretrain_2d"]


def test_published_and_simulated_scribbles_are_projected_apart(tmp_path: Path) -> None:
    published, simulated = (
        keys(experiment(dataset={"root": str(tmp_path), "scribbles": kind})) for kind in ("dataset", "simulated")
    )
    assert set(simulated) - set(published) == {"scribbles"}
    assert published["projection/train"] != simulated["projection/train"]
    assert published["projection/val"] == simulated["projection/val"]


def test_the_worlds_of_the_ablation_share_the_source_set_and_the_folds_too(tmp_path: Path) -> None:
    base = read_yaml(CONFIG / "ablation.yaml")
    names = ("avenue", "quick")
    residential, avenue, quick = (
        load_experiment(merge(base, read_yaml(CONFIG / "ablation" / f"{name}.yaml") if name else {}), "test")
        for name in ("", *names)
    )
    assert residential.shared == avenue.shared == quick.shared is not None
    assert keys(quick) == keys(residential)
    assert {name for name, key in keys(avenue).items() if key == keys(residential)[name]} == {
        "world/source",
        "pretrain_2d",
    }

    real = merge(read_yaml(CONFIG / "ablation-real.yaml"), {"dataset": {"root": str(tmp_path)}})
    folds = [
        load_experiment(merge(real, read_yaml(CONFIG / "ablation-real" / f"fold{n}.yaml")), "test") for n in (1, 2, 3)
    ]
    assert len({fold.shared for fold in folds}) == 1 and len({fold.results for fold in folds}) == 3
    shared = {name for name in keys(folds[0]) if len({keys(fold)[name] for fold in folds}) == 1}
    frozen = {"teachers/efficientnet", "features/efficientnet"}
    assert shared == {"world/source", "pretrain_2d", "features/source", "scribbles"} | frozen | PROJECTED


@pytest.mark.parametrize("shared", ["results/a", "results/a/shared", "./results/b/../a/x"])
def test_shared_results_outlive_one_experiment(shared: str) -> None:
    with pytest.raises(
        IgnetError, match=f"^test: shared is '{os.path.normpath(shared)}'.*'results/a'; name a folder outside of it$"
    ):
        experiment(shared=shared)


def test_links_and_notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = experiment(shared="results/shared")
    adapted = find_artifacts(settings).networks["adapted"]
    link_artifacts(settings)
    link = Path("results/a/shared/adapt_2d/adapted")
    assert os.readlink(link) == f"../../../shared/adapt_2d/{adapted.key}"
    # no run reads the source network's features
    assert [path.name for path in Path("results/a/shared/features").iterdir()] == ["adapted"]
    note = json.loads(Path(f"results/shared/adapt_2d/{adapted.key}.origin.json").read_text())
    assert note["settings"]["confidence"] == 0.968 and note["sequences"] == ["00", "01", "02"]
    assert (
        Path("results/shared", note["pretrained"]).with_name(f"{Path(note['pretrained']).name}.origin.json").is_file()
    )

    link_artifacts(experiment(shared="results/shared", adapt_2d={"confidence": 0.5}))
    assert os.readlink(link) != f"../../../shared/adapt_2d/{adapted.key}"
    link_artifacts(
        experiment(
            shared="results/shared", adaptations={"adapted": None, "mine": {}}, runs={"ignet": {"features": "mine"}}
        )
    )
    assert [path.name for path in Path("results/a/shared/adapt_2d").iterdir()] == ["mine"]
    link_artifacts(experiment())
    assert not [path for path in Path("results/a").rglob("*") if path.is_symlink()]


def test_a_link_replaces_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("results/a/shared/pretrain_2d").mkdir(parents=True)
    with pytest.raises(
        IgnetError,
        match="^results/a/shared/pretrain_2d: found a file or folder, expected room for a link.*move it away$",
    ):
        link_artifacts(experiment(shared="results/shared"))
