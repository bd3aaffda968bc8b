"""A function's environment variables, parsed once into its own frozen dataclass.

Each field is the variable of the same name in upper case; a field without a default is required.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from typing import Any, ClassVar, Protocol, TypeVar, get_type_hints


class _Dataclass(Protocol):
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


EnvironmentType = TypeVar("EnvironmentType", bound=_Dataclass)
_LONGEST_NUMBER = 18  # digits
_BOOLEANS = {"true": True, "false": False}


class InvalidEnvironment(RuntimeError):
    """The function was deployed with a missing or unreadable variable: the deployment is wrong, not the event."""

    def __init__(self, variable: str, problem: str) -> None:
        super().__init__(
            f"environment variable {variable} {problem[:300]}; correct the function's environment and deploy"
        )
        self.variable = variable


def read_environment(
    environment_type: type[EnvironmentType], variables: Mapping[str, str] | None = None
) -> EnvironmentType:
    """The dataclass filled from `variables` (this process's own by default)."""
    present = os.environ if variables is None else variables
    types = get_type_hints(environment_type)
    values: dict[str, object] = {}
    for field in fields(environment_type):
        name = field.name.upper()
        text = present.get(name, "").strip()
        if text:
            values[field.name] = _parsed(name, text, types[field.name])
        elif field.default is MISSING:
            raise InvalidEnvironment(name, "is missing")
    return environment_type(**values)


def _parsed(name: str, text: str, wanted: object) -> object:
    if wanted is int:
        if not text.isdecimal() or len(text) > _LONGEST_NUMBER:
            raise InvalidEnvironment(name, f"is {text!r}, not a whole number")
        return int(text)
    if wanted is bool:
        if text.lower() not in _BOOLEANS:
            raise InvalidEnvironment(name, f"is {text!r}, neither true nor false")
        return _BOOLEANS[text.lower()]
    return text
