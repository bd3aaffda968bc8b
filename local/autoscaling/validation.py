"""Holds a request against botocore's model of the service and says what AWS would say."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from typing import Any

TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "long": int,
    "double": (int, float),
    "float": (int, float),
    "boolean": bool,
    "list": list,
    "map": dict,
    "structure": dict,
}
CASELESS = "(?i)"


@functools.cache
def service_model(service: str = "application-autoscaling") -> Any:
    import botocore.session

    return botocore.session.get_session().get_service_model(service)


def problems(action: str, request: Mapping[str, Any], *, service: str = "application-autoscaling") -> list[str]:
    """One sentence per violated constraint, in AWS's words."""
    shape = service_model(service).operation_model(action).input_shape
    return list(_problems(shape, request, "")) if shape is not None else []


def _problems(shape: Any, value: Any, path: str) -> Iterator[str]:
    expected = TYPES.get(shape.type_name)
    if expected is not None and (
        not isinstance(value, expected) or (isinstance(value, bool) and shape.type_name != "boolean")
    ):
        yield _violation(value, path, f"Member must be of type {shape.type_name}")
        return
    yield from _constraint_problems(shape, value, path)
    if shape.type_name == "structure":
        for name in shape.required_members:
            if name not in value:
                yield _violation(None, _join(path, name), "Member must not be null")
        for name, member in value.items():
            if name not in shape.members:
                yield _violation(member, _join(path, name), "Member is unknown")
            else:
                yield from _problems(shape.members[name], member, _join(path, name))
    elif shape.type_name == "list":
        for index, member in enumerate(value, start=1):
            yield from _problems(shape.member, member, f"{path}.{index}.member")


def _constraint_problems(shape: Any, value: Any, path: str) -> Iterator[str]:
    enum = getattr(shape, "enum", None) or shape.metadata.get("enum")
    if enum and value not in enum:
        yield _violation(value, path, f"Member must satisfy enum value set: [{', '.join(enum)}]")
    pattern = shape.metadata.get("pattern")
    if pattern and isinstance(value, str) and not re.fullmatch(_python_pattern(pattern), value):
        yield _violation(value, path, f"Member must satisfy regular expression pattern: {pattern}")
    sized = isinstance(value, str | list | dict)
    size, word = (len(value), "length ") if sized else (value, "value ")
    if isinstance(size, int | float) and not isinstance(size, bool):
        if (low := shape.metadata.get("min")) is not None and size < low:
            yield _violation(value, path, f"Member must have {word}greater than or equal to {low}")
        if (high := shape.metadata.get("max")) is not None and size > high:
            yield _violation(value, path, f"Member must have {word}less than or equal to {high}")


def _python_pattern(pattern: str) -> str:
    """The models write characters beyond the first plane as Java surrogate pairs, which Python's re refuses, and flags in
    the middle, which it wants in front."""
    if CASELESS in pattern:
        pattern = CASELESS + pattern.replace(CASELESS, "")
    return pattern.replace("\\uD800\\uDC00-\\uDBFF\\uDFFF", "\U00010000-\U0010ffff").replace(
        "\\p{Print}", "[\\x20-\\x7e]"
    )


def _join(path: str, name: str) -> str:
    lowered = name[:1].lower() + name[1:]
    return f"{path}.{lowered}" if path else lowered


def _violation(value: Any, path: str, rule: str) -> str:
    shown = "null" if value is None else f"'{value}'"
    return f"Value {shown} at '{path}' failed to satisfy constraint: {rule}"
