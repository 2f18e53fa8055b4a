"""What the pages say of formats, costs, published figures and rules is what the code does."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from one_camera import seen_by_one
from tiny_state import first_plans

from ignet.data.features.pca import PCA, Classifier
from ignet.data.features.store import FeatureWriter
from ignet.data.label_sets.label_set import SEMANTICKITTI
from ignet.data.projection.correspondence import CorrespondenceWriter
from ignet.evaluate.tensor import ConfusionTensor, write_tensor
from ignet.report.published import published_table
from ignet.workflow.costs import TABLE, read_rates
from ignet.workflow.experiment import load_experiment
from ignet.workflow.facts import data_facts
from ignet.workflow.plan import make_plan

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "docs" / "site"))
import rule_graph  # noqa: E402


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text()


def rows(name: str) -> list[list[str]]:
    """The cells of all tables of a page."""
    return [
        [cell.strip() for cell in line.strip("|").split(" | ")]
        for line in page(name).splitlines()
        if line.startswith("| ")
    ]


# --- formats ------------------------------------------------------------------


def described() -> dict[str, str]:
    """Dataset -> its type and shape by docs/data-formats.md, each as often as files have it."""
    found = {}
    for names, kind, *_ in (cells for cells in rows("data-formats.md") if len(cells) == 3):
        for place, name in enumerate(re.findall(r"`([\w/]+)`", names)):
            shapes = re.findall(r"\(([^)]*)\)", kind)
            found[name] = f"{kind.split(' (')[0]} ({shapes[min(place, len(shapes) - 1)] if shapes else ''})"
    return found


def datasets(path: Path) -> dict[str, h5py.Dataset]:
    found = {}
    file = h5py.File(path)
    file.visititems(lambda name, thing: found.update({name: thing}) if isinstance(thing, h5py.Dataset) else None)
    return found


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """One of each kind of HDF5 file."""
    index, feature = np.arange(5, dtype=np.int32), np.random.default_rng(0).random((5, 3)).astype(np.float32)
    frame = seen_by_one(index, np.zeros((5, 2), np.float32), np.full(5, 255, np.uint8), 9, 64, 32, (-0.7, 0.7))
    with CorrespondenceWriter(tmp_path / "projection.h5") as writer:
        writer.add("000000", frame)
    classifier = Classifier(np.zeros((19, 4), np.float32), np.zeros(19, np.float32))
    pca = PCA(np.zeros(4, np.float32), np.eye(3, 4, dtype=np.float32))
    with FeatureWriter(tmp_path / "features.h5", 3, "int8", np.ones(3, np.float32), {}, classifier, pca) as store:
        store.add("000000", index, feature)
    names = {"range": ("0+ m",), "camera": ("in-FOV", "out-of-FOV"), "boundary": ("boundary", "interior")}
    counts = np.ones((1, 1, 2, 2, 3, 4), np.int64)
    tensor = ConfusionTensor(("08/000000",), names, counts, ("car", "road", "pole"), ("pole",))
    write_tensor(tmp_path / "confusion.h5", tensor)
    return sorted(tmp_path.glob("*.h5"))


def test_every_dataset_is_described_with_its_type_and_its_axes(files: list[Path]) -> None:
    words = described()
    for path in files:
        for name, data in datasets(path).items():
            assert name in words, f"docs/data-formats.md lacks {name} of {path.name}"
            kind, shape = words[name].split(" (")
            expected = {"unsigned": "uint", "text": "|S"}.get(kind, data.dtype.name)
            assert str(data.dtype).startswith(expected) or expected in kind, (
                f"{name} is {data.dtype}, described as {kind}"
            )
            axes = [axis for axis in shape.rstrip(")").split(",") if axis.strip()]
            assert not axes or len(axes) == data.ndim, f"{name} has {data.ndim} axes, described with {axes}"


def test_layout_versions_are_those_of_the_page(files: list[Path]) -> None:
    for path in files:
        attributes = h5py.File(path).attrs
        assert re.search(rf"{attributes['layout']}`?, version {attributes['version']}\b", page("data-formats.md"))


def test_the_code_that_reads_them_runs(files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```", page("data-formats.md"), re.M | re.S)
    for name, place in (("features.h5", "features/adapted/00.h5"), ("projection.h5", "projection/00.h5")):
        (tmp_path / "results/demo" / place).parent.mkdir(parents=True)
        shutil.copy(tmp_path / name, tmp_path / "results/demo" / place)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(compile(code, "docs/data-formats.md", "exec"), names)
    assert names["index"].dtype == np.int32
    assert names["feature"].shape == (5, 3)
    assert names["frame"].points == 9


# --- the paper's tables -------------------------------------------------------


def test_published_figures_are_those_of_the_package() -> None:
    expected = [[str(cell) for cell in row] for row in published_table(SEMANTICKITTI.classes).rows]
    assert [
        row for row in rows("published.md") if row[0].startswith(("ScribbleKITTI, val", "SemanticKITTI, val"))
    ] == expected


def test_costs_are_those_of_the_plan(tmp_path: Path) -> None:
    wanted = {
        "`config/scribblekitti.yaml`": ("scribblekitti",),
        "the same": ("scribblekitti", "ablation/headline"),
        "`config/semantickitti-semi.yaml`": ("semantickitti-semi",),
    }
    for start, found in first_plans(tmp_path, wanted).items():
        experiment = load_experiment(found.config, start)
        plan = make_plan(found.schedule, experiment, data_facts(experiment), read_rates(TABLE), 4, 16).as_json()
        disk = {**plan["disk_bytes"]}
        state = disk.pop("training state")
        expected = [
            sum(plan["jobs"].values()),
            plan["jobs"]["train_3d"],
            f"{sum(disk.values()) / 1e9:.3g} GB",
            f"{state / 1e9:.3g} GB",
        ]
        (row,) = [row for row in rows("reproducing.md") if row[0].startswith(start) and len(row) == 5]
        assert row[1:] == [str(cell) for cell in expected]


# --- the workflow's picture ---------------------------------------------------


def test_the_picture_shows_the_rules_as_they_are() -> None:
    expected = rule_graph.workflow_edges()
    assert {rule for edge in expected for rule in edge} == set(rule_graph.rule_files())
    shown = rule_graph.edges_in(rule_graph.PICTURE.read_text())
    assert shown == rule_graph.drawn_edges(expected), (
        "docs/images/rules.svg is out of date; make docs-graph draws it anew"
    )


def test_an_edge_that_a_longer_way_implies_is_left_out() -> None:
    assert rule_graph.drawn_edges({("a", "b"), ("b", "c"), ("a", "c")}) == {("a", "b"), ("b", "c")}


# --- the site -----------------------------------------------------------------


def build_site(project: Path, target: Path) -> subprocess.CompletedProcess[str]:
    """Build as `make docs` does: a dead link, and a page that the navigation lacks, are errors."""
    options = ["-W", "--keep-going", "-E", "-q", "-d", target / "doctrees"]
    command = [sys.executable, "-m", "sphinx", *options, project / "docs", target / "site"]
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=120, check=False)


def test_the_site_builds_and_fetches_nothing(tmp_path: Path) -> None:
    done = build_site(ROOT, tmp_path)
    assert done.returncode == 0, done.stderr
    pages = {path.name: path.read_text() for path in (tmp_path / "site").glob("*.html")}
    assert {"index.html", "method.html", "configuration.html"} <= set(pages)
    for name, text in pages.items():
        loaded = re.findall(r"<(?:script|img|link|iframe)\b[^>]*?\b(?:src|href)=\"?(https?:[^\"\s>]+)", text)
        assert loaded == [], f"{name} fetches {loaded}"
    formulas = page("method.md").count("```math") + page("method.md").count("$`")
    assert pages["method.html"].count("<math") == formulas > 20


def test_dead_links_and_lost_pages_fail(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    for name in ("NOTICE", "CITATION.cff"):
        shutil.copy(ROOT / name, tmp_path)
    links = "[x](nowhere.md) [x](method.md#nowhere) [x](../no-file.yaml)"
    (tmp_path / "docs" / "lost.md").write_text(f"# Lost\n\n{links}\n")
    done = build_site(tmp_path, tmp_path)
    assert done.returncode == 1
    assert done.stderr.count("lost.md") == 4, done.stderr
    assert done.stderr.count("WARNING") == 4, done.stderr


def test_places_within_pages_that_the_readme_links_to_exist() -> None:
    for name, place in re.findall(r"\]\(docs/([\w-]+\.md)#([\w-]+)\)", (ROOT / "README.md").read_text()):
        headings = re.findall(r"^#+ (.+)$", page(name), re.M)
        assert place in [re.sub(r"[^\w\s-]", "", heading).strip().lower().replace(" ", "-") for heading in headings]


def test_pictures_are_small() -> None:
    assert all(picture.stat().st_size < 300_000 for picture in (ROOT / "docs" / "images").iterdir())
