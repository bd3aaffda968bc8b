"""Asks MiniStack's evaluator whether a role may do something, gives out role sessions, and records every decision."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from local.permissions.further import Check
from local.settings import ACCOUNT, REGION


class AccessDenied(PermissionError):
    """A role may not do what a service was about to do in its name; the text is AWS's."""

    def __init__(self, principal: str, check: Check, *, explicit: bool = False) -> None:
        self.principal, self.check = principal, check
        super().__init__(denial(principal, check.action, check.resource, explicit=explicit))


class RoleNotAssumable(ValueError):
    """The role is missing, or its trust policy does not name the service."""


def denial(principal: str, action: str, resource: str, *, explicit: bool = False) -> str:
    """AWS's sentence, which names principal, action and resource."""
    reason = (
        "with an explicit deny in an identity-based policy"
        if explicit
        else f"because no identity-based policy allows the {action} action"
    )
    return f"User: {principal} is not authorized to perform: {action} on resource: {resource} {reason}"


def role_name(role_arn: str) -> str:
    return role_arn.rpartition("/")[2]


def role_session(role_arn: str, *, session_name: str = "laptop", service: str | None = None) -> dict[str, str]:
    """AccessKeyId, SecretAccessKey and SessionToken of a session of the role.

    With `service` (such as sagemaker.amazonaws.com) the role's trust policy must name it; raises RoleNotAssumable.
    """
    from ministack.services import iam, sts

    role = iam._roles.get_scoped(ACCOUNT, None, role_name(role_arn))
    if role is None or (service and not _trusts(role["AssumeRolePolicyDocument"], service)):
        who = service or "this account"
        raise RoleNotAssumable(
            f"Could not assume role {role_arn}. Please ensure that the role exists and allows principal '{who}' "
            "to assume the role."
        )
    digest = hashlib.sha256(f"{role_arn}:{session_name}".encode()).hexdigest()
    key = {"AccessKeyId": f"ASIA{digest[:16].upper()}", "SecretAccessKey": digest, "SessionToken": f"session-{digest}"}
    sts.register_session(
        key["AccessKeyId"],
        {
            "Arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/{role_name(role_arn)}/{session_name}",
            "UserId": f"{role.get('RoleId', 'AROA')}:{session_name}",
            "SecretAccessKey": key["SecretAccessKey"],
            "SessionToken": key["SessionToken"],
            "AccountId": ACCOUNT,
        },
    )
    return key


def _trusts(trust_policy: Any, service: str) -> bool:
    document = json.loads(trust_policy) if isinstance(trust_policy, str) else trust_policy
    statements = document.get("Statement", [])
    for statement in statements if isinstance(statements, list) else [statements]:
        named = statement.get("Principal", {}).get("Service", [])
        if statement.get("Effect") == "Allow" and service in ([named] if isinstance(named, str) else named):
            return True
    return False


def authorize(role_arn: str, checks: Iterable[Check], *, session_name: str = "laptop") -> None:
    """Raise AccessDenied for the first check that the role's policies do not allow."""
    from ministack.core import iam_evaluator

    key = role_session(role_arn, session_name=session_name)["AccessKeyId"]
    for check in checks:
        service = check.action.partition(":")[0]
        refused = iam_evaluator.enforce(
            key, check.action, service, REGION, resource_arn=check.resource, service_context=dict(check.context)
        )
        if refused is not None:
            principal = getattr(refused, "principal_arn", "") or role_arn
            raise AccessDenied(principal, check, explicit=getattr(refused, "decision", "") == "Deny")


class Recorder:
    """Appends each distinct decision about a role to a file; the end-to-end run's permissions test reads it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: set[str] = set()
        self._lock = threading.Lock()

    def wrap(self, enforce: Callable[..., Any]) -> Callable[..., Any]:
        def recording(
            access_key_id: str,
            iam_action: str,
            service: str,
            region: str,
            resource_arn: str = "*",
            service_context: Mapping[str, Any] | None = None,
        ) -> Any:
            result = enforce(
                access_key_id,
                iam_action,
                service,
                region,
                resource_arn=resource_arn,
                service_context=dict(service_context) if service_context is not None else None,
            )
            if principal := _session_role(access_key_id):
                decision = "Allow" if result is None else getattr(result, "decision", "AuthError")
                context = {key.lower(): value for key, value in (service_context or {}).items() if value is not None}
                self.record(principal, Check(iam_action, resource_arn, context), decision)
            return result

        return recording

    def record(self, role: str, check: Check, decision: str) -> None:
        entry = {
            "role": role,
            "action": check.action,
            "resource": check.resource,
            "context": dict(check.context),
            "decision": decision,
        }
        line = json.dumps(entry, sort_keys=True, default=str)
        with self._lock:
            if line in self._seen:
                return
            self._seen.add(line)
            with self.path.open("a") as file:
                file.write(line + "\n")


def _session_role(access_key_id: str) -> str | None:
    """The role ARN behind a session's access key; None for the administrator and for unknown keys."""
    from ministack.services import iam, sts

    session = sts._sessions.get(access_key_id)
    if session is None or ":assumed-role/" not in session.get("Arn", ""):
        return None
    name = session["Arn"].split("/")[1]
    role = iam._roles.get_scoped(ACCOUNT, None, name) or {}
    return str(role.get("Arn", f"arn:aws:iam::{ACCOUNT}:role/{name}"))
