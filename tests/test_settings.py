"""Settings are data: what identifies a result, what is left out of it, and that nothing left out is read."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from test_stages_2d import ADAPT, PRETRAIN, adapt, run_script, work  # noqa: F401
from training_files import training_files

from ignet.config import experiment  # noqa: F401  (all sections)
from ignet.config.base import Section, added, canonical_json
from ignet.config.reference import keys
from ignet.config.training_2d import Adapt2DConfig, FeatureConfig
from ignet.config.training_3d import Train3DConfig
from ignet.stage.script import Stage

SELECTORS = {
    "Section": {"unread", "identity", "canonical", "read", "_read"},
    "DatasetConfig": {"of_check", "sequences", "evaluated_test_sequences"},
    "WorldConfig": {"of_source", "of_target"},
    "FeatureConfig": {"store_identity", "pca_identity"},
    # the values of one of several: what the identity holds
    "ExperimentConfig": {
        "adaptation",
        "teacher",
        "run",
        "run_seeds",
        "submitted",
        "_check_teacher",
        "_check_labels_of_features",
    },
}
"""Methods that only say which values identify a result."""


def sections(base: type[BaseModel] = Section) -> Iterator[type[BaseModel]]:
    yield base
    for section in base.__subclasses__():
        yield from sections(section)


def methods(section: type[BaseModel]) -> set[str]:
    """Methods and properties of the class's own that are no validators."""
    decorators = section.__pydantic_decorators__
    validators = {*decorators.field_validators, *decorators.model_validators}
    kinds = (property, staticmethod, classmethod, type(methods))
    own = {name for name, value in vars(section).items() if isinstance(value, kinds)}
    return {
        name for name in own if not name.startswith("__") and name not in validators and not name.startswith("_abc")
    }


def test_settings_have_no_behaviour() -> None:
    """The code that a result is identified by leaves `ignet.config` out, so nothing there may decide what a stage
    does."""
    found = {
        section.__name__: methods(section) - SELECTORS.get(section.__name__, set()) - {"unread"}
        for section in set(sections())
    }
    assert {name: names for name, names in found.items() if names} == {}


def test_a_method_is_noticed() -> None:
    class Own(Section):
        weight: float = 0

        @property
        def is_on(self) -> bool:
            return self.weight > 0

    assert methods(Own) == {"is_on"}


def is_off(value: Any) -> bool:
    # of cameras, one: 2, all of whose images are there
    return value is None or value is False or value in (0, (1.0, 1.0), {}, (2,), "refuse", "one")


def test_a_key_that_may_be_left_out_is_off_by_default() -> None:
    marked = {path: field.get_default() for path, field in keys() if (field.json_schema_extra or {}).get("added")}
    assert len(marked) >= 4
    assert {path: value for path, value in marked.items() if not is_off(value)} == {}


def test_keys_that_came_later_are_left_out_while_they_are_off() -> None:
    class Own(Section):
        old: int = 1
        new: float = added(0.0)

    assert Own().canonical() == '{"old":1}'
    assert Own(new=2).identity() == {"old": 1, "new": 2.0}
    assert Own().read() == {"old": 1, "new": 0.0}  # what is written beside a result


def test_what_is_not_read_is_left_out() -> None:
    plain = Train3DConfig().identity()
    assert "features" not in plain and plain["contrastive"] == plain["image_guidance"] == {"weight": 0.0}
    assert plain["mixing"] == {"fovmix": {"probability": 0.0}} and "local_context" not in plain["backbone"]
    guided = {
        name: Train3DConfig(image_guidance={"weight": 1, "loss": name}).identity()
        for name in ("cosine", "info_nce", "classifier_kl", "probe_kl")
    }
    of_loss = {name: set(values["image_guidance"]) - {"weight", "loss"} for name, values in guided.items()}
    assert of_loss == {
        "cosine": {"standardize"},
        "info_nce": {"standardize", "temperature", "pairs"},
        "classifier_kl": {"standardize", "confidence"},
        "probe_kl": {"confidence", "probe"},
    }
    assert set(guided["probe_kl"]["image_guidance"]["probe"]) == {"hidden", "steps", "scans"}
    assert {"initial_weights", "precision", "class_weight_domain"} <= set(Adapt2DConfig().identity())
    assert "class_weight_domain" not in Adapt2DConfig(supervision="none").identity()
    assert (
        Train3DConfig().read()["backbone"]["local_context"] is None
        and "temperature" not in Train3DConfig().read()["contrastive"]
    )
    assert FeatureConfig().store_identity() == {"dtype": "int8", "calibration_frames": 8}
    assert FeatureConfig(channels=32, dtype="float16").pca_identity() == {"channels": 32, "pca_frames": 64}


@pytest.mark.parametrize("section", [Train3DConfig, Adapt2DConfig, FeatureConfig])
def test_what_identifies_a_result_is_a_setting_and_says_the_same_again(section: type[Section]) -> None:
    values = section().identity()
    assert section.model_validate(values).canonical() == canonical_json(values) == section().canonical()


@pytest.fixture
def guarded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings of a stage whose unread keys cannot be read, but by their own class."""

    asking: list[bool] = []

    def read(self: Section, name: str) -> Any:
        outside = not asking and not sys._getframe(1).f_globals["__name__"].startswith(("ignet.config", "pydantic"))
        if outside and name in type(self).__pydantic_fields__:
            asking.append(True)
            unread = self.unread()
            asking.pop()
            assert name not in unread, (
                f"{type(self).__name__}.{name} is read, but is no part of what identifies the result"
            )
        return super(Section, self).__getattribute__(name)

    monkeypatch.setattr(Section, "__getattribute__", read, raising=False)


def test_the_guard_sees_what_is_read(guarded: None) -> None:
    settings = Train3DConfig()
    assert settings.contrastive.weight == 0
    with pytest.raises(AssertionError, match=r"ContrastiveConfig.temperature is read"):
        settings.contrastive.temperature  # noqa: B018
    assert Train3DConfig(contrastive={"weight": 1}).contrastive.temperature == 0.1


ADAPTATIONS = {
    "no labels": {"supervision": "none"},
    "dense labels": {"supervision": "dense"},
    "from nothing": {"initial_weights": "random"},
    "masked": {"masked": {"weight": 1.0, "block": 16}},
}


@pytest.mark.parametrize("case", ADAPTATIONS)
def test_no_2d_training_reads_what_does_not_identify_it(case: str, guarded: None, work: Path, tmp_path: Path) -> None:  # noqa: F811
    adapt(work, tmp_path, {**ADAPT, "steps": 2, **ADAPTATIONS[case]})


TRAINING = {
    "steps": 2,
    "batch": 1,
    "backbone": {"voxel": 0.5, "stem": 4, "encoder": [4, 4, 8, 8], "decoder": [8, 4, 4, 4]},
}
OFF = {"mean_teacher": {"weight": 0}}
RUNS = {
    "all off": OFF,
    "mean teacher": {},
    "contrastive loss": {**OFF, "contrastive": {"weight": 1}},
    "FOVMix": {"mixing": {"fovmix": {"probability": 1}}},
    "features": {**OFF, "image_guidance": {"weight": 1, "loss": "cosine"}},
    "contrast": {**OFF, "image_guidance": {"weight": 1, "loss": "info_nce"}},
    "classes": {**OFF, "image_guidance": {"weight": 1, "loss": "classifier_kl"}},
    "labels": {**OFF, "image_guidance": {"weight": 1, "loss": "probe_kl", "probe": {"steps": 2}}},
}


@pytest.fixture(scope="module", params=["int8", "float16"])
def features(request: pytest.FixtureRequest, work: Path) -> Path:  # noqa: F811
    """Stores of both kinds; their scales are a key that one of them does not read."""
    out = work / f"features-{request.param}"
    arguments = ("--network", work / "adapted/model.safetensors", "--dataset", work / "target", "--sequence", "00")
    run_script(
        "features",
        {"dtype": request.param},
        *arguments,
        "--projection",
        work / "projection/00.h5",
        "--out",
        out / "00.h5",
    )
    return out


def test_no_3d_training_reads_what_does_not_identify_it(
    guarded: None,
    work: Path,  # noqa: F811
    features: Path,
    tmp_path: Path,
) -> None:
    for case, settings in RUNS.items() if features.name.endswith("int8") else [("labels", RUNS["labels"])]:
        out = tmp_path / case
        data = (
            "--dataset",
            work / "target",
            "--sequences",
            "00",
            "--labels",
            work / "target",
            "--projection",
            work / "projection",
        )
        files = training_files(out)
        run_script(
            "train_3d", {**TRAINING, **settings}, *data, "--features", features, *files, "--state", out / "state"
        )


def test_a_stage_takes_missing_keys_at_their_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [__file__, "--settings", Train3DConfig().canonical(), "--device", "cpu"])
    _, settings = Stage("train_3d", Train3DConfig, None).start()
    assert settings == Train3DConfig()
