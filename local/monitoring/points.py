"""The values of metric math: numbers, time series (a value or None per period, oldest first) and lists of series."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeGuard

Points = list[float | None]
Value = float | Points | list[Points]

FILLERS = ("REPEAT", "LINEAR")


class ExpressionError(ValueError):
    """An expression that CloudWatch, or the laptop, does not take."""


def is_series(value: Any) -> TypeGuard[Points]:
    return isinstance(value, list) and not any(isinstance(element, list) for element in value)


def series(value: Any) -> Points:
    if not is_series(value):
        raise ExpressionError("a time series is needed here")
    return list(value)


def combined(operation: Callable[[float, float], float], left: Value, right: Value) -> Value:
    """Point by point; a period in which either has no value, or that divides by zero, has none."""
    if isinstance(left, float) and isinstance(right, float):
        result = _point(operation, left, right)
        return math.nan if result is None else result
    for value, swapped in ((left, False), (right, True)):
        if isinstance(value, list) and not is_series(value):
            other = left if swapped else right
            pairs = [(other, one) if swapped else (one, other) for one in value]
            return [series(combined(operation, *pair)) for pair in pairs]
    count = len(left) if isinstance(left, list) else len(right) if isinstance(right, list) else 0
    return [_point(operation, *pair) for pair in zip(_spread(left, count), _spread(right, count), strict=True)]


def _spread(value: Any, count: int) -> Points:
    return value if isinstance(value, list) else [value] * count


def _point(operation: Callable[[float, float], float], left: float | None, right: float | None) -> float | None:
    if left is None or right is None:
        return None
    try:
        result = float(operation(left, right))
    except ZeroDivisionError:
        return None
    return None if math.isnan(result) else result


def chosen(arguments: Sequence[Value]) -> Value:
    """IF(condition, then, otherwise): then where the condition is not zero; without `otherwise` no value there."""
    if len(arguments) not in (2, 3):
        raise ExpressionError(f"IF takes two or three arguments, not {len(arguments)}")
    condition, *branches = arguments
    if isinstance(condition, float):
        if len(branches) == 1:
            raise ExpressionError("IF of a number needs both results")
        return branches[0] if condition else branches[1]
    conditions = series(condition)
    then, otherwise = (_spread(branch, len(conditions)) for branch in (*branches, None)[:2])
    picks = zip(conditions, then, otherwise, strict=True)
    return [None if condition is None else yes if condition else no for condition, yes, no in picks]


def mapped(function: Callable[[float], float], value: Any) -> Value:
    if isinstance(value, float):
        return float(function(value))
    if is_series(value):
        return [None if point is None else float(function(point)) for point in value]
    return [series(mapped(function, points)) for points in value]


def aggregated(function: Callable[[Sequence[float]], float], value: Any) -> Value:
    """Of one series a number over its values; of several a series over each period's values. Missing ones are left out."""
    if isinstance(value, float):
        return value
    if is_series(value):
        known = [point for point in value if point is not None]
        return float(function(known)) if known else math.nan
    periods = [[point for point in points if point is not None] for points in zip(*value, strict=True)]
    return [float(function(known)) if known else None for known in periods]


def fill(points: Points, how: Any) -> Points:
    """Missing points replaced by a number, another series' points, the value before, or a line between neighbours."""
    if how == "REPEAT":
        filled: Points = []
        for point in points:
            filled.append(point if point is not None or not filled else filled[-1])
        return filled
    if how == "LINEAR":
        return [_between(points, index) for index in range(len(points))]
    return [other if point is None else point for point, other in zip(points, _spread(how, len(points)), strict=True)]


def _between(points: Points, index: int) -> float | None:
    if points[index] is not None:
        return points[index]
    before = [(place, point) for place, point in enumerate(points[:index]) if point is not None]
    after = [(place, point) for place, point in enumerate(points) if place > index and point is not None]
    if not before or not after:
        return None
    (start, low), (end, high) = before[-1], after[0]
    return low + (high - low) * (index - start) / (end - start)
