"""The newest state of each device, from the streams of the insights and predictions tables.

Records may come twice, late or out of order: a state is only ever replaced by a newer one, so each may be tried again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from aws_lambda_powertools import Logger
from botocore.exceptions import BotoCoreError, ClientError

from lambdas.attribute_values import from_item, to_attribute_value
from lambdas.client_errors import is_unmet_condition

logger = Logger(child=True)
INSIGHT_FIELDS: Final = (
    "device_class",
    "workload_type",
    "read_iops",
    "write_iops",
    "avg_latency_ms",
    "p99_latency_ms",
    "queue_depth",
    "latency_slo_ms",
)
PREDICTION_FIELDS: Final = {
    "risk": ("risk_level", "confidence", "as_of", "predicted_at", "prediction_id"),
    "performance": ("performance_score", "interval", "confidence", "as_of", "predicted_at", "prediction_id"),
}


@dataclass(frozen=True)
class TrackEnvironment:
    devices_table_name: str


@dataclass(frozen=True, kw_only=True)
class State:
    """What a record says of its device. `since` orders the states of one device and `part`, as text."""

    device_id: str
    part: str
    since: str
    values: Mapping[str, Any]
    sequence_number: str


def track_devices(records: Iterable[Mapping[str, Any]], *, table: str, dynamodb: Any) -> dict[str, Any]:
    """The answer that Lambda's event source mapping expects: the first record that it must send again, or none."""
    for state in newest_states(records):
        try:
            _keep_if_newer(state, table, dynamodb)
        except (ClientError, BotoCoreError):
            logger.exception("a device's state was not kept; the rest of the batch comes again")
            return {"batchItemFailures": [{"itemIdentifier": state.sequence_number}]}
    return {"batchItemFailures": []}


def newest_states(records: Iterable[Mapping[str, Any]]) -> Sequence[State]:
    """One state per device and part, the newest; in the order of the first record of each, as a retry begins there."""
    found: dict[tuple[str, str], State] = {}
    for record in records:
        state = state_of(record)
        if state is None:
            continue
        known = found.get((state.device_id, state.part))
        if known is None:
            found[state.device_id, state.part] = state
        elif state.since >= known.since:
            found[state.device_id, state.part] = replace(state, sequence_number=known.sequence_number)
    return list(found.values())


def state_of(record: Mapping[str, Any]) -> State | None:
    """None for a removal (an expired prediction) and for what is neither an insight nor a prediction."""
    change = record["dynamodb"]
    if "NewImage" not in change:
        return None
    item = from_item(change["NewImage"])
    if "predicted_at_id" in item:
        part, since = str(item.get("kind")), item["predicted_at_id"]
        values = {name: item.get(name) for name in PREDICTION_FIELDS.get(part, ())}
        values |= {"prediction_id": since}
    else:
        part, since = "insight", item["timestamp"]
        values = {name: item.get(name) for name in INSIGHT_FIELDS}
    if part != "insight" and part not in PREDICTION_FIELDS:
        logger.warning("a prediction of no known kind was left out", extra={"kind": part})
        return None
    return State(
        device_id=item["device_id"],
        part=part,
        since=since,
        values=values,
        sequence_number=change["SequenceNumber"],
    )


def _keep_if_newer(state: State, table: str, dynamodb: Any) -> None:
    """The same state twice writes the same; an older one is refused by the condition, and nothing is wrong then."""
    if state.part == "insight":
        values, since = {"as_of": state.since, **state.values}, "as_of"
    else:
        values, since = {state.part: state.values}, f"{state.part}_since"
        values |= {since: state.since}
    try:
        dynamodb.update_item(
            TableName=table,
            Key={"device_id": {"S": state.device_id}},
            UpdateExpression="SET " + ", ".join(f"#{name} = :{name}" for name in values),
            ConditionExpression=f"attribute_not_exists(#{since}) OR #{since} <= :{since}",
            ExpressionAttributeNames={f"#{name}": name for name in values},
            ExpressionAttributeValues={f":{name}": to_attribute_value(value) for name, value in values.items()},
        )
    except ClientError as error:
        if not is_unmet_condition(error):
            raise
