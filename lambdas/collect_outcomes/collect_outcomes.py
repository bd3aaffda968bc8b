"""The predictions whose outcome is known, as JSON lines for the watching job: device by device, as only keys are indexed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from insights.schema import ITEM_FORMAT
from lambdas.attribute_values import from_item
from lambdas.clients import client
from lambdas.objects import TextUpload

# Of a prediction, what is judged; its reasons and texts are most of it.
KEPT: Final = (
    ITEM_FORMAT,
    "device_id",
    "kind",
    "predicted_at",
    "variant",
    "model_version",
    "risk_level",
    "probabilities",
    "performance_score",
    "feedback",
    "outcome",
)
DEVICES_PER_PAGE: Final = 100


@dataclass(frozen=True)
class CollectEnvironment:
    predictions_table_name: str
    devices_table_name: str
    hand_on_margin_seconds: int = 60


@dataclass(frozen=True, kw_only=True)
class Part:
    """What one invocation is asked for: predictions of `kind` made from `since` to `until`, devices from `start_key` on."""

    kind: str
    bucket: str
    prefix: str
    since: str
    until: str
    start_key: Mapping[str, Any] | None
    number: int

    @classmethod
    def from_event(cls, event: Mapping[str, Any]) -> Part:
        plan = event["plan"]
        return cls(
            kind=plan["kind"],
            bucket=plan["bucket"],
            prefix=plan["prefix"],
            since=plan["outcomes_since"],
            until=plan["end"],
            start_key=event.get("start_key"),
            number=event.get("part") or 0,
        )


def collect_outcomes(
    part: Part,
    *,
    environment: CollectEnvironment,
    remaining_seconds: Callable[[], float],
    dynamodb: Any = None,
    s3: Any = None,
) -> dict[str, Any]:
    """Writes one part, empty where nothing is known; `done` is false when another invocation has to go on."""
    dynamodb, start_key, lines = dynamodb or client("dynamodb"), part.start_key, 0
    key = f"{part.prefix}outcomes/part-{part.number:05d}.jsonl"
    with TextUpload(s3 or client("s3"), part.bucket, key, content_type="application/x-ndjson") as upload:
        while True:
            page = dynamodb.scan(
                TableName=environment.devices_table_name,
                ProjectionExpression="device_id",
                Limit=DEVICES_PER_PAGE,
                **({"ExclusiveStartKey": start_key} if start_key else {}),
            )
            for device in page["Items"]:
                for prediction in _known(dynamodb, environment.predictions_table_name, part, device["device_id"]):
                    upload.write(json.dumps(prediction) + "\n")
                    lines += 1
            start_key = page.get("LastEvaluatedKey")
            if not start_key or remaining_seconds() < environment.hand_on_margin_seconds:
                break
    return {"done": not start_key, "start_key": start_key, "part": part.number + 1, "lines": lines}


def _known(dynamodb: Any, table: str, part: Part, device: Mapping[str, Any]) -> Any:
    names = {f"#{number}": name for number, name in enumerate(KEPT)}
    place = {name: alias for alias, name in names.items()}
    pages = dynamodb.get_paginator("query").paginate(
        TableName=table,
        KeyConditionExpression=f"{place['device_id']} = :device AND #key BETWEEN :since AND :until",
        FilterExpression=(
            f"{place['kind']} = :kind AND (attribute_exists({place['feedback']}) OR attribute_exists({place['outcome']}))"
        ),
        ProjectionExpression=", ".join(names),
        ExpressionAttributeNames={**names, "#key": "predicted_at_id"},
        ExpressionAttributeValues={
            ":device": device,
            ":kind": {"S": part.kind},
            ":since": {"S": part.since},
            ":until": {"S": part.until},
        },
    )
    for page in pages:
        yield from map(from_item, page["Items"])
