"""Records as DynamoDB streams send them: twice, late, out of order."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from insights.schema import Insight
from lambdas.attribute_values import from_item, to_item
from lambdas.track_devices.track_devices import track_devices

MakeInsight = Callable[..., Insight]
NOTHING_FAILED: dict[str, Any] = {"batchItemFailures": []}


def record(values: dict[str, Any], number: int = 0, *, event: str = "INSERT") -> dict[str, Any]:
    image = {"OldImage" if event == "REMOVE" else "NewImage": to_item(values)}
    return {
        "eventName": event,
        "eventSource": "aws:dynamodb",
        "dynamodb": {"SequenceNumber": str(1000 + number), "StreamViewType": "NEW_IMAGE", **image},
    }


def insight_record(insight: Insight, number: int = 0) -> dict[str, Any]:
    return record({name: value for name, value in insight.to_json().items() if value is not None}, number)


def prediction_record(minute: int, kind: str = "risk", device: str = "nvme-1") -> dict[str, Any]:
    at = f"2026-03-02T11:{minute:02}:00.000Z"
    outcome = (
        {"risk_level": "high"}
        if kind == "risk"
        else {"performance_score": 71.0, "interval": {"lower": 60.0, "upper": 80.0, "level": 0.9}}
    )
    values = {"device_id": device, "predicted_at_id": f"{at}#{kind}#0a", "kind": kind, "predicted_at": at}
    return record({**values, "as_of": at, "confidence": 0.5 + minute / 100, **outcome}, minute)


def track(cloud: Any, *records: dict[str, Any], dynamodb: Any = None) -> dict[str, Any]:
    return track_devices(records, table="devices", dynamodb=dynamodb or cloud.dynamodb)


def device(cloud: Any, name: str = "nvme-1") -> dict[str, Any]:
    return from_item(cloud.dynamodb.get_item(TableName="devices", Key={"device_id": {"S": name}})["Item"])


def test_the_newest_insight_and_predictions_are_a_devices_state(cloud: Any, make_insight: MakeInsight) -> None:
    records = [insight_record(make_insight(interval=n, read_iops=float(n)), n) for n in range(3)]
    assert track(cloud, *records, prediction_record(1), prediction_record(2, "performance")) == NOTHING_FAILED
    state = device(cloud)
    assert (state["as_of"], state["read_iops"]) == ("2026-03-02T10:10:00.000Z", 2.0)
    assert state["risk"] == {
        "risk_level": "high",
        "confidence": 0.51,
        "as_of": "2026-03-02T11:01:00.000Z",
        "predicted_at": "2026-03-02T11:01:00.000Z",
        "prediction_id": "2026-03-02T11:01:00.000Z#risk#0a",
    }
    assert state["performance"]["interval"]["upper"] == 80.0


def test_the_state_is_the_same_whatever_the_order_and_however_often(cloud: Any, make_insight: MakeInsight) -> None:
    records = [insight_record(make_insight(interval=n, read_iops=float(n))) for n in range(10)]
    records += [prediction_record(n) for n in range(10)]
    track(cloud, *records)
    expected = device(cloud)
    shuffled = records * 2
    random.Random(5).shuffle(shuffled)
    for begin in range(0, len(shuffled), 3):
        assert track(cloud, *shuffled[begin : begin + 3]) == NOTHING_FAILED
    assert device(cloud) == expected
    assert expected["risk"]["confidence"] == 0.59


def test_a_null_of_the_newest_insight_replaces_an_older_value(cloud: Any, make_insight: MakeInsight) -> None:
    track(cloud, insight_record(make_insight(interval=1, queue_depth=4.0)))
    track(cloud, insight_record(make_insight(interval=2)))
    assert device(cloud)["queue_depth"] is None


def test_an_expired_prediction_changes_no_state(cloud: Any) -> None:
    track(cloud, prediction_record(5))
    removal = record({"device_id": "nvme-1", "predicted_at_id": "2026-03-02T11:05:00.000Z#risk#0a"}, event="REMOVE")
    assert track(cloud, removal) == NOTHING_FAILED
    assert device(cloud)["risk"]["risk_level"] == "high"


class Refusing:
    """The table, refusing the updates of one device."""

    def __init__(self, client: Any, device_id: str, error: Exception) -> None:
        self.client, self.device_id, self.error = client, device_id, error

    def update_item(self, **request: Any) -> Any:
        if request["Key"]["device_id"]["S"] == self.device_id:
            raise self.error
        return self.client.update_item(**request)


@pytest.mark.parametrize("code", ["ThrottlingException", "ValidationException"])
def test_a_device_that_cannot_be_written_has_the_batch_sent_again_from_its_first_record(
    cloud: Any, make_insight: MakeInsight, make_refusal: Any, code: str
) -> None:
    records = [
        insight_record(make_insight("a", 0), 0),
        insight_record(make_insight("b", 0), 1),
        insight_record(make_insight("c", 0), 2),
        insight_record(make_insight("b", 1), 3),
    ]
    refusing = Refusing(cloud.dynamodb, "b", make_refusal(code, "UpdateItem"))
    assert track(cloud, *records, dynamodb=refusing) == {"batchItemFailures": [{"itemIdentifier": "1001"}]}
    assert track(cloud, *records[1:]) == NOTHING_FAILED
    assert [device(cloud, name)["as_of"][11:16] for name in "abc"] == ["10:00", "10:05", "10:00"]
