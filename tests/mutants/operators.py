"""What is changed, one place at a time: cosmic-ray's operators that suit numerical code, and four of the project's own.

The own ones are those of a recipe's faults: a call that is left out (no step of the schedule), an argument that is left
at its default (another weight decay), and a factor that is ignored (the weight of a loss).
"""

import ast
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.ast.ast_query import ASTQuery
from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators.operator import Example, Operator
from cosmic_ray.plugins import get_operator
from parso.python.tree import Name

_SWAPS = {
    "Binary": "Add_Sub Sub_Add Mul_Div Div_Mul FloorDiv_Mul Mod_Add Pow_Mul BitAnd_BitOr BitOr_BitAnd",
    "Comparison": "Eq_NotEq NotEq_Eq Lt_LtE Lt_GtE LtE_Lt LtE_Gt Gt_GtE Gt_LtE GtE_Gt GtE_Lt Is_IsNot IsNot_Is",
    "Unary": "Delete_USub Delete_Not Delete_Invert",
}
_WHOLE = (
    "AddNot",
    "ReplaceTrueWithFalse",
    "ReplaceFalseWithTrue",
    "ReplaceAndWithOr",
    "ReplaceOrWithAnd",
    "ReplaceBreakWithContinue",
)
_WHOLE += ("ReplaceContinueWithBreak", "NumberReplacer", "ZeroIterationForLoop", "RemoveDecorator")


@dataclass(frozen=True)
class Mutant:
    """A module with one change.

    Attributes:
        operator: what was done.
        function: where, '' at the module's level.
        line: number of the first changed line.
        before: the changed lines as they are, stripped and joined by blanks.
        after: as the mutant has them.
        source: the whole mutated module.
    """

    operator: str
    function: str
    line: int
    before: str
    after: str
    source: str


class LeaveOutCall(Operator):
    """Replaces a statement that is a call by ``pass``."""

    def mutation_positions(self, node):  # type: ignore[no-untyped-def]
        if (
            node.type == "simple_stmt"
            and node.children[0].type == "atom_expr"
            and node.children[0].get_code().rstrip().endswith(")")
        ):
            yield node.children[0].start_pos, node.children[0].end_pos

    def mutate(self, node, index):  # type: ignore[no-untyped-def]
        statement = node.children[0]
        node.children[0] = Name("pass", statement.start_pos, statement.get_first_leaf().prefix)
        return node

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """As the base class asks."""
        return (Example("a.b(1)\n", "pass\n"),)


class LeaveOutKeyword(Operator):
    """Leaves a keyword argument at its default."""

    def mutation_positions(self, node):  # type: ignore[no-untyped-def]
        if node.type == "arglist":
            yield from ((part.start_pos, part.end_pos) for part in self._keywords(node))

    def mutate(self, node, index):  # type: ignore[no-untyped-def]
        place = node.children.index(self._keywords(node)[index])
        del node.children[max(place - 1, 0) : place + 1]
        if place == 0 and node.children:
            del node.children[0]
        return node

    @staticmethod
    def _keywords(node):  # type: ignore[no-untyped-def]
        return [part for part in node.children if part.type == "argument" and part.children[1] == "="]

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """As the base class asks."""
        return (Example("f(a, b=1)", "f(a)"), Example("f(b=1, c=2)", "f( c=2)"))


class IgnoreFactor(Operator):
    """Ignores the first factor of a product (or, by the subclass, the second)."""

    kept = 2

    def mutation_positions(self, node):  # type: ignore[no-untyped-def]
        if node.type == "term" and len(node.children) == 3 and node.children[1] == "*":
            yield node.start_pos, node.end_pos

    def mutate(self, node, index):  # type: ignore[no-untyped-def]
        kept = node.children[self.kept]
        kept.get_first_leaf().prefix = node.get_first_leaf().prefix
        return kept

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """As the base class asks."""
        return (Example("x = f(a) * b.c", "x = b.c" if cls.kept else "x = f(a)"),)


class IgnoreSecondFactor(IgnoreFactor):
    """Ignores the second factor of a product."""

    kept = 0


def operators() -> dict[str, Operator]:
    """All operators by name."""
    names = [f"Replace{kind}Operator_{swap}" for kind, swaps in _SWAPS.items() for swap in swaps.split()] + list(_WHOLE)
    own = (LeaveOutCall, LeaveOutKeyword, IgnoreFactor, IgnoreSecondFactor)
    return {**{name: get_operator(f"core/{name}")() for name in names}, **{each.__name__: each() for each in own}}


def mutants(source: str) -> Iterator[Mutant]:
    """All mutants of a module's source that are valid Python, each once; text that only a person reads is left
    alone."""
    tree, lines, seen = get_ast(source), source.splitlines(), {source}
    unseen = _spans(ast.parse(source))
    for name, operator in operators().items():
        places = [(node, *place) for node in ast_nodes(tree) for place in operator.mutation_positions(node)]
        for occurrence, (node, start, end) in enumerate(places):
            if any(first <= start and end <= last for first, last in unseen):
                continue
            mutated = mutate_code(source, operator, occurrence)
            if mutated is None or mutated in seen or not _valid(mutated):
                continue
            seen.add(mutated)
            line, before, after = _changed(lines, mutated.splitlines())
            yield Mutant(name, ASTQuery(node).get_definition_name() or "", line, before, after, mutated)


def _spans(tree: ast.Module) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Where nothing is to be changed: annotations, raised errors, what is logged, a script's guard, and zip's check of
    its own code."""
    left_alone: list[ast.AST] = []
    for node in ast.walk(tree):
        logged = isinstance(node, ast.Call) and _dotted(node.func).startswith(("log.", "stage.add"))
        guard = isinstance(node, ast.If) and ast.unparse(node.test) == "__name__ == '__main__'"
        if logged or guard or isinstance(node, ast.Raise) or (isinstance(node, ast.keyword) and node.arg == "strict"):
            left_alone.append(node)
        elif isinstance(node, ast.AnnAssign | ast.arg) and node.annotation:
            left_alone.append(node.annotation)
        elif isinstance(node, ast.FunctionDef) and node.returns:
            left_alone.append(node.returns)
    return [((part.lineno, part.col_offset), (part.end_lineno, part.end_col_offset)) for part in left_alone]  # type: ignore[attr-defined]


def _dotted(node: ast.AST) -> str:
    return ast.unparse(node) if isinstance(node, ast.Attribute | ast.Name) else ""


def _valid(source: str) -> bool:
    try:
        with warnings.catch_warnings(action="ignore"):
            compile(source, "mutant", "exec")
    except SyntaxError:
        return False
    return True


def _changed(before: list[str], after: list[str]) -> tuple[int, str, str]:
    """Number of the first line that differs, and the differing lines of both."""
    first = next(
        (i for i, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), min(len(before), len(after))
    )
    last = 0
    while last < min(len(before), len(after)) - first and before[-1 - last] == after[-1 - last]:
        last += 1
    old, new = (
        " ".join(line.strip() for line in lines[first : len(lines) - last]).strip() for lines in (before, after)
    )
    return first + 1, old, new
