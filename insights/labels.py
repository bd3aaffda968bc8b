"""Labels: what happened next. The rule (label_rule.py) is the same for measured and generated insights.

The horizon of a row at t are the device's rows in (t, t + 6.5 x interval_seconds]; fewer than three of them leave the
row unlabelled, and so do fewer than three that are idle or have a latency: what nobody measured was not low. The SLO is
the one known at t; nothing later than t enters it.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np

from insights.columns import Floats, InsightColumns, Int8s
from insights.compiled import compilable, compiled
from insights.feature_table import HORIZON_SPAN
from insights.label_rule import (
    DEFAULT_SLO_MS,
    LEAST_HORIZON_ROWS,
    LOW,
    OWN_PAST_LEAST,
    OWN_PAST_MULTIPLE,
    OWN_PAST_ROWS,
    judge_horizon,
    score_of,
)

compilable(score_of)
compilable(judge_horizon)

PERSISTENCE_SPAN: Final = HORIZON_SPAN - 1.0  # back from t, which is a row itself: six rows again
SOURCE_NONE, SOURCE_AUTO, SOURCE_OPERATOR = -1, 0, 1


class Labels(NamedTuple):
    """Per row: risk 0-3 (index into RISK_LEVELS) or -1, score 0-100 or NaN, source 0 auto, 1 operator, -1 none."""

    risk: Int8s
    score: Floats
    source: Int8s


def label(columns: InsightColumns) -> Labels:
    """The labels that the rows bring, and by hindsight those that they lack."""
    risk, score = _judge(columns, ahead=True)
    given = given_labels(columns)
    risk = np.where(given.risk >= 0, given.risk, risk).astype(np.int8)
    score = np.where(np.isnan(given.score), score, given.score)
    judged = (risk >= 0) | ~np.isnan(score)
    source = np.where(given.source >= 0, given.source, np.where(judged, SOURCE_AUTO, SOURCE_NONE))
    return Labels(risk, score, source.astype(np.int8))


def given_labels(columns: InsightColumns) -> Labels:
    """Only the labels that the rows bring; one that names no source counts as auto."""
    brought = (columns.risk >= 0) | ~np.isnan(columns.score)
    source = np.where(brought, np.maximum(columns.label_source, SOURCE_AUTO), SOURCE_NONE)
    return Labels(columns.risk.copy(), columns.score.copy(), source.astype(np.int8))


def persistence(columns: InsightColumns) -> tuple[Int8s, Floats]:
    """The rival that says "it goes on like this": the same rule on the last six rows, the present one included.

    It answers for every row, however short the past: what cannot be judged is low, and its score NaN.
    """
    risk, score = _judge(columns, ahead=False)
    return np.maximum(risk, LOW).astype(np.int8), score


def breaches(columns: InsightColumns) -> Int8s:
    """Whether the row's own interval is above its SLO, by p99 where the row has it, else by the mean: 1, 0, -1 unknown."""
    slo_p99, slo_avg = slo_ms(columns)
    has_p99 = ~np.isnan(columns.p99_latency_ms)
    latency = np.where(has_p99, columns.p99_latency_ms, columns.avg_latency_ms)
    slo = np.where(has_p99, slo_p99, slo_avg)
    idle = columns.read_iops + columns.write_iops == 0.0
    known = idle | ~(np.isnan(latency) | np.isnan(slo))
    return np.where(known, ~idle & (latency > slo), -1).astype(np.int8)


@compiled
def _own_past(device, latency, out):  # type: ignore[no-untyped-def]
    """out[i] = OWN_PAST_MULTIPLE x the median of the device's last known latencies up to row i; NaN below six."""
    ring, ordered = np.empty(OWN_PAST_ROWS), np.empty(OWN_PAST_ROWS)
    seen = 0
    for i in range(len(device)):
        if i == 0 or device[i] != device[i - 1]:
            seen = 0
        value = latency[i]
        if not math.isnan(value):
            count = min(seen, OWN_PAST_ROWS)
            if count == OWN_PAST_ROWS:
                gone = np.searchsorted(ordered, ring[seen % OWN_PAST_ROWS])
                ordered[gone:-1] = ordered[gone + 1 :].copy()
                count -= 1
            place = np.searchsorted(ordered[:count], value)
            for k in range(count, place, -1):
                ordered[k] = ordered[k - 1]
            ordered[place] = value
            ring[seen % OWN_PAST_ROWS] = value
            seen += 1
        count = min(seen, OWN_PAST_ROWS)
        out[i] = math.nan
        if count >= OWN_PAST_LEAST:
            middle = (ordered[(count - 1) // 2] + ordered[count // 2]) / 2.0
            out[i] = OWN_PAST_MULTIPLE * middle if middle > 0.0 else math.nan


@compiled
def _spans(device, time, interval, ahead, first, end):  # type: ignore[no-untyped-def]
    """first[i]:end[i] are the rows judged for row i: its horizon, or its last six rows."""
    for i in range(len(device)):
        j = i
        if ahead:
            edge = time[i] + HORIZON_SPAN * interval[i]
            while j + 1 < len(device) and device[j + 1] == device[i] and time[j + 1] <= edge:
                j += 1
            first[i], end[i] = i + 1, j + 1
        else:
            edge = time[i] - PERSISTENCE_SPAN * interval[i]
            while j > 0 and device[j - 1] == device[i] and time[j - 1] > edge:
                j -= 1
            first[i], end[i] = j, i + 1


@compiled
def judge_rows(first, end, least, p99, avg, iops, errors, queue, slo_p99, slo_avg, risk, score):  # type: ignore[no-untyped-def]  # noqa: PLR0913, PLR0917 - the compiler takes arrays
    for i in range(len(risk)):
        risk[i], score[i] = judge_horizon(
            first[i], end[i], least, p99, avg, iops, errors, queue, slo_p99[i], slo_avg[i]
        )


def slo_ms(columns: InsightColumns) -> tuple[Floats, Floats]:
    """Per row the SLO in ms as known at its time, for horizons measured by p99 and by the mean; NaN where none is."""
    default = np.array([DEFAULT_SLO_MS.get(name, math.nan) for name in columns.device_classes] + [math.nan])
    stated = np.where(np.isnan(columns.latency_slo_ms), default[columns.device_class], columns.latency_slo_ms)
    busy = columns.read_iops + columns.write_iops > 0.0
    slos = []
    for latency in (columns.p99_latency_ms, columns.avg_latency_ms):
        own = np.empty(len(columns))
        _own_past(columns.device, np.where(busy, latency, math.nan), own)
        slos.append(np.where(np.isnan(stated), own, stated))
    return slos[0], slos[1]


def _judge(columns: InsightColumns, *, ahead: bool) -> tuple[Int8s, Floats]:
    count = len(columns)
    first, end = np.empty(count, np.int64), np.empty(count, np.int64)
    _spans(columns.device, columns.time_seconds, columns.interval_seconds, ahead, first, end)
    slo_p99, slo_avg = slo_ms(columns)
    risk, score = np.empty(count, np.int8), np.empty(count)
    judge_rows(
        first,
        end,
        LEAST_HORIZON_ROWS if ahead else 1,
        columns.p99_latency_ms,
        columns.avg_latency_ms,
        columns.read_iops + columns.write_iops,
        columns.error_rate,
        columns.queue_depth,
        slo_p99,
        slo_avg,
        risk,
        score,
    )
    return risk, score
