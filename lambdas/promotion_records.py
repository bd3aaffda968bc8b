"""The records of promotions in the app's bucket (docs/promotion.md), which PromoteModel writes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from lambdas.objects import listed, read_json_object

PREFIX: Final = "promotions"


def newest_first(s3: Any, bucket: str, kind: str, *, remedy: str) -> Iterator[dict[str, Any]]:
    """Keys begin with the time of their promotion's end. `remedy` is for a record that is gone when it is read."""
    for key in sorted((key for key, _ in listed(s3, bucket, f"{PREFIX}/{kind}/")), reverse=True):
        yield read_json_object(s3, bucket, key, remedy=remedy)
