"""What turns telemetry into live models: the image, the jobs' roles, the Lambdas, the workflows and what starts them."""

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from stacks.app_stack import AppStack
from stacks.budget import monthly_budget
from stacks.data_stack import DataStack, named_bucket
from stacks.dead_letters import DeadLetters
from stacks.feedback_loop import FeedbackLoop
from stacks.functions import CodeMaker
from stacks.image import ContainerImage
from stacks.names import STATE_CHANGE_RULES
from stacks.off_hours import OffHours
from stacks.package_groups import PackageGroups
from stacks.retention import Retention
from stacks.retraining import Retraining
from stacks.sagemaker_roles import SageMakerRoles
from stacks.settings import Settings
from stacks.training_functions import TrainingFunctions
from stacks.update_role import UpdateRole
from stacks.watching import Watching, watch_schedule
from stacks.workflows.jobs import JobDefaults
from stacks.workflows.promote_model import PromoteModel, PromotionParts
from stacks.workflows.switch_serving import ServingParts
from stacks.workflows.train_models import TrainingParts, TrainModels


class TrainingStack(AppStack):
    """The four workflows, what they call, and what decides and cleans up around them."""

    def __init__(
        self, scope: Construct, construct_id: str, *, settings: Settings, data: DataStack, code: CodeMaker
    ) -> None:
        super().__init__(scope, construct_id, settings=settings, summary="training and promotion of the two models")
        self.add_stack_dependency(data)
        bucket = named_bucket(self, settings)
        self.dead_letters = DeadLetters(self).queue
        self.topic = notification_topic(self, settings, self.dead_letters)
        image = ContainerImage(self, "Image", settings=settings)
        self.roles = SageMakerRoles(self, "SageMakerRoles", settings=settings, bucket=bucket, image=image)
        functions = self.functions = TrainingFunctions(
            self,
            "Functions",
            settings=settings,
            code=code,
            bucket=bucket,
            insights_table=data.insights_table,
        ).by_name
        update = UpdateRole(self, "EndpointUpdate", settings=settings, serving_role=self.roles.serving)
        self.switch_serving = OffHours(
            self,
            "OffHours",
            parts=ServingParts(settings=settings, functions=functions, update_role=update.role),
            dead_letters=self.dead_letters,
        ).switch_serving
        self.promote_model = PromoteModel(
            self,
            "PromoteModel",
            parts=PromotionParts(
                settings=settings,
                functions=functions,
                update_role=update.role,
                bucket=bucket,
                switch_serving=self.switch_serving,
            ),
        ).state_machine
        defaults = JobDefaults(settings=settings, image_uri=image.uri, role_arn=self.roles.jobs.role_arn)
        self.train_models = TrainModels(
            self,
            "TrainModels",
            parts=TrainingParts(
                defaults=defaults,
                bucket=bucket,
                topic=self.topic,
                functions=functions,
                jobs_role=self.roles.jobs,
                promote_model=self.promote_model,
                insights_table=data.insights_table,
            ),
        ).state_machine
        watching = Watching(
            self,
            "Watching",
            defaults=defaults,
            data=data,
            bucket=bucket,
            code=code,
            shared=(functions["judge_experiment"], functions["describe_failure"]),
            jobs_role=self.roles.jobs,
        )
        watch_schedule(watching, settings, self.dead_letters)
        self.watch_models = watching.state_machine
        PackageGroups(self, "PackageGroups", settings=settings, code=code)
        feedback = FeedbackLoop(
            self,
            "FeedbackLoop",
            settings=settings,
            code=code,
            insights_table=data.insights_table,
            predictions_table=data.predictions_table,
        )
        retraining = Retraining(
            self,
            "Retraining",
            settings=settings,
            code=code,
            bucket=bucket,
            train_models=self.train_models,
            dead_letters=self.dead_letters,
        )
        self.schedules = {"MonthlyTraining": retraining.monthly}
        if settings.monthly_budget_usd is not None:
            monthly_budget(self, settings.monthly_budget_usd, self.topic)
        retention = Retention(
            self, "Retention", settings=settings, code=code, bucket=bucket, promote_model=self.promote_model
        )
        for name, value in {
            "TrainModelsArn": self.train_models.state_machine_arn,
            "PromoteModelArn": self.promote_model.state_machine_arn,
            "WatchModelsArn": self.watch_models.state_machine_arn,
            "SwitchServingArn": self.switch_serving.state_machine_arn,
            "JudgeExperimentName": functions["judge_experiment"].name,
            "IngestInsightsName": functions["ingest_insights"].name,
            "JoinOutcomesName": feedback.join_outcomes.name,
            "RetirePackagesName": retention.retire.name,
            "RestorePackageName": retention.restore.name,
            "DecideRetrainingName": retraining.decide.name,
            "TopicArn": self.topic.topic_arn,
        }.items():
            cdk.CfnOutput(self, name, value=value)


def notification_topic(scope: cdk.Stack, settings: Settings, dead_letters: sqs.IQueue) -> sns.Topic:
    """What people are told: ended runs and alarms."""
    topic = sns.Topic(scope, "Notifications", enforce_ssl=True)
    # A topic with a policy of its own has lost the default one, by which alarms of this account could publish.
    topic.add_to_resource_policy(
        iam.PolicyStatement(
            sid="AlarmsOfThisAccount",
            actions=["sns:Publish"],
            resources=[topic.topic_arn],
            principals=[iam.ServicePrincipal("cloudwatch.amazonaws.com")],
            conditions={"StringEquals": {"aws:SourceAccount": scope.account}},
        )
    )
    topic.add_to_resource_policy(
        iam.PolicyStatement(
            sid="StateChangesOfTheEndpoints",
            actions=["sns:Publish"],
            resources=[topic.topic_arn],
            principals=[iam.ServicePrincipal("events.amazonaws.com")],
            conditions={
                "ArnEquals": {
                    "aws:SourceArn": [
                        scope.format_arn(service="events", resource="rule", resource_name=name)
                        for name in STATE_CHANGE_RULES
                    ]
                }
            },
        )
    )
    if settings.notification_email is not None:
        topic.add_subscription(
            subscriptions.EmailSubscription(settings.notification_email, dead_letter_queue=dead_letters)
        )
    return topic
