"""What was live before, as the promotions' records tell (docs/promotion.md)."""

from __future__ import annotations

from typing import Any

from lambdas.prepare_promotion.promotion_input import PREVIOUS, InvalidPromotion
from lambdas.promotion_records import PREFIX, newest_first


def package_before(s3: Any, bucket: str, kind: str, live: str) -> str:
    """The package from which the live one took over. Roll backs are passed over, so that a second one goes on to the
    model before, not back to the one that the first took away."""
    for record in newest_first(s3, bucket, kind, remedy="give a version number"):
        if record.get("outcome") != "promoted" or record.get("to") != live or record.get("is_roll_back"):
            continue
        if not record.get("from"):
            raise _unknown(f"the live {kind} model {live} is the first that was promoted")
        return str(record["from"])
    if not live:
        raise _unknown(f"no {kind} model is live")
    raise _unknown(f"no record below s3://{bucket}/{PREFIX}/{kind}/ tells what {live} replaced")


def _unknown(reason: str) -> InvalidPromotion:
    return InvalidPromotion("version", PREVIOUS, f"{reason}; give the number of the version that shall be live")
