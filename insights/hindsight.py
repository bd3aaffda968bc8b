"""What really followed one row: the label rule on one device's few rows, without a numeric library.

`label` in labels.py says the same of every row of a table; a test holds the two equal.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple

from insights.feature_table import HORIZON_ROWS, HORIZON_SPAN
from insights.label_rule import DEFAULT_SLO_MS, LEAST_HORIZON_ROWS, UNLABELLED, judge_horizon, own_past_slo
from insights.schema import RISK_LEVELS, Insight


class Outcome(NamedTuple):
    """What the horizon of a row came to; None where the rule says nothing."""

    risk_level: str | None
    performance_score: float | None


def horizon(row: Insight, rows: Sequence[Insight]) -> list[Insight]:
    """Those of the device's `rows` that lie in (t, t + 6.5 x interval_seconds]."""
    span = HORIZON_SPAN * row.interval_seconds
    return [later for later in rows if 0 < (later.timestamp - row.timestamp).total_seconds() <= span]


def is_complete(row: Insight, rows: Sequence[Insight]) -> bool:
    """Whether nothing more is to come of the horizon: all of its rows are there, or one from after it."""
    end = row.timestamp + timedelta(seconds=HORIZON_SPAN * row.interval_seconds)
    return len(horizon(row, rows)) >= HORIZON_ROWS or any(later.timestamp > end for later in rows)


def needs_own_past(row: Insight) -> bool:
    """Whether neither the row nor its class has an objective, so that `hindsight` needs the device's earlier rows."""
    return row.latency_slo_ms is None and row.device_class not in DEFAULT_SLO_MS


def hindsight(row: Insight, rows: Sequence[Insight]) -> Outcome:
    """The outcome of the row by its device's `rows`, oldest first: its horizon's, and where needs_own_past those before."""
    ahead = horizon(row, rows)
    slo_p99 = slo_avg = row.latency_slo_ms or DEFAULT_SLO_MS.get(row.device_class or "", math.nan)
    if needs_own_past(row):
        past = [earlier for earlier in rows if earlier.timestamp < row.timestamp] + [row]
        busy = [earlier for earlier in past if _iops(earlier) > 0.0]
        slo_p99 = own_past_slo([one.p99_latency_ms for one in busy if one.p99_latency_ms is not None])
        slo_avg = own_past_slo([one.avg_latency_ms for one in busy if one.avg_latency_ms is not None])
    risk, score = judge_horizon(
        0,
        len(ahead),
        LEAST_HORIZON_ROWS,
        [_known(one.p99_latency_ms) for one in ahead],
        [_known(one.avg_latency_ms) for one in ahead],
        [_iops(one) for one in ahead],
        [_known(one.error_rate) for one in ahead],
        [_known(one.queue_depth) for one in ahead],
        slo_p99,
        slo_avg,
    )
    return Outcome(None if risk == UNLABELLED else RISK_LEVELS[risk], None if math.isnan(score) else score)


def _iops(row: Insight) -> float:
    return row.read_iops + row.write_iops


def _known(value: float | None) -> float:
    return math.nan if value is None else value
