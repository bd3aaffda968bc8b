"""Versions of stored records (docs/formats.md). One that names none is of format 1; one of a newer format is refused, as what
has changed in it cannot be known here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from insights.schema import ITEM_FORMAT, shown

NEWEST_READ: Final = 1
"""The newest format of every record that this version reads, but a manifest's."""
MANIFEST_FORMAT: Final = 2
"""Written since an export's objects hold whole devices; the first is read too."""


class NewerFormat(ValueError):
    """A record that a newer version of the app has written."""


def check_format(record: Mapping[str, Any], name: str, *, field: str = "format", newest: int = NEWEST_READ) -> None:
    """`name` is what the sentence calls the record; NewerFormat where this version cannot know what stands in it."""
    written = record.get(field, 1)
    if isinstance(written, bool) or not isinstance(written, int | float) or written not in range(1, newest + 1):
        raise NewerFormat(
            f"{name} is of format {shown(written)}, and this version reads {newest}; deploy the version that wrote it, or a "
            "newer one"
        )


def is_readable_item(item: Mapping[str, Any]) -> bool:
    """Of a table: whether an item, as plain values, is of a format that this version knows."""
    return item.get(ITEM_FORMAT, 1) in range(1, NEWEST_READ + 1)
