"""Code identity of a stage: a hash over the source that its script can reach, blind to comments, docstrings and layout."""

import ast
import hashlib
from functools import cache
from pathlib import Path

import grimp

from ignet.errors import IgnetError

PACKAGE = "ignet"
ROOT = Path(__file__).resolve().parent

NEUTRAL = frozenset({"ignet.console", "ignet.errors", "ignet.identity", "ignet.scheduler"})
"""Modules that only talk to people, name things, or say when to stop and go on later: a change in them cannot change a result."""

SETTINGS = "ignet.config"
"""Settings enter a stage's identity by their resolved values, so the code that defines and checks them need not."""


def code_hash(script: Path | str) -> str:
    """Hash of a script and of every module of the package that it reaches by imports, lazy ones included.

    Args:
        script: path of a Python file that imports from the package.

    Returns:
        16 hexadecimal digits. Comments, docstrings and formatting do not enter.

    Raises:
        IgnetError: the script or a module is not valid Python.
    """
    script = Path(script)
    digest = hashlib.sha256(_syntax(script).encode())
    for module in import_closure(script):
        digest.update(f"\n{module}\n{_syntax(_file_of(module))}".encode())
    return digest.hexdigest()[:16]


def import_closure(script: Path | str) -> list[str]:
    """Names of the modules that a script reaches, sorted; parents' ``__init__`` included, ``NEUTRAL`` and ``SETTINGS`` left out."""
    graph = _graph()
    reached: set[str] = set()
    for name in _imported(Path(script)):
        if name in graph.modules:
            reached |= {name} | graph.find_upstream_modules(name)
    for name in tuple(reached):
        parts = name.split(".")
        reached |= {".".join(parts[:n]) for n in range(1, len(parts))}
    return sorted(name for name in reached - NEUTRAL if name != SETTINGS and not name.startswith(f"{SETTINGS}."))


def code_parts(script: Path | str) -> dict[str, str]:
    """What ``code_hash`` is made of: the script and each module that it reaches, as path in the project -> 16 hexadecimal digits."""
    files = [Path(script), *map(_file_of, import_closure(script))]
    return {_name(path): hashlib.sha256(_syntax(path).encode()).hexdigest()[:16] for path in files}


def _name(path: Path) -> str:
    path = path.resolve()
    return path.relative_to(ROOT.parent).as_posix() if path.is_relative_to(ROOT.parent) else path.name


@cache
def _graph() -> grimp.ImportGraph:
    return grimp.build_graph(PACKAGE, cache_dir=None)


def _imported(script: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(_parse(script)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            # `from ignet.data import kitti` names a module, `from ignet.data.kitti import f` a thing inside one
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in names if name.split(".")[0] == PACKAGE}


def _file_of(module: str) -> Path:
    base = ROOT.joinpath(*module.split(".")[1:])
    package = base / "__init__.py"
    return package if package.exists() else base.with_suffix(".py")


@cache
def _syntax(path: Path) -> str:
    tree = _parse(path)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [part for part in body if not _is_docstring(part)] or [ast.Pass()]  # type: ignore[attr-defined]
    return ast.dump(tree, include_attributes=False)


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


@cache
def _parse(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_text())
    except (OSError, SyntaxError) as error:
        raise IgnetError(f"{path}: cannot be read as Python ({error})") from error
