"""The rule behind every label, for one row's horizon, in plain Python.

labels.py compiles these very functions for millions of rows; a function without numeric libraries (a Lambda) calls them
as they are, for one device's few rows. Unknown is NaN.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Final

from insights.feature_table import HORIZON_ROWS

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
SUSTAINED_BREACHES: Final = 3
SEVERE_FACTOR: Final = 2.0
EXTREME_FACTOR: Final = 4.0

LOW, MEDIUM, HIGH, CRITICAL = 0, 1, 2, 3
UNLABELLED: Final = -1

# Shares of the score: latency is the objective itself, the others say why it will not last.
LATENCY_WEIGHT: Final = 0.6
ERROR_WEIGHT: Final = 0.2
QUEUE_WEIGHT: Final = 0.2


def score_of(latency_ms: float, slo_ms: float, error_rate: float, queue_depth: float, total_iops: float) -> float:
    """performance_score of one row, 0-100: 100 x the weighted mean of the terms whose inputs are known (not NaN).

    latency 1 / (1 + (latency / SLO)^2); errors 1 / (1 + error_rate / ERROR_BUDGET); queueing 1 / (1 + (depth / most)^2)
    with most = total_iops x SLO / 1000, by Little's law the depth at which the mean latency meets the SLO. Each falls
    as its input grows. An idle row (no IOPS) has nothing to wait for: its latency and queueing terms are 1. NaN where
    neither latency nor queueing is known.
    """
    total, weight = 0.0, 0.0
    if total_iops == 0.0:
        total = weight = LATENCY_WEIGHT + QUEUE_WEIGHT
    elif not math.isnan(slo_ms):
        if not math.isnan(latency_ms):
            total += LATENCY_WEIGHT / (1.0 + (latency_ms / slo_ms) ** 2)
            weight += LATENCY_WEIGHT
        if not math.isnan(queue_depth):
            total += QUEUE_WEIGHT / (1.0 + (queue_depth / (total_iops * slo_ms / 1000.0)) ** 2)
            weight += QUEUE_WEIGHT
    if weight == 0.0:
        return math.nan
    if not math.isnan(error_rate):
        total += ERROR_WEIGHT / (1.0 + error_rate / ERROR_BUDGET)
        weight += ERROR_WEIGHT
    return 100.0 * total / weight


def judge_horizon(  # noqa: PLR0913, PLR0917 - what is compiled takes arrays
    first: int,
    end: int,
    least: int,
    p99: Sequence[float],
    avg: Sequence[float],
    iops: Sequence[float],
    errors: Sequence[float],
    queue: Sequence[float],
    slo_p99: float,
    slo_avg: float,
) -> tuple[int, float]:
    """Risk (0-3, or UNLABELLED) and score (or NaN) of the rows first:end; `least` of them must be there, and be known.

    `slo_p99` and `slo_avg` are the SLOs in ms for a horizon that is measured by p99 or by the mean.
    """
    has_p99 = False
    for j in range(first, end):
        has_p99 = has_p99 or not math.isnan(p99[j])
    slo = slo_p99 if has_p99 else slo_avg
    breaches, worst, over_budget, unknown, points, scored, seen = 0, 0.0, False, False, 0.0, 0, 0
    for j in range(first, end):
        latency = p99[j] if has_p99 else avg[j]
        if iops[j] > 0.0 and not math.isnan(latency):
            unknown = unknown or math.isnan(slo)
            breaches += latency > slo
            worst = max(worst, latency / slo)
        seen += iops[j] == 0.0 or not math.isnan(latency)
        over_budget = over_budget or errors[j] > ERROR_BUDGET
        value = score_of(latency, slo, errors[j], queue[j], iops[j])
        if not math.isnan(value):
            points += value
            scored += 1
    score = points / scored if scored >= least and not unknown else math.nan
    if end - first < least or ((unknown or seen < least) and not over_budget):
        return UNLABELLED, score
    if over_budget or (breaches >= SUSTAINED_BREACHES and worst > EXTREME_FACTOR):
        return CRITICAL, score
    if breaches >= SUSTAINED_BREACHES or worst > SEVERE_FACTOR:
        return HIGH, score
    return (MEDIUM if breaches else LOW), score


def own_past_slo(latencies: Sequence[float]) -> float:
    """The SLO in ms of a device without one, from its known latencies under load up to the row, oldest first; NaN below
    six. labels.py has the same for every row of a table, with one pass; a test holds the two equal."""
    last = latencies[-OWN_PAST_ROWS:]
    middle = statistics.median(last) if len(last) >= OWN_PAST_LEAST else 0.0
    return OWN_PAST_MULTIPLE * middle if middle > 0.0 else math.nan
