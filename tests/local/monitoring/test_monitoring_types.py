"""Monitoring as a template: made, changed and taken away by CloudFormation."""

import copy
import json
from typing import Any

import pytest

from local.cloud import LaptopCloud
from local.cloudformation.monitoring_types import RefusedProperties, checked
from tests.local.watching import patiently

STAT = {"Metric": {"Namespace": "Stack", "MetricName": "Errors"}, "Period": 300, "Stat": "Sum"}
CONDITIONS = {"EvaluationPeriods": 1, "Threshold": 5, "ComparisonOperator": "GreaterThanThreshold"}
TEMPLATE: dict[str, Any] = {
    "Parameters": {"Wait": {"Type": "Number", "Default": 60}},
    "Resources": {
        "Errors": {
            "Type": "AWS::CloudWatch::Alarm",
            "Properties": {
                **CONDITIONS,
                "Metrics": [
                    {"Id": "twice", "Expression": "2 * errors"},
                    {"Id": "errors", "MetricStat": STAT, "ReturnData": False},
                ],
            },
        },
        "Hush": {
            "Type": "AWS::CloudWatch::Alarm",
            "Properties": {**CONDITIONS, "MetricName": "Off", "Namespace": "Stack"},
        },
        "Whole": {
            "Type": "AWS::CloudWatch::CompositeAlarm",
            "Properties": {
                "AlarmName": "stack-whole",
                "AlarmRule": {"Fn::Sub": 'ALARM("${Errors.Arn}")'},
                "ActionsSuppressor": {"Fn::GetAtt": ["Hush", "Arn"]},
                "ActionsSuppressorWaitPeriod": {"Ref": "Wait"},
                "ActionsSuppressorExtensionPeriod": 120,
            },
        },
        "Slowest": {
            "Type": "AWS::Logs::QueryDefinition",
            "Properties": {
                "Name": "iops/slowest",
                "QueryString": "fields @duration | sort @duration desc",
                "LogGroupNames": ["/aws/lambda/predict"],
            },
        },
        "Money": {
            "Type": "AWS::Budgets::Budget",
            "Properties": {
                "Budget": {
                    "BudgetName": "stack-money",
                    "BudgetLimit": {"Amount": 150, "Unit": "USD"},
                    "TimeUnit": "MONTHLY",
                    "BudgetType": "COST",
                },
                "NotificationsWithSubscribers": [
                    {
                        "Notification": {
                            "NotificationType": "ACTUAL",
                            "ComparisonOperator": "GREATER_THAN",
                            "Threshold": 80,
                        },
                        "Subscribers": [{"SubscriptionType": "EMAIL", "Address": "a@example.com"}],
                    }
                ],
            },
        },
        "Board": {
            "Type": "AWS::CloudWatch::Dashboard",
            "Properties": {"DashboardName": "stack-board", "DashboardBody": "{}"},
        },
    },
}


class Stack:
    def __init__(self, laptop: LaptopCloud) -> None:
        self._client = laptop.client("cloudformation")

    def create(self, template: dict[str, Any]) -> str:
        self._client.create_stack(StackName="Watching", TemplateBody=json.dumps(template))
        return self.settled()

    def update(self, template: dict[str, Any]) -> str:
        self._client.update_stack(StackName="Watching", TemplateBody=json.dumps(template))
        return self.settled()

    def delete(self) -> None:
        self._client.delete_stack(StackName="Watching")
        patiently(lambda: self.status() in ("DELETE_COMPLETE", "DELETE_FAILED"))

    def status(self) -> str:
        try:
            return str(self._client.describe_stacks(StackName="Watching")["Stacks"][0]["StackStatus"])
        except self._client.exceptions.ClientError:
            return "DELETE_COMPLETE"

    def settled(self) -> str:
        """The status, and why resources failed."""
        patiently(lambda: not self.status().endswith("IN_PROGRESS"))
        events = self._client.describe_stack_events(StackName="Watching")["StackEvents"]
        failed = [event["ResourceStatusReason"] for event in events if event["ResourceStatus"].endswith("_FAILED")]
        return "; ".join([self.status(), *failed])


def test_a_stack_of_monitoring_is_made_changed_and_taken_away(laptop: LaptopCloud) -> None:
    cloudwatch, logs, budgets = (laptop.client(name) for name in ("cloudwatch", "logs", "budgets"))
    stack = Stack(laptop)

    assert stack.create(TEMPLATE) == "CREATE_COMPLETE"
    composite = cloudwatch.describe_alarms(AlarmNames=["stack-whole"], AlarmTypes=["CompositeAlarm"])[
        "CompositeAlarms"
    ][0]
    assert composite["ActionsSuppressorWaitPeriod"] == 60
    assert "-Hush-" in composite["ActionsSuppressor"]
    math = [alarm for alarm in cloudwatch.describe_alarms()["MetricAlarms"] if "-Errors-" in alarm["AlarmName"]]
    assert [query["Id"] for query in math[0]["Metrics"]] == ["twice", "errors"]
    query = logs.describe_query_definitions(queryDefinitionNamePrefix="iops/")["queryDefinitions"][0]
    assert (query["name"], query["logGroupNames"]) == ("iops/slowest", ["/aws/lambda/predict"])
    budget = budgets.describe_budget(AccountId="000000000000", BudgetName="stack-money")["Budget"]
    assert budget["BudgetLimit"] == {"Amount": "150", "Unit": "USD"}

    changed = copy.deepcopy(TEMPLATE)
    resources = changed["Resources"]
    resources["Whole"]["Properties"]["ActionsSuppressorExtensionPeriod"] = 30
    resources["Slowest"]["Properties"]["QueryString"] = "stats count()"
    resources["Money"]["Properties"]["Budget"]["BudgetLimit"]["Amount"] = 200
    resources["Board"]["Properties"]["DashboardBody"] = '{"widgets": []}'
    assert stack.update(changed) == "UPDATE_COMPLETE"
    composite = cloudwatch.describe_alarms(AlarmNames=["stack-whole"], AlarmTypes=["CompositeAlarm"])[
        "CompositeAlarms"
    ][0]
    assert composite["ActionsSuppressorExtensionPeriod"] == 30
    (again,) = logs.describe_query_definitions(queryDefinitionNamePrefix="iops/")["queryDefinitions"]
    assert (again["queryString"], again["queryDefinitionId"]) == ("stats count()", query["queryDefinitionId"])
    budget = budgets.describe_budget(AccountId="000000000000", BudgetName="stack-money")["Budget"]
    assert budget["BudgetLimit"]["Amount"] == "200"
    assert cloudwatch.get_dashboard(DashboardName="stack-board")["DashboardBody"] == '{"widgets": []}'

    stack.delete()
    assert stack.status() == "DELETE_COMPLETE"
    left = cloudwatch.describe_alarms(AlarmNamePrefix="stack-whole", AlarmTypes=["CompositeAlarm"])["CompositeAlarms"]
    assert left == []
    assert logs.describe_query_definitions(queryDefinitionNamePrefix="iops/")["queryDefinitions"] == []
    with pytest.raises(budgets.exceptions.NotFoundException):
        budgets.describe_budget(AccountId="000000000000", BudgetName="stack-money")


@pytest.mark.parametrize(
    ("service", "action", "request_", "part"),
    [
        ("cloudwatch", "PutCompositeAlarm", {"AlarmName": "a"}, "alarmRule"),
        ("budgets", "CreateBudget", {"AccountId": "000000000000", "Budget": {"BudgetName": "b"}}, "budget.timeUnit"),
        (
            "budgets",
            "CreateBudget",
            {"AccountId": "000000000000", "Budget": {"BudgetName": "b", "TimeUnit": "WEEKLY", "BudgetType": "COST"}},
            "enum",
        ),
        ("logs", "PutQueryDefinition", {"name": "q"}, "queryString"),
        ("logs", "PutQueryDefinition", {"name": "q", "queryString": "x", "color": "red"}, "color"),
    ],
)
def test_what_the_service_would_refuse_is_refused(
    service: str, action: str, request_: dict[str, Any], part: str
) -> None:
    with pytest.raises(RefusedProperties, match=part):
        checked(service, action, request_)
