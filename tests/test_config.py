"""Settings: typed, closed, merged; every fault is one line."""

from pathlib import Path
from typing import Any

import pytest

from ignet.config.backbones import MinkUNetConfig, SPVCNNConfig
from ignet.config.base import RENAMED, merge, read_yaml, validate
from ignet.config.experiment import ExperimentConfig
from ignet.config.training_3d import Train3DConfig
from ignet.errors import IgnetError
from ignet.train.needs import needs_correspondence, needs_features
from ignet.train.terms.contrastive import Contrastive
from ignet.workflow.experiment import load_experiment
from ignet.workflow.networks_2d import networks_2d

CONFIGS = sorted((Path(__file__).parents[1] / "config").glob("*.yaml"))
FOLDER = CONFIGS[0].parent
SOMEWHERE = {"dataset": {"root": "/somewhere"}}
REAL = ("ablation-real", "kitti-sample")
SMALL = {"results": "r", "runs": {"a": {}, "b": {"image_guidance": {"weight": 2}, "seeds": [1, 2]}}}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_shipped_files_are_valid(path: Path) -> None:
    load_experiment(merge(read_yaml(path), SOMEWHERE), path.name)


def read(name: str, *overrides: str) -> ExperimentConfig:
    values = merge(read_yaml(FOLDER / f"{name}.yaml"), SOMEWHERE)
    for override in overrides:
        values = merge(values, read_yaml(FOLDER / override))
    return load_experiment(values, name)


def test_the_examples_train_the_recipe_that_is_reported() -> None:
    """The recipe is that of the ablation; sizes and lengths, labels, seeds and the engine may differ."""
    own = {"steps", "supervision", "labelled_frames", "features"}
    ablation = read("ablation")

    def recipe(experiment: ExperimentConfig, run: str, *more: str) -> dict[str, Any]:
        settings = experiment.run(run).identity(*own, *more)
        settings["backbone"].pop("engine", None)
        return settings

    for name, runs in {
        "demo": {"full": "full", "baseline": "baseline", "ignet": "ignet"},
        "semi": {"full": "full", "baseline_10": "baseline", "ignet_10": "ignet", "ignet_50": "ignet"},
        "ablation-real": {"full": "full", "baseline": "baseline", "ignet": "ignet"},
        "kitti-sample": {"full": "full", "baseline": "baseline", "ignet": "ignet"},
    }.items():
        experiment = read(name)
        # half of the scans of a step are labelled ones, so there must be two
        more = ("batch",) if name == "semi" else ()
        for run, reported in runs.items():
            assert recipe(experiment, run, *more) == recipe(ablation, reported, *more), f"{name}: {run}"
        frames = {"crop", "steps", "supervision", "labelled_frames"}
        # docs/recipe-3d.md says why the few real frames have these
        frames |= {"learning_rate", "class_weight_domain", "source_scale"} if name in REAL else set()
        for network in experiment.adaptations:
            found, reported_2d = (
                each.model_dump(exclude=frames)
                for each in (experiment.adaptation(network), ablation.adaptation("adapted"))
            )
            assert found == reported_2d, f"{name}: {network}"
    # at the paper's scale the networks are others, and the method the same
    with_controls = read("ablation", "ablation/further-controls.yaml")
    for run in ("baseline", "guided", "contrastive", "ignet", "two_way", "random_sectors"):
        large, small = read("scribblekitti").run(run), with_controls.run(run)
        for part in ("mean_teacher", "image_guidance", "contrastive", "mixing"):
            assert getattr(large, part) == getattr(small, part), f"{run}: {part}"


def test_the_sample_of_real_frames_is_trained_as_the_reported_ones() -> None:
    sample, reported = read("kitti-sample"), read("ablation-real")
    assert networks_2d(sample) == ("efficientnet",)  # no 2D training
    assert sample.teacher("efficientnet") == reported.teacher("efficientnet")
    for run, counterpart in {"full": "full", "baseline": "baseline", "ignet": "ignet_efficientnet"}.items():
        ours, theirs = sample.run(run).model_dump(), reported.run(counterpart).model_dump()
        assert 2 * ours.pop("steps") == theirs.pop("steps")
        if run != "ignet":
            del ours["features"], theirs["features"]  # which they do not read
        # MinkowskiEngine may be missing where somebody tries the sample
        assert (ours["backbone"].pop("engine"), theirs["backbone"].pop("engine")) == ("auto", "minkowski")
        assert ours == theirs


def test_an_experiment_that_names_no_value_trains_the_recipe() -> None:
    guided = {
        "image_guidance": {"weight": 1},
        "contrastive": {"weight": 0.05},
        "mixing": {"fovmix": {"probability": 0.5}},
    }
    experiment = load_experiment({"results": "r", "runs": {"ignet": guided}, "train_3d": {"steps": 1600}}, "x")
    reported = read("ablation").run("ignet")
    assert experiment.run("ignet").model_copy(update={"backbone": reported.backbone}) == reported
    assert (
        experiment.adaptation("adapted").class_weight_power
        == read("ablation").adaptation("adapted").class_weight_power
        == 0.5
    )


def test_the_contrastive_loss_gains_its_weight_over_half_of_each_training() -> None:
    for name in ("demo", "semi", "ablation", "ablation-real", "scribblekitti", "semantickitti-semi"):
        experiment = read(name)
        for run in experiment.runs:
            settings = experiment.run(run)
            ramp = settings.steps // 2 if settings.contrastive.weight else 0
            assert Contrastive(settings).ramp == ramp, f"{name}: {run}"
    assert Contrastive(Train3DConfig(steps=100, contrastive={"weight": 1, "ramp": 0})).ramp == 0
    assert Contrastive(Train3DConfig(steps=100, contrastive={"weight": 1, "ramp": 7})).ramp == 7


def test_the_backbone_is_chosen_by_its_name() -> None:
    shape = {"voxel": 0.1, "stem": 8, "engine": "torch", "dropout": 0.2}
    runs = {"a": {"backbone": {"name": "minkunet", "blocks": 2}}, "b": {"backbone": {"stem": 4}}, "c": {}}
    experiment = load_experiment(
        {"results": "r", "train_3d": {"backbone": {"name": "spvcnn", **shape}}, "runs": runs}, "x"
    )
    first, second, third = (experiment.run(name).backbone for name in "abc")
    assert third == SPVCNNConfig(**shape)
    assert second == third.model_copy(update={"stem": 4})
    # the keys that both networks have are taken over
    assert first == MinkUNetConfig(voxel=0.1, stem=8, engine="torch", blocks=2)
    assert Train3DConfig().backbone == MinkUNetConfig()


def test_null_takes_a_key_out_that_the_backbone_lacks_and_no_other() -> None:
    backbone = {"name": "minkunet", "dropout": None, "encoder": (1, 2, 3, 4)}
    assert Train3DConfig(backbone=backbone).backbone == MinkUNetConfig(encoder=(1, 2, 3, 4))
    with pytest.raises(IgnetError, match="key 'backbone.stem': found None, input should be a valid integer"):
        validate(Train3DConfig, {"backbone": {"stem": None}}, "x")


@pytest.mark.parametrize("name", REAL)
def test_real_data_must_be_named(name: str) -> None:
    """Else the embedded world would run under the name of the real experiment."""
    values = read_yaml(FOLDER / f"{name}.yaml")
    with pytest.raises(IgnetError) as error:
        load_experiment(values, name)
    message = str(error.value)
    assert "\n" not in message
    assert all(word in message for word in (name, "dataset.root", "--config 'dataset={root: ")), message
    with pytest.raises(IgnetError, match=r"source\.root"):
        load_experiment({**SMALL, "source": {"root": "required"}}, "x")


def test_every_file_for_real_data_names_a_root() -> None:
    """A file that simulates scribbles, or expects whole sequences, is for data that lie somewhere."""
    for path in CONFIGS:
        dataset = read_yaml(path).get("dataset", {})
        if dataset.get("scribbles") or dataset.get("require_all_scans"):
            assert dataset.get("root"), path.name


def test_labelled_scans_alone_need_no_even_batch() -> None:
    values = {"results": "r", "runs": {"a": {"labelled_frames": 10, "batch": 1, "mean_teacher": {"weight": 0}}}}
    assert load_experiment(values, "x").run("a").batch == 1


def test_overlays_of_the_ablation_are_valid() -> None:
    for name in ("avenue", "tuning", "worlds", "quick", "headline", "ten-seeds"):
        overlay = f"ablation/{name}.yaml"
        assert set(read("ablation", overlay).runs) >= {"full", "baseline", "ignet"}
        carried = read("ablation", "ablation/headline.yaml", overlay)
        assert set(carried.runs) - {"guided"} == {"full", "baseline", "ignet"}
        assert carried.train_3d == read("ablation").train_3d
        said = [*carried.compare.statements, *carried.compare.controls]
        assert {"IGNet is better than the mean-teacher baseline"} < {pair.text for pair in said}
        assert {pair.run for pair in said} | {pair.against for pair in said} <= {*carried.runs, "source", "adapted"}
    assert set(read("ablation", "ablation/avenue.yaml").runs) == {
        "full",
        "baseline",
        "guided",
        "ignet",
        "ignet_features",
        "strong",
        "strong_ignet",
        "baseline_published",
    }


@pytest.mark.parametrize("path", sorted((FOLDER / "backbones").glob("*.yaml")), ids=lambda path: path.stem)
def test_a_published_network_is_one_file_over_an_experiment(path: Path) -> None:
    for name in ("scribblekitti", "semantickitti-semi"):
        base = read_yaml(FOLDER / f"{name}.yaml")
        experiment = load_experiment(merge(base, read_yaml(path)), path.name)
        assert experiment.train_3d.backbone.name == path.stem
        assert {experiment.run(run).backbone for run in experiment.runs} == {experiment.train_3d.backbone}
        if path.stem == "minkunet":  # which is what these experiments have
            assert experiment == load_experiment(base, name)


PUBLISHED = {
    "normalisation",
    "schedule",
    "warmup_steps",
    "learning_rate",
    "weight_decay",
    "gradient_clip",
    "mean_teacher",
    "augment",
}


def test_runs_of_the_ablation_that_are_compared_differ_in_what_they_say() -> None:
    alone, ablation = read("ablation"), read("ablation", "ablation/further-controls.yaml")
    assert {control.run for control in ablation.compare.controls} >= {
        "guided_classes",
        "untrained_features",
        "source_features",
    }
    assert "untrained_features" not in str(alone.compare)
    for first, second, keys in (
        ("baseline", "guided", {"image_guidance"}),
        ("guided", "contrastive", {"contrastive"}),
        ("guided", "guided_classes", {"image_guidance"}),
        ("contrastive", "ignet", {"mixing"}),
        ("ignet", "four_frusta", {"mixing"}),
        ("ignet", "source_features", {"features"}),
        ("ignet", "unsupervised_features", {"features"}),
        ("ignet", "untrained_features", {"features"}),
        ("ignet", "two_way", {"contrastive"}),
        ("baseline", "contrastive_only", {"contrastive"}),
        ("ignet", "random_sectors", {"mixing"}),
        ("scribbles", "baseline", {"mean_teacher"}),
        ("scribbles", "full", {"supervision"}),
        ("baseline", "baseline_published", PUBLISHED),
        ("baseline", "strong", {"mixing"}),
        ("strong", "strong_ignet", {"image_guidance", "contrastive", "mixing"}),
        ("ignet", "strong_ignet", {"mixing"}),
    ):
        one, other = (ablation.run(name).model_dump() for name in (first, second))
        assert {key for key in one if one[key] != other[key]} == keys
    for name, run in alone.runs.items():
        assert ablation.runs[name] == run
    assert ablation.world.seed != read("ablation", "ablation/tuning.yaml").world.seed


def test_folds_of_the_real_frames_cover_all_sequences_once() -> None:
    folds = [
        read("ablation-real", f"ablation-real/{path.name}")
        for path in sorted((FOLDER / "ablation-real").glob("*.yaml"))
    ]
    validated = [sequence for fold in folds for sequence in fold.dataset.val_sequences]
    assert len(folds) == 3
    assert len(set(validated)) == len(validated) == 9
    assert all(set(fold.dataset.sequences) == set(validated) for fold in folds)


def test_guidance_by_classes_takes_features_as_they_are() -> None:
    values = {
        "results": "r",
        "runs": {"a": {"image_guidance": {"weight": 1, "loss": "classifier_kl", "standardize": True}}},
    }
    with pytest.raises(IgnetError, match="set standardize to false"):
        load_experiment(values, "x")


def test_null_takes_a_run_and_an_adaptation_out() -> None:
    values = {"results": "r", "runs": {"a": {}, "b": None}, "adaptations": {"adapted": {}, "other": None}}
    experiment = load_experiment(values, "x")
    assert set(experiment.runs) == {"a"}
    assert set(experiment.adaptations) == {"adapted"}


def test_what_is_said_of_a_run_that_was_taken_out_goes_with_it() -> None:
    def said(run: str, against: str, **more: bool) -> dict:
        return {"run": run, "against": against, "text": f"{run} {against}", **more}

    values = {
        "results": "r",
        "runs": {"a": {}, "b": {}, "gone": None},
        # a 2D network may have a run's name
        "adaptations": {"adapted": {}, "b": None, "gone": {}},
        "compare": {
            "controls": [said("gone", "a"), said("b", "a")],
            "statements": [
                said("b", "gone"),
                said("b", "a"),
                said("b", "source", networks=True),
                said("gone", "source", networks=True),
            ],
        },
    }
    compare = load_experiment(values, "x").compare
    assert [control.text for control in compare.controls] == ["b a"]
    assert [claim.text for claim in compare.statements] == ["b a", "gone source"]
    # a name that no file ever had is a mistake still, at its place in the list
    values["compare"]["statements"][3] = said("gnoe", "source", networks=True)
    with pytest.raises(IgnetError, match=r"compare.statements.3.run: found 'gnoe', expected one of .*'gone'"):
        load_experiment(values, "x")


def test_run_merges_its_differences() -> None:
    experiment = load_experiment({**SMALL, "train_3d": {"steps": 7, "image_guidance": {"loss": "l2"}}}, "x")
    run = experiment.run("b")
    assert (run.steps, run.image_guidance.weight, run.image_guidance.loss) == (7, 2.0, "l2")
    assert experiment.run("a").image_guidance.weight == 0
    assert experiment.run_seeds("a") == (0,)
    assert experiment.run_seeds("b") == (1, 2)
    assert needs_features(run)
    assert not needs_correspondence(experiment.run("a"))


def test_controls_and_statements() -> None:
    pair = {"run": "b", "against": "a", "text": "t"}
    networks = {"run": "adapted", "against": "source", "text": "t", "networks": True}
    statements = [{**pair, "slice": "boundary:boundary", "than": "all"}, networks]
    compare = load_experiment({**SMALL, "compare": {"controls": [pair], "statements": statements}}, "x").compare
    assert compare.controls[0].against == "a" and compare.statements[0].than == "all"
    assert compare.method == "ignet" and compare.statements[1].slice is None


def test_a_share_may_be_text_as_on_the_command_line() -> None:
    experiment = load_experiment({"results": "r", "runs": {"a": {"labelled_frames": "10", "batch": 2}}}, "x")
    assert experiment.run("a").labelled_frames == 10


def semi(frames: int | None, adaptation: dict, **run) -> dict:
    guided = {"image_guidance": {"weight": 1}, "features": "some", "labelled_frames": frames, "batch": 2, **run}
    return {"results": "r", "runs": {"a": guided}, "adaptations": {"some": adaptation}}


@pytest.mark.parametrize(
    "values",
    [
        semi(10, {"labelled_frames": 10}),
        semi(10, {"labelled_frames": 1}),
        semi(50, {"labelled_frames": 1, "supervision": "dense"}),
        semi(1, {"supervision": "none"}),
        semi(1, {}, features="source"),
        semi(1, {}, image_guidance={"weight": 0}),
        semi(None, {}),
        semi(None, {"labelled_frames": 10}),
    ],
)
def test_features_that_know_no_withheld_label_may_guide(values: dict) -> None:
    assert load_experiment(values, "x").run("a").labelled_frames == values["runs"]["a"]["labelled_frames"]


@pytest.mark.parametrize(
    ("frames", "adaptation", "seen"),
    [
        (10, {}, "the labels of all frames"),
        (50, {"supervision": "dense"}, "the labels of all frames"),
        (1, {"labelled_frames": 10}, "the labels of 10 % of the frames"),
        # the published list of 50 % lacks some frames of those of 10 and 20 %
        (50, {"labelled_frames": 10}, "the labels of 10 % of the frames"),
        (50, {"labelled_frames": 20}, "the labels of 20 % of the frames"),
    ],
)
def test_features_that_know_withheld_labels_are_refused(frames: int, adaptation: dict, seen: str) -> None:
    with pytest.raises(IgnetError) as error:
        load_experiment(semi(frames, adaptation), "x")
    message = str(error.value)
    assert "\n" not in message
    for word in ("runs.a.features", "'some'", seen, f"labelled_frames {frames}", "'source'"):
        assert word in message, message


def test_merge_keeps_its_arguments() -> None:
    base = {"a": {"b": 1, "c": 2}, "d": 3}
    assert merge(base, {"a": {"b": 5}, "e": 6}) == {"a": {"b": 5, "c": 2}, "d": 3, "e": 6}
    assert base == {"a": {"b": 1, "c": 2}, "d": 3}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"colour": 1}, ["unknown key 'colour'", "known keys", "adapt_2d"]),
        ({"train_3d": {"backbone": {"voxels": 1}}}, ["unknown key 'train_3d.backbone.voxels'", "voxel"]),
        (
            {"train_3d": {"backbone": {"name": "spvcnn", "voxels": 1}}},
            ["'train_3d.backbone.voxels'", "dropout"],
        ),
        ({"train_3d": {"backbone": {"name": "minkunet", "dropout": 0}}}, ["unknown key 'train_3d.backbone.dropout'"]),
        ({"train_3d": {"backbone": {"name": "spvcnn", "dropout": 1}}}, ["'train_3d.backbone.dropout'", "less than 1"]),
        ({"train_3d": {"backbone": {"name": "pointnet"}}}, ["'pointnet'", "expected minkunet or spvcnn"]),
        ({"train_3d": {"backbone": "spvcnn"}}, ["key 'train_3d.backbone': found 'spvcnn', expected a mapping"]),
        ({"runs": {"a": {"backbone": {"name": "spvcnn", "voxels": 1}}}}, ["runs.a", "'backbone.voxels'", "dropout"]),
        ({"runs": {"a": {"backbone": {"name": "pointnet"}}}}, ["runs.a", "expected minkunet or spvcnn"]),
        ({"train_3d": {"steps": "many"}}, ["train_3d.steps", "'many'", "integer"]),
        ({"runs": {"a": {"stepz": 1}}}, ["runs.a", "stepz", "steps"]),
        ({"runs": {"a": {"seeds": "x"}}}, ["runs.a.seeds", "'x'"]),
        ({"runs": {"a": {"features": "none", "image_guidance": {"weight": 1}}}}, ["runs.a.features", "none", "source"]),
        ({"runs": {"a": {"supervision": "pseudo"}}}, ["runs.a", "pseudo_labels_of"]),
        ({"runs": {"a": {"supervision": "pseudo", "pseudo_labels_of": "z"}}}, ["runs.a.pseudo_labels_of", "'z'"]),
        ({"runs": {"a": {"supervision": "pseudo", "pseudo_labels_of": "a"}}}, ["runs.a.pseudo_labels_of", "'a'"]),
        (
            {"runs": {"a": {"supervision": "pseudo", "pseudo_labels_of": "b", "seeds": [3]}, "b": {}}},
            ["runs.a.seeds", "[3]"],
        ),
        ({"runs": {"a": {"labelled_frames": 5}}}, ["runs.a", "labelled_frames", "5", "1, 10, 20 or 50"]),
        (
            {"runs": {"a": {"supervision": "pseudo", "pseudo_labels_of": "b", "labelled_frames": 1}, "b": {}}},
            ["runs.a", "scribbles of all"],
        ),
        (
            {"runs": {"a": {"labelled_frames": 10, "batch": 1}}},
            ["runs.a", "labelled_frames is 10", "batch is 1", "even batch"],
        ),
        (
            {"adaptations": {"adapted": {"supervision": "none", "labelled_frames": 10}}},
            ["adaptations.adapted", "labelled_frames is 10"],
        ),
        ({"runs": {}}, ["runs"]),
        ({"adaptations": {"source": {}}}, ["source"]),
        ({"dataset": {"train_sequences": ["08"]}}, ["08", "val_sequences"]),
        ({"dataset": {"test_sequences": ["00"]}}, ["00", "train_sequences and in test_sequences", "training data"]),
        ({"dataset": {"test_sequences": ["08"]}}, ["08", "val_sequences and in test_sequences", "no test"]),
        (
            {"compare": {"controls": [{"run": "z", "against": "a", "text": "t"}]}},
            ["compare.controls.0.run", "'z'", "['a', 'b']"],
        ),
        (
            {"compare": {"statements": [{"run": "a", "against": "z", "text": "t"}]}},
            ["compare.statements.0.against", "'z'"],
        ),
        ({"compare": {"statements": [{"run": "a", "against": "a", "text": "t"}]}}, ["compare.statements.0", "itself"]),
        (
            {"compare": {"statements": [{"run": "a", "against": "source", "text": "t", "networks": True}]}},
            ["compare.statements.0.run", "'a'", "['adapted', 'source']"],
        ),
        (
            {
                "compare": {
                    "statements": [
                        {"run": "adapted", "against": "source", "text": "t", "networks": True, "slice": "small"}
                    ]
                }
            },
            ["compare.statements.0", "slice"],
        ),
    ],
)
def test_faults_are_one_line(change: dict, words: list[str]) -> None:
    with pytest.raises(IgnetError) as error:
        load_experiment({**SMALL, **change}, "file.yaml")
    message = str(error.value)
    assert "\n" not in message
    assert all(word in message for word in words), message


def test_unreadable_yaml(tmp_path: Path) -> None:
    (tmp_path / "list.yaml").write_text("[1]")
    (tmp_path / "bad.yaml").write_text("a: [")
    for name in ("list.yaml", "bad.yaml", "missing.yaml"):
        with pytest.raises(IgnetError, match=name):
            read_yaml(tmp_path / name)


def test_canonical_is_independent_of_order() -> None:
    one = validate(Train3DConfig, {"steps": 5, "batch": 3}, "x").canonical()
    other = validate(Train3DConfig, {"batch": 3, "steps": 5}, "x").canonical()
    assert one == other
    assert "\n" not in one


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("runs:\n  a: {steps: 5}\n  b: {}\n  a: {steps: 6}\n", ["line 4", "'a' a second time", "line 2"]),
        ('{"results": "a", "results": "b"}', ["'results' a second time"]),
        ("runs:\n  on: {}\n", ["line 2", "key on without quotes", 'write "on"']),
        ("runs:\n  1: {}\n", ["line 2", 'write "1"']),
        ("dataset: {train_sequences: [00, 08]}", ["line 1", "00 without quotes", 'write "00"']),
        ("dataset: {train_sequences: [09]}", ['write "09"']),
        ("a: [1", ["not valid YAML"]),
    ],
)
def test_what_yaml_would_take_for_something_else(tmp_path: Path, text: str, said: list[str]) -> None:
    file = tmp_path / "experiment.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(IgnetError) as error:
        read_yaml(file)
    assert str(error.value).startswith(str(file)) and "\n" not in str(error.value)
    assert all(words in str(error.value) for words in said), error.value


def test_yaml_s_anchors_and_merges_are_no_second_keys(tmp_path: Path) -> None:
    file = tmp_path / "experiment.yaml"
    file.write_text("a: &a {x: 1, y: 0.5}\nb: {<<: *a, x: 2}\nc: {<<: *a}\nd: [0, 10, 1.5, 08:30]\n", encoding="utf-8")
    assert read_yaml(file) == {
        "a": {"x": 1, "y": 0.5},
        "b": {"x": 2, "y": 0.5},
        "c": {"x": 1, "y": 0.5},
        "d": [0, 10, 1.5, "08:30"],
    }


@pytest.mark.parametrize(("owner", "old"), sorted(RENAMED))
def test_a_key_that_was_renamed_says_what_to_write_now(owner: str, old: str) -> None:
    sections = {
        "DatasetConfig": "dataset",
        "Pretrain2DConfig": "pretrain_2d",
        "Adapt2DConfig": "adapt_2d",
        "Train3DConfig": "train_3d",
        "FeatureConfig": "features",
        "ImageGuidanceConfig": "train_3d.image_guidance",
        "ReportConfig": "report",
        "CompareConfig": "compare",
    }
    key = f"{sections[owner]}.{old}" if owner in sections else old
    values: dict = {}
    for part in reversed(key.split(".")):
        values = {part: values or 1}
    with pytest.raises(IgnetError, match=f"'{key}'.* write {RENAMED[owner, old]}"):
        load_experiment({"results": "r", "runs": {"a": {}}, **values}, "x")
