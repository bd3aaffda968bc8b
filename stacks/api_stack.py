"""What dashboards and services call: a REST API behind a Cognito user pool, and the Lambdas that answer it."""

import aws_cdk as cdk
from constructs import Construct

from stacks.api.functions import ApiFunctions
from stacks.api.gateway import access_log, gateway_errors, rest_api
from stacks.api.routes import add_routes
from stacks.api.sign_in import SignIn
from stacks.app_stack import AppStack
from stacks.data_stack import DataStack
from stacks.functions import CodeMaker
from stacks.settings import Settings


class ApiStack(AppStack):
    """Sign-in, the functions, the API and its routes."""

    def __init__(
        self, scope: Construct, construct_id: str, *, settings: Settings, data: DataStack, code: CodeMaker
    ) -> None:
        super().__init__(scope, construct_id, settings=settings, summary="the prediction API")
        sign_in = self.sign_in = SignIn(self, "SignIn", settings=settings)
        functions = self.functions = ApiFunctions(self, "Functions", settings=settings, data=data, code=code)
        self.access_log = access_log(self, settings)
        self.api = rest_api(self, settings, self.access_log)
        gateway_errors(self.api, settings)
        add_routes(self.api, functions.by_name, sign_in.users, settings)
        for name, value in {
            "ApiUrl": self.api.url,
            "SignInUrl": sign_in.url,
            "UserPoolId": sign_in.users.user_pool_id,
            "DashboardClientId": sign_in.dashboard.user_pool_client_id,
            "ServiceClientId": sign_in.service.user_pool_client_id,
            "RequestsTableName": functions.requests_table.table_name,
        }.items():
            cdk.CfnOutput(self, name, value=value)
