"""CloudWatch's embedded metric format: a log line that is also metrics.

Source: CloudWatch user guide, "Specification: Embedded metric format". A line that breaks the specification is a log
line and nothing more, as there.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

MARK = '"_aws"'
MOST_DIMENSIONS = 30
MOST_METRICS = 100
MOST_VALUES = 100


@dataclass(frozen=True)
class Datum:
    """Values of one metric under one set of dimensions; the moment is in seconds since the epoch."""

    namespace: str
    name: str
    unit: str
    dimensions: Mapping[str, str]
    values: tuple[float, ...]
    moment: float


def metrics_of(line: str) -> list[Datum]:
    """What a log line says in the format: every metric under every dimension set of its directive."""
    if MARK not in line:
        return []
    try:
        document = json.loads(line)
        metadata = document["_aws"]
        moment = float(metadata["Timestamp"]) / 1000
        return [
            datum for directive in metadata["CloudWatchMetrics"] for datum in _directed(directive, document, moment)
        ]
    except (ValueError, KeyError, TypeError):
        return []


def _directed(directive: Mapping[str, Any], document: Mapping[str, Any], moment: float) -> Iterator[Datum]:
    metrics = directive["Metrics"][:MOST_METRICS]
    for names in directive["Dimensions"]:
        if len(names) > MOST_DIMENSIONS or not all(isinstance(document.get(name), str) for name in names):
            continue
        dimensions = {name: document[name] for name in names}
        for metric in metrics:
            if values := _numbers(document.get(metric["Name"])):
                unit = metric.get("Unit", "None")
                yield Datum(directive["Namespace"], metric["Name"], unit, dimensions, values, moment)


def _numbers(value: Any) -> tuple[float, ...]:
    """A number or up to 100 of them; anything else is no value."""
    listed = value if isinstance(value, list) else [value]
    numbers = tuple(float(one) for one in listed if isinstance(one, int | float) and not isinstance(one, bool))
    if len(numbers) != len(listed) or len(numbers) > MOST_VALUES or not all(map(math.isfinite, numbers)):
        return ()
    return numbers
