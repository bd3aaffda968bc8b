"""Every metric of the app's own, by the function that puts it. What functions put goes through this table, and the
alarms and dashboards of stacks/monitoring are held against it by tests/stacks/test_alarm_metrics.py.

A metric's identity in CloudWatch is its name with its exact set of dimensions: `service`, which Powertools adds and which
is the function's folder, and the ones that stand here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

METRICS_NAMESPACE: Final = "IopsInsights"


@dataclass(frozen=True)
class MetricSet:
    """Metrics that share their dimensions (beside `service`)."""

    units: Mapping[str, MetricUnit]
    dimensions: tuple[str, ...] = ()


_COUNT, _SECONDS, _NONE = MetricUnit.Count, MetricUnit.Seconds, MetricUnit.NoUnit
# Put by lambdas/api for each function that answers routes; predict's carry their Kind once a caller may ask for it.
_API = MetricSet({"Requests": _COUNT, "RequestsRefused": _COUNT, "RequestsFailed": _COUNT})
_API_OF_A_KIND = MetricSet(_API.units, ("Kind",))

EMITTED: Final[Mapping[str, tuple[MetricSet, ...]]] = MappingProxyType(
    {
        "predict": (
            _API,
            _API_OF_A_KIND,
            MetricSet({"Predictions": _COUNT, "PredictionsNotStored": _COUNT}, ("Kind",)),
        ),
        "read_fleet": (_API,),
        "describe_models": (_API,),
        # FeedbackAgreed is 1 or 0 per feedback, so that its average is the accuracy that operators see.
        "give_feedback": (_API, MetricSet({"FeedbackGiven": _COUNT, "FeedbackAgreed": _NONE}, ("Kind",))),
        "write_manifest": (
            MetricSet({"ExportLagSeconds": _SECONDS, "ExportedInsights": _COUNT, "QuarantinedInsights": _COUNT}),
        ),
        "collect_volumes": (
            MetricSet(
                {
                    "CollectedInsights": _COUNT,
                    "CollectedVolumes": _COUNT,
                    "CollectionRefused": _COUNT,
                    "CollectionUnfinished": _COUNT,
                    "CollectionLagSeconds": _SECONDS,
                    "CollectionThrottles": _COUNT,
                }
            ),
        ),
        "join_outcomes": (
            MetricSet(
                {"OutcomesJoined": _COUNT, "OutcomesUnknown": _COUNT, "OldestUnjoinedSeconds": _SECONDS}, ("Kind",)
            ),
        ),
        "decide_retraining": (MetricSet({"RetrainingStarted": _COUNT, "RetrainingRefused": _COUNT}, ("Kind",)),),
        "publish_watch": (
            MetricSet(
                {
                    "DriftedFeatures": _COUNT,
                    "WorstPsi": _NONE,
                    "PredictionPsi": _NONE,
                    "MissingRateShift": _NONE,
                    "DriftDetected": _NONE,
                    "CapturedRows": _COUNT,
                    "LiveAccuracy": _NONE,
                    "LiveAccuracyLower": _NONE,
                    "LiveCalibrationError": _NONE,
                    "LiveRmse": _NONE,
                    "JoinedOutcomes": _COUNT,
                },
                ("Kind",),
            ),
            MetricSet({"VariantAccuracy": _NONE, "VariantRmse": _NONE, "VariantOutcomes": _COUNT}, ("Kind", "Variant")),
        ),
    }
)


class UndeclaredMetric(KeyError):
    """A function puts a metric that the table does not have: no alarm or dashboard could rest on it."""

    def __init__(self, function: str, name: str, dimensions: tuple[str, ...]) -> None:
        super().__init__(
            f"{function} puts {name!r} with the dimensions {dimensions}; add it to lambdas/metric_names.py as it is put"
        )


def put(function: str, values: Mapping[str, float], **dimensions: str) -> None:
    """One EMF line on stdout, which CloudWatch Logs makes metrics of; `dimensions` are those beside `service`."""
    metrics = EphemeralMetrics(namespace=METRICS_NAMESPACE, service=function)
    for dimension, of in dimensions.items():
        metrics.add_dimension(name=dimension, value=of)
    for name, value in values.items():
        metrics.add_metric(name=name, unit=unit_of(function, name, tuple(dimensions)), value=value)
    metrics.flush_metrics()


def unit_of(function: str, name: str, dimensions: tuple[str, ...]) -> MetricUnit:
    for metrics in EMITTED.get(function, ()):
        if name in metrics.units and set(metrics.dimensions) == set(dimensions):
            return metrics.units[name]
    raise UndeclaredMetric(function, name, dimensions)
