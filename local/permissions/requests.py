"""Connects the checks to MiniStack's front door: which action a request is, and what it needs besides."""

from __future__ import annotations

import json
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qs, unquote

from local.permissions.decisions import denial
from local.permissions.further import (
    Check,
    autoscaling_needs,
    passed_roles,
    sagemaker_needs,
    table_export_needs,
)
from local.permissions.resources import autoscaling_arns, budget_arn, budget_permission, sagemaker_arns
from local.settings import ACCOUNT, REGION

TABLE_EXPORT = "ExportTableToPointInTime"
Handler = Callable[..., Awaitable[tuple[int, dict[str, str], Any]]]

SAGEMAKER = "sagemaker"
AUTOSCALING = "application-autoscaling"
BUDGETS = "budgets"
CHECKED_SERVICES = (SAGEMAKER, AUTOSCALING, "lambda", "states", "cloudformation", "events", "scheduler", "dynamodb")


def parse_request(
    service: str, method: str, path: str, headers: Mapping[str, str], body: bytes, query: Mapping[str, list[str]]
) -> tuple[str, dict[str, Any]]:
    """The API action and its members, as far as permissions need them; ("", {}) where there is none."""
    if service == SAGEMAKER and path.startswith("/endpoints/"):
        return "InvokeEndpoint", {"EndpointName": unquote(path.split("/")[2])}
    if target := headers.get("x-amz-target", ""):
        return target.rpartition(".")[2], _json(body)
    if service == "cloudformation":
        form = {**parse_qs(body.decode("utf-8", "replace")), **query} if body else dict(query)
        members = {name: values[0] for name, values in form.items() if values}
        return members.get("Action", ""), members
    return method, _json(body)


def _json(body: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(body or b"{}")
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def needs(service: str, action: str, request: Mapping[str, Any]) -> Iterator[Check]:
    """Every check beyond the first resource of the request's own action, which MiniStack makes itself."""
    yield from passed_roles(service, action, request)
    if service == SAGEMAKER:
        yield from sagemaker_checks(action, request)[1:]
    if service == AUTOSCALING:
        yield from autoscaling_needs(action, request, account=ACCOUNT, region=REGION)
    if action == TABLE_EXPORT:
        yield from table_export_needs(request)


def sagemaker_checks(action: str, request: Mapping[str, Any]) -> list[Check]:
    """The action on each of its ARNs, then what it needs besides (PassRole excepted)."""
    from local.autoscaling.targets import endpoint_has_target

    arns = sagemaker_arns(action, request, account=ACCOUNT, region=REGION)
    has_target = action == "DeleteEndpoint" and endpoint_has_target(str(request.get("EndpointName", "")))
    own = [Check(f"sagemaker:{action}", arn) for arn in arns]
    return own + list(sagemaker_needs(action, request, arns, account=ACCOUNT, region=REGION, has_target=has_target))


def autoscaling_checks(action: str, request: Mapping[str, Any]) -> list[Check]:
    arns = autoscaling_arns(action, request, account=ACCOUNT, region=REGION)
    context = autoscaling_context(request)
    own = [Check(f"{AUTOSCALING}:{action}", arn, context) for arn in arns]
    return own + list(autoscaling_needs(action, request, account=ACCOUNT, region=REGION))


def autoscaling_context(request: Mapping[str, Any]) -> dict[str, str]:
    """The service's own condition keys."""
    members = {"service-namespace": "ServiceNamespace", "scalable-dimension": "ScalableDimension"}
    return {f"{AUTOSCALING}:{key}": str(request[name]) for key, name in members.items() if name in request}


def with_condition_keys(original: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """request_tag_context, whose answer MiniStack evaluates conditions with, for the services that it does not know."""

    def keys(service: str, iam_action: str, body: bytes, params: dict[str, Any]) -> dict[str, Any]:
        found = original(service, iam_action, body, params)
        if service == AUTOSCALING:
            return {**found, **autoscaling_context(_json(body))}
        if service == "cloudformation" and (role := params.get("RoleARN")):
            return {**found, "cloudformation:rolearn": role[0] if isinstance(role, list) else role}
        if service == "monitoring" and (namespace := _json(body).get("Namespace") or params.get("Namespace")):
            return {**found, "cloudwatch:namespace": namespace[0] if isinstance(namespace, list) else namespace}
        return found

    return keys


def over_tls(pin: Callable[[str, bool], None]) -> Callable[[str, bool], None]:
    """pin_request_origin: aws:SecureTransport is true. The server is reachable over the loopback alone, which stands
    in for TLS; without this, every bucket policy that enforces TLS, as ours does, would refuse every request."""

    def pinned(source_ip: str, secure_transport: bool) -> None:
        pin(source_ip, True)

    return pinned


def also_outside_requests(allows: Callable[..., bool], pin: Callable[[str, bool], None]) -> Callable[..., bool]:
    """topic_policy_allows: services publish from threads of their own too, where nothing has pinned the origin, so that
    a topic which enforces TLS would refuse every alarm and event."""

    def allowed(*arguments: str) -> bool:
        pin("127.0.0.1", True)
        return allows(*arguments)

    return allowed


def log_stream_arn(arn: str, request: Mapping[str, Any]) -> str:
    """CloudWatch Logs authorises on log-group:<name>:log-stream:<name>, so that only policies ending in :* match; MiniStack
    leaves the stream away. Tagging goes by the group's plain ARN."""
    if "logGroupName" not in request or ":log-stream:" in arn:
        return arn
    return f"{arn}:log-stream:{request.get('logStreamName', '')}"


def named_arn(service: str, body: bytes) -> str:
    """The ARN that a request names in a member which MiniStack does not look at."""
    members = {"states": ("mapRunArn",), "dynamodb": ("TableArn", "ExportArn")}.get(service, ())
    request = _json(body) if members else {}
    return next((str(request[name]) for name in members if request.get(name)), "*")


def with_resource_arns(original: Callable[..., str]) -> Callable[..., str]:
    """extract_resource_arn for the services that MiniStack does not know, and for log streams."""

    def extract(
        service: str,
        method: str,
        path: str,
        headers: dict[str, str],
        body: bytes,
        query: dict[str, list[str]],
        region: str,
        account: str,
    ) -> str:
        if service == BUDGETS:
            return budget_arn(_json(body), account=account)
        if service not in (SAGEMAKER, AUTOSCALING):
            arn = original(service, method, path, headers, body, query, region, account)
            if service == "logs":
                return log_stream_arn(arn, _json(body))
            return named_arn(service, body) if arn == "*" else arn
        action, request = parse_request(service, method, path, headers, body, query)
        arns = sagemaker_arns if service == SAGEMAKER else autoscaling_arns
        return arns(action, request, account=account, region=region)[0]

    return extract


def with_budget_actions(original: Callable[..., str | None]) -> Callable[..., str | None]:
    """extract_iam_action: the permissions of Budgets are not named as its actions are."""

    def extract(service: str, *rest: Any) -> str | None:
        action = original(service, *rest)
        return budget_permission(action.partition(":")[2]) if service == BUDGETS and action else action

    return extract


def with_needs(service: str, handler: Handler) -> Handler:
    """A service's handler that first makes the checks which MiniStack does not; it runs after MiniStack's own check."""

    async def handle(
        method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, list[str]]
    ) -> tuple[int, dict[str, str], Any]:
        refused = _first_refusal(service, method, path, headers, body, query)
        if refused is not None:
            return refused
        return await handler(method, path, headers, body, query)

    return handle


def _first_refusal(
    service: str, method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, list[str]]
) -> tuple[int, dict[str, str], bytes] | None:
    from ministack.core import iam_actions, iam_evaluator
    from ministack.core.router import extract_access_key_id

    if service == "dynamodb" and not headers.get("x-amz-target", "").endswith(TABLE_EXPORT):
        return None  # nothing else of it needs more, and its bodies are large
    access_key = extract_access_key_id(headers, query)
    if iam_evaluator.is_root_access_key(access_key):
        return None
    action, request = parse_request(service, method, path, headers, body, query)
    for check in needs(service, action, request):
        refused = iam_evaluator.enforce(
            access_key,
            check.action,
            check.action.partition(":")[0],
            REGION,
            resource_arn=check.resource,
            service_context=dict(check.context),
        )
        if refused is not None:
            answer: tuple[int, dict[str, str], bytes] = iam_actions.access_denied_response(
                service,
                check.action,
                getattr(refused, "principal_arn", ""),
                str(uuid.uuid4()),
                headers=headers,
                resource_arn=check.resource,
                explicit_deny=getattr(refused, "decision", "") == "Deny",
            )
            return answer
    return None


def with_resource_in_denial(original: Callable[..., Any]) -> Callable[..., Any]:
    """AWS's denials name the resource; MiniStack's do so for a few services only."""

    def respond(service: str, action: str, principal_arn: str, request_id: str, **options: Any) -> Any:
        from_policy = not (options.get("message") or options.get("error_code") or options.get("resource_policy_arn"))
        if from_policy and principal_arn:
            resource = options.get("resource_arn", "*")
            explicit = bool(options.get("explicit_deny"))
            options["message"] = denial(principal_arn, action, resource, explicit=explicit)
        return original(service, action, principal_arn, request_id, **options)

    return respond
