"""Where the rows of an export come from: pages of items in DynamoDB's JSON, and positions to go on from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from lambdas.attribute_values import from_attribute_value
from lambdas.export_insights.whole_devices import Position

SYNTHETIC_PREFIX = "synthetic-"
Item = Mapping[str, Mapping[str, Any]]


class Source(Protocol):
    """`position` is behind the last page, `last_device` the device that may go on there ("": none is known to)."""

    position: Position
    last_device: str
    ended: bool

    def out_of_time(self) -> bool: ...

    def next_page(self) -> list[Item]: ...

    def position_before(self, page: list[Item], index: int) -> Position: ...


@dataclass(frozen=True)
class Wanted:
    """The devices of a run: those of a prefix, or all that were measured."""

    prefix: str | None

    def includes(self, device: str) -> bool:
        if self.prefix:
            return device.startswith(self.prefix)
        return not device.startswith(SYNTHETIC_PREFIX)


def device_of(item: Item) -> str:
    return str(item["device_id"]["S"])


def plain_item(item: Item) -> dict[str, Any]:
    """Numbers as floats, which is what an insight holds; an attribute of another kind stays as it came."""
    plain: dict[str, Any] = {}
    for name, value in item.items():
        for kind, content in value.items():
            if kind == "N":
                plain[name] = float(content)
            elif kind == "S":
                plain[name] = content
            else:
                plain[name] = from_attribute_value(value)
    return plain
