"""Why a model answered as it did, for an operator: the strongest contributions as sentences about the device's own past.

Pure functions of the window and of the model's contributions; no numeric library, as the request path has none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean, median
from typing import Any, Final, NamedTuple

from insights.feature_table import FEATURES, LONGEST_ALERT_AGE_SECONDS, WINDOW_SPAN, Feature
from insights.schema import Insight

SENTENCES: Final = 3
UNUSUAL_RATIO: Final = 1.5
# Newest third of the window against its oldest: less than this is called neither rising nor falling.
TREND_RATIO: Final = 1.2
_FEATURE: Final[Mapping[str, Feature]] = {feature.name: feature for feature in FEATURES}
_DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


class Usual(NamedTuple):
    """A measure over the window's earlier rows in which it is known."""

    low: float
    median: float
    high: float


def _total(row: Insight) -> float:
    return row.read_iops + row.write_iops


def _ratio(above: float | None, below: float | None) -> float | None:
    return None if above is None or not below else above / below


# Features that each row has by itself; the others are about the window as a whole.
MEASURES: Final[Mapping[str, Callable[[Insight], float | None]]] = {
    "read_iops": lambda row: row.read_iops,
    "write_iops": lambda row: row.write_iops,
    "total_iops": _total,
    "avg_latency": lambda row: row.avg_latency_ms,
    "p95_latency": lambda row: row.p95_latency_ms,
    "p99_latency": lambda row: row.p99_latency_ms,
    "bandwidth_mbps": lambda row: row.bandwidth_mbps,
    "error_rate": lambda row: row.error_rate,
    "sequential_access_ratio": lambda row: row.sequential_ratio,
    "random_access_ratio": lambda row: None if row.sequential_ratio is None else 1 - row.sequential_ratio,
    "queue_depth": lambda row: row.queue_depth,
    "io_size_avg": lambda row: row.io_size_kib,
    "iops_per_latency": lambda row: _ratio(_total(row), row.avg_latency_ms),
    "capacity_utilization": lambda row: _ratio(100 * _total(row), row.provisioned_iops),
    "efficiency_ratio": lambda row: _ratio(row.bandwidth_mbps, _total(row)),
}


def explained(
    contributions: Sequence[Mapping[str, Any]], rows: Sequence[Insight], *, answer: str
) -> tuple[list[dict[str, Any]], list[str]]:
    """The contributions with unit, usual range and direction, and the strongest of them as sentences.

    `contributions` has feature, value and contribution, strongest first; `rows` is the window, oldest first, at least one;
    `answer` is what they speak for: "high risk", "a good score".
    """
    detailed = [
        {
            **contribution,
            "unit": _FEATURE[contribution["feature"]].unit,
            "usual": _as_range(usual_of(contribution["feature"], rows)),
            "direction": "for" if contribution["contribution"] > 0 else "against",
        }
        for contribution in contributions
        if contribution["feature"] in _FEATURE
    ]
    told = [entry for entry in detailed if entry["contribution"] != 0][:SENTENCES]
    return detailed, [
        f"{_capital(statement(entry['feature'], entry['value'], rows))}: speaks {entry['direction']} {answer}."
        for entry in told
    ]


def usual_of(feature: str, rows: Sequence[Insight]) -> Usual | None:
    """None for what is no measure of a row, and where no earlier row has it."""
    known = _known(feature, rows[:-1])
    return Usual(min(known), median(known), max(known)) if known else None


def statement(feature: str, value: float | None, rows: Sequence[Insight]) -> str:
    """What is to be said of a feature's value: "p99 latency 41 ms is 3.2 times the median of the last hour, rising"."""
    if value is None:
        return f"{_FEATURE[feature].phrase} is not known"
    if feature in _WORDED:
        return _WORDED[feature](value, rows)
    described = _FEATURE[feature]
    amount = f"{described.phrase} {_number(value)}{_unit(described.unit)}"
    usual = usual_of(feature, rows)
    if usual is None:
        return amount
    return f"{amount} {_compared(value, usual.median, span_of(rows))}{_tendency(feature, rows)}"


def span_of(rows: Sequence[Insight]) -> str:
    """How far back the window reaches, in words."""
    seconds = math.ceil(WINDOW_SPAN) * rows[-1].interval_seconds
    if round(seconds / 60) == 60:
        return "the last hour"
    if seconds < 120:
        return f"the last {_number(seconds, digits=2)} s"
    return f"the last {seconds / 60:.0f} min" if seconds < 7200 else f"the last {seconds / 3600:.0f} hours"


def _known(feature: str, rows: Sequence[Insight]) -> list[float]:
    measure = MEASURES.get(feature)
    return [] if measure is None else [value for row in rows if (value := measure(row)) is not None]


def _compared(value: float, usual: float, span: str) -> str:
    if usual == 0 or value == 0:
        return f"as in {span}" if value == usual else f"where the median of {span} is {_number(usual)}"
    ratio = value / usual
    if 1 / UNUSUAL_RATIO < ratio < UNUSUAL_RATIO:
        return f"is near the median of {span}"
    return f"is {_number(ratio, digits=2)} times the median of {span}"


def _tendency(feature: str, rows: Sequence[Insight]) -> str:
    known = _known(feature, rows)
    third = len(known) // 3
    if third == 0:
        return ""
    first, last = fmean(known[:third]), fmean(known[-third:])
    if last > TREND_RATIO * first:
        return ", rising"
    return ", falling" if first > TREND_RATIO * last else ""


def _varying(phrase: str, unit: str) -> Callable[[float, Sequence[Insight]], str]:
    return lambda value, rows: f"{phrase} varied by {_number(math.sqrt(value))} {unit} over {span_of(rows)}"


def _spikes(value: float, rows: Sequence[Insight]) -> str:
    spikes = "no latency spike" if value == 0 else f"{value:.0f} latency spike{'s' if value > 1 else ''}"
    return f"{spikes} in {span_of(rows)}"


def _error_trend(value: float, rows: Sequence[Insight]) -> str:
    word = "steady" if value == 0 else "rising" if value > 0 else "falling"
    return f"error rate {word} over {span_of(rows)}"


def _latency_trend(value: float, rows: Sequence[Insight]) -> str:
    percent = 100 * math.expm1(min(abs(value), 10.0))
    if percent < 0.5:
        return f"latency steady over {span_of(rows)}"
    return f"latency {'rising' if value > 0 else 'falling'} by {_number(percent, digits=2)}% per interval"


def _last_alert(value: float, _: Sequence[Insight]) -> str:
    if value >= LONGEST_ALERT_AGE_SECONDS:
        return "no alert within the last 7 days"
    return f"last alert {value / 60:.0f} min ago" if value < 7200 else f"last alert {value / 3600:.0f} hours ago"


_WORDED: Final[Mapping[str, Callable[[float, Sequence[Insight]], str]]] = {
    "iops_variance": _varying("load", "operations/s"),
    "throughput_variance": _varying("bandwidth", "MB/s"),
    "io_size_variance": _varying("I/O size", "KiB"),
    "latency_spike_count": _spikes,
    "error_trend": _error_trend,
    "trend_score": _latency_trend,
    "anomaly_score": lambda value, rows: (
        f"latency is {_number(value, digits=2)} robust deviations from the median of {span_of(rows)}"
    ),
    "time_since_last_alert": _last_alert,
    "hour_of_day": lambda value, _: f"it is {value:.0f}:00 UTC",
    "day_of_week": lambda value, _: f"it is {_DAYS[int(value) % 7]}",
}


def _as_range(usual: Usual | None) -> dict[str, float] | None:
    return None if usual is None else usual._asdict()


def _number(value: float, *, digits: int = 3) -> str:
    """Up to `digits` significant ones, without an exponent where people would write none."""
    if value == 0 or not 1e-4 <= abs(value) < 1e9:
        return f"{value:.{digits}g}"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _unit(unit: str) -> str:
    return "%" if unit == "percent" else "" if unit == "share" else f" {unit}"


def _capital(text: str) -> str:
    return text if text[:1] == "p" and text[1:2].isdigit() else text[:1].upper() + text[1:]
