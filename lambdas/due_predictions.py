"""Which predictions wait for what really happens: a sparse index of the predictions table.

A stored prediction carries these attributes until its outcome is joined (join_outcomes removes them, and with them its
place in the index), so that finding what is due costs what is due, however many predictions are kept.
"""

from __future__ import annotations

import zlib
from datetime import datetime, timedelta
from typing import Final

from insights.feature_table import HORIZON_SPAN
from insights.schema import Insight, timestamp_text

DUE_INDEX: Final = "due"
DUE_SHARD, DUE_AT = "due_shard", "due_at"
# Of a partition's 1,000 writes a second (DynamoDB, "Partitions and data distribution") a shard takes its part. An index
# that throttles would throttle the predictions' own writes.
SHARDS: Final = tuple(f"{number:02d}" for number in range(16))


def shard_of(device_id: str) -> str:
    """All predictions of a device are in one, so that what is due of it needs its insights read once."""
    return SHARDS[zlib.crc32(device_id.encode()) % len(SHARDS)]


def due_attributes(newest: Insight, *, predicted_at: datetime) -> dict[str, str]:
    """Of a prediction about the row `newest`: due when its horizon has passed, or at once where it has long passed."""
    due_at = max(newest.timestamp + timedelta(seconds=HORIZON_SPAN * newest.interval_seconds), predicted_at)
    return {DUE_SHARD: shard_of(newest.device_id), DUE_AT: timestamp_text(due_at)}
