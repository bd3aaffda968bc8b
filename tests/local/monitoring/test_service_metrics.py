"""What the laptop's services count, through a laptop cloud, and the rules behind it on plain values."""

import functools
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest

from local.cloud import LaptopCloud
from local.monitoring.executions import metrics_of as execution_metrics
from local.monitoring.functions import iterator_age_ms
from local.monitoring.gateway import dimensions_of
from local.monitoring.gateway import metrics_of as call_metrics
from local.monitoring.tables import failures
from tests.local.watching import Metrics, patiently

HANDLER = """
import json
def handler(event, context):
    print(json.dumps({
        "_aws": {"Timestamp": %d, "CloudWatchMetrics": [
            {"Namespace": "Embedded", "Dimensions": [["service"]], "Metrics": [{"Name": "Answers", "Unit": "Count"}]}]},
        "service": "watched", "Answers": [1, 2]}))
    if event.get("fail"):
        raise ValueError("asked to")
    return {"statusCode": event.get("path") == "/broken" and 502 or 200, "body": "{}"}
"""


def test_invocations_errors_durations_and_embedded_metrics_of_a_function_are_counted(
    laptop: LaptopCloud, make_function: Callable[[str, str], str], metrics: Metrics
) -> None:
    name = make_function("watched", HANDLER % (time.time() * 1000))
    functions = laptop.client("lambda")
    for payload in ({}, {"fail": True}, {}):
        functions.invoke(FunctionName=name, Payload=json.dumps(payload).encode())

    patiently(lambda: metrics.total("AWS/Lambda", "Invocations", FunctionName=name) == 3)
    assert metrics.total("AWS/Lambda", "Invocations", FunctionName=name) == 3
    assert metrics.total("AWS/Lambda", "Errors", FunctionName=name) == 1
    assert metrics.total("AWS/Lambda", "Throttles", FunctionName=name) == 0
    assert metrics.total("AWS/Lambda", "Duration", statistic="SampleCount", FunctionName=name) == 3
    assert metrics.total("Embedded", "Answers", service="watched") == 9
    assert metrics.total("Embedded", "Answers", statistic="SampleCount", service="watched") == 6


def test_a_throttled_request_is_neither_an_invocation_nor_an_error(
    laptop: LaptopCloud, make_function: Callable[[str, str], str], metrics: Metrics
) -> None:
    name = make_function("throttled", HANDLER % 0)
    functions = laptop.client("lambda")
    functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    with pytest.raises(functions.exceptions.TooManyRequestsException):
        functions.invoke(FunctionName=name)

    patiently(lambda: metrics.total("AWS/Lambda", "Throttles", FunctionName=name))
    assert (metrics.total("AWS/Lambda", "Throttles", FunctionName=name) or 0) >= 1
    assert metrics.total("AWS/Lambda", "Invocations", FunctionName=name) is None


@pytest.mark.parametrize(
    ("event", "age"),
    [
        ({"Records": [{"eventSource": "aws:dynamodb", "dynamodb": {"ApproximateCreationDateTime": 997.5}}]}, 2500),
        ({"Records": [{"eventSource": "aws:sqs"}]}, None),
        ({"Records": []}, None),
        ({"device_id": "d"}, None),
        (["Records"], None),
    ],
)
def test_a_streams_batch_has_the_age_of_its_last_record(event: Any, age: float | None) -> None:
    assert iterator_age_ms(event, now=1000.0) == age


def test_executions_count_as_they_start_and_as_they_end_with_their_time(
    laptop: LaptopCloud, make_role: Callable[..., str], metrics: Metrics
) -> None:
    states = laptop.client("stepfunctions")
    definition = {
        "StartAt": "Which",
        "QueryLanguage": "JSONata",
        "States": {
            "Which": {
                "Type": "Choice",
                "Choices": [{"Condition": "{% $states.input.fail %}", "Next": "No"}],
                "Default": "Yes",
            },
            "No": {"Type": "Fail", "Error": "Asked"},
            "Yes": {"Type": "Succeed"},
        },
    }
    arn = states.create_state_machine(
        name="counted", definition=json.dumps(definition), roleArn=make_role("counted", "states.amazonaws.com")
    )["stateMachineArn"]
    for fail in (True, False, True):
        states.start_execution(stateMachineArn=arn, input=json.dumps({"fail": fail}))

    def total(name: str, statistic: str = "Sum") -> float | None:
        return metrics.total("AWS/States", name, statistic=statistic, StateMachineArn=arn)

    patiently(lambda: total("ExecutionTime", "SampleCount") == 3)
    assert (total("ExecutionsStarted"), total("ExecutionsFailed"), total("ExecutionsSucceeded")) == (3, 2, 1)
    assert total("ExecutionTime", "SampleCount") == 3


@pytest.mark.parametrize(("status", "name"), [("TIMED_OUT", "ExecutionsTimedOut"), ("ABORTED", "ExecutionsAborted")])
def test_an_execution_that_is_ended_counts_by_how(status: str, name: str) -> None:
    times = {"startDate": "2026-01-01T00:00:00.000Z", "stopDate": "2026-01-01T00:00:02.500Z"}

    assert execution_metrics({"status": status, **times}) == [
        (name, 1, "Count"),
        ("ExecutionTime", 2500, "Milliseconds"),
    ]


def test_calls_of_an_api_count_by_api_and_by_stage(
    laptop: LaptopCloud, make_function: Callable[[str, str], str], metrics: Metrics
) -> None:
    name = make_function("answering", HANDLER % 0)
    gateway = laptop.client("apigateway")
    api = gateway.create_rest_api(name="watched-api")["id"]
    root = gateway.get_resources(restApiId=api)["items"][0]["id"]
    function = f"arn:aws:lambda:us-east-1:000000000000:function:{name}"
    uri = f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{function}/invocations"
    for part in ("fine", "broken"):
        resource = gateway.create_resource(restApiId=api, parentId=root, pathPart=part)["id"]
        method = {"restApiId": api, "resourceId": resource, "httpMethod": "GET"}
        gateway.put_method(**method, authorizationType="NONE")
        gateway.put_integration(**method, type="AWS_PROXY", integrationHttpMethod="POST", uri=uri)
    gateway.create_deployment(restApiId=api, stageName="live")

    statuses = [
        _status(f"{laptop.endpoint_url}/_aws/execute-api/{api}/live/{path}") for path in ("fine", "broken", "no")
    ]

    assert statuses == [200, 502, 403]
    for dimensions in ({"ApiName": "watched-api"}, {"ApiName": "watched-api", "Stage": "live"}):
        total = metrics.of("AWS/ApiGateway", **dimensions)
        patiently(functools.partial(_has_come, total, 3))
        assert (total("Count"), total("4XXError"), total("5XXError")) == (3, 1, 1)
        assert total("5XXError", statistic="SampleCount") == 3
        assert total("Latency", statistic="SampleCount") == 3
        assert total("IntegrationLatency", statistic="SampleCount") == 2


def _has_come(total: Callable[..., float | None], count: float) -> bool:
    return total("Count") == count


def _status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=20) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refused:
        return refused.code


def test_a_call_without_integration_has_no_integration_latency() -> None:
    names = [name for name, _, _ in call_metrics(429, seconds=0.01, integration_seconds=None)]

    assert names == ["Count", "4XXError", "5XXError", "Latency"]


def test_methods_have_metrics_of_their_own_where_the_stage_asks_for_them() -> None:
    stage = {"stageName": "live", "methodSettings": {"*/*": {"metricsEnabled": True}}}

    assert list(dimensions_of("api", stage, method="GET", resource="/api/health"))[2] == {
        "ApiName": "api",
        "Method": "GET",
        "Resource": "/api/health",
        "Stage": "live",
    }
    assert len(list(dimensions_of("api", {"stageName": "live"}, method="GET", resource="/"))) == 2


@pytest.mark.parametrize(
    ("operation", "request_", "status", "code", "expected"),
    [
        (
            "Query",
            {"TableName": "t"},
            400,
            "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException",
            [
                ({"TableName": "t", "Operation": "Query"}, "ThrottledRequests"),
                ({"TableName": "t"}, "ReadThrottleEvents"),
            ],
        ),
        (
            "BatchWriteItem",
            {"RequestItems": {"arn:aws:dynamodb:us-east-1:000000000000:table/t": []}},
            400,
            "ThrottlingException",
            [
                ({"TableName": "t", "Operation": "BatchWriteItem"}, "ThrottledRequests"),
                ({"TableName": "t"}, "WriteThrottleEvents"),
            ],
        ),
        (
            "Query",
            {"TableName": "t", "IndexName": "i"},
            400,
            "ThrottlingException",
            [
                ({"TableName": "t", "Operation": "Query"}, "ThrottledRequests"),
                ({"TableName": "t", "GlobalSecondaryIndexName": "i"}, "ReadThrottleEvents"),
            ],
        ),
        (
            "TransactWriteItems",
            {"TransactItems": [{"Put": {"TableName": "t"}}]},
            500,
            "InternalServerError",
            [({"TableName": "t", "Operation": "TransactWriteItems"}, "SystemErrors")],
        ),
        ("PutItem", {"TableName": "t"}, 400, "ConditionalCheckFailedException", []),
    ],
)
def test_a_tables_throttles_and_faults_count_and_a_callers_mistakes_do_not(
    operation: str, request_: dict[str, Any], status: int, code: str, expected: list[Any]
) -> None:
    assert list(failures(operation, request_, status, {"__type": code})) == expected
