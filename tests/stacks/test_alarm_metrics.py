"""No alarm and no dashboard looks at a metric that nobody emits, over the templates of all stacks."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from lambdas.metric_names import EMITTED, METRICS_NAMESPACE
from stacks.names import KINDS
from tests.stacks.alarms import METRIC_ALARM, Metric, alarms, charted, metrics_of, resources

Templates = Mapping[str, dict[str, Any]]
LAMBDAS = Path(__file__).parents[2] / "lambdas"

ENDPOINT = frozenset({"EndpointName", "VariantName"})
ROUTE = frozenset({"ApiName", "Method", "Resource", "Stage"})
TABLE, INDEX = frozenset({"TableName"}), frozenset({"TableName", "GlobalSecondaryIndexName"})
# Per namespace: the names, and the sets of dimensions under which the service has each of them.
DOCUMENTED: Mapping[str, tuple[set[str], set[frozenset[str]]]] = {
    # SageMaker guide, "Amazon SageMaker AI metrics in Amazon CloudWatch", endpoint invocation metrics; with
    # EndpointConfigName: "Auto-Rollback Configuration and Monitoring".
    "AWS/SageMaker": (
        {
            "Invocations",
            "InvocationsPerInstance",
            "Invocation4XXErrors",
            "Invocation5XXErrors",
            "ModelLatency",
            "OverheadLatency",
        },
        {ENDPOINT, ENDPOINT | {"EndpointConfigName"}},
    ),
    # API Gateway guide, "Amazon API Gateway dimensions and metrics".
    "AWS/ApiGateway": (
        {"Count", "4XXError", "5XXError", "Latency", "IntegrationLatency"},
        {frozenset({"ApiName"}), frozenset({"ApiName", "Stage"}), ROUTE},
    ),
    # Step Functions guide, "Monitoring Step Functions metrics using Amazon CloudWatch", execution metrics.
    "AWS/States": (
        {
            "ExecutionsStarted",
            "ExecutionsSucceeded",
            "ExecutionsFailed",
            "ExecutionsTimedOut",
            "ExecutionsAborted",
            "ExecutionTime",
        },
        {frozenset({"StateMachineArn"})},
    ),
    # Lambda guide, "Types of metrics for Lambda functions".
    "AWS/Lambda": (
        {"Invocations", "Errors", "Throttles", "Duration", "IteratorAge"},
        {frozenset({"FunctionName"})},
    ),
    # DynamoDB guide, "DynamoDB metrics and dimensions".
    "AWS/DynamoDB": ({"ReadThrottleEvents", "WriteThrottleEvents"}, {TABLE, INDEX}),
    # SQS guide, "Available CloudWatch metrics for Amazon SQS".
    "AWS/SQS": ({"ApproximateNumberOfMessagesVisible"}, {frozenset({"QueueName"})}),
    # EventBridge guide, "Monitoring Amazon EventBridge".
    "AWS/Events": ({"FailedInvocations"}, {frozenset({"RuleName"})}),
}
# What a dimension's value must lead to, in a template.
LEADS_TO = {
    "FunctionName": "AWS::Lambda::Function",
    "StateMachineArn": "AWS::StepFunctions::StateMachine",
    "TableName": "AWS::DynamoDB::Table",
    "RuleName": "AWS::Events::Rule",
    "QueueName": "AWS::SQS::Queue",
    "EndpointConfigName": "AWS::SageMaker::EndpointConfig",
}


@pytest.fixture(scope="module")
def seen(templates: Templates) -> list[Metric]:
    """What every alarm and every dashboard looks at."""
    of_alarms = [
        metric for alarm in alarms(templates, METRIC_ALARM).values() for metric in metrics_of(templates, alarm)
    ]
    of_dashboards = list(charted(templates))
    assert len(of_alarms) > 70
    assert len(of_dashboards) > 70
    return [*of_alarms, *of_dashboards]


def test_each_metric_of_a_service_is_documented_with_its_very_dimensions(seen: list[Metric]):
    for metric in seen:
        if metric.namespace != METRICS_NAMESPACE:
            names, dimensions = DOCUMENTED[metric.namespace]
            assert metric.name in names, metric
            assert frozenset(metric.dimensions) in dimensions, metric


def test_each_dimension_leads_to_something_that_is_deployed(templates: Templates, seen: list[Metric]):
    values: dict[str, set[str]] = {
        "EndpointName": {p["EndpointName"] for _, p in resources(templates, "AWS::SageMaker::Endpoint")},
        "VariantName": {
            variant["VariantName"]
            for _, config in resources(templates, "AWS::SageMaker::EndpointConfig")
            for variant in config["ProductionVariants"]
            if "VariantName" in variant
        },
        "ApiName": {p["Name"] for _, p in resources(templates, "AWS::ApiGateway::RestApi")},
        "GlobalSecondaryIndexName": {
            index["IndexName"]
            for _, table in resources(templates, "AWS::DynamoDB::Table")
            for index in table.get("GlobalSecondaryIndexes", [])
        },
        "Kind": set(KINDS),
        "service": set(EMITTED),
        "Method": {"POST"},
        "Resource": {f"/api/predict/{kind}" for kind in KINDS},
    }
    for metric in seen:
        for name, value in metric.dimensions.items():
            if name in LEADS_TO:
                assert value[0] == LEADS_TO[name], metric
            elif name == "Stage":
                kind, stage = value
                assert kind == "AWS::ApiGateway::Stage"
                # Else API Gateway has no metrics of single routes.
                assert [setting["MetricsEnabled"] for setting in stage["MethodSettings"]] == [True]
            else:
                assert value in values[name], metric


def test_an_alarm_sees_what_each_index_of_a_table_turns_away(templates: Templates):
    indexes = {
        index["IndexName"]
        for _, table in resources(templates, "AWS::DynamoDB::Table")
        for index in table.get("GlobalSecondaryIndexes", [])
    }
    seen_by_alarms = [
        metric for alarm in alarms(templates, METRIC_ALARM).values() for metric in metrics_of(templates, alarm)
    ]
    watched = {
        (metric.dimensions["GlobalSecondaryIndexName"], metric.name)
        for metric in seen_by_alarms
        if "GlobalSecondaryIndexName" in metric.dimensions
    }
    assert len(indexes) == 2
    assert watched == {(index, f"{verb}ThrottleEvents") for index in indexes for verb in ("Read", "Write")}


def test_each_metric_of_our_own_is_one_that_its_function_puts_with_these_dimensions(seen: list[Metric]):
    ours = [metric for metric in seen if metric.namespace == METRICS_NAMESPACE]
    assert {metric.dimensions["service"] for metric in ours} >= {"predict", "write_manifest", "publish_watch"}
    for metric in ours:
        own_dimensions = set(metric.dimensions) - {"service"}
        assert any(
            metric.name in put.units and set(put.dimensions) == own_dimensions
            for put in EMITTED[metric.dimensions["service"]]
        ), metric


@pytest.mark.parametrize("function", list(EMITTED))
def test_a_function_puts_every_metric_that_the_table_says_and_no_other(function: str):
    """By the texts in its code; that they reach the log in this form is tested where the handlers are."""
    said = {name for metrics in EMITTED[function] for name in metrics.units}
    folders = [LAMBDAS / function] + ([LAMBDAS / "api"] if function in ANSWERING else [])
    trees = [ast.parse(path.read_text()) for folder in folders for path in folder.glob("*.py")]
    words = {node.value for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    assert said <= words
    assert {name for tree in trees for name in added(tree)} <= said


ANSWERING = {"predict", "read_fleet", "give_feedback", "describe_models"}


def added(tree: ast.AST) -> Iterator[str]:
    """Names that Powertools is given as they stand; `put` looks into the table itself."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "add_metric":
            yield from (
                keyword.value.value
                for keyword in node.keywords
                if keyword.arg == "name" and isinstance(keyword.value, ast.Constant)
            )
