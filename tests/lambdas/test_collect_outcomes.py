from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from lambdas.attribute_values import to_item
from lambdas.collect_outcomes import collect_outcomes as module
from lambdas.collect_outcomes import handler as adapter
from lambdas.collect_outcomes.collect_outcomes import CollectEnvironment, Part, collect_outcomes

PREFIX = "monitoring/risk/period/"
ENVIRONMENT = CollectEnvironment("predictions", "devices")
PART = Part(
    kind="risk",
    bucket="iops-bucket",
    prefix=PREFIX,
    since="2026-03-01T00:00:00.000Z",
    until="2026-03-02T10:00:00.000Z",
    start_key=None,
    number=0,
)


def store(cloud: Any, device: str, at: str = "2026-03-02T09:00:00.000Z", kind: str = "risk", **fields: Any) -> None:
    cloud.dynamodb.put_item(TableName=cloud.devices_table, Item={"device_id": {"S": device}})
    values = {"device_id": device, "predicted_at_id": f"{at}#{kind}#00", "kind": kind, "predicted_at": at, **fields}
    cloud.dynamodb.put_item(TableName=cloud.predictions_table, Item=to_item(values))


def collected(cloud: Any, part: Part = PART, *, remaining_seconds: float = 900) -> dict[str, Any]:
    return collect_outcomes(
        part, environment=ENVIRONMENT, remaining_seconds=lambda: remaining_seconds, dynamodb=cloud.dynamodb, s3=cloud.s3
    )


def lines(cloud: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for body in cloud.objects(PREFIX).values() for line in body.splitlines()]


def test_predictions_of_the_kind_and_time_whose_outcome_is_known_are_written(cloud: Any) -> None:
    outcome, word = {"risk_level": "high", "performance_score": 40.0}, {"risk_level": "low", "performance_score": None}
    store(cloud, "joined", outcome=outcome, probabilities={"low": 0.7}, explanation="left out")
    store(cloud, "told", feedback=word, variant="live", model_version="arn:3")
    store(cloud, "unknown")
    store(cloud, "other-kind", kind="performance", outcome=outcome)
    store(cloud, "before", at="2026-02-28T23:59:59.000Z", outcome=outcome)
    store(cloud, "after", at="2026-03-02T10:30:00.000Z", outcome=outcome)

    assert collected(cloud) == {"done": True, "start_key": None, "part": 1, "lines": 2}
    found = {line["device_id"]: line for line in lines(cloud)}
    assert found.keys() == {"joined", "told"}
    assert (found["joined"]["outcome"], found["joined"]["probabilities"]) == (outcome, {"low": 0.7})
    assert "explanation" not in found["joined"]
    assert (found["told"]["feedback"], found["told"]["variant"], found["told"]["model_version"]) == (
        word,
        "live",
        "arn:3",
    )


def test_a_part_is_written_even_where_nothing_is_known(cloud: Any) -> None:
    """A processing input whose prefix is empty fails its job."""
    assert collected(cloud)["lines"] == 0
    assert cloud.objects(PREFIX) == {f"{PREFIX}outcomes/part-00000.jsonl": b""}


def test_near_its_time_limit_it_hands_on_and_nothing_is_lost_or_written_twice(
    cloud: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "DEVICES_PER_PAGE", 2)
    for number in range(5):
        store(cloud, f"d{number}", outcome={"risk_level": "low"})
    part, answers = PART, []
    while not answers or not answers[-1]["done"]:
        answers.append(collected(cloud, part, remaining_seconds=10))
        part = replace(part, start_key=answers[-1]["start_key"], number=answers[-1]["part"])
    assert [answer["part"] for answer in answers] == [1, 2, 3]
    assert sorted(line["device_id"] for line in lines(cloud)) == [f"d{number}" for number in range(5)]


def test_the_handler_reads_the_plan(monkeypatch: pytest.MonkeyPatch, context: Any) -> None:
    calls: dict[str, Any] = {}

    def fake(part: Part, **rest: Any) -> dict[str, Any]:
        calls.update(part=part, remaining=rest["remaining_seconds"]())
        return {"done": True}

    monkeypatch.setattr(adapter, "environment", lambda: ENVIRONMENT)
    monkeypatch.setattr(adapter, "collect_outcomes", fake)
    plan = {"kind": "risk", "bucket": "iops-bucket", "prefix": PREFIX, "outcomes_since": PART.since, "end": PART.until}
    adapter.handler({"plan": plan, "start_key": None, "part": 0}, context)
    assert calls == {"part": PART, "remaining": 900.0}
