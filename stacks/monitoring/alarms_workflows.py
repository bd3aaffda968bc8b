"""Executions that failed or are late, schedules that started none, and what could not be delivered at all."""

from collections.abc import Mapping

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from stacks.monitoring.alarm import FIVE_MINUTES, Breach, alarm
from stacks.monitoring.alarms_functions import function_alarms
from stacks.monitoring.watched import Watched

# Step Functions says how long an execution took when it has closed; one that hangs is closed by the limits of its states
# and its own (40 h and 4 h). A workflow without an entry is one of minutes.
USUAL_HOURS = {"TrainModels": 12, "PromoteModel": 1}


def workflow_metric(machine: sfn.IStateMachine, name: str, statistic: str) -> cloudwatch.Metric:
    return cloudwatch.Metric(
        namespace="AWS/States",
        metric_name=name,
        dimensions_map={"StateMachineArn": machine.state_machine_arn},
        statistic=statistic,
        period=FIVE_MINUTES,
    )


def workflow_alarms(scope: Construct, watched: Watched) -> list[cloudwatch.Alarm]:
    """One execution is enough: what it was to make is not there."""
    found = []
    for name, machine in watched.workflows.items():
        hours = USUAL_HOURS.get(name, 1)
        for entry, metric, statistic, threshold, says in (
            ("workflow-failed", "ExecutionsFailed", "Sum", 0, f"An execution of {name} has failed"),
            ("workflow-timed-out", "ExecutionsTimedOut", "Sum", 0, f"An execution of {name} has run out of time"),
            (
                "workflow-late",
                "ExecutionTime",
                "Maximum",
                cdk.Duration.hours(hours).to_milliseconds(),
                f"An execution of {name} has taken more than {hours} h",
            ),
        ):
            measured = workflow_metric(machine, metric, statistic)
            found.append(alarm(scope, entry, measured, Breach(threshold=threshold), of=name, says=says))
    return [*found, *_schedule_alarms(scope, watched), *function_alarms(scope, watched.working)]


def _schedule_alarms(scope: Construct, watched: Watched) -> list[cloudwatch.Alarm]:
    """A run that its schedule could not start leaves no execution that might fail."""
    return [
        alarm(
            scope,
            "schedule-failed",
            cloudwatch.Metric(
                namespace="AWS/Events",
                metric_name="FailedInvocations",
                dimensions_map={"RuleName": rule.rule_name},
                statistic="Sum",
                period=FIVE_MINUTES,
            ),
            Breach(threshold=0),
            of=name,
            says=f"The schedule {name} could not start its run",
        )
        for name, rule in watched.schedules.items()
    ]


def undelivered_alarms(scope: Construct, queues: Mapping[str, sqs.IQueue]) -> list[cloudwatch.Alarm]:
    """Until somebody has read and emptied the queue."""
    return [
        alarm(
            scope,
            "undelivered",
            cloudwatch.Metric(
                namespace="AWS/SQS",
                metric_name="ApproximateNumberOfMessagesVisible",
                dimensions_map={"QueueName": queue.queue_name},
                statistic="Maximum",
                period=FIVE_MINUTES,
            ),
            Breach(threshold=0),
            of=name,
            says=f"Events for {name} could not be delivered and wait in their queue",
        )
        for name, queue in queues.items()
    ]
