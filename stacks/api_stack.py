"""What dashboards call: a REST API behind a Cognito user pool, and the Lambda that answers predictions."""

import aws_cdk as cdk
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_cognito as cognito
from aws_cdk import aws_logs as logs
from constructs import Construct

from stacks.data_stack import LAST_ALERT_INDEX, DataStack, synthesizer
from stacks.functions import CodeMaker, InsightFunction
from stacks.nag import acknowledge
from stacks.names import KINDS, endpoint_arn
from stacks.permissions import allow
from stacks.settings import Settings

_PROBLEM = "application/problem+json"


class ApiStack(cdk.Stack):
    """The user pool, the API and its function."""

    def __init__(
        self, scope: Construct, construct_id: str, *, settings: Settings, data: DataStack, code: CodeMaker
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            env=settings.environment,
            synthesizer=synthesizer(settings),
            termination_protection=settings.rules.termination_protection,
            description="IOPS Insights: the prediction API",
        )
        users = user_pool(self, settings)
        command_line = user_pool_clients(users)
        self.predict = predict_function(self, settings, data, code)
        self.api = rest_api(self, settings)
        gateway_errors(self.api, settings)
        prediction_routes(self.api, self.predict, users)
        cdk.CfnOutput(self, "ApiUrl", value=self.api.url)
        cdk.CfnOutput(self, "UserPoolId", value=users.user_pool_id)
        cdk.CfnOutput(self, "UserPoolClientId", value=command_line.user_pool_client_id)


def user_pool(scope: Construct, settings: Settings) -> cognito.UserPool:
    """Users are made by an administrator; nobody signs up alone."""
    users = cognito.UserPool(
        scope,
        "Users",
        self_sign_up_enabled=False,
        sign_in_aliases=cognito.SignInAliases(email=True, username=True),
        password_policy=cognito.PasswordPolicy(
            min_length=12,
            require_digits=True,
            require_lowercase=True,
            require_symbols=True,
            require_uppercase=True,
        ),
        mfa=cognito.Mfa.OPTIONAL,
        mfa_second_factor=cognito.MfaSecondFactor(otp=True, sms=False),
        account_recovery=cognito.AccountRecovery.EMAIL_ONLY,
        deletion_protection=settings.rules.termination_protection,
        removal_policy=settings.rules.removal_policy,
    )
    acknowledge(
        users,
        "AwsSolutions-COG2",
        "A second factor is offered and not forced: people who only read predictions decide with their administrator.",
    )
    acknowledge(
        users,
        "AwsSolutions-COG8",
        "Threat protection of the Plus plan is paid per user; the pool's users are made by an administrator.",
    )
    return users


def user_pool_clients(users: cognito.UserPool) -> cognito.UserPoolClient:
    """The dashboard's client, whose password never crosses the wire (SRP), and one for the command line, returned."""
    users.add_client(
        "DashboardClient",
        auth_flows=cognito.AuthFlow(user_srp=True),
        prevent_user_existence_errors=True,
        disable_o_auth=True,
    )
    return users.add_client(
        "CommandLineClient",
        auth_flows=cognito.AuthFlow(user_password=True),
        prevent_user_existence_errors=True,
        disable_o_auth=True,
    )


def predict_function(scope: Construct, settings: Settings, data: DataStack, code: CodeMaker) -> InsightFunction:
    """Reads a device's window, asks the endpoint, keeps the answer."""
    stack, table = cdk.Stack.of(scope), data.insights_table
    return InsightFunction(
        scope,
        "predict",
        settings=settings,
        code=code(),
        # Below the API's own 29 s, so that the caller gets this function's answer and not the gateway's.
        timeout=cdk.Duration.seconds(25),
        memory_mib=1024,
        environment={
            "INSIGHTS_TABLE_NAME": table.table_name,
            "LAST_ALERT_INDEX_NAME": LAST_ALERT_INDEX,
            "PREDICTIONS_TABLE_NAME": data.predictions_table.table_name,
            **{f"{kind.upper()}_ENDPOINT_NAME": settings.endpoint_name(kind) for kind in KINDS},
            "ALLOWED_ORIGINS": ",".join(settings.allowed_origins),
            "PREDICTION_DAYS": str(settings.prediction_days),
        },
        permissions=[
            allow(["dynamodb:Query"], [table.table_arn, f"{table.table_arn}/index/{LAST_ALERT_INDEX}"]),
            allow(["dynamodb:PutItem"], [data.predictions_table.table_arn]),
            allow(["sagemaker:InvokeEndpoint"], [endpoint_arn(stack, settings.endpoint_name(kind)) for kind in KINDS]),
        ],
    )


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
        deploy_options=apigateway.StageOptions(
            stage_name="v1",
            throttling_rate_limit=50,
            throttling_burst_limit=100,
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
        ),
        default_cors_preflight_options=apigateway.CorsOptions(
            allow_origins=list(settings.allowed_origins),
            allow_methods=["OPTIONS", "POST"],
            allow_headers=["Authorization", "Content-Type"],
            max_age=cdk.Duration.hours(1),
        ),
    )
    acknowledge(
        api.deployment_stage,
        "AwsSolutions-APIG3",
        "Callers are signed-in users of one organisation, throttled per stage; a web ACL is the account's to attach.",
    )
    acknowledge(
        api,
        "AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/"
        "AmazonAPIGatewayPushToCloudWatchLogs]",
        "The account's one role for API Gateway's logs; this managed policy is what the service documents for it.",
    )
    return api


def gateway_errors(api: apigateway.RestApi, settings: Settings) -> None:
    """What the gateway itself refuses is a problem document too (RFC 9457), readable across origins."""
    # With several origins the caller's is echoed: these bodies hold nothing but the reason of the refusal.
    origins = settings.allowed_origins
    origin = f"'{origins[0]}'" if len(origins) == 1 else "method.request.header.Origin"
    body = '{"type":"about:blank","title":$context.error.messageString,"detail":"$context.error.responseType"}'
    for name, kind in (
        ("ClientErrors", apigateway.ResponseType.DEFAULT_4_XX),
        ("ServerErrors", apigateway.ResponseType.DEFAULT_5_XX),
        ("Throttled", apigateway.ResponseType.THROTTLED),
    ):
        headers = {
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Allow-Headers": "'Authorization,Content-Type'",
            "Content-Type": f"'{_PROBLEM}'",
        }
        if name == "Throttled":
            headers["Retry-After"] = "'1'"
        api.add_gateway_response(name, type=kind, response_headers=headers, templates={"application/json": body})


def prediction_routes(api: apigateway.RestApi, predict: InsightFunction, users: cognito.IUserPool) -> None:
    """POST /api/predict/risk and /api/predict/performance for signed-in users."""
    authorizer = apigateway.CognitoUserPoolsAuthorizer(api, "SignedIn", cognito_user_pools=[users])
    # Only the outer shape: the function says which field is wrong, the gateway could only say that one is.
    request = api.add_model(
        "PredictionRequest",
        content_type="application/json",
        schema=apigateway.JsonSchema(
            schema=apigateway.JsonSchemaVersion.DRAFT4,
            type=apigateway.JsonSchemaType.OBJECT,
            min_properties=1,
        ),
    )
    validator = api.add_request_validator(
        "BodyIsAnObject", validate_request_body=True, validate_request_parameters=True
    )
    integration = apigateway.LambdaIntegration(predict.function, allow_test_invoke=False)
    routes = api.root.add_resource("api").add_resource("predict")
    for kind in KINDS:
        routes.add_resource(kind).add_method(
            "POST",
            integration,
            authorizer=authorizer,
            authorization_type=apigateway.AuthorizationType.COGNITO,
            request_models={"application/json": request},
            request_validator=validator,
        )
