from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from insights.explanations import MEASURES, explained, span_of, statement, usual_of
from insights.feature_table import FEATURE_NAMES, FEATURES
from insights.schema import Insight


def rows(latencies: list[float | None], *, interval_seconds: float = 300.0, **values: Any) -> list[Insight]:
    start = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
    return [
        Insight(
            device_id="nvme-1",
            timestamp=start + timedelta(seconds=interval_seconds * n),
            interval_seconds=interval_seconds,
            read_iops=900.0,
            write_iops=100.0,
            bandwidth_mbps=20.0,
            p99_latency_ms=latency,
            **values,
        )
        for n, latency in enumerate(latencies)
    ]


HOUR = rows(
    [12.0, 13.0, 12.5, 13.0, 12.0, 13.0, 14.0, 13.0, 20.0, 25.0, 31.0, 41.6], queue_depth=8.0, sequential_ratio=0.2
)


@pytest.mark.parametrize(
    ("feature", "value", "text"),
    [
        ("p99_latency", 41.6, "p99 latency 41.6 ms is 3.2 times the median of the last hour, rising"),
        ("queue_depth", 8.0, "queue depth 8 I/Os is near the median of the last hour"),
        ("total_iops", 250.0, "load 250 operations/s is 0.25 times the median of the last hour"),
        ("sequential_access_ratio", 0.6, "sequential share 0.6 is 3 times the median of the last hour"),
        ("avg_latency", 3.0, "mean latency 3 ms"),
        ("avg_latency", None, "mean latency is not known"),
        ("capacity_utilization", 92.4, "use of the provisioned IOPS 92.4%"),
        ("iops_variance", 2500.0, "load varied by 50 operations/s over the last hour"),
        ("latency_spike_count", 0.0, "no latency spike in the last hour"),
        ("latency_spike_count", 1.0, "1 latency spike in the last hour"),
        ("latency_spike_count", 3.0, "3 latency spikes in the last hour"),
        ("error_trend", -0.001, "error rate falling over the last hour"),
        ("trend_score", 0.1, "latency rising by 11% per interval"),
        ("trend_score", -0.1, "latency falling by 11% per interval"),
        ("trend_score", 0.0, "latency steady over the last hour"),
        ("anomaly_score", 7.12, "latency is 7.1 robust deviations from the median of the last hour"),
        ("time_since_last_alert", 604_800.0, "no alert within the last 7 days"),
        ("time_since_last_alert", 1500.0, "last alert 25 min ago"),
        ("time_since_last_alert", 7200.0, "last alert 2 hours ago"),
        ("hour_of_day", 14.0, "it is 14:00 UTC"),
        ("queue_depth", 12.0, "queue depth 12 I/Os is 1.5 times the median of the last hour"),
        ("random_access_ratio", 0.8, "random share 0.8 is near the median of the last hour"),
        ("iops_variance", 1.2e18, "load varied by 1.1e+09 operations/s over the last hour"),
        ("iops_variance", 9.8e17, "load varied by 989,949,494 operations/s over the last hour"),
        ("iops_variance", 1e-8, "load varied by 0.0001 operations/s over the last hour"),
        *(
            ("day_of_week", float(number), f"it is {name}")
            for number, name in enumerate(
                ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
            )
        ),
    ],
)
def test_a_features_value_in_words(feature: str, value: float | None, text: str) -> None:
    assert statement(feature, value, HOUR) == text


def test_a_measure_that_was_zero_or_is_zero_has_no_ratio() -> None:
    quiet = rows([1.0, 1.0, 1.0], error_rate=0.0)
    assert statement("error_rate", 0.02, quiet) == (
        "error rate 0.02 errors per operation where the median of the last hour is 0"
    )
    assert statement("error_rate", 0.0, quiet) == "error rate 0 errors per operation as in the last hour"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(300.0, "the last hour"), (60.0, "the last 12 min"), (900.0, "the last 3 hours"), (1.0, "the last 12 s")],
)
def test_the_span_is_twelve_intervals(seconds: float, text: str) -> None:
    assert span_of(rows([1.0], interval_seconds=seconds)) == text


def test_what_is_usual_is_of_the_earlier_rows_alone() -> None:
    assert usual_of("p99_latency", HOUR) == (12.0, 13.0, 31.0)
    assert usual_of("p99_latency", rows([5.0])) is None
    assert usual_of("p99_latency", rows([None, None, 5.0])) is None
    assert usual_of("hour_of_day", HOUR) is None


def test_the_strongest_contributions_are_told_with_what_they_speak_for() -> None:
    given = [
        {"feature": "p99_latency", "value": 41.6, "contribution": 1.2},
        {"feature": "queue_depth", "value": 8.0, "contribution": -0.4},
        {"feature": "hour_of_day", "value": 14.0, "contribution": 0.0},
        {"feature": "trend_score", "value": 0.1, "contribution": 0.2},
        {"feature": "total_iops", "value": 1000.0, "contribution": 0.1},
    ]
    detailed, sentences = explained(given, HOUR, answer="high risk")
    assert sentences == [
        "p99 latency 41.6 ms is 3.2 times the median of the last hour, rising: speaks for high risk.",
        "Queue depth 8 I/Os is near the median of the last hour: speaks against high risk.",
        "Latency rising by 11% per interval: speaks for high risk.",
    ]
    assert detailed[0] == {
        "feature": "p99_latency",
        "value": 41.6,
        "contribution": 1.2,
        "unit": "ms",
        "usual": {"low": 12.0, "median": 13.0, "high": 31.0},
        "direction": "for",
    }
    assert len(detailed) == 5


def test_every_feature_of_the_table_has_words_for_every_value() -> None:
    assert set(MEASURES) < set(FEATURE_NAMES)
    assert all(feature.phrase for feature in FEATURES)
    for feature in FEATURES:
        for value in (None, feature.minimum if feature.minimum > -1 else -0.5, 0.3, 1e12, 1e-12):
            text = statement(feature.name, value, HOUR)
            assert "e+" not in text or value == 1e12
            assert text == text.strip()
