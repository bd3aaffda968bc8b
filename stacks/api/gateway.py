"""The REST API itself: throttling, logs, CORS, and its own refusals as problem documents."""

import json

import aws_cdk as cdk
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_logs as logs
from constructs import Construct

from stacks.nag import acknowledge
from stacks.settings import Settings

PROBLEM = "application/problem+json"
_TYPE_PREFIX = "urn:iops-insights:problem:"
_STAGE_REQUESTS_PER_SECOND = 100


def rest_api(scope: Construct, settings: Settings) -> apigateway.RestApi:
    """Regional; throttled; every call in the access log."""
    access_log = logs.LogGroup(
        scope, "AccessLog", retention=settings.rules.log_retention, removal_policy=cdk.RemovalPolicy.DESTROY
    )
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
    kinds = apigateway.ResponseType
    for name, kind, status, more in (
        ("ClientErrors", kinds.DEFAULT_4_XX, None, {}),
        ("ServerErrors", kinds.DEFAULT_5_XX, None, {}),
        ("Throttled", kinds.THROTTLED, 429, {"Retry-After": "'1'"}),
        ("Unauthorized", kinds.UNAUTHORIZED, 401, {"WWW-Authenticate": "'Bearer'"}),
        # API Gateway's answer to an address that it does not know; the default is a 403.
        ("UnknownAddress", kinds.MISSING_AUTHENTICATION_TOKEN, 404, {}),
        ("TooLarge", kinds.REQUEST_TOO_LARGE, 413, {}),
    ):
        headers = {
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Allow-Headers": "'Authorization,Content-Type'",
            "Access-Control-Expose-Headers": "'Retry-After'",
            "Content-Type": f"'{PROBLEM}'",
            **more,
        }
        api.add_gateway_response(
            name,
            type=kind,
            status_code=None if status is None else str(status),
            response_headers=headers,
            templates={"application/json": _GATEWAY_PROBLEMS.get(name, _ANY_PROBLEM)},
        )


def problem_template(name: str, title: str, status: int, detail: str) -> str:
    """A problem document as a mapping template; everything in it stands here, nothing of the request."""
    return json.dumps({"type": _TYPE_PREFIX + name, "title": title, "status": status, "detail": detail})


_ANY_PROBLEM = (
    '{"type":"about:blank","title":$context.error.messageString,"status":$context.status,'
    '"detail":"$context.error.responseType"}'
)
_GATEWAY_PROBLEMS = {
    "Throttled": problem_template("throttled", "The API has more requests than it takes", 429, "ask again in a second"),
    "Unauthorized": problem_template(
        "unauthorized",
        "No valid access token",
        401,
        "send Authorization: Bearer with an access token that has the route's scope; an ID token is none",
    ),
    "UnknownAddress": problem_template(
        "unknown-route", "There is nothing at this address", 404, "GET /api/openapi.json lists what there is"
    ),
    "TooLarge": problem_template("body-too-large", "The request body is too large", 413, "send at most 1048576 bytes"),
}
