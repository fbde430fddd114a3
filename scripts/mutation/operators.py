"""Mutants of a module: what is changed, one thing at a time, in bodies of functions. The list is mutmut's.

Not changed are docstrings, format strings, annotations, decorators, default values and what only mypy reads (`cast`).
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import cast

_BINARY: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Div, ast.Mod: ast.Div,
    ast.LShift: ast.RShift, ast.RShift: ast.LShift, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitAnd, ast.Pow: ast.Mult,
}  # fmt: skip
_COMPARED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
_PAIRS = (
    ("lower", "upper"), ("lstrip", "rstrip"), ("find", "rfind"), ("ljust", "rjust"), ("index", "rindex"),
    ("removeprefix", "removesuffix"), ("partition", "rpartition"),
)  # fmt: skip
_METHODS = {one: other for pair in _PAIRS for one, other in (pair, pair[::-1])}
_SPLITS = {"split": "rsplit", "rsplit": "split"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Mutant:
    """A module in which one thing can be changed.

    Args:
        function: the outermost function that it is in, as ``Class.method``.
        lines: of the module, first and last, that the thing stands on.
        tree: of the module as it is.
        node: the thing.
        change: makes another of a copy of it.
    """

    function: str
    lines: tuple[int, int]
    tree: ast.Module
    node: ast.AST
    change: Callable[[ast.AST], ast.AST]

    def made(self) -> tuple[ast.Module, str]:
        """Change it.

        Returns:
            The changed module, a copy; and what was changed, for a person.
        """
        memo: dict[int, object] = {}
        mutated = copy.deepcopy(self.tree, memo)
        twin = cast(ast.AST, memo[id(self.node)])
        new = ast.copy_location(self.change(twin), twin)
        if new is not twin:
            _Replaced(twin, new).visit(mutated)
        said = f"{ast.unparse(self.node)}  ->  {ast.unparse(new)}"
        return ast.fix_missing_locations(mutated), said


def mutants_of(source: str) -> Iterator[Mutant]:
    """List the mutants of a module, in the order of its text.

    Args:
        source: the module's text.

    Yields:
        What can be changed, not changed yet.
    """
    tree = ast.parse(source)
    for name, function in _functions(tree):
        for node in _changeable(function):
            lines = (getattr(node, "lineno", 0), getattr(node, "end_lineno", 0))
            yield from (Mutant(name, lines, tree, node, change) for change in _changes(node))


def _functions(tree: ast.Module) -> Iterator[tuple[str, Function]]:
    """Find the outermost functions and methods."""
    for node in tree.body:
        if isinstance(node, Function):
            yield node.name, node
        elif isinstance(node, ast.ClassDef):
            yield from ((f"{node.name}.{inner.name}", inner) for inner in node.body if isinstance(inner, Function))


def _changeable(function: Function) -> Iterator[ast.AST]:
    """Walk a function's body, past what is not to be changed."""
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop(0)
        if isinstance(node, ast.JoinedStr) or _is_for_mypy(node):
            continue
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):  # a docstring
            continue
        yield node
        if isinstance(node, Function):
            waiting[:0] = node.body
        elif isinstance(node, ast.AnnAssign):
            waiting[:0] = [node.target, *([node.value] if node.value else [])]
        else:
            waiting[:0] = ast.iter_child_nodes(node)


def _is_for_mypy(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "cast"


class _Replaced(ast.NodeTransformer):
    def __init__(self, old: ast.AST, new: ast.AST) -> None:
        self._old, self._new = old, new

    def visit(self, node: ast.AST) -> ast.AST:
        return self._new if node is self._old else super().generic_visit(node)


def _changes(node: ast.AST) -> Iterator[Callable[[ast.AST], ast.AST]]:
    """Say what may be done to a node; each change is applied to a copy of it."""
    match node:
        case ast.Constant(value=bool() as value):
            yield lambda _: ast.Constant(not value)
        case ast.Constant(value=int() | float() as number):
            yield lambda _: ast.Constant(number + 1)
        case ast.Constant(value=str() as text):
            yield lambda _: ast.Constant(f"XX{text}XX")
        case ast.Constant(value=bytes() as data):
            yield lambda _: ast.Constant(b"XX" + data + b"XX")
        case ast.BinOp(op=operator) | ast.AugAssign(op=operator) if type(operator) in _BINARY:
            yield lambda twin: _with(twin, op=_BINARY[type(operator)]())
        case ast.BoolOp(op=either):
            yield lambda twin: _with(twin, op=ast.Or() if isinstance(either, ast.And) else ast.And())
        case ast.UnaryOp(op=ast.Not() | ast.Invert(), operand=_):
            yield lambda twin: twin.operand  # type: ignore[attr-defined]
        case ast.UnaryOp(op=ast.USub()):
            yield lambda twin: _with(twin, op=ast.UAdd())
        case ast.Break():
            yield lambda _: ast.Return(None)
        case ast.Continue():
            yield lambda _: ast.Break()
        case ast.Lambda():
            yield lambda twin: _with(twin, body=ast.Constant(None))
        case ast.IfExp():
            yield lambda twin: _with(twin, test=ast.Constant(value=False))
            yield lambda twin: _with(twin, test=ast.Constant(value=True))
        case ast.Assign() | ast.AnnAssign(value=ast.expr()):
            yield _forgotten
        case ast.Match(cases=cases) if len(cases) > 1:
            yield from (_without("cases", number) for number in range(len(cases)))
    if isinstance(node, ast.AugAssign):
        yield lambda twin: ast.Assign([twin.target], twin.value)  # type: ignore[attr-defined]
    if isinstance(node, ast.Compare):
        yield from (_compared(number) for number, one in enumerate(node.ops) if type(one) in _COMPARED)
    if isinstance(node, ast.Call):
        yield from _changed_calls(node)


def _changed_calls(node: ast.Call) -> Iterator[Callable[[ast.AST], ast.AST]]:
    for number, value in enumerate(node.args):
        if not isinstance(value, ast.Starred) and not _is_none(value):
            yield _emptied("args", number)
    for number, keyword in enumerate(node.keywords):
        if keyword.arg and not _is_none(keyword.value):
            yield _emptied("keywords", number)
    if len(node.args) + len(node.keywords) > 1:
        yield from (_without("args", number) for number in range(len(node.args)))
        yield from (_without("keywords", number) for number in range(len(node.keywords)))
    if isinstance(node.func, ast.Attribute):
        limited = len(node.args) == 2 or any(keyword.arg == "maxsplit" for keyword in node.keywords)
        name = node.func.attr
        other = _METHODS.get(name) or (_SPLITS.get(name) if limited else None)
        if other:
            yield _called(other)


def _is_none(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value is None


def _with(node: ast.AST, **fields: object) -> ast.AST:
    for name, value in fields.items():
        setattr(node, name, value)
    return node


def _forgotten(node: ast.AST) -> ast.AST:
    assigned = cast(ast.Assign, node)
    empty = ast.Constant("" if _is_none(assigned.value) else None)
    return _with(assigned, value=ast.copy_location(empty, assigned.value))


def _compared(number: int) -> Callable[[ast.AST], ast.AST]:
    def change(node: ast.AST) -> ast.AST:
        compared = cast(ast.Compare, node)
        compared.ops[number] = _COMPARED[type(compared.ops[number])]()
        return compared

    return change


def _without(field: str, number: int) -> Callable[[ast.AST], ast.AST]:
    def change(node: ast.AST) -> ast.AST:
        del getattr(node, field)[number]
        return node

    return change


def _emptied(field: str, number: int) -> Callable[[ast.AST], ast.AST]:
    def change(node: ast.AST) -> ast.AST:
        value = getattr(node, field)[number]
        if isinstance(value, ast.keyword):
            value.value = ast.copy_location(ast.Constant(None), value.value)
        else:
            getattr(node, field)[number] = ast.copy_location(ast.Constant(None), value)
        return node

    return change


def _called(name: str) -> Callable[[ast.AST], ast.AST]:
    def change(node: ast.AST) -> ast.AST:
        _with(cast(ast.Call, node).func, attr=name)
        return node

    return change
