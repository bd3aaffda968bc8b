from __future__ import annotations

from typing import Any

import pytest

from lambdas.api.client_limit import LEASE, ClientLimit
from lambdas.api.problems import TooManyRequests

MINUTE = 1_772_449_200.0  # a whole minute


class Clock:
    now = MINUTE + 15

    def __call__(self) -> float:
        return self.now


class Counting:
    """The table, counting the writes that it gets."""

    def __init__(self, client: Any) -> None:
        self.client, self.writes = client, 0

    def update_item(self, **request: Any) -> Any:
        self.writes += 1
        return self.client.update_item(**request)


def test_a_client_is_refused_after_its_minute_is_used_up_and_served_in_the_next(cloud: Any) -> None:
    clock = Clock()
    limit = ClientLimit("requests", 25, cloud.dynamodb, clock)
    for _ in range(25):
        limit.take("a")
    with pytest.raises(TooManyRequests, match="25 times a minute") as refused:
        limit.take("a")
    assert refused.value.headers() == {"Retry-After": "45"}
    limit.take("b")
    clock.now += 45
    limit.take("a")


def test_ten_requests_cost_one_write(cloud: Any) -> None:
    table = Counting(cloud.dynamodb)
    limit = ClientLimit("requests", 1000, table, Clock())
    for _ in range(100):
        limit.take("a")
    assert table.writes == 100 // LEASE


def test_two_processes_share_one_count(cloud: Any) -> None:
    first, second = (ClientLimit("requests", 30, cloud.dynamodb, Clock()) for _ in range(2))
    for _ in range(15):
        first.take("a")
    for _ in range(10):
        second.take("a")
    with pytest.raises(TooManyRequests):
        second.take("a")
    for _ in range(5):
        first.take("a")


def test_items_count_each(cloud: Any) -> None:
    limit = ClientLimit("requests", 100, cloud.dynamodb, Clock())
    limit.take("a", 95)
    limit.take("a", 5)
    with pytest.raises(TooManyRequests):
        limit.take("a")


def test_what_was_counted_is_forgotten_by_the_table(cloud: Any) -> None:
    ClientLimit("requests", 100, cloud.dynamodb, Clock()).take("a")
    (item,) = cloud.dynamodb.scan(TableName="requests")["Items"]
    assert int(item["expires_at"]["N"]) > MINUTE


def test_a_table_that_does_not_answer_lets_requests_pass(make_refusal: Any) -> None:
    class Broken:
        def update_item(self, **_: Any) -> Any:
            raise make_refusal("InternalServerError", "UpdateItem")

    ClientLimit("requests", 1, Broken(), Clock()).take("a", 50)
