"""A Distributed Map on a running laptop cloud: its children, what it reads and writes, and in whose name."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from local.cloud import LaptopCloud

Run = Callable[..., dict[str, Any]]
STATES = "states.amazonaws.com"
BUCKET = "map-bucket"
ARN = "arn:aws:states:us-east-1:000000000000"


@pytest.fixture(scope="module")
def role(make_role: Callable[..., str], laptop: LaptopCloud) -> str:
    laptop.client("s3").create_bucket(Bucket=BUCKET)
    return make_role(
        "mapper",
        STATES,
        {"Action": "lambda:InvokeFunction", "Resource": "*"},
        {"Action": "states:StartExecution", "Resource": f"{ARN}:stateMachine:map-*"},
        {"Action": ["states:DescribeExecution", "states:StopExecution"], "Resource": f"{ARN}:execution:map-*"},
        {"Action": ["s3:GetObject", "s3:PutObject"], "Resource": f"arn:aws:s3:::{BUCKET}/allowed/*"},
    )


@pytest.fixture(scope="module")
def run(laptop: LaptopCloud, role: str) -> Run:
    """run(map fields, states of a child) gives the ended execution."""
    client = laptop.client("stepfunctions")

    def execute(fields: dict[str, Any], child: dict[str, Any], *, role_arn: str = role) -> dict[str, Any]:
        processor = {
            "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
            "StartAt": next(iter(child)),
            "States": child,
        }
        states = {
            "First": {"Type": "Pass", "Assign": {"outer": 7, "items": [1, 2, 3]}, "Next": "Each"},
            "Each": {"Type": "Map", "Label": "Each", "ItemProcessor": processor, "End": True, **fields},
        }
        definition = {"QueryLanguage": "JSONata", "StartAt": "First", "States": states}
        machine = client.create_state_machine(
            name=f"map-{time.time_ns()}", definition=json.dumps(definition), roleArn=role_arn
        )["stateMachineArn"]
        arn = client.start_execution(stateMachineArn=machine, input="{}")["executionArn"]
        deadline = time.monotonic() + 30
        while (found := client.describe_execution(executionArn=arn))["status"] == "RUNNING":
            assert time.monotonic() < deadline, "the execution does not end"
            time.sleep(0.05)
        return found

    return execute


def answer(output: str) -> dict[str, Any]:
    return {"Only": {"Type": "Pass", "Output": output, "End": True}}


def failing(item: int) -> dict[str, Any]:
    return {
        "Which": {
            "Type": "Choice",
            "Choices": [{"Condition": f"{{% $states.input = {item} %}}", "Next": "Bad"}],
            "Default": "Good",
        },
        "Good": {"Type": "Succeed"},
        "Bad": {"Type": "Fail", "Error": "Broken", "Cause": "on purpose"},
    }


def read(source: dict[str, Any], **config: Any) -> dict[str, Any]:
    reader = {"Resource": "arn:aws:states:::s3:getObject", "ReaderConfig": config, "Arguments": source}
    return {"ItemReader": reader}


def put(laptop: LaptopCloud, name: str, text: str) -> dict[str, str]:
    laptop.client("s3").put_object(Bucket=BUCKET, Key=f"allowed/{name}", Body=text.encode())
    return {"Bucket": BUCKET, "Key": f"allowed/{name}"}


def test_items_are_selected_with_outer_variables_and_results_come_in_order(run: Run) -> None:
    selector = {"item": "{% $states.context.Map.Item.Value %}", "outer": "{% $outer %}"}
    fields = {"Items": "{% $items %}", "ItemSelector": selector, "MaxConcurrency": 2, "Output": "{% $states.result %}"}
    ended = run(fields, answer("{% [$states.input.item, $states.input.outer] %}"))
    assert json.loads(ended["output"]) == [[1, 7], [2, 7], [3, 7]]


def test_a_child_is_an_execution_of_its_own_without_its_parents_variables(run: Run, laptop: LaptopCloud) -> None:
    client = laptop.client("stepfunctions")
    ended = run({"Items": "{% $items %}"}, answer("{% $exists($outer) ? 'leaked' : $states.context.Execution.Input %}"))
    assert json.loads(ended["output"]) == [1, 2, 3]
    [map_run] = client.list_map_runs(executionArn=ended["executionArn"])["mapRuns"]
    children = client.list_executions(mapRunArn=map_run["mapRunArn"])["executions"]
    assert sorted(child["status"] for child in children) == ["SUCCEEDED"] * 3
    history = client.get_execution_history(executionArn=children[0]["executionArn"])["events"]
    assert [event["type"] for event in history] == [
        "ExecutionStarted",
        "PassStateEntered",
        "PassStateExited",
        "ExecutionSucceeded",
    ]


def test_the_parents_history_has_as_many_events_for_a_thousand_items_as_for_one(run: Run, laptop: LaptopCloud) -> None:
    client = laptop.client("stepfunctions")
    types = []
    for count in (1, 1000):
        ended = run({"Items": f"{{% [1..{count}] %}}", "Output": "{% $count($states.result) %}"}, answer("{% 1 %}"))
        assert json.loads(ended["output"]) == count
        pages = client.get_paginator("get_execution_history").paginate(executionArn=ended["executionArn"])
        types.append([event["type"] for page in pages for event in page["events"]])
    assert types[0] == types[1]
    assert types[0][3:-1] == ["MapStateEntered", "MapRunStarted", "MapRunSucceeded", "MapStateExited"]


def test_one_failed_child_fails_the_map_and_keeps_its_own_cause(run: Run, laptop: LaptopCloud) -> None:
    client = laptop.client("stepfunctions")
    ended = run({"Items": "{% $items %}"}, failing(2))
    assert (ended["status"], ended["error"]) == ("FAILED", "States.ExceedToleratedFailureThreshold")
    [map_run] = client.list_map_runs(executionArn=ended["executionArn"])["mapRuns"]
    [failed] = client.list_executions(mapRunArn=map_run["mapRunArn"], statusFilter="FAILED")["executions"]
    child = client.describe_execution(executionArn=failed["executionArn"])
    assert (child["error"], child["cause"], child["input"]) == ("Broken", "on purpose", "2")


@pytest.mark.parametrize(
    ("limit", "status"),
    [
        ({"ToleratedFailureCount": 1}, "SUCCEEDED"),
        ({"ToleratedFailureCount": 0}, "FAILED"),
        ({"ToleratedFailurePercentage": 34}, "SUCCEEDED"),
        ({"ToleratedFailurePercentage": "{% $outer %}"}, "FAILED"),
    ],
)
def test_failures_up_to_a_threshold_are_tolerated(run: Run, limit: dict[str, Any], status: str) -> None:
    assert run({"Items": "{% $items %}", **limit}, failing(2))["status"] == status


def test_what_has_not_begun_when_the_threshold_is_passed_never_does(run: Run, laptop: LaptopCloud) -> None:
    client = laptop.client("stepfunctions")
    ended = run({"Items": "{% [1..20] %}", "MaxConcurrency": 1}, failing(1))
    [map_run] = client.list_map_runs(executionArn=ended["executionArn"])["mapRuns"]
    counts = client.describe_map_run(mapRunArn=map_run["mapRunArn"])["executionCounts"]
    assert (counts["failed"], counts["succeeded"], counts["total"]) == (1, 0, 20)


@pytest.mark.parametrize(
    ("name", "text", "config", "items"),
    [
        ("a.json", '[{"a": 1}, {"a": 2}]', {"InputType": "JSON"}, [{"a": 1}, {"a": 2}]),
        ("b.json", '{"in": {"here": [3]}}', {"InputType": "JSON", "ItemsPointer": "/in/here"}, [3]),
        ("c.jsonl", '{"a": 1}\n{"a": 2}\n', {"InputType": "JSONL", "MaxItems": 1}, [{"a": 1}]),
        (
            "d.csv",
            "x,y\n1,2\n3\n",
            {"InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW"},
            [{"x": "1", "y": "2"}, {"x": "3", "y": ""}],
        ),
    ],
)
def test_items_are_read_from_an_object(
    run: Run, laptop: LaptopCloud, name: str, text: str, config: dict[str, Any], items: list[Any]
) -> None:
    ended = run(read(put(laptop, name, text), **config), {"Only": {"Type": "Succeed"}})
    assert json.loads(ended["output"]) == items


def test_the_files_of_an_inventory_are_read_by_its_manifest(run: Run, laptop: LaptopCloud) -> None:
    file = put(laptop, "inventory.csv", '"map-bucket","k1","5"\n')
    manifest = {
        "fileFormat": "CSV",
        "fileSchema": "Bucket, Key, Size",
        "destinationBucket": f"arn:aws:s3:::{BUCKET}",
        "files": [{"key": file["Key"]}],
    }
    source = put(laptop, "inventory.json", json.dumps(manifest))
    ended = run(read(source, InputType="MANIFEST"), {"Only": {"Type": "Succeed"}})
    assert json.loads(ended["output"]) == [{"Bucket": "map-bucket", "Key": "k1", "Size": "5"}]


def test_items_are_read_with_the_roles_rights(run: Run, laptop: LaptopCloud) -> None:
    laptop.client("s3").put_object(Bucket=BUCKET, Key="elsewhere.json", Body=b"[1]")
    ended = run(read({"Bucket": BUCKET, "Key": "elsewhere.json"}), {"Only": {"Type": "Succeed"}})
    assert ended["error"] == "States.ItemReaderFailed"
    assert "not authorized to perform: s3:GetObject" in ended["cause"]


def test_a_machine_that_may_not_start_itself_has_no_children(run: Run, make_role: Callable[..., str]) -> None:
    poor = make_role("poor-mapper", STATES, {"Action": "s3:GetObject", "Resource": "*"})
    ended = run({"Items": "{% $items %}"}, {"Only": {"Type": "Succeed"}}, role_arn=poor)
    assert "not authorized to perform: states:StartExecution" in ended["cause"]


def test_items_are_batched_with_what_all_batches_share(run: Run) -> None:
    batcher = {"MaxItemsPerBatch": 2, "BatchInput": {"outer": "{% $outer %}"}}
    ended = run({"Items": "{% $items %}", "ItemBatcher": batcher}, {"Only": {"Type": "Succeed"}})
    assert json.loads(ended["output"]) == [
        {"Items": [1, 2], "BatchInput": {"outer": 7}},
        {"Items": [3], "BatchInput": {"outer": 7}},
    ]


def test_results_are_written_by_outcome_and_the_state_answers_where(run: Run, laptop: LaptopCloud) -> None:
    writer = {"Resource": "arn:aws:states:::s3:putObject", "Arguments": {"Bucket": BUCKET, "Prefix": "allowed/results"}}
    fields = {"Items": "{% $items %}", "ToleratedFailureCount": 1, "ResultWriter": writer}
    ended = run(fields, failing(2))
    details = json.loads(ended["output"])["ResultWriterDetails"]
    s3 = laptop.client("s3")
    manifest = json.load(s3.get_object(Bucket=BUCKET, Key=details["Key"])["Body"])
    [failed] = manifest["ResultFiles"]["FAILED"]
    [entry] = json.load(s3.get_object(Bucket=BUCKET, Key=failed["Key"])["Body"])
    assert (entry["Status"], entry["Error"], entry["Cause"], entry["Input"]) == ("FAILED", "Broken", "on purpose", "2")


def test_a_child_whose_function_fails_once_is_retried_alone(run: Run, make_function: Callable[[str, str], str]) -> None:
    """The function's process is killed at its first invocation for item 2."""
    source = (
        "import os, pathlib\n"
        "def handler(event, context):\n"
        "    mark = pathlib.Path(os.environ.get('TMPDIR', '/tmp')) / f\"begun-{event['run']}\"\n"
        "    if event['item'] == 2 and not mark.exists():\n"
        "        mark.touch()\n"
        "        os._exit(1)\n"
        "    return event['item'] * 10\n"
    )
    name = make_function("killed-once", source)
    call = {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Arguments": {
            "FunctionName": f"arn:aws:lambda:us-east-1:000000000000:function:{name}",
            "Payload": {"item": "{% $states.input %}", "run": str(time.time_ns())},
        },
        "Output": "{% [$states.result.Payload, $states.context.State.RetryCount] %}",
        "Retry": [{"ErrorEquals": ["States.TaskFailed"], "IntervalSeconds": 1, "MaxAttempts": 2}],
        "End": True,
    }
    ended = run({"Items": "{% $items %}"}, {"Call": call})
    assert json.loads(ended["output"]) == [[10, 0], [20, 1], [30, 0]]
