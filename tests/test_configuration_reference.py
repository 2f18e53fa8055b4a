"""The configuration reference is that of the present classes, and each key says what it is."""

import json
import re
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from ignet.config.base import read_yaml
from ignet.config.reference import keys, main, reference, schema

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "configuration.md"


def test_the_page_is_in_step_with_the_classes() -> None:
    assert PAGE.read_text() == reference(), "docs/configuration.md is out of date; make docs writes it anew"


def test_every_key_has_a_description_and_a_row() -> None:
    found = list(keys())
    assert {
        "results",
        "train_3d.contrastive.temperature",
        "compare.statements[].than",
        "execution.stages.RULE.gpus",
    } <= {path for path, _ in found}
    assert [path for path, field in found if len(field.description or "") < 5] == []
    rows = re.findall(r"^\| `(\w+)` \| .+ \| .+ \| .+ \|$", reference(), re.M)
    assert sorted(rows) == sorted(path.split(".")[-1] for path, _ in found)


@pytest.mark.parametrize("word", ["metres", "pixels", "degrees", "seconds", "minutes", "MB"])
def test_a_unit_stands_first(word: str) -> None:
    """A description that is a length, an angle or a time begins with its unit, as the page promises."""
    beginnings = [field.description for _, field in keys() if (field.description or "").startswith(word)]
    assert beginnings
    assert all(text.startswith(f"{word}: ") for text in beginnings)


@pytest.mark.parametrize(
    "row",
    [
        "| `temperature` | number > 0 | `0.1` | tau, by which similarities are divided (our choice) |",
        "| `labelled_frames` | `1`, `10`, `20`, `50` or `null` | `null` |",
        "| `encoder` | 4 whole numbers | `[16, 32, 48, 64]` |",
        "| `engine` | `same`, `auto`, `torch`, `minkowski` | `same` |",
        "| `share` | number > 0.5, ≤ 1 | `0.75` |",
        "| `runs` | mapping of names to mappings | *to be given* |",
        "| `levels` | list of pairs of whole numbers, not empty | `[[20, 40], [10, 20], [5, 10]]` |",
    ],
)
def test_rows_say_what_is_allowed_and_the_default(row: str) -> None:
    assert f"\n{row}" in reference()


def test_the_command_writes_page_and_schema(tmp_path: Path) -> None:
    names = [str(tmp_path / "page.md"), str(tmp_path / "schema.json")]
    assert main(names) == 0
    assert [Path(name).read_text() for name in names] == [reference(), schema()]


def test_the_schema_knows_an_experiment() -> None:
    assert (ROOT / "docs" / "experiment.schema.json").read_text() == schema(), "out of date; make docs writes it anew"
    check = Draft202012Validator(json.loads(schema()))
    for path in (ROOT / "config").glob("*.yaml"):
        assert "yaml-language-server: $schema=../docs/experiment.schema.json" in path.read_text(), path.name
        assert [error.message for error in check.iter_errors(read_yaml(path))] == [], path.name
    tiny = read_yaml(ROOT / "config" / "tiny.yaml")
    for wrong in (
        {"worlds": {}},
        {"train_3d": {"stepz": 3}},
        {"runs": {"a": {"contrastive": {"weight": "much"}}}},
        {"adaptations": {"a": {"stepz": 3}}},
    ):
        assert not check.is_valid({**tiny, **wrong}), wrong
    assert check.is_valid({**tiny, "runs": {"a": {"seeds": [1], "contrastive": {"weight": 0.1}}, "b": None}})


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))], ids=lambda path: path.name
)
def test_keys_that_a_page_names_exist(page: Path) -> None:
    """Words such as `train_3d.backbone.voxel`; other words with a point in them begin otherwise."""
    known = {".".join(path.split(".")[:depth]) for path, _ in keys() for depth in range(1, path.count(".") + 2)}
    named = set(re.findall(r"`((?:[a-z]\w*\.)+[a-z]\w*)`", page.read_text()))
    sections = {path.split(".")[0] for path in known}
    files = ("md", "py", "csv", "h5", "json", "html", "txt", "smk", "png")
    wrong = [
        name
        for name in named
        if name.split(".")[0] in sections and name.split(".")[-1] not in files and name not in known
    ]
    assert wrong == []
