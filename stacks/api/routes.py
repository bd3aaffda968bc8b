"""The routes as they are deployed; a test holds them equal to the API's own table (lambdas/api/routes.py)."""

from collections.abc import Mapping
from typing import NamedTuple

from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_cognito as cognito

from stacks.api.gateway import PROBLEM, problem_template
from stacks.api.sign_in import scope_name
from stacks.functions import InsightFunction
from stacks.nag import acknowledge
from stacks.settings import Settings


class Route(NamedTuple):
    """`scope` None: anybody may ask."""

    method: str
    path: str
    function: str
    scope: str | None


ROUTES = (
    Route("POST", "/api/predict/risk", "predict", "predict"),
    Route("POST", "/api/predict/performance", "predict", "predict"),
    Route("GET", "/api/devices", "read_fleet", "read"),
    Route("GET", "/api/insights", "read_fleet", "read"),
    Route("GET", "/api/predictions", "read_fleet", "read"),
    Route("POST", "/api/feedback", "give_feedback", "feedback"),
    Route("GET", "/api/models", "describe_models", "read"),
    Route("GET", "/api/health", "describe_models", None),
    Route("GET", "/api/openapi.json", "describe_models", None),
)


def add_routes(
    api: apigateway.RestApi,
    functions: Mapping[str, InsightFunction],
    users: cognito.IUserPool,
    settings: Settings,
) -> None:
    authorizer = apigateway.CognitoUserPoolsAuthorizer(api, "SignedIn", cognito_user_pools=[users])
    integrations = {
        name: apigateway.LambdaIntegration(function.function, allow_test_invoke=False)
        for name, function in functions.items()
    }
    for route in ROUTES:
        resource = api.root.resource_for_path(route.path)
        if route.scope is None:
            method = resource.add_method(
                route.method, integrations[route.function], authorization_type=apigateway.AuthorizationType.NONE
            )
            because = "Health and the API's description are for everybody: probes and readers have no token."
            _acknowledge_open(method, because)
        else:
            resource.add_method(
                route.method,
                integrations[route.function],
                authorizer=authorizer,
                authorization_type=apigateway.AuthorizationType.COGNITO,
                # With scopes the authorizer takes access tokens alone: an ID token says who, not what for.
                authorization_scopes=[scope_name(route.scope)],
            )
        refuse_other_methods(resource, route.method, settings.allowed_origins[0])


def refuse_other_methods(resource: apigateway.Resource, allowed: str, origin: str) -> None:
    """405 with Allow, where API Gateway's own answer would be a 403 about a missing token. A mock cannot choose among
    several origins, so the first may read it."""
    body = problem_template(405, "method-not-allowed", "This address is not asked in this way", f"send {allowed}")
    method = resource.add_method(
        "ANY",
        apigateway.MockIntegration(
            request_templates={"application/json": '{"statusCode": 405}'},
            passthrough_behavior=apigateway.PassthroughBehavior.NEVER,
            integration_responses=[
                apigateway.IntegrationResponse(
                    status_code="405",
                    response_parameters={
                        "method.response.header.Allow": f"'{allowed}, OPTIONS'",
                        "method.response.header.Access-Control-Allow-Origin": f"'{origin}'",
                        "method.response.header.Content-Type": f"'{PROBLEM}'",
                    },
                    response_templates={"application/json": body},
                )
            ],
        ),
        authorization_type=apigateway.AuthorizationType.NONE,
        method_responses=[
            apigateway.MethodResponse(
                status_code="405",
                response_parameters={
                    "method.response.header.Allow": True,
                    "method.response.header.Access-Control-Allow-Origin": True,
                    "method.response.header.Content-Type": True,
                },
            )
        ],
    )
    _acknowledge_open(method, "It answers 405 to everybody and reaches no function.")


def _acknowledge_open(method: apigateway.Method, because: str) -> None:
    for rule in ("AwsSolutions-APIG4", "AwsSolutions-COG4"):
        acknowledge(method, rule, because)
