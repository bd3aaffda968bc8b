from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from insights.schema import Insight
from lambdas.api.problems import InvalidRequest, ModelDown
from lambdas.predict.circuit import Circuit
from lambdas.predict.predict import NOT_STORED
from tests.lambdas.predicting import PREDICTION, MakeInsight, Model, Refusing, asked, told


class ManyModel(Model):
    """One prediction for each window that it is asked about."""

    def invoke_endpoint(self, **request: Any) -> dict[str, Any]:
        self.answer = told(*[PREDICTION] * len(json.loads(request["Body"])["instances"]))
        return super().invoke_endpoint(**request)


@pytest.fixture
def suffixes() -> Callable[[], str]:
    numbers = iter(range(1000))
    return lambda: f"{next(numbers):08x}"


def test_items_are_answered_each_in_its_place_by_one_call_to_the_endpoint(
    cloud: Any, stored: list[Insight], make_insight: MakeInsight, suffixes: Callable[[], str]
) -> None:
    own = [make_insight("mine", n).to_json() for n in range(4)]
    items = [
        {"device_id": "nvme-1"},
        {"device_id": "nobody"},
        {"insights": own},
        {"insights": own[:1]},
        {"device": "typo"},
        "no object",
        {"device_id": "hdd-2"},
    ]
    model = ManyModel()
    results = asked(cloud, {"items": items}, model, suffixes=suffixes)["results"]
    assert [result["status"] for result in results] == [200, 404, 200, 409, 400, 400, 200]
    assert [result["prediction"]["device_id"] for result in results if result["status"] == 200] == [
        "nvme-1",
        "mine",
        "hdd-2",
    ]
    assert results[4]["problem"]["field"] == "items[4].device"
    assert results[1]["problem"]["type"] == "urn:iops-insights:problem:unknown-device"
    assert len(model.requests) == 1
    assert len(cloud.dynamodb.scan(TableName="predictions")["Items"]) == 3


def test_a_hundred_items_are_stored_in_batches(cloud: Any, stored: list[Insight], suffixes: Callable[[], str]) -> None:
    results = asked(cloud, {"items": [{"device_id": "nvme-1"}] * 100}, ManyModel(), suffixes=suffixes)["results"]
    assert {result["status"] for result in results} == {200}
    assert len(cloud.dynamodb.scan(TableName="predictions")["Items"]) == 100


def test_items_that_are_all_wrong_ask_no_endpoint(cloud: Any, stored: list[Insight]) -> None:
    model = ManyModel()
    assert asked(cloud, {"items": [{}, {"device_id": "nobody"}]}, model)["results"][1]["status"] == 404
    assert model.requests == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"items": []}, "items"),
        ({"items": [{"device_id": "nvme-1"}] * 101}, "items"),
        ({"items": {}}, "items"),
        ({"items": [{"device_id": "nvme-1"}], "device_id": "nvme-1"}, "device_id"),
    ],
)
def test_a_list_of_items_that_is_none_names_its_field(cloud: Any, body: object, field: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        asked(cloud, body, Model())
    assert refused.value.field == field


class LeavingOver:
    """A table that takes only the first `taken` requests of each batch."""

    def __init__(self, client: Any, taken: int) -> None:
        self.client, self.taken = client, taken

    def __getattr__(self, name: str) -> Any:
        return getattr(self.client, name)

    def batch_write_item(self, RequestItems: dict[str, list[Any]]) -> dict[str, Any]:
        ((table, requests),) = RequestItems.items()
        if self.taken:
            self.client.batch_write_item(RequestItems={table: requests[: self.taken]})
        return {"UnprocessedItems": {table: requests[self.taken :]}}


@pytest.mark.parametrize(("taken", "unstored"), [(4, 0), (2, 4), (0, 10)])
def test_items_that_the_store_does_not_take_are_answered_with_a_warning(
    cloud: Any, stored: list[Insight], suffixes: Callable[[], str], taken: int, unstored: int
) -> None:
    table = LeavingOver(cloud.dynamodb, taken)
    body = {"items": [{"device_id": "nvme-1"}] * 10}
    results = asked(cloud, body, ManyModel(), dynamodb=table, suffixes=suffixes)["results"]
    assert sum(NOT_STORED in result["prediction"]["warnings"] for result in results) == unstored
    assert len(cloud.dynamodb.scan(TableName="predictions")["Items"]) == 10 - unstored


def test_the_windows_hash_is_the_same_for_the_same_window_alone(cloud: Any, stored: list[Insight]) -> None:
    first, second, other = (
        asked(cloud, {"device_id": device}, Model())["window_sha256"] for device in ("nvme-1", "nvme-1", "hdd-2")
    )
    assert first == second != other


@pytest.mark.parametrize("body", [{"device_id": "nvme-1"}, {"items": [{"device_id": "nvme-1"}] * 100}])
def test_while_the_endpoint_is_known_to_be_down_no_window_is_read(cloud: Any, body: dict[str, Any]) -> None:
    unread = Refusing(cloud.dynamodb, "query", AssertionError("a window was read"))
    circuit = Circuit(clock=lambda: 100.0, failures=3, opened_at=99.0)
    with pytest.raises(ModelDown):
        asked(cloud, body, Model(), dynamodb=unread, circuit=circuit)
