"""Labels that an insight gets after it was stored: an operator's, and what join_outcomes found.

They stand in the row itself, so that the next export brings them and no later writer of predictions can lose them. An
operator's goes before every other; what was found fills only what is empty. `_labelled_by` tells the export that the
label did not come with the row (write_manifest, `labelled_by_source`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from botocore.exceptions import ClientError

from lambdas.attribute_values import to_attribute_value
from lambdas.client_errors import is_unmet_condition

LABEL_FIELDS: Final = ("risk_level", "performance_score")
LABELLED_BY: Final = "_labelled_by"


def label_by_operator(label: Mapping[str, Any], *, device_id: str, timestamp: str, table: str, dynamodb: Any) -> bool:
    """Sets what the operator named, over anything that is there; False where no such row is stored."""
    named = {name: label[name] for name in LABEL_FIELDS if label[name] is not None}
    values = {**named, "label_source": "operator", LABELLED_BY: "operator"}
    return _updated(
        update=", ".join(f"#{name} = :{name}" for name in values),
        condition="attribute_exists(device_id)",
        values=values,
        key=(device_id, timestamp),
        table=table,
        dynamodb=dynamodb,
    )


def label_by_outcome(label: Mapping[str, Any], *, device_id: str, timestamp: str, table: str, dynamodb: Any) -> bool:
    """Fills what no label says yet; False where the row is not stored or lacks nothing."""
    found = {name: label[name] for name in LABEL_FIELDS if label[name] is not None}
    if not found:
        return False
    values = {**found, "label_source": "auto", LABELLED_BY: "outcome"}
    missing = " OR ".join(f"attribute_not_exists(#{name})" for name in found)
    return _updated(
        update=", ".join(f"#{name} = if_not_exists(#{name}, :{name})" for name in values),
        condition=f"attribute_exists(device_id) AND ({missing})",
        values=values,
        key=(device_id, timestamp),
        table=table,
        dynamodb=dynamodb,
    )


def _updated(
    *, update: str, condition: str, values: Mapping[str, Any], key: tuple[str, str], table: str, dynamodb: Any
) -> bool:
    try:
        dynamodb.update_item(
            TableName=table,
            Key={"device_id": {"S": key[0]}, "timestamp": {"S": key[1]}},
            UpdateExpression=f"SET {update}",
            ConditionExpression=condition,
            ExpressionAttributeNames={f"#{name}": name for name in values},
            ExpressionAttributeValues={f":{name}": to_attribute_value(value) for name, value in values.items()},
        )
    except ClientError as error:
        if not is_unmet_condition(error):
            raise
        return False
    return True
