from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from insights.schema import Insight
from lambdas.api.problems import InvalidRequest
from lambdas.attribute_values import to_item
from lambdas.insight_writer import InsightWriter
from lambdas.read_fleet.read_fleet import Fleet, FleetEnvironment

ENVIRONMENT = FleetEnvironment(
    insights_table_name="insights",
    predictions_table_name="predictions",
    devices_table_name="devices",
    requests_table_name="requests",
    client_requests_per_minute=1000,
    allowed_origins="http://localhost:3000",
)
MakeInsight = Callable[..., Insight]


@pytest.fixture
def fleet(cloud: Any, make_insight: MakeInsight) -> Fleet:
    InsightWriter("insights", cloud.dynamodb).write(
        make_insight(device, n) for device in ("nvme-1", "hdd-2") for n in range(30)
    )
    for minute in range(20):
        kind = "risk" if minute % 2 else "performance"
        put(cloud, "predictions", **prediction(minute, kind))
    return Fleet(ENVIRONMENT, cloud.dynamodb)


def prediction(minute: int, kind: str) -> dict[str, Any]:
    at = f"2026-03-02T11:{minute:02}:00.000Z"
    return {
        "device_id": "nvme-1",
        "predicted_at_id": f"{at}#{kind}#0a1b2c3d",
        "kind": kind,
        "predicted_at": at,
        "contributions": [{"feature": "p99_latency", "value": None, "contribution": 0.25}],
        "expires_at": 1_800_000_000,
    }


def put(cloud: Any, table: str, **values: Any) -> None:
    cloud.dynamodb.put_item(TableName=table, Item=to_item(values))


def pages(read: Callable[..., dict[str, Any]], name: str, **query: str) -> Iterator[list[Any]]:
    """Every page of a list, each asked for by the token of the one before."""
    while True:
        page = read(query)
        yield page[name]
        if page["next"] is None:
            return
        query["next"] = page["next"]


def times(insights: list[dict[str, Any]]) -> list[str]:
    return [insight["timestamp"][11:16] for insight in insights]


def test_without_a_range_the_newest_insights_come_oldest_first(fleet: Fleet) -> None:
    answer = fleet.insights({"device_id": "nvme-1", "limit": "3"})
    assert times(answer["insights"]) == ["12:15", "12:20", "12:25"]
    assert answer["next"] is None
    assert answer["insights"][0]["p99_latency_ms"] is None


def test_a_range_holds_its_beginning_and_not_its_end(fleet: Fleet) -> None:
    query = {"device_id": "nvme-1", "from": "2026-03-02T10:10:00Z", "to": "2026-03-02T12:20:00+02:00"}
    assert times(fleet.insights(query)["insights"]) == ["10:10", "10:15"]


def test_insights_page_by_page_are_the_range_without_a_gap_or_a_repeat(fleet: Fleet) -> None:
    query = {"device_id": "nvme-1", "from": "2026-03-02T10:00:00Z", "limit": "7"}
    found = list(pages(fleet.insights, "insights", **query))
    assert [len(page) for page in found] == [7, 7, 7, 7, 2]
    assert times([row for page in found for row in page]) == [f"{10 + n // 12}:{5 * (n % 12):02}" for n in range(30)]


def test_a_stored_item_that_is_no_insight_is_left_out(cloud: Any, fleet: Fleet) -> None:
    put(cloud, "insights", device_id="nvme-1", timestamp="2026-03-02T13:00:00.000Z")
    assert times(fleet.insights({"device_id": "nvme-1", "limit": "2"})["insights"]) == ["12:25"]


def test_predictions_come_newest_first_as_they_were_answered(fleet: Fleet) -> None:
    answer = fleet.predictions({"device_id": "nvme-1", "limit": "1"})["predictions"]
    assert answer == [
        {
            "device_id": "nvme-1",
            "kind": "risk",
            "predicted_at": "2026-03-02T11:19:00.000Z",
            "contributions": [{"feature": "p99_latency", "value": None, "contribution": 0.25}],
            "prediction_id": "2026-03-02T11:19:00.000Z#risk#0a1b2c3d",
        }
    ]


def test_predictions_of_one_kind_are_paged_within_their_range(fleet: Fleet) -> None:
    query = {"device_id": "nvme-1", "kind": "risk", "from": "2026-03-02T11:03:00Z", "to": "2026-03-02T11:15:00Z"}
    found = [row for page in pages(fleet.predictions, "predictions", **query, limit="2") for row in page]
    assert [row["predicted_at"][14:16] for row in found] == ["13", "11", "09", "07", "05", "03"]


def test_devices_are_listed_once_insights_of_them_are_known(cloud: Any, fleet: Fleet) -> None:
    for number in range(25):
        put(cloud, "devices", device_id=f"device-{number}", as_of="2026-03-02T11:00:00.000Z", read_iops=1.0)
    put(cloud, "devices", device_id="predicted-only", risk={"risk_level": "low"})
    found = [row for page in pages(fleet.devices, "devices", limit="10") for row in page]
    assert {row["device_id"] for row in found} == {f"device-{number}" for number in range(25)}
    assert len(found) == 25
    assert (found[0]["read_iops"], found[0]["risk"], found[0]["queue_depth"]) == (1.0, None, None)


@pytest.mark.parametrize(
    ("list_name", "query", "field"),
    [
        ("devices", {"limit": "0"}, "limit"),
        ("devices", {"limit": "1001"}, "limit"),
        ("devices", {"limit": "²"}, "limit"),
        ("devices", {"order": "name"}, "order"),
        ("insights", {}, "device_id"),
        ("insights", {"device_id": " "}, "device_id"),
        ("insights", {"device_id": "a" * 129}, "device_id"),
        ("insights", {"device_id": "a\x00"}, "device_id"),
        ("insights", {"device_id": "a", "from": "yesterday"}, "from"),
        ("insights", {"device_id": "a", "from": "2026-03-02T10:00:00"}, "from"),
        ("insights", {"device_id": "a", "to": "2300-01-01T00:00:00Z"}, "to"),
        ("insights", {"device_id": "a", "from": "2026-03-02T10:00:00Z", "to": "2026-03-02T10:00:00Z"}, "to"),
        ("predictions", {"device_id": "a", "kind": "weather"}, "kind"),
        ("predictions", {"device_id": "a", "limit": "201"}, "limit"),
    ],
)
def test_a_wrong_parameter_is_refused_by_name(fleet: Fleet, list_name: str, query: dict[str, str], field: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        getattr(fleet, list_name)(query)
    assert refused.value.field == field


def forged(token: str, change: Callable[[list[Any]], Any]) -> str:
    content = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    return base64.urlsafe_b64encode(json.dumps(change(content)).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content[:1],
        lambda content: [content[0], 7],
        lambda content: [content[0], ""],
        lambda content: [content[0], "x" * 300],
        lambda content: ["0" * 16, content[1]],
        lambda content: {"a": 1},
    ],
)
def test_a_forged_token_is_refused(fleet: Fleet, change: Callable[[list[Any]], Any]) -> None:
    query = {"device_id": "nvme-1", "limit": "3"}
    token = forged(fleet.predictions(query)["next"], change)
    with pytest.raises(InvalidRequest) as refused:
        fleet.predictions({**query, "next": token})
    assert refused.value.field == "next"


@pytest.mark.parametrize("token", ["", "x", "é", "====", "A" * 2000, "bnVsbA"])
def test_what_is_no_token_is_refused(fleet: Fleet, token: str) -> None:
    with pytest.raises(InvalidRequest):
        fleet.predictions({"device_id": "nvme-1", "next": token})


def test_a_token_belongs_to_the_question_that_it_was_given_for(fleet: Fleet) -> None:
    query = {"device_id": "nvme-1", "limit": "3"}
    token = fleet.predictions(query)["next"]
    assert len(fleet.predictions({**query, "limit": "5", "next": token})["predictions"]) == 5
    for other in ({"device_id": "hdd-2"}, {**query, "kind": "risk"}):
        with pytest.raises(InvalidRequest):
            fleet.predictions({**other, "next": token})
