"""Mutants of a module: each has one small fault that a test should notice. Annotations, docstrings and the text of
f-strings are left alone: no test can, or should, tell those apart."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
_OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Div,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}
_CALLS = {"min": "max", "max": "min", "any": "all", "all": "any", "sorted": "list"}


@dataclass(frozen=True, slots=True)
class Mutant:
    """`source` is the line that it changes, `place` the changed node's among those of the whole `module`."""

    line: int
    source: str
    fault: str
    place: int
    change: Callable[[Any], ast.AST | None]
    module: str

    def tree(self) -> ast.Module:
        """The whole module with the fault."""
        tree = ast.parse(self.module)
        node = list(ast.walk(tree))[self.place]
        _replace(tree, node, self.change(node))
        return ast.fix_missing_locations(tree)


@dataclass(frozen=True, slots=True)
class _Site:
    node: ast.AST
    fault: str
    change: Callable[[Any], ast.AST | None]


def mutants_of(module: str) -> list[Mutant]:
    """Every mutant of a module's text, in its order."""
    tree, lines = ast.parse(module), module.splitlines()
    places = {id(node): place for place, node in enumerate(ast.walk(tree))}
    found = []
    for site in _sites(tree):
        line = getattr(site.node, "lineno", 0)
        found.append(Mutant(line, lines[line - 1].strip(), site.fault, places[id(site.node)], site.change, module))
    return sorted(found, key=lambda mutant: (mutant.line, mutant.place, mutant.fault))


def _sites(node: ast.AST) -> Iterator[_Site]:
    yield from _faults(node)
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "type_params") or isinstance(node, ast.JoinedStr):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not _is_left_alone(child):
                yield from _sites(child)


def _is_left_alone(node: ast.AST) -> bool:
    if isinstance(node, ast.Expr):  # a docstring, or an ellipsis
        return isinstance(node.value, ast.Constant)
    return isinstance(node, ast.Import | ast.ImportFrom | ast.Assert)


def _faults(node: ast.AST) -> Iterator[_Site]:
    match node:
        case ast.Compare():
            yield from _comparison_faults(node)
        case ast.BinOp(op=op) | ast.AugAssign(op=op) if type(op) in _OPERATORS:
            other = _OPERATORS[type(op)]
            yield _Site(node, f"{_named(op)} becomes {other.__name__}", lambda twin: _with(twin, op=other()))
        case ast.BoolOp(op=op):
            other_word: type[ast.boolop] = ast.Or if isinstance(op, ast.And) else ast.And
            yield _Site(node, f"{_named(op)} becomes {other_word.__name__}", lambda twin: _with(twin, op=other_word()))
        case ast.UnaryOp(op=ast.Not() | ast.USub()):
            yield _Site(node, f"without {_named(node.op)}", lambda twin: twin.operand)
        case ast.If() | ast.While() | ast.IfExp() if not _is_turned_elsewhere(node.test):
            yield _Site(node, "its condition is turned round", lambda twin: _with(twin, test=_negated(twin.test)))
        case ast.Constant():
            yield from _constant_faults(node)
        case ast.Return(value=ast.expr()) if not _is_none(node.value):
            yield _Site(node, "returns None", lambda twin: _with(twin, value=ast.Constant(None)))
        case ast.Expr(value=ast.Call()) | ast.Raise() | ast.AugAssign():
            yield _Site(node, "left out", lambda twin: ast.Pass())
        case ast.Break():
            yield _Site(node, "break becomes continue", lambda twin: ast.Continue())
        case ast.Continue():
            yield _Site(node, "continue becomes break", lambda twin: ast.Break())
        case ast.Call(func=ast.Name(id=name)) if name in _CALLS:
            yield _Site(node.func, f"{name} becomes {_CALLS[name]}", lambda twin: _with(twin, id=_CALLS[name]))


def _comparison_faults(node: ast.Compare) -> Iterator[_Site]:
    for place, op in enumerate(node.ops):
        other = _COMPARISONS[type(op)]

        def changed(twin: ast.Compare, place: int = place, other: type[ast.cmpop] = other) -> ast.Compare:
            twin.ops[place] = other()
            return twin

        yield _Site(node, f"{_named(op)} becomes {other.__name__}" + (f" ({place + 1})" if place else ""), changed)


def _constant_faults(node: ast.Constant) -> Iterator[_Site]:
    value = node.value
    if isinstance(value, bool):
        yield _constant(node, not value)
    elif isinstance(value, int | float):
        yield _constant(node, value + 1 if isinstance(value, int) or value == 0 else value * 1.5)
    elif isinstance(value, str):
        yield _constant(node, f"XX{value}")
    elif isinstance(value, bytes):
        yield _constant(node, b"XX" + value)


def _constant(node: ast.Constant, value: object) -> _Site:
    return _Site(node, f"{node.value!r:.40} becomes {value!r:.40}", lambda twin: _with(twin, value=value))


def _is_none(value: ast.expr | None) -> bool:
    return isinstance(value, ast.Constant) and value.value is None


def _is_turned_elsewhere(test: ast.expr) -> bool:
    """Where another mutant has the same effect."""
    if isinstance(test, ast.UnaryOp):
        return isinstance(test.op, ast.Not)
    return isinstance(test, ast.Compare) and not isinstance(test.ops[0], ast.Lt | ast.LtE | ast.Gt | ast.GtE)


def _negated(test: ast.expr) -> ast.expr:
    return ast.UnaryOp(ast.Not(), test)


def _named(node: ast.AST) -> str:
    return type(node).__name__


def _with(node: Any, **fields: object) -> ast.AST:
    for name, value in fields.items():
        setattr(node, name, value)
    return node  # type: ignore[no-any-return]


def _replace(tree: ast.AST, old: ast.AST, new: ast.AST | None) -> None:
    for parent in ast.walk(tree):
        for name, value in ast.iter_fields(parent):
            if value is old:
                setattr(parent, name, new)
            elif isinstance(value, list):
                setattr(parent, name, [new if entry is old else entry for entry in value])
