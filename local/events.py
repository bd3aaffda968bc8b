"""EventBridge: events of AWS's services, and a state machine started with the role of the rule's target, where MiniStack
does so with nobody's."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from local.permissions import AccessDenied, Check, RoleNotAssumable, authorize

logger = logging.getLogger("iops.events")


def register() -> None:
    from ministack.services import eventbridge

    eventbridge._invoke_target = with_target_role(eventbridge._invoke_target)


def put_event(source: str, detail_type: str, detail: Mapping[str, Any], *, resources: Sequence[str] = ()) -> None:
    """An event of one of AWS's services on the default bus."""
    from ministack.services import eventbridge

    entry = {"Source": source, "DetailType": detail_type, "Detail": json.dumps(detail), "Resources": list(resources)}
    eventbridge._put_events({"Entries": [entry]}, allow_aws_source=True)


def with_target_role(invoke: Callable[..., None]) -> Callable[..., None]:
    """_invoke_target: an event for a state machine is dropped, as by AWS, where the target's role may not start it."""

    def checked(target: dict[str, Any], *rest: Any, **named: Any) -> None:
        arn, role = target.get("Arn", ""), target.get("RoleArn", "")
        if ":states:" in arn and role:
            try:
                authorize(role, [Check("states:StartExecution", arn)], session_name="EventBridge")
            except (AccessDenied, RoleNotAssumable) as refused:
                logger.warning("the event for %s is dropped: %s", arn, refused)
                return
        invoke(target, *rest, **named)

    return checked
