from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from lambdas.prepare_watch import handler as adapter
from lambdas.prepare_watch.prepare_watch import InvalidWatchInput, WatchEnvironment, period_of, prepare_watch

ENVIRONMENT = WatchEnvironment(
    "iops-bucket", 24, "risk-endpoint", "performance-endpoint", "/live/risk", "/live/performance"
)
PACKAGE = "arn:aws:sagemaker:us-east-1:123456789012:model-package/iops-risk/3"
STARTED = "2026-03-02T10:00:00.250Z"


class SageMaker:
    """An account with the risk endpoint, and at most one more variant than the live one."""

    def __init__(self, refusal: Any, variants: tuple[str, ...] = ("live",)) -> None:
        self._refusal, self._variants = refusal, variants

    def describe_endpoint(self, *, EndpointName: str) -> dict[str, Any]:
        if EndpointName != "risk-endpoint":
            raise self._refusal("ValidationException", "DescribeEndpoint")
        return {"EndpointStatus": "InService", "ProductionVariants": [{"VariantName": name} for name in self._variants]}

    def describe_model_package(self, *, ModelPackageName: str) -> dict[str, Any]:
        return {
            "InferenceSpecification": {"Containers": [{"ModelDataUrl": f"s3://iops-bucket/{ModelPackageName[-1]}"}]}
        }


class Parameters:
    def __init__(self, value: str = PACKAGE) -> None:
        self._value = value

    def get_parameter(self, *, Name: str) -> dict[str, Any]:
        return {"Parameter": {"Name": Name, "Value": self._value}}


def prepared(cloud: Any, refusal: Any, *, kind: str = "risk", given: Any = None, **parts: Any) -> dict[str, Any]:
    return prepare_watch(
        kind,
        given or {},
        started_at=STARTED,
        execution_arn="arn:execution",
        environment=ENVIRONMENT,
        s3=cloud.s3,
        **{"sagemaker": SageMaker(refusal), "ssm": Parameters(), **parts},
    )


def capture(cloud: Any, *places: str) -> None:
    for place in places:
        cloud.put(f"monitoring/data-capture/risk-endpoint/{place}/10/59-00-000-a.jsonl", b"{}\n")


def test_the_plan_names_period_model_and_the_days_that_hold_requests(cloud: Any, make_refusal: Any) -> None:
    capture(cloud, "live/2026/03/01", "live/2026/03/02", "live/2026/02/28", "other/2026/03/02")
    plan = prepared(cloud, make_refusal)
    assert (plan["status"], plan["start"], plan["end"]) == (
        "watched",
        "2026-03-01T10:00:00.000Z",
        "2026-03-02T10:00:00.000Z",
    )
    assert plan["prefix"] == "monitoring/risk/2026-03-01T10-00-00Z--2026-03-02T10-00-00Z/"
    assert plan["outcomes_since"] == "2026-02-23T10:00:00.000Z"
    assert (plan["model_version"], plan["model_uri"]) == (PACKAGE, "s3://iops-bucket/3")
    assert [part["path"] for part in plan["captured"]] == ["live/2026/03/02", "live/2026/03/01"]


def test_a_challengers_requests_are_watched_too(cloud: Any, make_refusal: Any) -> None:
    capture(cloud, "live/2026/03/02", "challenger/2026/03/02")
    plan = prepared(cloud, make_refusal, sagemaker=SageMaker(make_refusal, ("live", "challenger")))
    assert {part["path"] for part in plan["captured"]} == {"live/2026/03/02", "challenger/2026/03/02"}


def test_the_same_execution_plans_the_same_again(cloud: Any, make_refusal: Any) -> None:
    capture(cloud, "live/2026/03/02")
    assert prepared(cloud, make_refusal) == prepared(cloud, make_refusal)


@pytest.mark.parametrize(
    ("kind", "value", "reason"),
    [
        ("performance", PACKAGE, "no model is live at the endpoint performance-endpoint"),
        ("risk", "none", "no model is live at the endpoint risk-endpoint"),
        ("risk", PACKAGE, "no request to risk-endpoint was captured"),
    ],
)
def test_what_cannot_be_watched_is_skipped_with_its_reason(
    cloud: Any, make_refusal: Any, kind: str, value: str, reason: str
) -> None:
    plan = prepared(cloud, make_refusal, kind=kind, ssm=Parameters(value))
    assert plan["status"] == "skipped"
    assert reason in plan["reason"]


def test_any_other_refusal_is_no_missing_endpoint(cloud: Any, make_refusal: Any) -> None:
    class Denied(SageMaker):
        def describe_endpoint(self, *, EndpointName: str) -> dict[str, Any]:
            raise make_refusal("AccessDeniedException", "DescribeEndpoint")

    with pytest.raises(ClientError, match="AccessDenied"):
        prepared(cloud, make_refusal, sagemaker=Denied(make_refusal))


def test_end_and_hours_may_be_given() -> None:
    period = period_of({"end": "2026-03-02T12:30:00+02:00", "hours": 6}, STARTED, 24)
    assert period.name == "2026-03-02T04-30-00Z--2026-03-02T10-30-00Z"
    assert list(period_of({"hours": 11}, STARTED, 24).days()) == ["2026/03/01", "2026/03/02"]


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"ende": 1}, "ende"),
        ({"hours": 0}, "hours"),
        ({"hours": 73}, "hours"),
        ({"hours": True}, "hours"),
        ({"end": "noon"}, "end"),
        ({"end": 5}, "end"),
    ],
)
def test_a_wrong_input_is_named(given: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidWatchInput, match=rf"^{field} is "):
        period_of(given, STARTED, 24)


def test_the_handler_passes_the_event_on(monkeypatch: pytest.MonkeyPatch, context: Any) -> None:
    calls: dict[str, Any] = {}
    monkeypatch.setattr(adapter, "environment", lambda: ENVIRONMENT)
    monkeypatch.setattr(
        adapter, "prepare_watch", lambda kind, given, **rest: calls.update(kind=kind, given=given, **rest)
    )
    event = {"kind": "risk", "input": {"hours": 1}, "started_at": STARTED, "execution_arn": "arn:execution"}
    adapter.handler(event, context)
    assert (calls["kind"], calls["given"], calls["started_at"], calls["execution_arn"]) == (
        "risk",
        {"hours": 1},
        STARTED,
        "arn:execution",
    )
