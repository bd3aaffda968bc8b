"""DynamoDB's attribute values as plain Python and back, for the functions that answer a waiting caller.

boto3's own (boto3.dynamodb.types) brings all of boto3 into a cold function and goes through Decimal; the numbers here are
floats on both sides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

# Naming rules and data types: Number. What is nearer to zero is refused.
SMALLEST_NUMBER: Final = 1e-130

_READ: Mapping[str, Callable[[Any], Any]] = {
    "S": lambda text: text,
    "N": float,
    "BOOL": lambda value: value,
    "NULL": lambda _: None,
}


def from_attribute_value(value: Mapping[str, Any]) -> Any:
    """JSON's own types, numbers as floats; any other kind stays as it came, which no field of an insight accepts."""
    ((kind, content),) = value.items()
    if kind == "M":
        return {name: from_attribute_value(entry) for name, entry in content.items()}
    if kind == "L":
        return [from_attribute_value(entry) for entry in content]
    return _READ[kind](content) if kind in _READ else value


def from_item(item: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {name: from_attribute_value(value) for name, value in item.items()}


def to_item(values: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: to_attribute_value(value) for name, value in values.items()}


def to_attribute_value(value: Any) -> dict[str, Any]:
    """A float as its own shortest text, so that it reads back as the same float."""
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, str):
        return {"S": value}
    if isinstance(value, int | float):
        return {"N": repr(value) if abs(value) >= SMALLEST_NUMBER else "0"}
    if isinstance(value, Mapping):
        return {"M": {name: to_attribute_value(entry) for name, entry in value.items()}}
    if isinstance(value, list | tuple):
        return {"L": [to_attribute_value(entry) for entry in value]}
    if value is not None:
        raise TypeError(f"{value!r} is a {type(value).__name__}, which this store does not hold; give JSON's own types")
    return {"NULL": True}
