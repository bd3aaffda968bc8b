"""What could not be delivered and nobody would miss at once: kept for two weeks, and an alarm says that it is there."""

import aws_cdk as cdk
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from stacks.nag import acknowledge


class DeadLetters(Construct):
    """`queue` takes TLS requests only and is encrypted by SQS."""

    def __init__(self, scope: Construct, construct_id: str = "DeadLetters") -> None:
        super().__init__(scope, construct_id)
        self.queue = sqs.Queue(
            self,
            "Queue",
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            retention_period=cdk.Duration.days(14),  # SQS's most: a fault found after a holiday is still explained
        )
        for rule in ("AwsSolutions-SQS3", "Serverless-SQSRedrivePolicy"):
            acknowledge(self.queue, rule, "It is where others' undelivered messages end; people read and empty it.")
