"""Code identity: blind to comments and layout, sharp for everything else."""

from pathlib import Path

import pytest

from ignet.errors import IgnetError
from ignet.stage import identity

SCRIPTS = Path(__file__).parents[1] / "workflow" / "scripts"
SCRIPT = (
    '"""Doc."""\nfrom ignet.losses.guidance import guidance\n\n\ndef main():\n    """More."""\n    return '
    "guidance  # here\n"
)


def hash_of(tmp_path: Path, text: str) -> str:
    """Each text in a file of its own, because syntax trees are cached by path."""
    path = tmp_path / f"{abs(hash(text))}.py"
    path.write_text(text)
    return identity.code_hash(path)


def test_comments_docstrings_and_layout_do_not_count(tmp_path: Path) -> None:
    same = (
        '"""Other."""\nfrom ignet.losses.guidance import (\n    guidance,\n)\ndef main():\n    # there\n    '
        "return (guidance)\n"
    )
    assert hash_of(tmp_path, SCRIPT) == hash_of(tmp_path, same)


CHANGES = [
    ("return guidance", "return guidance, 1"),
    ("guidance import", "lovasz import lovasz_softmax as"),
    ("main", "f"),
]


@pytest.mark.parametrize("change", CHANGES)
def test_code_counts(tmp_path: Path, change: tuple[str, str]) -> None:
    assert hash_of(tmp_path, SCRIPT) != hash_of(tmp_path, SCRIPT.replace(*change))


def test_closure_follows_imports_and_stops_at_the_stage() -> None:
    training = identity.import_closure(SCRIPTS / "train_3d.py")
    assert {"ignet.losses.contrastive", "ignet.train.run", "ignet.data.lidar.mixing.fovmix", "ignet"} <= set(training)
    adaptation = set(identity.import_closure(SCRIPTS / "adapt_2d.py"))
    assert not adaptation & {
        "ignet.losses.contrastive",
        "ignet.data.lidar.mixing.fovmix",
        "ignet.models.backbones.minkunet",
    }
    assert "ignet.log" not in training
    assert not [name for name in training if name.startswith("ignet.config")]


@pytest.mark.parametrize("script", sorted(p.name for p in SCRIPTS.glob("*.py")))
def test_no_stage_reaches_the_whole_experiment_or_pictures_that_it_does_not_make(script: str) -> None:
    assert "ExperimentConfig" not in (SCRIPTS / script).read_text()
    closure = set(identity.import_closure(SCRIPTS / script))
    if script not in {"figures_predictions.py", "figures_data.py", "compare.py", "report.py"}:
        assert not {"ignet.report.scan_figures", "ignet.report.plots"} & closure


def test_a_file_beside_a_module_that_it_names_counts(tmp_path: Path) -> None:
    hashes = []
    for number, (table, other) in enumerate((("a", "a"), ("b", "a"), ("a", "b"))):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "table.csv").write_text(table)
        (folder / "other.csv").write_text(other)
        (folder / "script.py").write_text('from pathlib import Path\nTABLE = Path(__file__).with_name("table.csv")\n')
        hashes.append(identity.code_hash(folder / "script.py"))
    assert hashes[0] == hashes[2] != hashes[1]


def test_every_file_that_the_package_ships_is_seen_or_known_not_to_matter() -> None:
    """The page's assets and the dataset's label set enter the rules by hashes of their own; the others belong to
    commands that make no result."""
    known = {"ignet/report/html/assets", "ignet/view/assets", "ignet/workflow/throughput.csv"}
    known |= {f"ignet/data/label_sets/{name}.yaml" for name in ("semantickitti", "nuscenes")}
    files = {path.relative_to(identity.ROOT.parent) for path in identity.ROOT.rglob("*") if path.is_file()}
    shipped = {
        path
        for path in files
        if path.suffix not in (".py", ".pyc") and not {path.as_posix(), path.parent.as_posix()} & known
    }
    seen = {"ignet/data/formats/labelled_scans.npz", "ignet/data/label_sets/cityscapes.yaml"}
    assert {path.as_posix() for path in shipped} == seen
    for script in ("train_3d.py", "adapt_2d.py"):
        content = "".join(
            identity._content(identity._module_file(name)) for name in identity.import_closure(SCRIPTS / script)
        )
        assert all(Path(path).name in content for path in seen)


def test_broken_python_is_named(tmp_path: Path) -> None:
    path = tmp_path / "broken.py"
    path.write_text("def (")
    with pytest.raises(IgnetError, match="broken.py"):
        identity.code_hash(path)
