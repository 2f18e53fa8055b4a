"""Code identity of a stage: a hash of the source that its script reaches, blind to comments and layout."""

import ast
import hashlib
from functools import cache
from pathlib import Path

import grimp

from ignet.errors import IgnetError
from ignet.stage.syntax import canonical_syntax

PACKAGE = "ignet"
ROOT = Path(__file__).resolve().parents[1]

NEUTRAL = frozenset(
    {"ignet.log", "ignet.errors", "ignet.stage.identity", "ignet.stage.scheduler", "ignet.stage.syntax"}
)
"""Modules that only talk to people, name things, or say when to stop and go on later: a change in them cannot change a
result."""

SETTINGS = "ignet.config"
"""Settings enter a stage's identity by their resolved values, so the classes that hold and check them need not: they
have no behaviour."""


def code_hash(script: Path | str) -> str:
    """Hash of a script and of every module of the package that it reaches by imports, lazy ones included.

    Args:
        script: path of a Python file that imports from the package.

    Returns:
        16 hexadecimal digits. Files beside a module that it names, such as a table that it reads, enter by their
        content; comments, docstrings, formatting, annotations and words for people do not enter, see
        `ignet.stage.syntax.canonical_syntax`.

    Raises:
        IgnetError: the script or a module is not valid Python.
    """
    script = Path(script)
    digest = hashlib.sha256(_content(script).encode())
    for module in import_closure(script):
        digest.update(f"\n{module}\n{_content(_module_file(module))}".encode())
    return digest.hexdigest()[:16]


def import_closure(script: Path | str) -> list[str]:
    """Names of the modules that a script reaches, sorted; parents' ``__init__`` included.

    ``NEUTRAL`` and ``SETTINGS`` are left out, and so is what only they import.
    """
    graph = _graph()
    reached: set[str] = set()
    for name in _imported(Path(script)):
        if name in graph.modules:
            reached |= {name} | graph.find_upstream_modules(name)
    for name in tuple(reached):
        parts = name.split(".")
        reached |= {".".join(parts[:n]) for n in range(1, len(parts))}
    return sorted(reached)


def code_parts(script: Path | str) -> dict[str, str]:
    """The parts of ``code_hash``: paths of the script and of all modules it reaches -> 16 hexadecimal digits."""
    files = [Path(script), *map(_module_file, import_closure(script))]
    return {_name(path): hashlib.sha256(_content(path).encode()).hexdigest()[:16] for path in files}


def _name(path: Path) -> str:
    path = path.resolve()
    return path.relative_to(ROOT.parent).as_posix() if path.is_relative_to(ROOT.parent) else path.name


@cache
def _graph() -> grimp.ImportGraph:
    graph = grimp.build_graph(PACKAGE, cache_dir=None, exclude_type_checking_imports=True)
    for name in tuple(graph.modules):
        if name in NEUTRAL or name == SETTINGS or name.startswith(f"{SETTINGS}."):
            graph.remove_module(name)
    return graph


def _imported(script: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(_parse(script)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            # `from ignet.data import kitti` names a module, `from ignet.data.formats.kitti import f` a thing inside one
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in names if name.split(".")[0] == PACKAGE}


def _module_file(module: str) -> Path:
    base = ROOT.joinpath(*module.split(".")[1:])
    package = base / "__init__.py"
    return package if package.exists() else base.with_suffix(".py")


@cache
def _content(path: Path) -> str:
    """What a Python file computes, and hashes of the files beside it that it names."""
    try:
        text = canonical_syntax(path.read_bytes())
    except (OSError, SyntaxError, ValueError) as error:
        raise _unreadable(path, error) from error
    beside = sorted(file for file in path.parent.iterdir() if file.suffix != ".py" and file.is_file())
    named = {part.value for part in ast.walk(_parse(path)) if isinstance(part, ast.Constant)} if beside else ()
    read = [f"{file.name} {hashlib.sha256(file.read_bytes()).hexdigest()}" for file in beside if file.name in named]
    return "\n".join([text, *read])


@cache
def _parse(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> IgnetError:
    return IgnetError(f"{path}: cannot be read as Python ({error}); fix or restore the file")
