"""The small mistakes that can be made in a module: each mutant is the module with one of them."""

import ast
from collections.abc import Iterator

from attrs import frozen

_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}

_OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}

_SKIPPED_FIELDS = {"annotation", "returns", "decorator_list", "type_params"}
"""Parts of a syntax tree that decide nothing when the module runs."""

_REMOVED = ast.Expr | ast.AugAssign | ast.Raise | ast.Return | ast.Continue | ast.Break


@frozen
class Mutant:
    """One mistake.

    Attributes:
        line: where it is, from 1.
        function: qualified name of what it is in; empty at the top of the module.
        before: source of the piece as it is.
        after: the same with the mistake.
        tree: the whole module with the mistake.
    """

    line: int
    function: str
    before: str
    after: str
    tree: ast.Module

    @property
    def key(self) -> str:
        """What names it as long as its code stays: no line numbers."""
        return f"{self.function}: {self.before} → {self.after}"


@frozen
class _Place:
    """A field of a node of the tree, or one element of a field that is a list."""

    parent: ast.AST
    field: str
    index: int | None
    function: str

    def put(self, node: ast.AST) -> None:
        if self.index is None:
            setattr(self.parent, self.field, node)
        else:
            getattr(self.parent, self.field)[self.index] = node


def mutants(source: str) -> list[Mutant]:
    """Return every mutant of a module, in the order of its text."""
    count = sum(1 for _ in _changes(ast.parse(source)))
    return [_mutant(source, number) for number in range(count)]


def _mutant(source: str, number: int) -> Mutant:
    """Return one mutant, made in a tree of its own."""
    tree = ast.parse(source)
    place, before, after = next(change for at, change in enumerate(_changes(tree)) if at == number)
    was = _text(before)
    place.put(ast.copy_location(after, before))
    ast.fix_missing_locations(tree)
    return Mutant(getattr(before, "lineno", 0), place.function, was, _text(after), tree)


def _text(node: ast.AST) -> str:
    """Return source on one line; of a statement with a body, its head."""
    return ast.unparse(node).partition("\n")[0]


Change = tuple[_Place, ast.AST, ast.AST]


def _changes(tree: ast.Module) -> Iterator[Change]:
    return _below(tree, "", in_function=False)


def _below(parent: ast.AST, function: str, *, in_function: bool) -> Iterator[Change]:
    """Yield what can be changed below ``parent``; a change is only described, the tree stays as it is."""
    for field, value in ast.iter_fields(parent):
        if field in _SKIPPED_FIELDS:
            continue
        nodes = value if isinstance(value, list) else [value]
        for index, node in enumerate(nodes):
            if not isinstance(node, ast.AST) or _decides_nothing(node):
                continue
            place = _Place(parent, field, index if isinstance(value, list) else None, function)
            yield from ((place, node, after) for after in _instead(node, field, in_function=in_function))
            inside = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            name = getattr(node, "name", "") if isinstance(node, ast.ClassDef) or inside else ""
            within = ".".join(filter(None, (function, name)))
            yield from _below(node, within, in_function=in_function or inside)


def _decides_nothing(node: ast.AST) -> bool:
    """Whether a node is a docstring, a text for people, an import, or a promise to the type checker."""
    match node:
        case ast.Expr(ast.Constant()) | ast.JoinedStr() | ast.Import() | ast.ImportFrom():
            return True
        case ast.Expr(ast.Call(ast.Name("assert_never"))):
            return True
        case _:
            return False


def _instead(node: ast.AST, field: str, *, in_function: bool) -> Iterator[ast.AST]:
    """Yield what may stand in place of ``node``."""
    if isinstance(node, ast.expr):
        yield from _other_expressions(node, in_function=in_function)
    if field in {"test", "guard"}:
        yield from map(ast.Constant, (True, False))
    if in_function and isinstance(node, _REMOVED):
        yield ast.Pass()
    if in_function and isinstance(node, ast.Return) and node.value and not _is_none(node.value):
        yield ast.Return(ast.Constant(None))


def _other_expressions(node: ast.expr, *, in_function: bool) -> Iterator[ast.expr]:
    """Yield other operators, values next to a constant, and each condition left out."""
    match node:
        case ast.Compare(left, operators, others):
            for index, operator in enumerate(operators):
                changed = [*operators[:index], _COMPARISONS[type(operator)](), *operators[index + 1 :]]
                yield ast.Compare(left, changed, others)
        case ast.BoolOp(joined, values):
            yield ast.BoolOp(ast.Or() if isinstance(joined, ast.And) else ast.And(), values)
            for index in range(len(values)):
                rest = values[:index] + values[index + 1 :]
                yield rest[0] if len(rest) == 1 else ast.BoolOp(joined, rest)
        case ast.UnaryOp(ast.Not(), operand):
            yield operand
        case ast.BinOp(left, sign, right) if in_function and type(sign) in _OPERATORS:
            yield ast.BinOp(left, _OPERATORS[type(sign)](), right)
        case ast.Constant(bool() as value):
            yield ast.Constant(not value)
        case ast.Constant(int() as value):
            yield from map(ast.Constant, (value + 1, value - 1))
        case _:
            return


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None
