"""Data points that make a deployed alarm ring and recover, put under the very metric that it looks at.

For causes that take hours on any clock (a budget of days, an export's lag, an hour at three instances) or that a laptop
does not have (a throttled table). What a value means for an expression is written down here; a single metric's follows
from the alarm's threshold.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from local.clock import Clock

Point = tuple[float, int]
"""A value, and how often it is put."""
# By the beginning of the alarm's name: for each metric of its expression, by the beginning of its id, what makes it ring
# and what makes it recover.
EXPRESSIONS: Mapping[str, Mapping[str, tuple[Point | None, Point | None]]] = {
    # Others put calls into its endpoint, so what makes it ring is done by callers.
    "iops-endpoint-no-invocations": {"asked": (None, (0, 1)), "refused": (None, (0, 1)), "calls": (None, (1, 1))},
    "iops-endpoint-scaling-at-maximum": {"calls": ((300, 1), (100, 1)), "per_instance": ((100, 1), (100, 1))},
    "iops-api-": {"calls": ((1e3, 1), (1e6, 1)), "refused": ((1e3, 1), (0, 1))},
    "iops-budget-burn": {"calls": ((1e4, 1), (1e9, 1)), "failed": ((5e3, 1), (0, 1))},
    "iops-table-throttles": {"": ((5, 1), (0, 1))},
    "iops-export-quarantine": {"quarantined": ((50, 1), (0, 1)), "exported": ((50, 1), (1e6, 1))},
    "iops-collection-refused": {"refused": ((50, 1), (0, 1)), "collected": ((50, 1), (1e6, 1))},
    # Both ids are statistics of one metric.
    "iops-feedback-accuracy": {"agreed": ((0, 25), (1, 200)), "given": (None, None)},
}


def ringing(alarm: Mapping[str, Any], clock: Clock) -> Iterator[tuple[str, dict[str, Any]]]:
    """Namespace and datum of what lets the alarm breach in each of its periods, the newest now."""
    now = time.time()
    for stat, (bad, _) in _meanings(alarm):
        if bad is not None:
            for back in range(alarm["EvaluationPeriods"]):
                yield from _data(stat, bad, now - clock.real(back * stat["Period"]))


def recovering(alarm: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Of one good minute, which is now; put until the bad ones have left the alarm's periods."""
    for stat, (_, good) in _meanings(alarm):
        if good is not None:
            yield from _data(stat, good, time.time())


def _meanings(alarm: Mapping[str, Any]) -> list[tuple[dict[str, Any], tuple[Point | None, Point | None]]]:
    if "MetricName" in alarm:
        is_below = alarm["ComparisonOperator"].startswith("LessThan")
        good, bad = (1.0, 0.0) if is_below else (0.0, alarm["Threshold"] * 2 + 1)
        metric = {name: alarm[name] for name in ("Namespace", "MetricName", "Dimensions")}
        # Five, as the callers' good ones are in the same periods, and the 99th percentile must be a bad one.
        return [({"Metric": metric, "Period": alarm["Period"]}, ((bad, 5), (good, 1)))]
    [meaning] = [m for beginning, m in EXPRESSIONS.items() if alarm["AlarmName"].startswith(beginning)]
    found = []
    for query in alarm["Metrics"]:
        if "MetricStat" in query:
            [values] = [v for beginning, v in meaning.items() if re.match(beginning, query["Id"])]
            found.append((query["MetricStat"], values))
    return found


def _data(stat: Mapping[str, Any], point: Point, moment: float) -> Iterator[tuple[str, dict[str, Any]]]:
    metric, (value, times) = stat["Metric"], point
    datum = {
        "MetricName": metric["MetricName"],
        "Dimensions": metric.get("Dimensions", []),
        "Value": value,
        "Timestamp": datetime.fromtimestamp(moment, UTC),
    }
    for _ in range(times):
        yield metric["Namespace"], datum


def put(cloudwatch: Any, data: Sequence[tuple[str, dict[str, Any]]]) -> None:
    by_namespace: dict[str, list[dict[str, Any]]] = {}
    for namespace, datum in data:
        by_namespace.setdefault(namespace, []).append(datum)
    for namespace, listed in by_namespace.items():
        for start in range(0, len(listed), 500):
            cloudwatch.put_metric_data(Namespace=namespace, MetricData=listed[start : start + 500])
