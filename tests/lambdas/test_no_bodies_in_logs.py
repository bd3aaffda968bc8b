"""What callers send stays out of the logs, whatever becomes of the request: a marker anywhere in it is in no log line.

The ids of devices are no secret here: logs name them, so that a fault can be followed.
"""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from insights.schema import Insight
from lambdas.describe_models import handler as models_adapter
from lambdas.give_feedback import handler as feedback_adapter
from lambdas.ingest_insights import handler as ingest_adapter
from lambdas.ingest_insights import ingest_insights as ingesting
from lambdas.insight_writer import InsightWriter
from lambdas.predict import handler as predict_adapter
from lambdas.read_fleet import handler as fleet_adapter
from tests.lambdas.test_api_handlers import VARIABLES as READING
from tests.lambdas.test_predict_handler import VARIABLES as PREDICTING
from tests.lambdas.test_predict_handler import Runtime

MARKER = "k3Zq9vXw-not-for-logs"
FIELDS = (
    "device_id", "insights", "items", "timestamp", "interval_seconds", "read_iops", "write_iops", "bandwidth_mbps",
    "p99_latency_ms", "error_rate", "device_class", "workload_type", "risk_level", "prediction_id", "comment",
    "performance_score", "label_source", "is_anomaly", MARKER,
)  # fmt: skip
ROUTES = (
    (predict_adapter, "POST", "/api/predict/risk"),
    (predict_adapter, "POST", "/api/predict/performance"),
    (feedback_adapter, "POST", "/api/feedback"),
    (fleet_adapter, "GET", "/api/insights"),
    (models_adapter, "GET", "/api/models"),
)

leaves = st.sampled_from([MARKER, f"2026-03-02T10:00:00Z{MARKER}", None, True, -1, 1e400, 12.5, "2026-03-02T10:00:00Z"])
bodies = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=6),
    max_leaves=12,
)


@contextmanager
def logged() -> Iterator[io.StringIO]:
    """All that any logger of this process writes meanwhile."""
    written = io.StringIO()
    found = [logging.getLogger(), *logging.Logger.manager.loggerDict.values()]
    loggers = [logger for logger in found if isinstance(logger, logging.Logger)]
    streams = [h for logger in loggers for h in logger.handlers if type(h) is logging.StreamHandler]
    before = [handler.setStream(written) for handler in streams]
    try:
        yield written
    finally:
        for handler, stream in zip(streams, before, strict=True):
            if stream is not None:
                handler.setStream(stream)


Call = Callable[[ModuleType, str, str, str], dict[str, Any]]


@pytest.fixture
def call(
    cloud: Any, event: Any, context: Any, make_insight: Callable[..., Insight], monkeypatch: pytest.MonkeyPatch
) -> Call:
    for name, value in {**READING, **PREDICTING}.items():
        monkeypatch.setenv(name, value)
    InsightWriter("insights", cloud.dynamodb).write(make_insight(interval=n) for n in range(12))

    class Nothing:
        def __getattr__(self, name: str) -> Any:
            raise RuntimeError(f"a fault of ours in {name}")

    clients = {"dynamodb": cloud.dynamodb, "sagemaker-runtime": Runtime(), "sagemaker": Nothing(), "ssm": Nothing()}
    for adapter in (predict_adapter, feedback_adapter, fleet_adapter, models_adapter):
        monkeypatch.setattr(adapter, "hurried_client", lambda service, **_: clients[service])
        adapter.api.cache_clear()
    monkeypatch.setattr(predict_adapter, "parameter_value", lambda name: "off")

    def send(adapter: ModuleType, method: str, path: str, body: str) -> dict[str, Any]:
        request = event("predict_api_gateway") | {"path": path, "resource": path, "httpMethod": method, "body": body}
        request["headers"]["Content-Type"] = "application/json"
        request["multiValueHeaders"]["Content-Type"] = ["application/json"]
        query = {"device_id": "nvme-1", "next": MARKER} if method == "GET" else {}
        answer: dict[str, Any] = adapter.handler(request | {"queryStringParameters": query}, context)
        return answer

    return send


@given(body=bodies)
@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize(("adapter", "method", "path"), ROUTES, ids=[path for _, _, path in ROUTES])
def test_no_log_line_holds_what_a_caller_sent(
    call: Call, adapter: ModuleType, method: str, path: str, body: object
) -> None:
    for text in (json.dumps(body), json.dumps(body)[:-1] + MARKER):
        with logged() as written:
            call(adapter, method, path, text)
        assert MARKER not in written.getvalue()


def test_the_marker_would_be_found(call: Call) -> None:
    """What a refusal does log: its status and why."""
    with logged() as written:
        assert call(predict_adapter, "POST", "/api/predict/risk", "{}")["statusCode"] == 400
        predict_adapter.logger.info("a slip", extra={"body": MARKER})
    assert '"status":400' in written.getvalue()
    assert MARKER in written.getvalue()


def test_a_rejected_row_goes_to_quarantine_and_not_into_the_log(
    cloud: Any, context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = {"device_id": "a", "timestamp": "2026-03-02T10:00:00Z", "interval_seconds": 300, "workload_type": MARKER}
    cloud.put("incoming/a.jsonl", json.dumps(row).encode() + b"\n" + MARKER.encode() + b"\n")
    monkeypatch.setenv("INSIGHTS_TABLE_NAME", "insights")
    ingest_adapter.environment.cache_clear()
    monkeypatch.setattr(ingesting, "client", lambda service: getattr(cloud, service))
    with logged() as written:
        ingest_adapter.handler({"bucket": cloud.bucket, "key": "incoming/a.jsonl"}, context)
    assert "object ingested" in written.getvalue()
    assert MARKER not in written.getvalue()
    assert any(MARKER.encode() in body for body in cloud.objects("quarantine/").values())
