"""Watching a laptop cloud: sums of metrics, and a queue that hears what rules and topics say."""

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from local.cloud import LaptopCloud

Wait = Callable[[Callable[[], Any]], Any]


def patiently(look: Callable[[], Any], *, seconds: float = 20.0) -> Any:
    """What `look` finds once it finds something; its last answer after the time is over."""
    deadline = time.monotonic() + seconds
    while not (found := look()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


class Metrics:
    """What CloudWatch has of a namespace."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def total(self, namespace: str, name: str, *, statistic: str = "Sum", **dimensions: str) -> float | None:
        now = datetime.now(UTC)
        answer = self._client.get_metric_statistics(
            Namespace=namespace,
            MetricName=name,
            Dimensions=[{"Name": key, "Value": value} for key, value in dimensions.items()],
            StartTime=now - timedelta(hours=1),
            EndTime=now + timedelta(hours=1),
            Period=86_400,
            Statistics=[statistic],
        )
        return sum(point[statistic] for point in answer["Datapoints"]) if answer["Datapoints"] else None


@pytest.fixture
def metrics(laptop: LaptopCloud) -> Metrics:
    return Metrics(laptop.client("cloudwatch"))


class Ear:
    """A queue's messages so far, as JSON."""

    def __init__(self, client: Any, url: str, arn: str) -> None:
        self._client, self._url, self.arn = client, url, arn
        self._heard: list[dict[str, Any]] = []

    def heard(self) -> list[dict[str, Any]]:
        answer = self._client.receive_message(QueueUrl=self._url, MaxNumberOfMessages=10)
        for message in answer.get("Messages", []):
            self._heard.append(json.loads(message["Body"]))
            self._client.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])
        return self._heard


MakeEar = Callable[[str], Ear]


@pytest.fixture
def make_ear(laptop: LaptopCloud) -> Iterator[MakeEar]:
    sqs = laptop.client("sqs")
    urls = []

    def make(name: str) -> Ear:
        url = sqs.create_queue(QueueName=name)["QueueUrl"]
        urls.append(url)
        arn = f"arn:aws:sqs:us-east-1:000000000000:{name}"
        everyone = {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": arn}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [everyone]})
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
        return Ear(sqs, url, arn)

    yield make
    for url in urls:
        sqs.delete_queue(QueueUrl=url)
