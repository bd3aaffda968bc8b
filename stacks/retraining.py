"""What starts a training by itself, and the switch that stops it. Everything goes through one decision, which records
itself (docs/retraining.md); a person may also start TrainModels directly."""

import aws_cdk as cdk
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_ssm as ssm
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from stacks.functions import CodeMaker, InsightFunction
from stacks.nag import acknowledge
from stacks.names import KINDS, RETRAINING_SWITCH, drift_alarm_name
from stacks.permissions import Permission, allow
from stacks.settings import Settings

_PREFIX = "retraining"
# A drift alarm that kept ringing through a refusal is asked about again; drift itself is measured once a day.
RECHECK_EVERY = cdk.Duration.hours(6)


class Retraining(Construct):
    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Settings,
        code: CodeMaker,
        bucket: s3.IBucket,
        train_models: sfn.IStateMachine,
        dead_letters: sqs.IQueue,
    ) -> None:
        super().__init__(scope, construct_id)
        self.switch = ssm.StringParameter(
            self,
            "Switch",
            parameter_name=RETRAINING_SWITCH,
            string_value="on",
            allowed_pattern="^(on|paused)$",
            description="Whether a schedule, a drift alarm or a request may start a training: on or paused",
        )
        self.decide = InsightFunction(
            self,
            "decide_retraining",
            settings=settings,
            code=code(),
            timeout=cdk.Duration.minutes(2),
            failed_calls=dead_letters,
            environment={
                "STATE_MACHINE_ARN": train_models.state_machine_arn,
                "BUCKET_NAME": bucket.bucket_name,
                "SWITCH_PARAMETER": RETRAINING_SWITCH,
                **{f"{kind.upper()}_DRIFT_ALARM": drift_alarm_name(kind) for kind in KINDS},
                "MODEL_TYPE": settings.model_type,
                "DEBOUNCE_HOURS": str(settings.retraining_debounce_hours),
                "DRIFT_RUNS_PER_WEEK": str(settings.retraining_drift_runs_per_week),
            },
            permissions=self._permissions(bucket, train_models),
        )
        self._rules(settings, dead_letters)

    def _permissions(self, bucket: s3.IBucket, train_models: sfn.IStateMachine) -> list[Permission]:
        stack = cdk.Stack.of(self)
        executions = stack.format_arn(
            service="states",
            resource="execution",
            resource_name="TrainModels:*",
            arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
        )
        return [
            allow(["states:ListExecutions", "states:StartExecution"], [train_models.state_machine_arn]),
            allow(["states:DescribeExecution"], [executions], because="Whoever started a run chose its name."),
            allow(
                ["cloudwatch:DescribeAlarms"],
                ["*"],
                because="Asked for several alarms at once it is authorised on no single one; it reads their states.",
            ),
            allow(["ssm:GetParameter"], [self.switch.parameter_arn]),
            allow(
                ["s3:PutObject"],
                [bucket.arn_for_objects(f"{_PREFIX}/*")],
                because="A record's key holds the time of its decision.",
            ),
        ]

    def _rules(self, settings: Settings, dead_letters: sqs.IQueue) -> None:
        target = self.decide.function
        on_drift = events.Rule(
            self,
            "OnDrift",
            description="IOPS Insights: a drift alarm rings",
            event_pattern=events.EventPattern(
                source=["aws.cloudwatch"],
                detail_type=["CloudWatch Alarm State Change"],
                detail={
                    "alarmName": [drift_alarm_name(kind) for kind in KINDS],
                    "state": {"value": ["ALARM"]},
                },
            ),
            targets=[targets.LambdaFunction(target)],
        )
        recheck = events.Rule(
            self,
            "Recheck",
            description="IOPS Insights: asks again for a drift alarm that still rings",
            schedule=events.Schedule.rate(RECHECK_EVERY),
            targets=[targets.LambdaFunction(target, event=asked(trigger="recheck"))],
        )
        for rule, reason in {
            on_drift: "An alarm whose event was lost still rings when it is asked for again (Recheck).",
            recheck: "The next recheck asks for the same alarms.",
        }.items():
            acknowledge(rule, "Serverless-EventBusDLQ", reason)
        self.monthly = events.Rule(
            self,
            "Monthly",
            description="IOPS Insights: a training on the first of a month, 03:00 UTC",
            schedule=events.Schedule.cron(minute="0", hour="3", day="1"),
            enabled=settings.monthly_training,
            targets=[
                targets.LambdaFunction(
                    target,
                    event=asked(trigger="schedule", reason="the monthly training", requested_by="schedule"),
                    dead_letter_queue=dead_letters,
                )
            ],
        )


def asked(**fields: str) -> events.RuleTargetInput:
    """A constant event; each delivery is one of its own, by the id that the invocation has."""
    return events.RuleTargetInput.from_object(fields)
