import pytest
from botocore.config import Config

from local.cloud import LaptopCloud
from local.throughput import Meter, is_throttled
from tests.local.watching import Metrics, patiently


def test_a_second_has_so_many_units_and_the_next_one_as_many_again() -> None:
    moment = [100.2]
    meter = Meter(now=lambda: moment[0])
    limits = {"t": {"MaxReadRequestUnits": 2, "MaxWriteRequestUnits": -1}}

    def throttled(operation: str) -> bool:
        return is_throttled(operation, {"TableName": "t"}, limits, meter)

    assert [throttled("GetItem") for _ in range(3)] == [False, False, True]
    assert [throttled("PutItem") for _ in range(3)] == [False] * 3
    assert not throttled("DescribeTable")
    assert not is_throttled("GetItem", {"TableName": "other"}, limits, meter)
    assert not is_throttled("Query", {"TableName": "t", "IndexName": "i"}, limits, meter)
    moment[0] += 1
    assert not throttled("GetItem")


def test_a_table_beyond_its_maximum_throttles_and_counts(laptop: LaptopCloud, metrics: Metrics) -> None:
    dynamodb = laptop.client("dynamodb", config=Config(retries={"total_max_attempts": 1}))
    dynamodb.create_table(
        TableName="slow",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    dynamodb.put_item(TableName="slow", Item={"id": {"S": "a"}})
    dynamodb.update_table(TableName="slow", OnDemandThroughput={"MaxWriteRequestUnits": 0})

    with pytest.raises(dynamodb.exceptions.ClientError, match="ThrottlingException"):
        dynamodb.put_item(TableName="slow", Item={"id": {"S": "b"}})

    throttled = metrics.of("AWS/DynamoDB", TableName="slow", Operation="PutItem")
    patiently(lambda: throttled("ThrottledRequests"))
    assert throttled("ThrottledRequests") == 1
    assert metrics.total("AWS/DynamoDB", "WriteThrottleEvents", TableName="slow") == 1
    assert dynamodb.get_item(TableName="slow", Key={"id": {"S": "a"}})["Item"] == {"id": {"S": "a"}}
