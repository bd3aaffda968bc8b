from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from local.cloud import LaptopCloud
from local.options import InvalidOption
from local.restore import RestoreFailed, RestoreOptions, restore

TABLE = "restored-insights"


@pytest.mark.parametrize(
    ("environment", "text"),
    [
        ({}, "TABLE=: give one of insights, predictions"),
        ({"TABLE": "devices"}, "TABLE=devices: give one of"),
        ({"TABLE": "insights", "AT": "yesterday"}, "AT=yesterday: give a moment with its zone"),
        ({"TABLE": "insights", "AT": "2026-11-24T10:00:00"}, "give a moment with its zone"),
        ({"TABLE": "insights", "AT": "2026-11-24T10:00:00Z", "FROM": "copy"}, "leave one of them out"),
        ({"TABLE": "insights", "OVERWRITE": "yes"}, "OVERWRITE=yes: give true or false"),
    ],
)
def test_a_wrong_option_is_refused_by_name_value_and_remedy(environment: dict[str, str], text: str):
    with pytest.raises(InvalidOption, match=text):
        RestoreOptions.from_environment(environment)


def test_a_moment_is_understood_in_any_zone():
    options = RestoreOptions.from_environment({"TABLE": "insights", "AT": "2026-11-24T12:00:00+02:00"})

    assert options.moment == datetime(2026, 11, 24, 10, tzinfo=UTC)


class Account:
    """The laptop's DynamoDB, with a stack that names the table of this test."""

    def __init__(self, laptop: LaptopCloud) -> None:
        self._laptop = laptop

    def __call__(self, service: str) -> Any:
        return self if service == "cloudformation" else self._laptop.client(service)

    def describe_stacks(self, StackName: str) -> Any:
        return {"Stacks": [{"Outputs": [{"OutputKey": "InsightsTableName", "OutputValue": TABLE}]}]}


@pytest.fixture
def dynamodb(laptop: LaptopCloud) -> Iterator[Any]:
    """A table of five rows."""
    client = laptop.client("dynamodb")
    client.create_table(
        TableName=TABLE,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[
            {"AttributeName": "device_id", "KeyType": "HASH"},
            {"AttributeName": "timestamp", "KeyType": "RANGE"},
        ],
        AttributeDefinitions=[{"AttributeName": n, "AttributeType": "S"} for n in ("device_id", "timestamp")],
    )
    for hour in range(5):
        client.put_item(TableName=TABLE, Item=row(hour, "as it was"))
    yield client
    for name in client.list_tables()["TableNames"]:
        if name.startswith(TABLE):
            client.delete_table(TableName=name)


def row(hour: int, note: str) -> dict[str, Any]:
    return {"device_id": {"S": "a"}, "timestamp": {"S": f"2026-01-01T0{hour}:00:00.000Z"}, "note": {"S": note}}


def notes(dynamodb: Any) -> list[str]:
    found = dynamodb.scan(TableName=TABLE)["Items"]
    return [item["note"]["S"] for item in sorted(found, key=lambda item: item["timestamp"]["S"])]


def damage(dynamodb: Any) -> None:
    """Two rows are lost, one is changed, one is new."""
    for hour in (1, 3):
        dynamodb.delete_item(TableName=TABLE, Key={k: v for k, v in row(hour, "").items() if k != "note"})
    dynamodb.put_item(TableName=TABLE, Item=row(2, "changed"))
    dynamodb.put_item(TableName=TABLE, Item=row(5, "new"))


def damaged_beside_a_copy(dynamodb: Any) -> str:
    """The laptop's DynamoDB restores what a table holds now, so the copy is made before the damage."""
    copy = f"{TABLE}-20260101T060000Z"
    dynamodb.restore_table_to_point_in_time(
        SourceTableName=TABLE, TargetTableName=copy, RestoreDateTime=datetime(2026, 1, 1, 6, tzinfo=UTC)
    )
    damage(dynamodb)
    return copy


def test_missing_rows_come_back_newer_ones_stay_and_the_copy_goes(laptop: LaptopCloud, dynamodb: Any):
    copy, said = damaged_beside_a_copy(dynamodb), []
    options = RestoreOptions(table="insights", moment=datetime(2026, 1, 1, 6, tzinfo=UTC))

    told = restore(options, Account(laptop), say=said.append)

    assert notes(dynamodb) == ["as it was", "as it was", "changed", "as it was", "as it was", "new"]
    assert said[0] == f"going on with {copy}, which an earlier restore left"
    assert told == f"{TABLE}: 2 rows put back, 3 were there already and kept as they are; the copy {copy} is removed"
    assert copy not in dynamodb.list_tables()["TableNames"]


def test_overwriting_takes_the_old_content_too_from_a_table_that_was_restored_by_hand(
    laptop: LaptopCloud, dynamodb: Any
):
    copy = damaged_beside_a_copy(dynamodb)

    restore(RestoreOptions(table="insights", source=copy, overwrite=True), Account(laptop), say=lambda _: None)

    assert notes(dynamodb) == ["as it was"] * 5 + ["new"]
    assert copy in dynamodb.list_tables()["TableNames"]


def test_a_table_that_cannot_be_restored_is_left_as_it_is(laptop: LaptopCloud):
    with pytest.raises(RestoreFailed, match=f"{TABLE} cannot be restored: .*not found"):
        restore(RestoreOptions(table="insights"), Account(laptop), say=lambda _: None)
