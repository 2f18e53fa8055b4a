"""Python source as text that says what it does: the same for other layouts, docstrings and annotations.

It is the same in every version of Python, and blind to words for people.

``ast.dump`` will not do: what it prints of the same source differs between versions of Python.
"""

import ast
from collections.abc import Iterator

_TYPING = frozenset({"typing", "typing_extensions", "collections.abc", "numpy.typing"})
"""Modules that are imported for annotations; what is used of them elsewhere stands at that place by its name."""

_READS_ANNOTATIONS = frozenset({"register", "singledispatch", "singledispatchmethod", "validate_call", "script"})
"""Decorators by whose functions annotations are more than hints."""

_LEVELS = frozenset({"debug", "info", "warning", "error", "exception", "critical", "log"})
_ARGUMENTS = frozenset(
    {
        "ArgumentParser",
        "Stage",
        "add",
        "add_argument",
        "add_argument_group",
        "add_mutually_exclusive_group",
        "add_parser",
        "add_subparsers",
    }
)
_HELP = frozenset({"help", "description", "epilog", "metavar"})
_WITHOUT_EFFECT = frozenset(
    {
        "abs",
        "float",
        "format",
        "int",
        "join",
        "len",
        "list",
        "max",
        "min",
        "repr",
        "round",
        "sorted",
        "str",
        "sum",
        "type",
    }
)
_LEAVES = (ast.Name, ast.Constant, ast.expr_context, ast.operator, ast.unaryop, ast.boolop, ast.cmpop)
"""Half of a tree: nodes that hold nothing to take out."""

_VERSION_DEPENDENT = frozenset({"ctx", "type_comment", "type_ignores"})


def canonical_syntax(source: str | bytes) -> str:
    """Text of a module's syntax tree, equal for modules that compute the same in the same way.

    Left out are comments, layout, docstrings; annotations outside of class bodies, and the imports that only they need;
    the module's ``__version__``; and words that only people read: texts given to exceptions (but not to ``SystemExit``,
    whose argument is an exit code), to ``log``, to ``print(..., file=sys.stderr)``, to ``assert``, as descriptions to
    ``progress``, as help to a command line; and private constants of a module that only such texts use.

    Raises:
        SyntaxError: no valid Python.
    """
    return canonical_dump(_Wordless().visit(ast.parse(source)))


def canonical_dump(node: object) -> str:
    """A syntax tree as text, without the fields that differ between versions of Python for the same source."""
    if isinstance(node, ast.Constant):
        return f"{type(node.value).__name__}:{node.value!a}"
    if isinstance(node, ast.AST):
        fields = ((name, getattr(node, name, None)) for name in sorted(node._fields) if name not in _VERSION_DEPENDENT)
        parts = (f"{name}={canonical_dump(value)}" for name, value in fields if value not in (None, []))
        return f"{type(node).__name__}({','.join(parts)})"
    if isinstance(node, list):
        return f"[{','.join(map(canonical_dump, node))}]"
    return ascii(node)


class _Wordless(ast.NodeTransformer):
    """Takes out of a tree what changes nothing."""

    def __init__(self) -> None:
        self._scopes: list[type[ast.AST]] = []

    def visit(self, node: ast.AST) -> ast.AST | None:
        if isinstance(node, _LEAVES):
            return node
        inner = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        if inner:
            self._scopes.append(type(node))
        made: ast.AST | None = super().visit(node)
        if inner:
            self._scopes.pop()
        if isinstance(made, ast.AST) and isinstance(getattr(made, "body", None), list):
            body: list[ast.stmt] = made.body  # type: ignore[attr-defined]
            made.body = [part for part in body if not isinstance(part, ast.Pass)] or [ast.Pass()]  # type: ignore[attr-defined]
        return made

    def visit_Module(self, node: ast.Module) -> ast.AST:
        self.generic_visit(node)
        if any(_names_words(part, set()) for part in node.body):
            used = {part.id for part in ast.walk(node) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load)}
            node.body = [part for part in node.body if not _names_words(part, used)]
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self._function(node)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        if not any(_last_name(decorator) in _READS_ANNOTATIONS for decorator in node.decorator_list):
            node.returns = None
            for argument in _parameters(node.args):
                argument.annotation = None
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        self.generic_visit(node)
        if self._scopes[-1] is ast.ClassDef:  # fields of a dataclass or of settings
            return node
        if node.value is not None:
            return ast.Assign([node.target], node.value)
        return ast.AnnAssign(node.target, ast.Constant(None), None, node.simple)

    def visit_Import(self, node: ast.Import) -> ast.AST | None:
        node.names = [name for name in node.names if name.name not in _TYPING]
        return node if node.names else None

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST | None:
        return None if node.module in _TYPING and not node.level else node

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        self.generic_visit(node)
        return node.orelse if _last_name(node.test) == "TYPE_CHECKING" else node

    def visit_Assign(self, node: ast.Assign) -> ast.AST | None:
        if self._scopes[-1] is ast.Module and [_last_name(target) for target in node.targets] == ["__version__"]:
            return None
        return self.generic_visit(node)

    def visit_Assert(self, node: ast.Assert) -> ast.AST:
        node.msg = None
        return self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        if isinstance(node.value, ast.Constant):  # docstrings of modules, classes, functions and constants
            return None
        if isinstance(node.value, ast.Call) and _is_log(node.value.func):
            effects = [argument for argument in _given(node.value) if _has_effect(argument)]
            node.value = ast.Tuple(effects, ast.Load())
            return self.generic_visit(node) if effects else None
        return self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        if isinstance(node.exc, ast.Call) and _last_name(node.exc.func) != "SystemExit":
            _drop_words(node.exc)
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        name = _last_name(node.func)
        to_stderr = any(part.arg == "file" and _last_name(part.value) == "stderr" for part in node.keywords)
        if name.endswith("Error") or (name == "print" and to_stderr):
            _drop_words(node)
        elif name == "progress":
            node.args = [*node.args[:1], *(argument for argument in node.args[1:] if not _is_text(argument))]
            node.keywords = [part for part in node.keywords if part.arg != "description"]
        elif name in _ARGUMENTS:
            node.keywords = [part for part in node.keywords if part.arg not in _HELP or not _is_text(part.value)]
        return self.generic_visit(node)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        self.generic_visit(node)
        parts: list[ast.expr] = []
        for part in node.values:
            if isinstance(part, ast.Constant) and parts and isinstance(parts[-1], ast.Constant):
                parts[-1] = ast.Constant(str(parts[-1].value) + str(part.value))
            elif not isinstance(part, ast.Constant) or part.value != "":
                parts.append(part)
        if not parts or (len(parts) == 1 and isinstance(parts[0], ast.Constant)):
            return parts[0] if parts else ast.Constant("")
        return ast.JoinedStr(parts)

    def visit_FormattedValue(self, node: ast.FormattedValue) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.format_spec, ast.Constant) and not node.format_spec.value:
            node.format_spec = None
        return node


def _names_words(statement: ast.stmt, used: set[str]) -> bool:
    """A private constant of a module with texts that nothing uses but what was taken out."""
    if not isinstance(statement, ast.Assign) or not all(isinstance(part, ast.Name) for part in statement.targets):
        return False
    names = {_last_name(target) for target in statement.targets}
    if names & used or not all(name.startswith("_") and not name.startswith("__") for name in names):
        return False
    words = any(isinstance(part, ast.Constant) and isinstance(part.value, str) for part in ast.walk(statement.value))
    return words and not _has_effect(statement.value)


def _drop_words(call: ast.Call) -> None:
    call.args = [argument for argument in call.args if not _is_text(argument)]
    call.keywords = [part for part in call.keywords if not _is_text(part.value)]


def _is_text(node: ast.AST) -> bool:
    """Whether it is written as text: a literal, an f-string, or one that is put together or filled in."""
    match node:
        case ast.Constant(value=str()) | ast.JoinedStr():
            return True
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _is_text(left) or _is_text(right)
        case ast.BinOp(left=left, op=ast.Mod()):
            return _is_text(left)
        case ast.IfExp(body=left, orelse=right):
            return _is_text(left) and _is_text(right)
        case ast.Call(func=ast.Attribute(value=value, attr="format" | "join")):
            return _is_text(value)
        case ast.Call(func=ast.Name(id="restore")):  # `ignet.data.formats.origin.restore`: a remedy in words
            return True
    return False


def _is_log(function: ast.AST) -> bool:
    return (
        isinstance(function, ast.Attribute)
        and function.attr in _LEVELS
        and _last_name(function.value) in ("log", "logger", "logging")
    )


def _has_effect(node: ast.AST) -> bool:
    """Whether evaluation may change something: it assigns, or calls more than the usual functions of values."""
    return any(
        isinstance(part, ast.NamedExpr | ast.Await | ast.Yield | ast.YieldFrom)
        or (isinstance(part, ast.Call) and _last_name(part.func) not in _WITHOUT_EFFECT)
        for part in ast.walk(node)
    )


def _given(call: ast.Call) -> Iterator[ast.expr]:
    yield from call.args
    yield from (part.value for part in call.keywords)


def _parameters(arguments: ast.arguments) -> Iterator[ast.arg]:
    yield from (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
    yield from (part for part in (arguments.vararg, arguments.kwarg) if part is not None)


def _last_name(node: ast.AST) -> str:
    """``c`` of ``a.b.c``, of ``c`` and of a call of either; '' of all else."""
    match node:
        case ast.Call(func=function):
            return _last_name(function)
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name
    return ""
