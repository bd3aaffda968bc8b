"""AWS::CloudWatch::CompositeAlarm, AWS::Logs::QueryDefinition and AWS::Budgets::Budget, held against botocore's models."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from typing import Any

from local.cloudformation.sagemaker_types import with_types

Created = tuple[str, dict[str, Any]]
Properties = Mapping[str, Any]

ALARM_NAME_LIMIT = 255
BUDGET_NAME_LIMIT = 100
REPLACING: dict[str, tuple[str, ...]] = {
    "AWS::CloudWatch::CompositeAlarm": ("AlarmName",),
    "AWS::Logs::QueryDefinition": (),
    "AWS::Budgets::Budget": ("NotificationsWithSubscribers",),
}


class RefusedProperties(ValueError):
    """What the resource's service would refuse."""


def checked(service: str, action: str, request: Properties) -> dict[str, Any]:
    """The request with its model's types; raises RefusedProperties for what the model forbids."""
    from local.autoscaling.validation import problems, service_model

    shape = service_model(service).operation_model(action).input_shape
    typed: dict[str, Any] = with_types(shape, dict(request))
    if found := problems(action, typed, service=service):
        raise RefusedProperties("; ".join(found))
    return typed


def require_success(answer: Any) -> None:
    status, _, body = answer
    if status >= 300:
        error = json.loads(body)
        raise RefusedProperties(f"{error.get('__type')}: {error.get('message') or error.get('Message')}")


def put_composite_alarm(logical_id: str, props: dict[str, Any], stack_name: str) -> Created:
    from ministack.services.cloudformation.provisioners import _physical_name

    name = props.get("AlarmName") or _physical_name(stack_name, logical_id, max_len=ALARM_NAME_LIMIT)
    return _put_composite(name, props)


def update_composite_alarm(physical_id: str, old: Properties, new: dict[str, Any], stack_name: str) -> Created:
    return _put_composite(physical_id, new)


def _put_composite(name: str, props: Properties) -> Created:
    from ministack.services import cloudwatch

    request = checked("cloudwatch", "PutCompositeAlarm", {**props, "AlarmName": name})
    require_success(cloudwatch._put_composite_alarm({}, request, False, True))
    return name, {"Arn": cloudwatch._composite_alarms[name]["AlarmArn"]}


def delete_composite_alarm(physical_id: str, props: Properties) -> None:
    from ministack.services import cloudwatch

    if physical_id in cloudwatch._composite_alarms:
        require_success(cloudwatch._delete_alarms({}, {"AlarmNames": [physical_id]}, False, True))


def put_query_definition(logical_id: str, props: dict[str, Any], stack_name: str) -> Created:
    return _put_query({}, props)


def update_query_definition(physical_id: str, old: Properties, new: dict[str, Any], stack_name: str) -> Created:
    return _put_query({"queryDefinitionId": physical_id}, new)


def _put_query(known: Properties, props: Properties) -> Created:
    from local.monitoring import query_definitions

    members = {name[0].lower() + name[1:]: value for name, value in props.items()}
    request = checked("logs", "PutQueryDefinition", {**members, **known})
    identifier = query_definitions.call("PutQueryDefinition", request)["queryDefinitionId"]
    return identifier, {"QueryDefinitionId": identifier}


def delete_query_definition(physical_id: str, props: Properties) -> None:
    from local.monitoring import query_definitions

    try:
        query_definitions.call("DeleteQueryDefinition", {"queryDefinitionId": physical_id})
    except query_definitions.QueryError as error:
        if error.code != "ResourceNotFoundException":
            raise


def create_budget(logical_id: str, props: dict[str, Any], stack_name: str) -> Created:
    """A name of CloudFormation's own ends at random, so that a replacement does not meet its predecessor."""
    from ministack.services import budgets

    generated = f"{stack_name}-{logical_id}"[: BUDGET_NAME_LIMIT - 13] + f"-{secrets.token_hex(6)}"
    name = props["Budget"].get("BudgetName") or generated
    request = _budget_request("CreateBudget", "Budget", name, props)
    require_success(budgets._create_budget(request))
    return name, {}


def update_budget(physical_id: str, old: Properties, new: dict[str, Any], stack_name: str) -> Created:
    from ministack.services import budgets

    if new["Budget"].get("BudgetName", physical_id) != physical_id:
        created = create_budget("", new, stack_name)
        delete_budget(physical_id, old)
        return created
    budget = {name: value for name, value in new.items() if name == "Budget"}
    require_success(budgets._update_budget(_budget_request("UpdateBudget", "NewBudget", physical_id, budget)))
    return physical_id, {}


def _budget_request(action: str, member: str, name: str, props: Properties) -> dict[str, Any]:
    from local.settings import ACCOUNT

    others = {key: value for key, value in props.items() if key != "Budget"}
    budget = {**props["Budget"], "BudgetName": name}
    return checked("budgets", action, {"AccountId": ACCOUNT, member: budget, **others})


def delete_budget(physical_id: str, props: Properties) -> None:
    from ministack.services import budgets

    if physical_id in budgets._budgets:
        require_success(budgets._delete_budget({"BudgetName": physical_id}))


HANDLERS: dict[str, dict[str, Any]] = {
    "AWS::CloudWatch::CompositeAlarm": {
        "create": put_composite_alarm,
        "update": update_composite_alarm,
        "delete": delete_composite_alarm,
    },
    "AWS::Logs::QueryDefinition": {
        "create": put_query_definition,
        "update": update_query_definition,
        "delete": delete_query_definition,
    },
    "AWS::Budgets::Budget": {"create": create_budget, "update": update_budget, "delete": delete_budget},
}
