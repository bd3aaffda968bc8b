"""EventBridge starts a state machine with the role of the rule's target; MiniStack does so with nobody's."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from local.permissions import AccessDenied, Check, RoleNotAssumable, authorize

logger = logging.getLogger("iops.events")


def register() -> None:
    from ministack.services import eventbridge

    eventbridge._invoke_target = with_target_role(eventbridge._invoke_target)


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
