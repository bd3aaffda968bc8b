"""What this app may cost a month, and who is told: a budget over everything that bears the app's tag."""

import aws_cdk as cdk
from aws_cdk import aws_budgets as budgets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from constructs import Construct, IConstruct

# What a bill is told apart by. It must be activated once as a cost allocation tag of the account (docs/costs.md).
TAG = ("application", "iops-insights")
ACTUAL_PERCENT = 80
FORECAST_PERCENT = 100

# In the endpoints' stacks, whose updating role may tag nothing but SageMaker's resources; these cost little or nothing.
_UNTAGGED = [
    "AWS::SSM::Parameter",
    "AWS::CloudWatch::Alarm",
    "AWS::CloudWatch::CompositeAlarm",
    "AWS::ApplicationAutoScaling::ScalableTarget",
]


def tag_everything(app: IConstruct) -> None:
    """Each resource by itself: tags of a stack would go to all of it, with rights that the narrow roles lack."""
    name, value = TAG
    cdk.Tags.of(app).add(name, value, exclude_resource_types=_UNTAGGED)


def monthly_budget(scope: Construct, limit_usd: float, topic: sns.Topic) -> None:
    """Tells the topic of 80% spent and of a forecast above the whole."""
    topic.add_to_resource_policy(_may_publish(cdk.Stack.of(scope), topic))
    name, value = TAG
    budget = budgets.CfnBudget(
        scope,
        "MonthlyBudget",
        budget=budgets.CfnBudget.BudgetDataProperty(
            # No name: other notifications mean another budget, which could not be made beside one of the same name.
            budget_type="COST",
            time_unit="MONTHLY",
            budget_limit=budgets.CfnBudget.SpendProperty(amount=limit_usd, unit="USD"),
            cost_filters={"TagKeyValue": [f"user:{name}${value}"]},
        ),
        notifications_with_subscribers=[
            _alert("ACTUAL", ACTUAL_PERCENT, topic),
            _alert("FORECASTED", FORECAST_PERCENT, topic),
        ],
    )
    # The first message may follow within hours, and Budgets does not repeat one that it may not deliver.
    budget.node.add_dependency(topic.node.find_child("Policy"))


def _alert(kind: str, percent: int, topic: sns.ITopic) -> budgets.CfnBudget.NotificationWithSubscribersProperty:
    return budgets.CfnBudget.NotificationWithSubscribersProperty(
        notification=budgets.CfnBudget.NotificationProperty(
            notification_type=kind,
            comparison_operator="GREATER_THAN",
            threshold=percent,
            threshold_type="PERCENTAGE",
        ),
        subscribers=[
            budgets.CfnBudget.SubscriberProperty(subscription_type="SNS", address=topic.topic_arn),
        ],
    )


def _may_publish(stack: cdk.Stack, topic: sns.ITopic) -> iam.PolicyStatement:
    """As in the user guide, "Creating an Amazon SNS topic for budget notifications"."""
    budgets_of_this_account = stack.format_arn(service="budgets", region="", resource="*")
    return iam.PolicyStatement(
        sid="BudgetsOfThisAccount",
        actions=["sns:Publish"],
        resources=[topic.topic_arn],
        principals=[iam.ServicePrincipal("budgets.amazonaws.com")],
        conditions={
            "StringEquals": {"aws:SourceAccount": stack.account},
            "ArnLike": {"aws:SourceArn": budgets_of_this_account},
        },
    )
