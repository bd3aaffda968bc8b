"""Who may call the API: a Cognito user pool with a hosted sign-in page, scopes, and one client each for page and services."""

import aws_cdk as cdk
from aws_cdk import aws_cognito as cognito
from constructs import Construct

from stacks.nag import acknowledge
from stacks.settings import Settings

RESOURCE_SERVER = "iops"
# Scope -> what it lets its bearer do; the methods demand them (stacks/api/routes.py).
SCOPES = {
    "predict": "Ask for predictions",
    "feedback": "Say what really happened",
    "read": "Read devices, insights, predictions and models",
}


def scope_name(scope: str) -> str:
    return f"{RESOURCE_SERVER}/{scope}"


class SignIn(Construct):
    """Access tokens carry the scopes: people get theirs by authorization code with PKCE, services by their secret."""

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings) -> None:
        super().__init__(scope, construct_id)
        self.users = user_pool(self, settings)
        stack = cdk.Stack.of(self)
        # One deployment per account and region, so that the prefix, which all accounts of a region share, is free.
        domain = self.users.add_domain(
            "Domain",
            cognito_domain=cognito.CognitoDomainOptions(domain_prefix=f"iops-insights-{stack.account}"),
        )
        self.url = domain.base_url()
        self.scopes = resource_server_scopes(self.users)
        pages = [f"{origin}/" for origin in settings.allowed_origins]
        self.dashboard = page_client(self.users, "DashboardClient", users=self.users, pages=pages, scopes=self.scopes)
        self.service = service_client(self.users, self.scopes)


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


def resource_server_scopes(users: cognito.UserPool) -> list[cognito.OAuthScope]:
    scopes = [
        cognito.ResourceServerScope(scope_name=name, scope_description=description)
        for name, description in SCOPES.items()
    ]
    server = users.add_resource_server("Api", identifier=RESOURCE_SERVER, scopes=scopes)
    return [cognito.OAuthScope.resource_server(server, scope) for scope in scopes]


def page_client(
    scope: Construct,
    construct_id: str,
    *,
    users: cognito.IUserPool,
    pages: list[str],
    scopes: list[cognito.OAuthScope],
) -> cognito.UserPoolClient:
    """Public: a page cannot keep a secret, so its codes are bound to the browser that asked (PKCE)."""
    return cognito.UserPoolClient(
        scope,
        construct_id,
        user_pool=users,
        generate_secret=False,
        auth_flows=cognito.AuthFlow(user_srp=True),
        prevent_user_existence_errors=True,
        enable_token_revocation=True,
        access_token_validity=cdk.Duration.hours(1),
        refresh_token_validity=cdk.Duration.days(1),
        o_auth=cognito.OAuthSettings(
            flows=cognito.OAuthFlows(authorization_code_grant=True),
            scopes=[cognito.OAuthScope.OPENID, *scopes],
            callback_urls=pages,
            logout_urls=pages,
        ),
    )


def service_client(users: cognito.UserPool, scopes: list[cognito.OAuthScope]) -> cognito.UserPoolClient:
    """Confidential: a program that asks in its own name. Its secret is read with DescribeUserPoolClient."""
    return users.add_client(
        "ServiceClient",
        generate_secret=True,
        auth_flows=cognito.AuthFlow(),
        access_token_validity=cdk.Duration.hours(1),
        o_auth=cognito.OAuthSettings(flows=cognito.OAuthFlows(client_credentials=True), scopes=scopes),
    )
