"""Experiments on live models: which devices meet the challenger, and when enough is known to end one."""

from __future__ import annotations

import hashlib
from typing import Final

LIVE: Final = "live"
CHALLENGER: Final = "challenger"
_BUCKETS: Final = 10_000


def variant_of(device_id: str, *, challenger: str, share_percent: float) -> str:
    """The variant that this device meets for as long as `challenger`, a package's ARN, has this share.

    The package salts the hash: another experiment divides the fleet anew, so that no device is always the one tried on,
    and what one experiment did to its devices is spread over both sides of the next.
    """
    digest = hashlib.sha256(f"{challenger}\n{device_id}".encode()).digest()
    bucket = int.from_bytes(digest[:8], "big") % _BUCKETS
    return CHALLENGER if bucket < share_percent * _BUCKETS / 100 else LIVE
