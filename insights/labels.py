"""Labels: what happened next. The rule and its thresholds are the same for measured and generated insights.

The horizon of a row at t are the device's rows in (t, t + 6.5 x interval_seconds]; fewer than three of them leave the
row unlabelled, and so do fewer than three that are idle or have a latency: what nobody measured was not low. The SLO is
the one known at t; nothing later than t enters it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np

from insights.columns import Floats, InsightColumns, Int8s
from insights.compiled import compiled
from insights.feature_table import HORIZON_ROWS, HORIZON_SPAN

# p99 objectives in ms where a device brings none: about four times what a healthy device of the class shows under load.
DEFAULT_SLO_MS: Final[Mapping[str, float]] = {
    "nvme": 2.0,
    "ssd": 5.0,
    "ssd-burst": 10.0,
    "provisioned": 5.0,
    "hdd": 60.0,
}
# Without SLO and known class: three times the median of the device's own last 288 known latencies (a day at 300 s), the
# row's included, of the measure that the horizon is judged by; fewer than six known give no SLO.
OWN_PAST_MULTIPLE: Final = 3.0
OWN_PAST_ROWS: Final = 288
OWN_PAST_LEAST: Final = 6

ERROR_BUDGET: Final = 0.01  # errors per operation; one interval above it is critical
LEAST_HORIZON_ROWS: Final = HORIZON_ROWS // 2
PERSISTENCE_SPAN: Final = HORIZON_SPAN - 1.0  # back from t, which is a row itself: six rows again
SUSTAINED_BREACHES: Final = 3
SEVERE_FACTOR: Final = 2.0
EXTREME_FACTOR: Final = 4.0

LOW, MEDIUM, HIGH, CRITICAL = 0, 1, 2, 3
UNLABELLED: Final = -1
SOURCE_NONE, SOURCE_AUTO, SOURCE_OPERATOR = -1, 0, 1

# Shares of the score: latency is the objective itself, the others say why it will not last.
LATENCY_WEIGHT: Final = 0.6
ERROR_WEIGHT: Final = 0.2
QUEUE_WEIGHT: Final = 0.2


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


def score_of(latency_ms: float, slo_ms: float, error_rate: float, queue_depth: float, total_iops: float) -> float:
    """performance_score of one row, 0-100: 100 x the weighted mean of the terms whose inputs are known (not NaN).

    latency 1 / (1 + (latency / SLO)^2); errors 1 / (1 + error_rate / ERROR_BUDGET); queueing 1 / (1 + (depth / most)^2)
    with most = total_iops x SLO / 1000, by Little's law the depth at which the mean latency meets the SLO. Each falls
    as its input grows. An idle row (no IOPS) has nothing to wait for: its latency and queueing terms are 1. NaN where
    neither latency nor queueing is known.
    """
    return float(_score(latency_ms, slo_ms, error_rate, queue_depth, total_iops))


@compiled
def _score(latency, slo, errors, queue, iops):  # type: ignore[no-untyped-def]
    total, weight = 0.0, 0.0
    if iops == 0.0:
        total = weight = LATENCY_WEIGHT + QUEUE_WEIGHT
    elif not math.isnan(slo):
        if not math.isnan(latency):
            total += LATENCY_WEIGHT / (1.0 + (latency / slo) ** 2)
            weight += LATENCY_WEIGHT
        if not math.isnan(queue):
            total += QUEUE_WEIGHT / (1.0 + (queue / (iops * slo / 1000.0)) ** 2)
            weight += QUEUE_WEIGHT
    if weight == 0.0:
        return math.nan
    if not math.isnan(errors):
        total += ERROR_WEIGHT / (1.0 + errors / ERROR_BUDGET)
        weight += ERROR_WEIGHT
    return 100.0 * total / weight


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
        has_p99 = False
        for j in range(first[i], end[i]):
            has_p99 = has_p99 or not math.isnan(p99[j])
        slo = slo_p99[i] if has_p99 else slo_avg[i]
        breaches, worst, over_budget, unknown, points, scored, seen = 0, 0.0, False, False, 0.0, 0, 0
        for j in range(first[i], end[i]):
            latency = p99[j] if has_p99 else avg[j]
            if iops[j] > 0.0 and not math.isnan(latency):
                unknown = unknown or math.isnan(slo)
                breaches += latency > slo
                worst = max(worst, latency / slo)
            seen += iops[j] == 0.0 or not math.isnan(latency)
            over_budget = over_budget or errors[j] > ERROR_BUDGET
            value = _score(latency, slo, errors[j], queue[j], iops[j])
            if not math.isnan(value):
                points += value
                scored += 1
        enough = end[i] - first[i] >= least
        score[i] = points / scored if scored >= least and not unknown else math.nan
        if not enough or ((unknown or seen < least) and not over_budget):
            risk[i] = UNLABELLED
        elif over_budget or (breaches >= SUSTAINED_BREACHES and worst > EXTREME_FACTOR):
            risk[i] = CRITICAL
        elif breaches >= SUSTAINED_BREACHES or worst > SEVERE_FACTOR:
            risk[i] = HIGH
        else:
            risk[i] = MEDIUM if breaches else LOW


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
