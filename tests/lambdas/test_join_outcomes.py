"""Predictions as `predict` stores them, and the insights that follow: what join_outcomes makes of both."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from insights.schema import Insight
from lambdas.attribute_values import from_item, to_item
from lambdas.due_predictions import due_attributes
from lambdas.insight_writer import InsightWriter
from lambdas.join_outcomes import handler as adapter
from lambdas.join_outcomes.join_outcomes import Account, JoinEnvironment, join_outcomes
from lambdas.predict.predictions import Predictions
from tests.lambdas.conftest import START

MakeInsight = Callable[..., Insight]
ENVIRONMENT = JoinEnvironment(insights_table_name="insights", predictions_table_name="predictions")
MINUTE = timedelta(minutes=1)


def at(interval: float) -> datetime:
    """The n-th interval of five minutes."""
    return START + timedelta(minutes=5 * interval)


def predict(cloud: Any, row: Insight, kind: str = "risk", *, after: timedelta = MINUTE, suffix: str = "0") -> str:
    """Stores a prediction about `row`, made `after` it; its id."""
    predicted_at = row.timestamp + after
    moment = predicted_at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    answer = {
        "device_id": row.device_id,
        "kind": kind,
        "as_of": row.timestamp.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "predicted_at": moment,
        "prediction_id": f"{moment}#{kind}#{suffix}",
    }
    unstored = Predictions("predictions", 90, cloud.dynamodb).store([answer], newest=[row], predicted_at=predicted_at)
    assert unstored == set()
    return str(answer["prediction_id"])


def write(cloud: Any, rows: Iterable[Insight]) -> None:
    InsightWriter("insights", cloud.dynamodb).write(rows)


def join(cloud: Any, now: datetime, *, seconds: float = 900, page_rows: int = 500, dynamodb: Any = None) -> Account:
    return join_outcomes(
        environment=ENVIRONMENT,
        dynamodb=dynamodb or cloud.dynamodb,
        now=now,
        remaining_seconds=lambda: seconds,
        page_rows=page_rows,
    )


def prediction(cloud: Any, prediction_id: str, device: str = "nvme-1") -> dict[str, Any]:
    key = {"device_id": {"S": device}, "predicted_at_id": {"S": prediction_id}}
    return from_item(cloud.dynamodb.get_item(TableName="predictions", Key=key)["Item"])


def insight(cloud: Any, interval: int, device: str = "nvme-1") -> dict[str, Any]:
    moment = at(interval).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    key = {"device_id": {"S": device}, "timestamp": {"S": moment}}
    return from_item(cloud.dynamodb.get_item(TableName="insights", Key=key)["Item"])


@pytest.fixture
def busy(make_insight: MakeInsight) -> Callable[..., list[Insight]]:
    """Rows of a device with an objective of 10 ms; the latencies are the n-th intervals'."""

    def rows(*latencies: float, first: int = 0, device: str = "nvme-1") -> list[Insight]:
        return [
            make_insight(device, first + n, avg_latency_ms=value, latency_slo_ms=10.0)
            for n, value in enumerate(latencies)
        ]

    return rows


def test_a_passed_horizon_is_judged_by_the_label_rule_and_labels_the_row(cloud: Any, busy: Any) -> None:
    rows = busy(5, 10, 10, 10, 30, 30, 30)
    write(cloud, rows)
    of_risk, of_score = predict(cloud, rows[0]), predict(cloud, rows[0], "performance")

    account = join(cloud, at(6.5))

    assert account.joined == {"risk": 1, "performance": 1}
    outcome = {"joined_at": "2026-03-02T10:32:30.000Z", "source": "insights", "risk_level": "high"}
    for prediction_id in (of_risk, of_score):
        joined = prediction(cloud, prediction_id)
        # The only known term of the score is latency's: 1/2 three times, 1/10 three times.
        assert joined["outcome"] == outcome | {"performance_score": pytest.approx(30.0)}
        assert not {"due_at", "due_shard"} & set(joined)
    labelled = insight(cloud, 0)
    assert (labelled["risk_level"], labelled["label_source"]) == ("high", "auto")
    assert labelled["performance_score"] == pytest.approx(30.0)


def test_a_horizon_that_has_not_passed_is_left_alone(cloud: Any, busy: Any) -> None:
    rows = busy(5, 5, 5, 5, 5, 5, 5)
    write(cloud, rows)
    made = predict(cloud, rows[0])
    assert join(cloud, at(6.5) - timedelta(milliseconds=1)).joined == {}
    assert "outcome" not in prediction(cloud, made)
    assert join(cloud, at(6.5)).joined == {"risk": 1}


def test_a_repeated_run_writes_nothing_more(cloud: Any, busy: Any) -> None:
    rows = busy(5, 5, 5, 5, 5, 5, 5)
    write(cloud, rows)
    made = predict(cloud, rows[0])
    join(cloud, at(7))
    first = prediction(cloud, made)
    again = join(cloud, at(20))
    assert (again.joined, again.unknown) == ({}, {})
    assert prediction(cloud, made) == first


def test_rows_that_are_late_are_waited_for_an_hour_before_half_a_horizon_is_judged(cloud: Any, busy: Any) -> None:
    rows = busy(5, 5, 5, 5)
    write(cloud, rows)
    made = predict(cloud, rows[0])

    waiting = join(cloud, at(6.5) + 59 * MINUTE)
    assert (waiting.joined, waiting.oldest_seconds["risk"]) == ({}, 59 * 60)
    assert join(cloud, at(6.5) + 60 * MINUTE).joined == {"risk": 1}
    assert prediction(cloud, made)["outcome"]["risk_level"] == "low"


def test_a_row_from_after_the_horizon_ends_the_waiting(cloud: Any, busy: Any) -> None:
    rows = busy(5, 5, 5, 11)
    write(cloud, [*rows, *busy(5, first=7)])
    made = predict(cloud, rows[0])
    assert join(cloud, at(7)).joined == {"risk": 1}
    assert prediction(cloud, made)["outcome"]["risk_level"] == "medium"


@pytest.mark.parametrize(
    ("followers", "is_stored", "reason"),
    [
        (2, True, "2 insights followed within the horizon, 3 are needed"),
        (6, False, "no insight of the device is stored at 2026-03-02T10:00:00.000Z"),
    ],
)
def test_what_cannot_be_known_is_given_up_after_a_day_with_its_reason(
    cloud: Any, busy: Any, followers: int, is_stored: bool, reason: str
) -> None:
    rows = busy(*[5] * (followers + 1))
    write(cloud, rows if is_stored else rows[1:])
    made = predict(cloud, rows[0])

    day = at(6.5) + timedelta(days=1)
    waiting = join(cloud, day - MINUTE)
    assert (waiting.unknown, waiting.oldest_seconds["risk"]) == ({}, 86_400 - 60)
    assert join(cloud, day).unknown == {"risk": 1}
    assert prediction(cloud, made)["outcome"] == {
        "risk_level": None,
        "performance_score": None,
        "joined_at": "2026-03-03T10:32:30.000Z",
        "source": "unknown",
        "reason": reason,
    }
    assert join(cloud, day + MINUTE).oldest_seconds["risk"] == 0.0


def test_a_device_without_objective_is_judged_by_its_own_past(cloud: Any, make_insight: MakeInsight) -> None:
    """Three times the median of 2 ms, which only rows from before the prediction say."""
    rows = [make_insight("nvme-1", n, avg_latency_ms=2.0) for n in range(400)]
    rows += [make_insight("nvme-1", 400 + n, avg_latency_ms=6.1) for n in range(6)]
    write(cloud, rows)
    made = predict(cloud, rows[399])
    join(cloud, at(406))
    assert prediction(cloud, made)["outcome"]["risk_level"] == "high"


def test_an_operators_label_is_never_replaced_and_what_it_leaves_open_is_filled(cloud: Any, busy: Any) -> None:
    rows = busy(5, 5, 5, 5, 5, 5, 5)
    said = {**rows[0].to_json(), "risk_level": "critical", "label_source": "operator"}
    write(cloud, [Insight.from_json(said), *rows[1:]])
    made = predict(cloud, rows[0])
    join(cloud, at(7))
    assert prediction(cloud, made)["outcome"]["risk_level"] == "low"
    labelled = insight(cloud, 0)
    assert (labelled["risk_level"], labelled["label_source"]) == ("critical", "operator")
    assert labelled["performance_score"] == pytest.approx(80.0)  # latency's only term, 1 / (1 + 1/4)


def test_an_outage_of_days_is_caught_up_page_by_page(cloud: Any, busy: Any) -> None:
    devices = [f"nvme-{n}" for n in range(4)]
    for device in devices:
        rows = busy(*[5] * 30, device=device)
        write(cloud, rows)
        for row in rows[:20]:
            predict(cloud, row)
    account = join(cloud, at(0) + timedelta(days=3), page_rows=7)
    assert (account.joined, account.is_done) == ({"risk": 80}, True)
    assert {device: insight(cloud, 19, device)["risk_level"] for device in devices} == dict.fromkeys(devices, "low")


def test_a_run_without_time_leaves_the_rest_to_the_next_and_says_how_old_it_is(cloud: Any, busy: Any) -> None:
    rows = busy(*[5] * 9)
    write(cloud, rows)
    for row in rows[:3]:
        predict(cloud, row)
    out_of_time = join(cloud, at(8.5), seconds=10)
    assert (out_of_time.joined, out_of_time.is_done, out_of_time.oldest_seconds["risk"]) == ({}, False, 600)
    assert join(cloud, at(8.5)).joined == {"risk": 3}


def test_a_table_that_refuses_one_device_keeps_no_other_from_its_outcome(
    cloud: Any, busy: Any, make_refusal: Any
) -> None:
    class Refusing:
        def __getattr__(self, name: str) -> Any:
            return getattr(cloud.dynamodb, name)

        def query(self, **request: Any) -> Any:
            if request["ExpressionAttributeValues"].get(":device") == {"S": "nvme-2"}:
                raise make_refusal("ThrottlingException", "Query")
            return cloud.dynamodb.query(**request)

    made = {}
    for device in ("nvme-1", "nvme-2"):
        rows = busy(*[5] * 7, device=device)
        write(cloud, rows)
        made[device] = predict(cloud, rows[0])
    account = join(cloud, at(7), dynamodb=Refusing())
    assert (account.joined, account.failed_devices) == ({"risk": 1}, 1)
    assert "outcome" not in prediction(cloud, made["nvme-2"], "nvme-2")
    assert join(cloud, at(8)).joined == {"risk": 1}


def test_a_prediction_that_expired_meanwhile_is_not_made_again(cloud: Any, busy: Any) -> None:
    """The index may still name it for a moment."""
    rows = busy(*[5] * 7)
    write(cloud, rows)
    predict(cloud, rows[0])
    stale = cloud.dynamodb.scan(TableName="predictions")["Items"]
    for item in stale:
        key = {name: item[name] for name in ("device_id", "predicted_at_id")}
        cloud.dynamodb.delete_item(TableName="predictions", Key=key)

    class Behind:
        def __getattr__(self, name: str) -> Any:
            return getattr(cloud.dynamodb, name)

        def query(self, **request: Any) -> Any:
            if "IndexName" in request:
                shard = request["ExpressionAttributeValues"][":shard"]
                return {"Items": [item for item in stale if item["due_shard"] == shard]}
            return cloud.dynamodb.query(**request)

    assert join(cloud, at(7), dynamodb=Behind()).joined == {}
    assert cloud.dynamodb.scan(TableName="predictions")["Items"] == []


def test_a_prediction_about_the_past_is_due_when_it_is_made(make_insight: MakeInsight) -> None:
    row = make_insight("nvme-1", 0)
    soon = due_attributes(row, predicted_at=at(0) + MINUTE)
    late = due_attributes(row, predicted_at=at(0) + timedelta(days=9))
    assert (soon["due_at"], late["due_at"]) == ("2026-03-02T10:32:30.000Z", "2026-03-11T10:00:00.000Z")
    assert soon["due_shard"] == late["due_shard"] == "06"


def test_the_adapter_says_what_was_joined_as_metrics_of_each_kind(
    cloud: Any, busy: Any, context: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = busy(*[5] * 7)
    write(cloud, rows)
    predict(cloud, rows[0], "performance")
    monkeypatch.setenv("INSIGHTS_TABLE_NAME", "insights")
    monkeypatch.setenv("PREDICTIONS_TABLE_NAME", "predictions")
    monkeypatch.setattr(adapter, "client", lambda _: cloud.dynamodb)
    adapter.environment.cache_clear()
    assert adapter.handler({"source": "aws.events"}, context)["is_done"] is True
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "_aws" in line]
    assert [(line["Kind"], line["OutcomesJoined"]) for line in lines] == [("risk", [0.0]), ("performance", [1.0])]
    assert {line["service"] for line in lines} == {"join_outcomes"}


def test_a_foreign_item_in_the_way_is_passed_over(cloud: Any, busy: Any) -> None:
    rows = busy(*[5] * 7)
    write(cloud, rows)
    foreign = to_item({"device_id": "nvme-1", "timestamp": "2026-03-02T10:01:00.000Z", "note": "none of ours"})
    cloud.dynamodb.put_item(TableName="insights", Item=foreign)
    predict(cloud, rows[0])
    assert join(cloud, at(7)).joined == {"risk": 1}


def test_predictions_made_now_wait_for_their_half_hour(cloud: Any, busy: Any) -> None:
    rows = busy(5)
    write(cloud, rows)
    predict(cloud, rows[0])
    account = join(cloud, datetime(2026, 3, 2, 10, 1, tzinfo=UTC))
    assert account.metrics("risk") == {"OutcomesJoined": 0, "OutcomesUnknown": 0, "OldestUnjoinedSeconds": 0.0}
