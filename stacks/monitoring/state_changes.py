"""Changes of the endpoints that people are told of as they happen, in words; alarms see their effects, later."""

import aws_cdk as cdk
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from stacks.names import KINDS, STATE_CHANGE_RULES
from stacks.runbook import RUNBOOK
from stacks.settings import Settings

# As events spell them (SageMaker guide, "Events that Amazon SageMaker AI sends to Amazon EventBridge"); an endpoint that
# scales goes through UPDATING and IN_SERVICE, of which nobody needs to hear.
_TROUBLE = ["FAILED", "ROLLING_BACK", "UPDATE_ROLLBACK_FAILED", "OUT_OF_SERVICE"]
_SEE = f"See {RUNBOOK}#endpoint-state-changes"


def state_changes(scope: Construct, settings: Settings, topic: sns.ITopic, undelivered: sqs.IQueue) -> None:
    """The topic's own policy (stacks/training_stack.py) lets these two rules publish, by their names."""
    # As another stack's topic it would be given a statement for every rule of the account.
    named = sns.Topic.from_topic_arn(scope, "Topic", topic.topic_arn)
    endpoints = [settings.endpoint_name(kind) for kind in KINDS]
    for rule in (
        _trouble(scope, endpoints, named, undelivered),
        _scaled_to_maximum(scope, endpoints, named, undelivered),
    ):
        cdk.Annotations.of(rule).acknowledge_warning(
            "@aws-cdk/aws-events:ruleUnresolvedEnvironment",
            "The topic's ARN is another stack's output, of the same account and region.",
        )


def _trouble(scope: Construct, endpoints: list[str], topic: sns.ITopic, undelivered: sqs.IQueue) -> events.Rule:
    text = (
        f"Endpoint {_detail('EndpointName')} is {_detail('EndpointStatus')} since {_event('time')}, with the "
        f"configuration {_detail('EndpointConfigName')}. {_SEE}"
    )
    return events.Rule(
        scope,
        "EndpointState",
        rule_name=STATE_CHANGE_RULES[0],
        description="An endpoint of IOPS Insights failed or is being rolled back",
        event_pattern=events.EventPattern(
            source=["aws.sagemaker"],
            detail_type=["SageMaker Endpoint State Change"],
            detail={"EndpointName": endpoints, "EndpointStatus": _TROUBLE},
        ),
        targets=[_message(topic, text, undelivered)],
    )


def _scaled_to_maximum(
    scope: Construct, endpoints: list[str], topic: sns.ITopic, undelivered: sqs.IQueue
) -> events.Rule:
    """The one event that Application Auto Scaling has (its guide, "Monitor events using Amazon EventBridge")."""
    text = (
        f"{_detail('resourceId')} was scaled from {_detail('oldDesiredCapacity')} to {_detail('newDesiredCapacity')} "
        f"instances, of {_detail('maxCapacity')} at most, at {_event('time')}. {_SEE}"
    )
    return events.Rule(
        scope,
        "EndpointScaling",
        rule_name=STATE_CHANGE_RULES[1],
        description="An endpoint of IOPS Insights was scaled to its maximum",
        event_pattern=events.EventPattern(
            source=["aws.application-autoscaling"],
            detail_type=["Application Auto Scaling Scaling Activity State Change"],
            detail={
                "serviceNamespace": ["sagemaker"],
                "resourceId": [{"prefix": f"endpoint/{name}/"} for name in endpoints],
            },
        ),
        targets=[_message(topic, text, undelivered)],
    )


def _detail(name: str) -> str:
    return _event(f"detail.{name}")


def _event(path: str) -> str:
    return events.EventField.from_path(f"$.{path}")


def _message(topic: sns.ITopic, text: str, undelivered: sqs.IQueue) -> targets.SnsTopic:
    return targets.SnsTopic(
        topic,
        message=events.RuleTargetInput.from_text(text),
        retry_attempts=10,
        max_event_age=cdk.Duration.hours(1),
        dead_letter_queue=undelivered,
    )
