"""An experiment as parameters of an endpoint's stack: which model challenges the live one, how, and since when.

ab: the challenger is a second production variant. Its weight is 0, so it meets only callers who name it: the API, which
hashes each device to a variant. shadow: it gets a copy of every request and answers nobody; what it would have answered
is captured. SageMaker has at most one shadow, beside one production variant (CreateEndpointConfig), so never both.

The challenger has no scaling target: SageMaker removes no variant that has one, and CloudFormation would deregister it
only after the endpoint's update (SageMaker guide, "Automatically Scale").
"""

from collections.abc import Sequence
from dataclasses import dataclass

import aws_cdk as cdk
from aws_cdk import aws_sagemaker as sagemaker
from aws_cdk import aws_ssm as ssm

from stacks.names import experiment_parameter

CHALLENGER = "challenger"
OFF = "off"
# More than half of the devices with the newcomer is no experiment but a promotion.
MOST_SHARE_PERCENT = 50


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """The parameters, and what of the template hangs on them."""

    live_package: cdk.CfnParameter
    package: cdk.CfnParameter
    golden_digest: cdk.CfnParameter
    mode: cdk.CfnParameter
    share: cdk.CfnParameter
    since: cdk.CfnParameter
    is_on: cdk.CfnCondition
    is_ab: cdk.CfnCondition
    is_shadow: cdk.CfnCondition

    def note(self, stack: cdk.Stack, construct_id: str, *, kind: str, endpoint: sagemaker.CfnEndpoint) -> None:
        """What the API and the judge read. A parameter costs them one small call; DescribeEndpoint has not the share.
        By naming the endpoint it is written after it, so that no variant is asked for before it is there."""
        known = stack.to_json_string(
            {
                "endpoint": endpoint.attr_endpoint_name,
                "mode": self.mode.value_as_string,
                "share": self.share.value_as_number,
                "challenger": self.package.value_as_string,
                "live": self.live_package.value_as_string,
                "since": self.since.value_as_string,
            }
        )
        ssm.CfnParameter(
            stack,
            construct_id,
            name=experiment_parameter(kind),
            type="String",
            value=cdk.Token.as_string(cdk.Fn.condition_if(self.is_on.logical_id, known, OFF)),
            description=f"The experiment at the {kind} endpoint as JSON, or {OFF}",
        )


def declare_experiment(
    stack: cdk.Stack, *, live_package: cdk.CfnParameter, is_live: cdk.ICfnConditionExpression
) -> Experiment:
    """Parameters, conditions, and the rules by which CloudFormation refuses what cannot run."""

    def text(
        name: str, description: str, *, default: str = "", allowed: Sequence[str] | None = None
    ) -> cdk.CfnParameter:
        return cdk.CfnParameter(
            stack,
            name,
            type="String",
            default=default,
            allowed_values=list(allowed) if allowed else None,
            description=description,
        )

    equal, both = cdk.Fn.condition_equals, cdk.Fn.condition_and
    package = text("ChallengerPackage", "ARN of the package beside the live one")
    mode = text(
        "ChallengerMode",
        "ab: it answers its share of the devices; shadow: it sees the traffic and answers nobody",
        default=OFF,
        allowed=[OFF, "ab", "shadow"],
    )

    has_package = cdk.Fn.condition_not(equal(package.value_as_string, ""))

    def is_in(mode_name: str) -> cdk.ICfnConditionExpression:
        return both(is_live, has_package, equal(mode.value_as_string, mode_name))

    experiment = Experiment(
        live_package=live_package,
        package=package,
        golden_digest=text("ChallengerGoldenDigest", "as GoldenDigest, of the challenger's package"),
        mode=mode,
        share=cdk.CfnParameter(
            stack,
            "ChallengerShare",
            type="Number",
            default=10,
            min_value=1,
            max_value=MOST_SHARE_PERCENT,
            description="per cent of the devices that an ab challenger answers",
        ),
        since=text("ChallengerSince", "when the experiment began (UTC, ISO 8601)"),
        is_on=cdk.CfnCondition(stack, "IsExperiment", expression=cdk.Fn.condition_or(is_in("ab"), is_in("shadow"))),
        is_ab=cdk.CfnCondition(stack, "IsAb", expression=is_in("ab")),
        is_shadow=cdk.CfnCondition(stack, "IsShadow", expression=is_in("shadow")),
    )
    _refuse_what_cannot_run(stack, experiment)
    return experiment


def _refuse_what_cannot_run(stack: cdk.Stack, experiment: Experiment) -> None:
    """CloudFormation would find out later, from a model without a package, and roll the endpoint back."""
    equal, negated = cdk.Fn.condition_equals, cdk.Fn.condition_not
    live, challenger = experiment.live_package.value_as_string, experiment.package.value_as_string

    def asserted(assertion: cdk.ICfnConditionExpression, description: str) -> cdk.CfnRuleAssertion:
        return cdk.CfnRuleAssertion(assert_=assertion, assert_description=description)

    cdk.CfnRule(
        stack,
        "ChallengerIsComplete",
        rule_condition=negated(equal(experiment.mode.value_as_string, OFF)),
        assertions=[
            asserted(negated(equal(live, "")), "an experiment needs LivePackage; promote a model first"),
            asserted(negated(equal(challenger, "")), "an experiment needs ChallengerPackage"),
            asserted(negated(equal(live, challenger)), "ChallengerPackage is the live package; name another version"),
        ],
    )
