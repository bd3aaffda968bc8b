"""CloudWatch's metric math, as far as alarms need it: arithmetic, comparison, logic, IF, FILL and the sums of metrics.

An expression becomes Python's syntax tree, of which the node types below are evaluated and no others. Values are
those of local.monitoring.points. Source: CloudWatch user guide, "Using math expressions with CloudWatch metrics".
"""

from __future__ import annotations

import ast
import functools
import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from local.monitoring.points import (
    FILLERS,
    ExpressionError,
    Points,
    Value,
    aggregated,
    chosen,
    combined,
    fill,
    is_series,
    mapped,
    series,
)

BINARY: Mapping[type, Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.And: lambda left, right: bool(left) and bool(right),
    ast.Or: lambda left, right: bool(left) or bool(right),
}
EACH: Mapping[str, Callable[[float], float]] = {"ABS": abs, "CEIL": math.ceil, "FLOOR": math.floor}
ACROSS: Mapping[str, Callable[[Sequence[float]], float]] = {
    "SUM": sum,
    "MIN": min,
    "MAX": max,
    "AVG": lambda values: sum(values) / len(values),
}
FILL_ARGUMENTS = 2
SPELLINGS = ((r"&&|\bAND\b", " and "), (r"\|\||\bOR\b", " or "), (r"\^", "**"))
"""CloudWatch's operators that Python spells differently."""


def period_of(queries: Sequence[Mapping[str, Any]]) -> int:
    """The one period of an alarm's metrics, in seconds."""
    periods = {int(query["MetricStat"]["Period"]) for query in queries if query.get("MetricStat")}
    periods |= {int(query["Period"]) for query in queries if query.get("Period")}
    if len(periods) != 1:
        raise ExpressionError(f"Metrics list must contain exactly one period, not {sorted(periods)}")
    return periods.pop()


def check(queries: Sequence[Mapping[str, Any]]) -> None:
    """Raise ExpressionError for what PutMetricAlarm would refuse."""
    period_seconds = period_of(queries)
    ids = [query["Id"] for query in queries]
    if len(ids) != len(set(ids)):
        raise ExpressionError(f"the Ids of Metrics are not unique: {ids}")
    for query in queries:
        if bool(query.get("MetricStat")) == bool(query.get("Expression")):
            raise ExpressionError(f"{query['Id']} must have either a MetricStat or an Expression")
    measured: dict[str, Points] = {query["Id"]: [1.0] for query in queries if query.get("MetricStat")}
    returned(queries, measured, period_seconds=period_seconds)


def returned(queries: Sequence[Mapping[str, Any]], measured: Mapping[str, Points], *, period_seconds: int) -> Points:
    """The values of the one query that returns data."""
    names = [query["Id"] for query in queries if query.get("ReturnData", True)]
    if len(names) != 1:
        raise ExpressionError(f"exactly one element of Metrics must return data (ReturnData), not {names or 'none'}")
    expressions = {query["Id"]: query["Expression"] for query in queries if query.get("Expression")}
    value = Calculation(expressions, measured, period_seconds).value_of(names[0])
    if is_series(value):
        return value
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], list):
        return value[0]
    raise ExpressionError(f"the expression {names[0]} must return a single time series")


@dataclass
class Calculation:
    expressions: Mapping[str, str]
    measured: Mapping[str, Points]
    period_seconds: int
    _under_way: list[str] = field(default_factory=list)

    def value_of(self, name: str) -> Value:
        """A metric's series, or the value of the expression with that Id."""
        if name in self.measured:
            return list(self.measured[name])
        if name not in self.expressions:
            raise ExpressionError(f"no element of Metrics has the Id {name}")
        if name in self._under_way:
            raise ExpressionError(f"the expression {name} refers to itself")
        self._under_way.append(name)
        try:
            return self._evaluate(parsed(self.expressions[name]))
        finally:
            self._under_way.pop()

    def _evaluate(self, node: ast.expr) -> Value:
        match node:
            case ast.Constant(value=int() | float() as number):
                value: Value = float(number)
            case ast.Name(id=name):
                value = self.value_of(name)
            case ast.List(elts=elements):
                value = [series(self._evaluate(element)) for element in elements]
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                value = combined(operator.sub, 0.0, self._evaluate(operand))
            case ast.BinOp(left=left, op=op, right=right) if type(op) in BINARY:
                value = self._joined(op, left, right)
            case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in BINARY:
                value = self._joined(op, left, right)
            case ast.BoolOp(op=op, values=operands):
                value = functools.reduce(functools.partial(combined, BINARY[type(op)]), map(self._evaluate, operands))
            case ast.Call(func=ast.Name(id=function), args=arguments):
                value = self._called(function, arguments)
            case _:
                raise ExpressionError(f"metric math on the laptop does not know {ast.unparse(node)!r}")
        return value

    def _joined(self, op: ast.operator | ast.cmpop, left: ast.expr, right: ast.expr) -> Value:
        return combined(BINARY[type(op)], self._evaluate(left), self._evaluate(right))

    def _called(self, function: str, given: Sequence[ast.expr]) -> Value:
        if function == "METRICS" and len(given) <= 1:
            return self._metrics(*given)
        if function == "FILL" and len(given) == FILL_ARGUMENTS:
            return self._filled(*given)
        arguments = [self._evaluate(argument) for argument in given]
        if function == "PERIOD":
            return float(self.period_seconds)
        if function == "IF":
            return chosen(arguments)
        if len(arguments) == 1 and function in EACH:
            return mapped(EACH[function], arguments[0])
        if len(arguments) == 1 and function in ACROSS:
            return aggregated(ACROSS[function], arguments[0])
        raise ExpressionError(f"metric math on the laptop has no {function} of {len(arguments)} arguments")

    def _metrics(self, part: ast.expr | None = None) -> list[Points]:
        """Every metric of the request, or those whose Id contains a text."""
        text = str(part.value) if isinstance(part, ast.Constant) else ""
        return [list(points) for name, points in self.measured.items() if text in name]

    def _filled(self, metrics: ast.expr, filler: ast.expr) -> Value:
        value = self._evaluate(metrics)
        how = filler.id if isinstance(filler, ast.Name) and filler.id in FILLERS else self._evaluate(filler)
        if isinstance(value, float):
            raise ExpressionError("FILL takes a time series, not a number")
        if is_series(value):
            return fill(value, how)
        return [fill(series(points), how) for points in value]


def parsed(expression: str) -> ast.expr:
    spelled = expression.strip()
    for pattern, python in SPELLINGS:
        spelled = re.sub(pattern, python, spelled)
    try:
        return ast.parse(spelled, mode="eval").body
    except SyntaxError as error:
        raise ExpressionError(f"the expression {expression!r} cannot be parsed: {error.msg}") from error
