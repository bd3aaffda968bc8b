"""What every stack of the app has in common: account and region, its stage's protection, and how the CLI deploys it."""

import aws_cdk as cdk
from constructs import Construct

from stacks.settings import Settings


class AppStack(cdk.Stack):
    """A stack of IOPS Insights; `summary` stands behind that name in CloudFormation's list."""

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings, summary: str) -> None:
        super().__init__(
            scope,
            construct_id,
            env=settings.environment,
            synthesizer=_synthesizer(settings),
            termination_protection=settings.rules.termination_protection,
            description=f"IOPS Insights: {summary}",
        )


def _synthesizer(settings: Settings) -> cdk.IStackSynthesizer:
    """The laptop cloud enforces roles, and the bootstrap roles' trust stops its asset uploads: there the CLI's own
    credentials deploy."""
    if settings.rules.is_laptop:
        return cdk.CliCredentialsStackSynthesizer()
    return cdk.DefaultStackSynthesizer()
