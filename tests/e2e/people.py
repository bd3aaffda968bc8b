"""What people are told: a queue that is subscribed to a deployment's topic."""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tests.e2e.served_models import ServedModels


@dataclass
class People:
    """Whoever listens to the topic: what alarms said, as (alarm, state), and what events said."""

    queue: Any
    url: str
    alarms: Counter[tuple[str, str]] = field(default_factory=Counter)
    sentences: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, served: ServedModels) -> People:
        sqs, sns = served.cloud.client("sqs"), served.cloud.client("sns")
        url = sqs.create_queue(QueueName="people")["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        topic = served.deployment["IopsTraining.TopicArn"]
        statement = {
            "Effect": "Allow",
            "Principal": {"Service": "sns.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": arn,
            "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
        return cls(sqs, url)

    def listen(self) -> None:
        while messages := self.queue.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                text = json.loads(message["Body"])["Message"]
                told = json.loads(text) if text.startswith("{") else {}
                if "AlarmName" in told:
                    self.alarms[told["AlarmName"], told["NewStateValue"]] += 1
                else:
                    self.sentences.append(text)
                self.queue.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])

    def hear(self, words: str, *, seconds: float = 20.0) -> str:
        """The first sentence with these words."""
        deadline = time.monotonic() + seconds
        while True:
            self.listen()
            if found := [sentence for sentence in self.sentences if words in sentence]:
                return found[0]
            assert time.monotonic() < deadline, f"nobody said {words!r}; said was {self.sentences}"
            time.sleep(0.1)
