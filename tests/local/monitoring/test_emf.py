import json
from typing import Any

import pytest

from local.monitoring.emf import Datum, metrics_of


def line(**changes: Any) -> str:
    directive = {
        "Namespace": "IopsInsights",
        "Dimensions": [["service"], ["service", "Kind"]],
        "Metrics": [{"Name": "Predictions", "Unit": "Count"}, {"Name": "Share"}],
    }
    document: dict[str, Any] = {
        "_aws": {"Timestamp": 1_600_000_000_500, "CloudWatchMetrics": [directive | changes.pop("directive", {})]},
        "service": "predict",
        "Kind": "risk",
        "Predictions": [3, 4.5],
        "Share": 0,
    }
    return json.dumps(document | changes)


def test_every_metric_counts_under_every_dimension_set_with_its_values_and_unit() -> None:
    one, both = {"service": "predict"}, {"service": "predict", "Kind": "risk"}

    assert metrics_of(line()) == [
        Datum("IopsInsights", "Predictions", "Count", one, (3.0, 4.5), 1_600_000_000.5),
        Datum("IopsInsights", "Share", "None", one, (0.0,), 1_600_000_000.5),
        Datum("IopsInsights", "Predictions", "Count", both, (3.0, 4.5), 1_600_000_000.5),
        Datum("IopsInsights", "Share", "None", both, (0.0,), 1_600_000_000.5),
    ]


def test_an_empty_dimension_set_is_a_metric_without_dimensions() -> None:
    found = metrics_of(line(directive={"Dimensions": [[]]}))

    assert {(datum.name, len(datum.dimensions)) for datum in found} == {("Predictions", 0), ("Share", 0)}


@pytest.mark.parametrize(
    "broken",
    [
        "plain text",
        '{"message": "no metrics"}',
        '{"_aws": ',
        '{"_aws": {"Timestamp": 1}}',
        '["_aws"]',
        line(directive={"Dimensions": [["Missing"]]}),
        line(Kind=3, directive={"Dimensions": [["Kind"]]}),
        line(Predictions="many", Share=[1] * 101),
        line(Predictions=True, Share=[1, None]),
    ],
)
def test_a_line_that_breaks_the_specification_is_no_metric(broken: str) -> None:
    assert metrics_of(broken) == []


def test_what_powertools_writes_is_read(capsys: pytest.CaptureFixture[str]) -> None:
    from aws_lambda_powertools import Metrics
    from aws_lambda_powertools.metrics import MetricUnit

    metrics = Metrics(namespace="PowertoolsSays", service="predict")
    metrics.add_dimension(name="Kind", value="risk")
    metrics.add_metric(name="DriftDetected", unit=MetricUnit.Count, value=1)
    metrics.add_metric(name="DriftDetected", unit=MetricUnit.Count, value=0)
    metrics.flush_metrics()

    (datum,) = metrics_of(capsys.readouterr().out)
    assert (datum.namespace, datum.name, datum.unit, datum.values) == (
        "PowertoolsSays",
        "DriftDetected",
        "Count",
        (1, 0),
    )
    assert datum.dimensions == {"Kind": "risk", "service": "predict"}
