"""What there is to watch, as the other stacks made it."""

from collections.abc import Mapping
from dataclasses import dataclass

from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_events as events
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_stepfunctions as sfn

from stacks.functions import InsightFunction
from stacks.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """`answering` functions answer callers of the API, `working` ones are called by workflows and schedules."""

    settings: Settings
    api: apigateway.RestApi
    access_log: logs.ILogGroup
    workflows: Mapping[str, sfn.IStateMachine]
    schedules: Mapping[str, events.IRule]
    answering: Mapping[str, InsightFunction]
    working: Mapping[str, InsightFunction]
    track_devices: InsightFunction
    collect_volumes: InsightFunction | None
    """None while the settings want no collection."""
    undelivered: Mapping[str, sqs.IQueue]
    """By what their messages were for."""
    tables: Mapping[str, dynamodb.Table]
    """By a word for what they hold: insights, predictions, devices, requests."""
