"""Canonical syntax: what does the same is the same text, in every Python; what computes something else is another
text."""

import ast

import pytest

from ignet.stage.syntax import canonical_dump, canonical_syntax

MODULE = '''
"""A module."""
from typing import Any

from ignet.log import log, progress
from ignet.errors import IgnetError

__version__ = "1"
_KINDS = "a, b"
RATE: float = 0.5


class Point(NamedTuple):
    """A point."""

    x: float = 0.0


def compute(items: list[int], scale: float = 2.0) -> float:
    """Add up."""
    total: float = 0.0
    assert items, "nothing given"
    for item in progress(items, f"item of {len(items)}"):
        if item < 0:
            raise IgnetError(f"{item}: expected one of {_KINDS}")
        total += item * scale
    log.info("%d items, rate %g", len(items), 100)
    return f"total {total:.3f}", total


def failed(error: OSError) -> IgnetError:
    print(f"error: {error}", file=sys.stderr)
    return IgnetError("not read")


def main():
    parser.add_argument("--scale", default=2.0, help="a factor")
    raise SystemExit("3")
'''

SAME = {
    "remedies": [
        ('IgnetError(f"{item}: expected one of {_KINDS}")', 'IgnetError("found", restore(item, "the archive"))')
    ],
    "docstrings": [
        ('"""A module."""', '"""Another."""'),
        ('    """A point."""\n\n', ""),
        ('"""Add up."""', '"""Sum."""'),
    ],
    "comments and layout": [("\n\n\n", "\n\n\n\n# a remark\n"), ("return f", "return \\\n        f")],
    "annotations": [
        ("items: list[int]", "items: Iterable[int]"),
        (") -> float:", ") -> Any:"),
        ("total: float = 0.0", "total = 0.0"),
        ("RATE: float", "RATE: Any"),
        ("import Any", "import Any, Literal"),
    ],
    "the version": [('"1"', '"2"')],
    "errors": [
        ("expected one of", "found; choose"),
        ('"a, b"', '"a or b"'),
        ("not read", "could not be read"),
        ("nothing given", "empty"),
    ],
    "log lines": [("%d items, rate %g", "%d things at %g"), (", 100)", ", 99)"), ("log.info", "log.warning")],
    "progress": [("item of", "thing of")],
    "output for people": [("error: {error}", "fault: {error}")],
    "help": [("a factor", "the factor")],
}

OTHER = {
    "a default": ("scale: float = 2.0", "scale: float = 3.0"),
    "a default of an argument": ("default=2.0", "default=3.0"),
    "the condition of an error": ("item < 0", "item <= 0"),
    "the kind of an error": ("raise IgnetError(", "raise ValueError("),
    "an error that is gone": ('raise IgnetError(f"{item}: expected one of {_KINDS}")', "pass"),
    "an exit code": ('SystemExit("3")', 'SystemExit("4")'),
    "text of a result": ("total {total", "sum {total"),
    "a format of a result": (":.3f", ":.4f"),
    "a constant": ("0.5", "0.6"),
    "a field's annotation": ("x: float", "x: int"),
    "what is iterated over": ("progress(items,", "progress(items[1:],"),
    "what a log line does": ('", len(items), 100)', '", items.pop(), 100)'),
    "an import": ("from ignet.errors", "from other.errors"),
    "output to a file": ("file=sys.stderr", "file=handle"),
}


@pytest.mark.parametrize("case", SAME)
def test_what_changes_nothing(case: str) -> None:
    text = MODULE
    for old, new in SAME[case]:
        assert old in text
        text = text.replace(old, new)
    assert canonical_syntax(text) == canonical_syntax(MODULE)


@pytest.mark.parametrize("case", OTHER)
def test_what_computes_something_else(case: str) -> None:
    old, new = OTHER[case]
    assert MODULE.count(old) == 1
    assert canonical_syntax(MODULE.replace(old, new)) != canonical_syntax(MODULE)


def test_output_to_a_file_is_a_result() -> None:
    assert canonical_syntax('print("a", file=handle)') != canonical_syntax('print("b", file=handle)')


def test_annotations_that_are_read_stay() -> None:
    first, second = (f"@f.register\ndef g(x: {kind}):\n    return x" for kind in ("int", "str"))
    assert canonical_syntax(first) != canonical_syntax(second)


def test_a_constant_that_is_used_stays() -> None:
    first, second = (f'_A = "{text}"\ndef f():\n    return _A' for text in ("a", "b"))
    assert canonical_syntax(first) != canonical_syntax(second)
    assert canonical_syntax("_A = 1") != canonical_syntax("_A = 2")  # only words may go


def test_fields_that_other_versions_of_python_add_or_leave_empty() -> None:
    """3.12 gives functions and classes `type_params`; texts may have a `kind`; f-strings may hold empty or divided
    constants."""
    tree = ast.parse("def f(x):\n    return 'a'\nclass C:\n    y = 'b'")
    before = canonical_dump(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            node._fields = (*dict.fromkeys((*node._fields, "type_params", "to_come")),)  # type: ignore[misc]
            node.type_params, node.to_come = [], None  # type: ignore[union-attr]
        if isinstance(node, ast.Constant):
            node.kind = "u"
        if isinstance(node, ast.Name):
            node.ctx = ast.Store()
    assert canonical_dump(tree) == before
    assert canonical_syntax("f'a' 'b' f'{x}' 'c'") == canonical_syntax("f'ab{x}c'")
    assert canonical_syntax("y = f'{x:}'") == canonical_syntax("y = f'{x}'") != canonical_syntax("y = f'{x!r}'")
    assert canonical_syntax("y = f'ab'") == canonical_syntax("y = 'ab'")


def test_the_text_does_not_change_with_python() -> None:
    """Written down once, so that a version of Python whose tree differs is noticed."""
    text = canonical_syntax("def f(x: int, *, y=None):\n    return f'{x:>{y}} é' if x[1:] else b'a'")
    assert text == (
        "Module(body=[FunctionDef(args=arguments(args=[arg(arg='x')],kw_defaults=[NoneType:None],kwonlyargs=[arg(arg='y')]),"
        "body=[Return(value=IfExp(body=JoinedStr(values=[FormattedValue(conversion=-1,format_spec=JoinedStr(values=[str:'>',"
        "FormattedValue(conversion=-1,value=Name(id='y'))]),value=Name(id='x')),str:' \\xe9']),orelse=bytes:b'a',"
        "test=Subscript(slice=Slice(lower=int:1),value=Name(id='x'))))],name='f')])"
    )
