"""Checks requests against botocore's model of SageMaker and shapes answers by it.

The messages are those of AWS's own request validation, so that a caller sees the same sentence here and there.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from local.sagemaker.errors import SageMakerError, validation

TYPES: dict[str, tuple[type, ...]] = {
    "structure": (Mapping,),
    "map": (Mapping,),
    "list": (list, tuple),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float, Decimal),
    "double": (int, float, Decimal),
    "timestamp": (int, float, Decimal, str, datetime),
    "blob": (str, bytes),
}
LONGEST_SHOWN_VALUE = 200


@functools.cache
def service_model() -> Any:
    import botocore.session

    return botocore.session.get_session().get_service_model("sagemaker")


def operation_names() -> frozenset[str]:
    return frozenset(service_model().operation_names)


def check_request(action: str, request: Mapping[str, Any]) -> None:
    """Raise ValidationException or SerializationException for what SageMaker would refuse at first sight."""
    problems = list(_problems(service_model().operation_model(action).input_shape, request, ""))
    if problems:
        noun = "error" if len(problems) == 1 else "errors"
        raise validation(f"{len(problems)} validation {noun} detected: {'; '.join(problems)}")


def _problems(shape: Any, value: Any, path: str) -> Iterator[str]:
    _check_type(shape, value, path)
    if shape.type_name == "structure":
        yield from _structure_problems(shape, value, path)
    elif shape.type_name == "list":
        yield from _length_problems(shape, value, path)
        for number, item in enumerate(value, start=1):
            yield from _problems(shape.member, item, f"{path}.{number}.member")
    elif shape.type_name == "map":
        yield from _length_problems(shape, value, path)
        for key, item in value.items():
            yield from _problems(shape.key, key, f"{path}.key")
            yield from _problems(shape.value, item, f"{path}.{key}.member")
    elif shape.type_name == "string":
        yield from _string_problems(shape, value, path)
    elif shape.type_name in ("integer", "long", "float", "double"):
        yield from _range_problems(shape, value, path)


def _structure_problems(shape: Any, value: Mapping[str, Any], path: str) -> Iterator[str]:
    for name in value:
        if name not in shape.members:
            # AWS ignores members that it does not know; a typing error must not wait for the real account.
            raise validation(
                f'Unknown parameter in {path or "input"}: "{name}", must be one of: {", ".join(shape.members)}'
            )
    for name, member in shape.members.items():
        inner = f"{path}.{_camel(name)}" if path else _camel(name)
        if value.get(name) is not None:
            yield from _problems(member, value[name], inner)
        elif name in shape.required_members:
            yield f"Value null at '{inner}' failed to satisfy constraint: Member must not be null"


def _check_type(shape: Any, value: Any, path: str) -> None:
    accepted = TYPES[shape.type_name]
    is_bool_as_number = isinstance(value, bool) and bool not in accepted
    if not isinstance(value, accepted) or is_bool_as_number:
        raise SageMakerError(
            "SerializationException",
            f"{type(value).__name__} can not be converted to {shape.type_name} at '{path or 'input'}'",
        )


def _string_problems(shape: Any, value: str, path: str) -> Iterator[str]:
    yield from _length_problems(shape, value, path)
    if shape.enum and value not in shape.enum:
        yield _problem(value, path, f"satisfy enum value set: [{', '.join(shape.enum)}]")
    pattern = shape.metadata.get("pattern")
    if pattern and not _matches(pattern, value):
        yield _problem(value, path, f"satisfy regular expression pattern: {pattern}")


def _matches(pattern: str, value: str) -> bool:
    if r"\p{" in pattern:
        return True  # Unicode classes of Java's dialect, which Python's re has not; they guard descriptions only
    return re.fullmatch(pattern, value) is not None


def _length_problems(shape: Any, value: Any, path: str) -> Iterator[str]:
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    if least is not None and len(value) < least:
        yield _problem(value, path, f"have length greater than or equal to {least}")
    if most is not None and len(value) > most:
        yield _problem(value, path, f"have length less than or equal to {most}")


def _range_problems(shape: Any, value: float, path: str) -> Iterator[str]:
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    if least is not None and value < least:
        yield _problem(value, path, f"have value greater than or equal to {least}")
    if most is not None and value > most:
        yield _problem(value, path, f"have value less than or equal to {most}")


def _problem(value: Any, path: str, constraint: str) -> str:
    shown = str(value)[:LONGEST_SHOWN_VALUE]
    return f"Value '{shown}' at '{path}' failed to satisfy constraint: Member must {constraint}"


def _camel(name: str) -> str:
    return name[0].lower() + name[1:]


def shape_response(action: str, response: Mapping[str, Any]) -> dict[str, Any]:
    """The members that the model knows, in JSON 1.1: timestamps are seconds since the epoch."""
    shape = service_model().operation_model(action).output_shape
    shaped: dict[str, Any] = _shaped(shape, response) if shape is not None else {}
    return shaped


def _shaped(shape: Any, value: Any) -> Any:
    if shape.type_name == "structure":
        known = ((name, member) for name, member in shape.members.items() if value.get(name) is not None)
        return {name: _shaped(member, value[name]) for name, member in known}
    if shape.type_name == "list":
        return [_shaped(shape.member, item) for item in value]
    if shape.type_name == "map":
        return {key: _shaped(shape.value, item) for key, item in value.items()}
    if shape.type_name == "timestamp":
        return round(as_datetime(value).timestamp(), 3)
    if shape.type_name in ("float", "double"):
        return float(value)
    return value


def as_datetime(value: Any) -> datetime:
    """A timestamp member as clients send it: seconds, ISO 8601 text or a datetime."""
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    if isinstance(value, str):
        parsed = datetime.fromisoformat(value.replace("Z", "+00:00"))
        return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    return datetime.fromtimestamp(float(value), UTC)
