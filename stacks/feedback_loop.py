"""What really happened comes back to the predictions and, as labels, to the insights: a function on a schedule."""

import aws_cdk as cdk
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from constructs import Construct

from stacks.data_stack import DUE_INDEX
from stacks.functions import CodeMaker, InsightFunction
from stacks.nag import acknowledge
from stacks.permissions import allow
from stacks.settings import Settings

# Half of the default horizon: an outcome is known a quarter of an hour after its half hour, at most.
EVERY = cdk.Duration.minutes(15)


class FeedbackLoop(Construct):
    """`join_outcomes` ends before its next run begins."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Settings,
        code: CodeMaker,
        insights_table: dynamodb.ITable,
        predictions_table: dynamodb.ITable,
    ) -> None:
        super().__init__(scope, construct_id)
        self.join_outcomes = InsightFunction(
            self,
            "join_outcomes",
            settings=settings,
            code=code(),
            timeout=cdk.Duration.minutes(14),
            failed_calls="The call of a quarter of an hour later takes up where this one stopped.",
            memory_mib=512,
            environment={
                "INSIGHTS_TABLE_NAME": insights_table.table_name,
                "PREDICTIONS_TABLE_NAME": predictions_table.table_name,
            },
            permissions=[
                allow(["dynamodb:Query"], [insights_table.table_arn]),
                allow(["dynamodb:Query"], [f"{predictions_table.table_arn}/index/{DUE_INDEX}"]),
                allow(["dynamodb:UpdateItem"], [insights_table.table_arn, predictions_table.table_arn]),
            ],
        )
        schedule = events.Rule(
            self,
            "Schedule",
            description="IOPS Insights: joins outcomes to the predictions whose horizon has passed",
            schedule=events.Schedule.rate(EVERY),
            # An event that found no function in time is the next run's; two at once would do each other's work.
            targets=[targets.LambdaFunction(self.join_outcomes.function, max_event_age=EVERY, retry_attempts=1)],
        )
        acknowledge(
            schedule, "Serverless-EventBusDLQ", "An event that was lost is the next one's work, 15 minutes later."
        )
