"""Watching a laptop cloud: sums of metrics, and a queue that hears what rules and topics say."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any


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

    def of(self, namespace: str, **dimensions: str) -> Callable[..., float | None]:
        def total(name: str, *, statistic: str = "Sum") -> float | None:
            return self.total(namespace, name, statistic=statistic, **dimensions)

        return total


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
