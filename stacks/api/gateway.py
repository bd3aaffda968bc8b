"""The REST API itself: throttling, logs, CORS, and its own refusals as problem documents."""

import json
from collections.abc import Mapping
from typing import NamedTuple

import aws_cdk as cdk
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_logs as logs
from constructs import Construct

from stacks.nag import acknowledge
from stacks.settings import Settings

PROBLEM = "application/problem+json"
_TYPE_PREFIX = "urn:iops-insights:problem:"
_STAGE_REQUESTS_PER_SECOND = 100


def access_log(scope: Construct, settings: Settings) -> logs.LogGroup:
    return logs.LogGroup(
        scope, "AccessLog", retention=settings.rules.log_retention, removal_policy=cdk.RemovalPolicy.DESTROY
    )


def rest_api(scope: Construct, settings: Settings, access_log: logs.ILogGroup) -> apigateway.RestApi:
    """Regional; throttled; every call in the access log."""
    api = apigateway.RestApi(
        scope,
        "Api",
        rest_api_name="iops-insights",
        endpoint_types=[apigateway.EndpointType.REGIONAL],
        # Access logs need the account's one role for API Gateway's logs; it is made here and stays when this goes,
        # as other APIs of the account may rely on it by then.
        cloud_watch_role=True,
        cloud_watch_role_removal_policy=cdk.RemovalPolicy.RETAIN
        if settings.stage == "prod"
        else cdk.RemovalPolicy.DESTROY,
        deploy_options=_stage(access_log),
        default_cors_preflight_options=apigateway.CorsOptions(
            allow_origins=list(settings.allowed_origins),
            allow_methods=["GET", "OPTIONS", "POST"],
            allow_headers=["Authorization", "Content-Type"],
            expose_headers=["Retry-After"],
            max_age=cdk.Duration.hours(1),
        ),
    )
    acknowledge(
        api.deployment_stage,
        "AwsSolutions-APIG3",
        "Callers are signed-in users of one organisation, throttled per stage and client; a web ACL is the account's "
        "to attach.",
    )
    acknowledge(
        api,
        "AwsSolutions-APIG2",
        "The functions validate: they say which field is wrong, the gateway could only say that one is.",
    )
    acknowledge(
        api,
        "AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/"
        "AmazonAPIGatewayPushToCloudWatchLogs]",
        "The account's one role for API Gateway's logs; this managed policy is what the service documents for it.",
    )
    return api


def _stage(access_log: logs.ILogGroup) -> apigateway.StageOptions:
    return apigateway.StageOptions(
        stage_name="v1",
        throttling_rate_limit=_STAGE_REQUESTS_PER_SECOND,
        throttling_burst_limit=2 * _STAGE_REQUESTS_PER_SECOND,
        logging_level=apigateway.MethodLoggingLevel.ERROR,
        metrics_enabled=True,
        tracing_enabled=True,
        access_log_destination=apigateway.LogGroupLogDestination(access_log),
        access_log_format=apigateway.AccessLogFormat.json_with_standard_fields(
            caller=True,
            http_method=True,
            ip=True,
            protocol=True,
            request_time=True,
            resource_path=True,
            response_length=True,
            status=True,
            user=True,
        ),
    )


def gateway_errors(api: apigateway.RestApi, settings: Settings) -> None:
    """What the gateway itself refuses is a problem document too (RFC 9457), readable across origins."""
    # With several origins the caller's is echoed: these bodies hold nothing but the reason of the refusal.
    origins = settings.allowed_origins
    origin = f"'{origins[0]}'" if len(origins) == 1 else "method.request.header.Origin"
    for refusal in _REFUSALS:
        api.add_gateway_response(
            refusal.kind.response_type,
            type=refusal.kind,
            # A template cannot know the status that the gateway chose, so each kind has a fixed one.
            status_code=str(refusal.status),
            response_headers={
                "Access-Control-Allow-Origin": origin,
                "Access-Control-Allow-Headers": "'Authorization,Content-Type'",
                "Access-Control-Expose-Headers": "'Retry-After'",
                "Content-Type": f"'{PROBLEM}'",
                **{name: f"'{value}'" for name, value in refusal.headers.items()},
            },
            templates={"application/json": problem_template(*refusal[1:5])},
        )


class Refusal(NamedTuple):
    """A kind of answer that API Gateway gives by itself, and what this API says then."""

    kind: apigateway.ResponseType
    status: int
    name: str
    title: str
    detail: str
    headers: Mapping[str, str] = {}


def problem_template(status: int, name: str, title: str, detail: str) -> str:
    """A problem document as a mapping template; everything in it stands here, nothing of the request."""
    return json.dumps({"type": _TYPE_PREFIX + name, "title": title, "status": status, "detail": detail})


_KINDS = apigateway.ResponseType
_NO_TOKEN = (
    401,
    "unauthorized",
    "No valid access token",
    "send Authorization: Bearer with an access token that has the route's scope; an ID token is none",
    {"WWW-Authenticate": "Bearer"},
)
_REFUSALS = (
    Refusal(_KINDS.UNAUTHORIZED, *_NO_TOKEN),
    Refusal(_KINDS.EXPIRED_TOKEN, *_NO_TOKEN),
    Refusal(_KINDS.ACCESS_DENIED, 403, "access-denied", "The request is not allowed", "ask the API's operator"),
    Refusal(
        # API Gateway's answer to an address that it does not know; its own status is 403.
        _KINDS.MISSING_AUTHENTICATION_TOKEN,
        404,
        "unknown-route",
        "There is nothing at this address",
        "GET /api/openapi.json lists what there is",
    ),
    Refusal(
        _KINDS.REQUEST_TOO_LARGE,
        413,
        "body-too-large",
        "The request body is too large",
        "send at most 1048576 bytes",
    ),
    Refusal(
        _KINDS.THROTTLED,
        429,
        "throttled",
        "The API has more requests than it takes",
        "ask again in a second",
        {"Retry-After": "1"},
    ),
    Refusal(_KINDS.DEFAULT_4_XX, 400, "refused", "The gateway refused the request", "see GET /api/openapi.json"),
    Refusal(
        _KINDS.DEFAULT_5_XX,
        502,
        "function-failed",
        "The function behind the address did not answer",
        "ask again; if it stays so, tell the API's operator",
    ),
)
