"""What the project promises about its own files: pins, commands, sizes, no pickles, no traces of one machine."""

import ast
import graphlib
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import grimp
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

import ignet
from ignet.stage.identity import NEUTRAL

ROOT = Path(__file__).resolve().parents[1]
SKIPPED = {".venv", ".git", ".snakemake", "results", "data", "__pycache__", "build", "shared"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# distribution -> the name to import, where it is another
IMPORTS = {"opencv-python-headless": "cv2", "pyyaml": "yaml", "pillow": "PIL"}
CONDA = {"torch": "pytorch", "opencv-python-headless": "py-opencv", "matplotlib": "matplotlib-base"}


def files(*patterns: str, below: str = ".") -> list[Path]:
    """The project's files whose name fits; not what it makes or installs."""
    found = []
    for folder, folders, names in os.walk(ROOT / below):
        top = Path(folder) == ROOT
        folders[:] = [
            name
            for name in folders
            if not (name in SKIPPED and (top or name == "__pycache__")) and not name.endswith("_cache")
        ]
        found += [Path(folder) / name for name in names if any(Path(name).match(pattern) for pattern in patterns)]
    assert found, f"nothing fits {patterns} below {below}"
    return sorted(found)


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


CODE = [*files("*.py")]
TEXTS = files(
    "*.py",
    "*.smk",
    "Snakefile",
    "*.yaml",
    "*.yml",
    "*.toml",
    "*.md",
    "*.sh",
    "*.cff",
    "Makefile",
    "Dockerfile",
    "NOTICE",
    "run",
)
READMES = files("*.md")


def requirements(*extras: str) -> dict[str, Requirement]:
    texts = [*PROJECT["dependencies"], *(text for extra in extras for text in PROJECT["optional-dependencies"][extra])]
    return {requirement.name.lower(): requirement for requirement in map(Requirement, texts)}


# --- encodings ----------------------------------------------------------------


def _calls_without_encoding(path: Path) -> Iterator[str]:
    """Calls that open a text file in the encoding of the locale."""
    for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(call, ast.Call) or any(key.arg == "encoding" for key in call.keywords):
            continue
        text = ast.unparse(call.func)
        name = text.rpartition(".")[2]
        mode = [
            value.value
            for value in (*call.args, *(key.value for key in call.keywords))
            if isinstance(value, ast.Constant)
        ]
        binary = any(isinstance(value, str) and re.fullmatch(r"[rwxa]\+?b\+?|[rwxa]b?\+?b", value) for value in mode)
        if text.endswith((".read_text", ".write_text")) or (
            name in ("open", "fdopen", "NamedTemporaryFile") and not binary
        ):
            yield f"{relative(path)}:{call.lineno}: {text}"


def test_no_text_depends_on_the_locale() -> None:
    not_text = ("webbrowser.open", "Image.open", "os.open", "safe_open", "zipfile.ZipFile.open")
    found = [line for path in CODE if not path.is_relative_to(ROOT / "tests") for line in _calls_without_encoding(path)]
    assert not [line for line in found if not line.endswith(not_text)]
    rules = "\n".join(path.read_text(encoding="utf-8") for path in files("*.smk", "Snakefile"))
    assert not re.findall(r"(?:read_text|write_text|\bopen)\((?!.*encoding).*", rules)


# --- versions -----------------------------------------------------------------


def test_pins_are_exact_and_cover_every_requirement() -> None:
    lines = (ROOT / "envs" / "constraints.txt").read_text().splitlines()
    pins = dict(line.lower().split("==") for line in lines if not line.startswith("#"))
    normal = {re.sub(r"[-_.]+", "-", name): Version(version) for name, version in pins.items()}
    for name, requirement in requirements(*PROJECT["optional-dependencies"]).items():
        assert name in normal, f"{name} has no pin in envs/constraints.txt"
        assert normal[name] in requirement.specifier, f"the pin {name}=={normal[name]} does not fit {requirement}"
    assert normal["torch"].local is None, "torch's pin must leave the choice of its build to the machine"


def test_conda_environment_asks_for_the_same() -> None:
    listed = yaml.safe_load((ROOT / "envs" / "conda.yaml").read_text())["dependencies"]
    conda = {requirement.name: requirement for requirement in map(Requirement, listed)}
    for name, requirement in requirements().items():
        if name != "snakemake":  # is what makes the environment
            assert conda[CONDA.get(name, name)].specifier == requirement.specifier


def test_a_wheel_takes_every_file_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    patterns = project["tool"]["setuptools"]["package-data"]
    taken = {
        path
        for package, names in patterns.items()
        for name in names
        for path in (ROOT / package.replace(".", "/")).glob(name)
    }
    here = {path for path in files("*", below="ignet") if path.suffix not in {".py", ".pyc"}}
    assert here == {path for path in taken if path.is_file()}
    # setuptools finds a folder of modules only by this file
    folders = {path.parent for path in files("*.py", below="ignet")}
    assert [relative(folder) for folder in folders if not (folder / "__init__.py").is_file()] == []


def test_minkowski_engine_is_no_requirement() -> None:
    assert "minkowskiengine" not in requirements(*PROJECT["optional-dependencies"])


EXTRA = {"pypcd4", "trimesh"}  # of the extra `formats`


def test_every_import_is_declared_and_every_requirement_is_used() -> None:
    used = {
        name.split(".")[0]
        for path in files("*.py", below="ignet") + files("*.py", below="workflow")
        for name in imported(path)
    }
    declared = {IMPORTS.get(name, name) for name in requirements()}
    assert used - set(sys.stdlib_module_names) - declared <= {
        "ignet",
        "MinkowskiEngine",
        "MinkowskiEngineBackend",
        *EXTRA,
    }
    # the first runs the workflow, the others are imported by pandas' to_markdown and torch.utils.tensorboard
    assert declared - used <= {"snakemake", "tabulate", "tensorboard"}


def test_one_version_everywhere() -> None:
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == ignet.__version__


# --- commands and documents ---------------------------------------------------


def test_every_make_target_that_a_document_names_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    named = {
        name
        for path in READMES
        for name in re.findall(r"(?:`|^)(?:[A-Z_]+=\S+ )*make ([a-z][a-z-]*)", path.read_text(), re.M)
    }
    assert {"setup", "demo", "test", "lint"} <= named
    assert named <= targets


def test_every_target_has_a_help_line() -> None:
    text = (ROOT / "Makefile").read_text()
    phony = set(re.search(r"^\.PHONY: (.*)$", text, re.M)[1].split())  # type: ignore[index]
    assert phony == set(re.findall(r"^([a-z-]+):.*## \S", text, re.M))


def test_links_and_files_in_documents_exist() -> None:
    examples = {"ignet/train/terms/entropy.py", "ignet/models/backbones/flat.py", "ignet/data/importers/my_sensor.py"}
    examples |= {"ignet/data/lidar/mixing/mix3d.py", "ignet/models/teachers/convnet.py"}
    examples |= {"ignet/data/importers/archives.py"}
    examples |= {f"tests/test_{name}.py" for name in ("entropy", "flat", "mix3d", "convnet", "archives")}
    missing = []
    for path in READMES:
        text = path.read_text()
        prose = re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)
        links = [path.parent / link for link in re.findall(r"\]\(([^)#]+)", prose) if "://" not in link]
        named = set(re.findall(r"(?<![\w./])(?:config|envs|workflow|docs|ignet|tests|benchmarks)/[\w/-]+\.\w+", text))
        targets = [*links, *(ROOT / name for name in named - examples)]
        missing += [f"{relative(path)}: {target}" for target in targets if not target.exists()]
    assert missing == []


def test_yaml_files_parse() -> None:
    assert [
        relative(path)
        for path in files("*.yaml", "*.yml", "*.cff")
        if not isinstance(yaml.safe_load(path.read_text()), dict)
    ] == []


@pytest.mark.parametrize("name", [".ci/run", "envs/setup.sh", "envs/minkowski/build.sh"])
def test_shell_scripts_are_executable_and_parse(name: str) -> None:
    assert os.access(ROOT / name, os.X_OK)
    subprocess.run(["bash", "-n", ROOT / name], check=True)


# --- code ---------------------------------------------------------------------


def test_no_path_of_one_machine() -> None:
    private = re.compile(r"(?<![\w.}~$])/(?:work|home|root|Users|tmp|mnt|media|scratch)/\S*")
    found = {relative(path): private.findall(path.read_text()) for path in TEXTS}
    assert {name: places for name, places in found.items() if places} == {}


def test_no_file_is_too_long() -> None:
    sizes = {
        relative(path): len(path.read_text().splitlines())
        for below in ("ignet", "workflow")
        for path in files("*.py", "*.smk", below=below)
    }
    assert {name: lines for name, lines in sizes.items() if lines > 345} == {}


def test_rooms_import_each_other_one_way() -> None:
    """No circle between the packages of ignet, imports for types included."""
    graph = grimp.build_graph("ignet", cache_dir=None, exclude_type_checking_imports=False)
    rooms: dict[str, set[str]] = {}
    for module in graph.modules:
        for imported in graph.find_modules_directly_imported_by(module):
            one, other = (".".join(name.split(".")[:2]) for name in (module, imported))
            if one != other:
                rooms.setdefault(one, set()).add(other)
    tuple(graphlib.TopologicalSorter(rooms).static_order())


def test_packages_import_nothing() -> None:
    """A stage is identified by what it imports; a package that imports its modules would tie each stage to all of
    them."""
    graph = grimp.build_graph("ignet", cache_dir=None, exclude_type_checking_imports=True)
    assert graph.find_modules_directly_imported_by("ignet") <= NEUTRAL
    for path in set(files("__init__.py", below="ignet")) - {ROOT / "ignet/__init__.py"}:
        docstring, *body = ast.parse(path.read_text()).body
        assert isinstance(docstring, ast.Expr), relative(path)
        assert body == [], relative(path)


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module or ""


def unsafe(source: str) -> list[str]:
    """Imports and calls in ``source`` that can load a pickle or build arbitrary objects."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            found += [
                name
                for name in names
                if name.split(".")[0] in {"pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
            ]
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            if name == "torch.load" and keywords.get("weights_only") != "True":
                found.append("torch.load without weights_only=True")
            if name in {"np.load", "numpy.load"} and keywords.get("allow_pickle", "False") != "False":
                found.append("np.load with allow_pickle")
            if name in {"yaml.load", "yaml.unsafe_load", "yaml.full_load"} or name.endswith(".read_pickle"):
                found.append(name)
    return found


# the tests themselves pickle readers, to see that worker processes can be given them
def test_no_pickle_is_ever_loaded() -> None:
    found = {relative(path): unsafe(path.read_text()) for path in CODE if "tests" not in path.parts}
    assert {name: calls for name, calls in found.items() if calls} == {}


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path, allow_pickle=True)",
        "yaml.load(text, Loader=yaml.Loader)",
        "pd.read_pickle(path)",
    ],
)
def test_the_search_for_pickles_finds_them(source: str) -> None:
    assert unsafe(source)
