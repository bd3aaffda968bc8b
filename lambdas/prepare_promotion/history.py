"""What was live before, as the promotions' records tell (docs/promotion.md)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lambdas.objects import listed, read_json_object
from lambdas.prepare_promotion.promotion_input import PREVIOUS, InvalidPromotion

PREFIX = "promotions"


def package_before(s3: Any, bucket: str, kind: str, live: str) -> str:
    """The package from which the live one took over. Roll backs are passed over, so that a second one goes on to the
    model before, not back to the one that the first took away."""
    for record in _newest_first(s3, bucket, kind):
        if record.get("outcome") != "promoted" or record.get("to") != live or record.get("is_roll_back"):
            continue
        if not record.get("from"):
            raise _unknown(f"the live {kind} model {live} is the first that was promoted")
        return str(record["from"])
    if not live:
        raise _unknown(f"no {kind} model is live")
    raise _unknown(f"no record below s3://{bucket}/{PREFIX}/{kind}/ tells what {live} replaced")


def _newest_first(s3: Any, bucket: str, kind: str) -> Iterator[dict[str, Any]]:
    """Keys begin with the time of their promotion's end."""
    for key in sorted((key for key, _ in listed(s3, bucket, f"{PREFIX}/{kind}/")), reverse=True):
        yield read_json_object(s3, bucket, key, remedy="give a version number")


def _unknown(reason: str) -> InvalidPromotion:
    return InvalidPromotion("version", PREVIOUS, f"{reason}; give the number of the version that shall be live")
