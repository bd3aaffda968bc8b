"""GetMetricData of the laptop's cloud as an SDK asks it, and who may."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from local.cloud import LaptopCloud

START = datetime.fromtimestamp(time.time() // 3600 * 3600, UTC) - timedelta(hours=2)
PERIOD = timedelta(minutes=5)
numbers = count(1)


class Metrics:
    """Metrics of one volume that no other test has."""

    def __init__(self, laptop: LaptopCloud) -> None:
        self.cloudwatch = laptop.client("cloudwatch")
        self.dimensions = [{"Name": "VolumeId", "Value": f"vol-{next(numbers)}"}]

    def put(self, name: str, *values: float | None) -> None:
        """Values of periods from START on; two points make each of them."""
        moments = ((START + place * PERIOD, value) for place, value in enumerate(values))
        data = [
            {
                "MetricName": name,
                "Dimensions": self.dimensions,
                "Timestamp": moment + timedelta(minutes=minute),
                "Value": value / 2,
            }
            for moment, value in moments
            if value is not None
            for minute in (0, 4)
        ]
        self.cloudwatch.put_metric_data(Namespace="AWS/EBS", MetricData=data)

    def stat(self, query_id: str, name: str, *, stat: str = "Sum", period: int = 300, **more: Any) -> dict[str, Any]:
        metric = {"Namespace": "AWS/EBS", "MetricName": name, "Dimensions": self.dimensions}
        return {"Id": query_id, "MetricStat": {"Metric": metric, "Period": period, "Stat": stat}, **more}

    def get(self, *queries: Mapping[str, Any], **more: Any) -> dict[str, Any]:
        span = {"StartTime": START, "EndTime": START + timedelta(hours=1)}
        answer: dict[str, Any] = self.cloudwatch.get_metric_data(
            MetricDataQueries=list(queries), **{**span, "ScanBy": "TimestampAscending", **more}
        )
        return answer


@pytest.fixture
def metrics(laptop: LaptopCloud) -> Metrics:
    return Metrics(laptop)


def values(answer: Mapping[str, Any]) -> dict[str, dict[int, float]]:
    """Of each query, by the number of the period."""
    return {
        result["Id"]: {
            (moment - START) // PERIOD: value
            for moment, value in zip(result["Timestamps"], result["Values"], strict=True)
        }
        for result in answer["MetricDataResults"]
    }


def test_expressions_are_computed_over_the_periods_of_their_metrics(metrics: Metrics):
    metrics.put("VolumeReadOps", 100, 200, None, 0)
    metrics.put("VolumeTotalReadTime", 1, 4, None, 0)
    answer = metrics.get(
        metrics.stat("ops", "VolumeReadOps"),
        metrics.stat("seconds", "VolumeTotalReadTime", ReturnData=False),
        {"Id": "latency", "Expression": "1000 * seconds / ops", "Label": "ms", "Period": 300},
        {"Id": "rate", "Expression": "ops / PERIOD(ops)"},
        {"Id": "most", "Expression": "MAX([ops, seconds, latency])"},
    )

    found = values(answer)
    assert found["ops"] == {0: 100.0, 1: 200.0, 3: 0.0}
    assert found["latency"] == {0: 10.0, 1: 20.0}  # nothing where there is nothing, or nothing to divide by
    assert found["rate"][1] == pytest.approx(200 / 300)
    assert found["most"] == {0: 100.0, 1: 200.0, 3: 0.0}
    assert {result["Id"]: result["Label"] for result in answer["MetricDataResults"]} == {
        "ops": "VolumeReadOps",
        "latency": "ms",
        "rate": "rate",
        "most": "most",
    }
    assert {result["StatusCode"] for result in answer["MetricDataResults"]} == {"Complete"}


@pytest.mark.parametrize(
    ("stat", "value"), [("Sum", 200.0), ("Average", 100.0), ("Maximum", 100.0), ("SampleCount", 2.0)]
)
def test_a_statistic_is_of_the_points_of_a_period(metrics: Metrics, stat: str, value: float):
    metrics.put("VolumeReadOps", 200)
    assert values(metrics.get(metrics.stat("m", "VolumeReadOps", stat=stat))) == {"m": {0: value}}


def test_a_period_of_a_minute_has_the_minutes_points(metrics: Metrics):
    metrics.put("VolumeReadOps", 200)
    [result] = metrics.get(metrics.stat("m", "VolumeReadOps", period=60))["MetricDataResults"]
    assert [moment - START for moment in result["Timestamps"]] == [timedelta(0), timedelta(minutes=4)]


def test_the_start_belongs_to_a_span_and_the_end_does_not(metrics: Metrics):
    metrics.put("VolumeReadOps", 1, 2, 3)
    span = {"StartTime": START + PERIOD, "EndTime": START + 2 * PERIOD}
    assert values(metrics.get(metrics.stat("m", "VolumeReadOps"), **span)) == {"m": {1: 2.0}}


def test_the_newest_come_first_unless_asked_otherwise(metrics: Metrics):
    metrics.put("VolumeReadOps", 1, 2, 3)
    query = metrics.stat("m", "VolumeReadOps")
    assert metrics.get(query)["MetricDataResults"][0]["Values"] == [1.0, 2.0, 3.0]
    assert metrics.get(query, ScanBy="TimestampDescending")["MetricDataResults"][0]["Values"] == [3.0, 2.0, 1.0]


def test_too_many_points_come_in_pages(metrics: Metrics):
    metrics.put("VolumeReadOps", 1, 2, 3, 4, 5)
    metrics.put("VolumeWriteOps", 6)
    queries = (metrics.stat("r", "VolumeReadOps"), metrics.stat("w", "VolumeWriteOps"))
    first = metrics.get(*queries, MaxDatapoints=4)
    assert [result["StatusCode"] for result in first["MetricDataResults"]] == ["PartialData", "Complete"]
    pages, token = [first], first["NextToken"]
    while token:
        pages.append(metrics.get(*queries, MaxDatapoints=4, NextToken=token))
        token = pages[-1].get("NextToken")

    assert [values(page)["r"] for page in pages] == [{0: 1.0, 1: 2.0}, {2: 3.0, 3: 4.0}, {4: 5.0}]
    assert values(pages[0])["w"] == {0: 6.0}
    assert [result["StatusCode"] for result in pages[-1]["MetricDataResults"]] == ["Complete", "Complete"]
    with pytest.raises(ClientError, match="InvalidNextToken"):
        metrics.get(queries[0], NextToken=first["NextToken"])


def test_an_answer_with_an_expression_is_cut_without_a_token(metrics: Metrics):
    metrics.put("VolumeReadOps", 1, 2, 3)
    answer = metrics.get(metrics.stat("r", "VolumeReadOps"), {"Id": "twice", "Expression": "2 * r"}, MaxDatapoints=4)
    assert "NextToken" not in answer
    assert [result["StatusCode"] for result in answer["MetricDataResults"]] == ["PartialData", "PartialData"]


@pytest.mark.parametrize(
    ("queries", "says"),
    [
        ([{"Id": "Wrong", "Expression": "1 + 1"}], "does not match"),
        ([{"Id": "e", "Expression": "m + 1"}], "no element of Metrics has the Id m"),
        ([{"Id": "e", "Expression": "1 + 1"}], "must return a time series"),
        ([{"Id": "e"}], "either a MetricStat or an Expression"),
    ],
)
def test_what_cloudwatch_refuses_is_refused(metrics: Metrics, queries: list[dict[str, Any]], says: str):
    with pytest.raises(ClientError, match=says):
        metrics.get(*queries)


def test_limits_are_cloudwatchs(metrics: Metrics):
    with pytest.raises(ClientError, match="500 are the most"):
        metrics.get(*(metrics.stat(f"m{number}", "VolumeReadOps") for number in range(501)))
    with pytest.raises(ClientError, match="no multiple of 60"):
        metrics.get(metrics.stat("m", "VolumeReadOps", period=90))
    with pytest.raises(ClientError, match="must be less than"):
        metrics.get(metrics.stat("m", "VolumeReadOps"), EndTime=START)


MakeRole = Callable[..., str]


def as_role(laptop: LaptopCloud, role: str, service: str) -> Any:
    given = laptop.client("sts").assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
    return boto3.client(
        service,
        region_name="us-east-1",
        endpoint_url=laptop.endpoint_url,
        aws_access_key_id=given["AccessKeyId"],
        aws_secret_access_key=given["SecretAccessKey"],
        aws_session_token=given["SessionToken"],
    )


@pytest.mark.parametrize(
    ("allowed", "refused"),
    [("ec2:DescribeVolumes", "cloudwatch:GetMetricData"), ("cloudwatch:GetMetricData", "ec2:DescribeVolumes")],
)
def test_a_role_may_do_what_it_is_allowed_alone(laptop: LaptopCloud, make_role: MakeRole, allowed: str, refused: str):
    role = make_role(
        f"collector-{allowed.partition(':')[0]}", "lambda.amazonaws.com", {"Action": allowed, "Resource": "*"}
    )
    query = Metrics(laptop).stat("m", "VolumeReadOps")
    asks: dict[str, Callable[[], Any]] = {
        "ec2:DescribeVolumes": lambda: as_role(laptop, role, "ec2").describe_volumes(),
        "cloudwatch:GetMetricData": lambda: as_role(laptop, role, "cloudwatch").get_metric_data(
            MetricDataQueries=[query], StartTime=START, EndTime=START + PERIOD
        ),
    }

    asks[allowed]()
    with pytest.raises(ClientError, match=f"not authorized to perform: {refused}"):
        asks[refused]()
