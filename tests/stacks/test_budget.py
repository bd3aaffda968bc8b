"""The monthly budget, who may tell the topic, and the tag by which the bill is told apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from tests.conftest import Assembly
from tests.stacks.test_switch_serving import WITH_HOURS_AND_BUDGET

Templates = Mapping[str, dict[str, Any]]
TAG = {"Key": "application", "Value": "iops-insights"}


@pytest.fixture
def training(synthesise: Callable[..., Assembly]) -> Mapping[str, Any]:
    template: Mapping[str, Any] = synthesise(**WITH_HOURS_AND_BUDGET).templates["IopsTraining"]
    return template


def of_type(template: Mapping[str, Any], kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, resource in template["Resources"].items():
        if resource["Type"] == kind:
            yield name, resource["Properties"]


def test_the_topic_hears_of_four_fifths_spent_and_of_a_forecast_above_the_whole(training: Mapping[str, Any]) -> None:
    [(_, budget)] = of_type(training, "AWS::Budgets::Budget")
    [(topic, _)] = of_type(training, "AWS::SNS::Topic")

    assert budget["Budget"]["BudgetLimit"] == {"Amount": 400, "Unit": "USD"}
    assert (budget["Budget"]["BudgetType"], budget["Budget"]["TimeUnit"]) == ("COST", "MONTHLY")
    assert budget["Budget"]["CostFilters"] == {"TagKeyValue": ["user:application$iops-insights"]}
    told = [(n["Notification"], n["Subscribers"]) for n in budget["NotificationsWithSubscribers"]]
    assert [(n["NotificationType"], n["Threshold"], n["ThresholdType"]) for n, _ in told] == [
        ("ACTUAL", 80, "PERCENTAGE"),
        ("FORECASTED", 100, "PERCENTAGE"),
    ]
    for _, subscribers in told:
        assert subscribers == [{"Address": {"Ref": topic}, "SubscriptionType": "SNS"}]


def test_only_budgets_of_this_account_may_tell_the_topic(training: Mapping[str, Any]) -> None:
    [(_, policy)] = of_type(training, "AWS::SNS::TopicPolicy")
    [statement] = [
        s for s in policy["PolicyDocument"]["Statement"] if s["Principal"] == {"Service": "budgets.amazonaws.com"}
    ]

    assert (statement["Effect"], statement["Action"]) == ("Allow", "sns:Publish")
    assert statement["Condition"]["StringEquals"] == {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}
    assert "aws:SourceArn" in statement["Condition"]["ArnLike"]


def test_without_the_setting_there_is_no_budget(templates: Templates) -> None:
    assert list(of_type(templates["IopsTraining"], "AWS::Budgets::Budget")) == []
    [(_, policy)] = of_type(templates["IopsTraining"], "AWS::SNS::TopicPolicy")
    assert "budgets.amazonaws.com" not in str(policy)


@pytest.mark.parametrize(
    ("stack", "kinds"),
    [
        ("IopsData", ["AWS::DynamoDB::Table", "AWS::S3::Bucket"]),
        ("IopsRiskEndpoint", ["AWS::SageMaker::Model", "AWS::SageMaker::EndpointConfig", "AWS::SageMaker::Endpoint"]),
        ("IopsApi", ["AWS::ApiGateway::RestApi", "AWS::Logs::LogGroup"]),
        ("IopsTraining", ["AWS::StepFunctions::StateMachine", "AWS::Logs::LogGroup", "AWS::SNS::Topic"]),
    ],
)
def test_what_costs_bears_the_tag_that_the_budget_looks_for(templates: Templates, stack: str, kinds: list[str]) -> None:
    for kind in kinds:
        found = list(of_type(templates[stack], kind))
        assert found
        for name, properties in found:
            assert TAG in properties["Tags"], name


def test_the_role_that_makes_endpoints_may_put_that_tag_on_them_and_no_other(templates: Templates) -> None:
    [statement] = [
        statement
        for name, policy in of_type(templates["IopsTraining"], "AWS::IAM::Policy")
        if name.startswith("EndpointUpdate")
        for statement in policy["PolicyDocument"]["Statement"]
        if "sagemaker:AddTags" in statement["Action"]
    ]
    assert statement["Condition"] == {"StringEquals": {"aws:RequestTag/application": "iops-insights"}}


def test_nothing_else_of_an_endpoints_stack_is_tagged_as_its_role_could_not(templates: Templates) -> None:
    tagged = {
        resource["Type"]
        for resource in templates["IopsRiskEndpoint"]["Resources"].values()
        if "Tags" in resource.get("Properties", {})
    }
    assert tagged == {"AWS::SageMaker::Model", "AWS::SageMaker::EndpointConfig", "AWS::SageMaker::Endpoint"}
