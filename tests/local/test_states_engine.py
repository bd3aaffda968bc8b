"""Executions on a running laptop cloud: the language, the integrations, and whose rights they use."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from local.cloud import LaptopCloud

Run = Callable[..., dict[str, Any]]
STATES = "states.amazonaws.com"
FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function:"


@pytest.fixture(scope="module")
def role(make_role: Callable[..., str], laptop: LaptopCloud) -> str:
    laptop.client("s3").create_bucket(Bucket="workflow-bucket")
    laptop.client("s3").put_object(Bucket="workflow-bucket", Key="parts/1", Body=b"x")
    return make_role(
        "workflow",
        STATES,
        {"Action": ["s3:ListBucket", "cloudformation:DescribeStacks", "lambda:InvokeFunction"], "Resource": "*"},
        {"Action": ["states:StartExecution", "states:DescribeExecution", "states:StopExecution"], "Resource": "*"},
        {"Action": ["events:PutRule", "events:PutTargets", "events:DescribeRule"], "Resource": "*"},
    )


@pytest.fixture(scope="module")
def run(laptop: LaptopCloud, role: str) -> Run:
    """run(states, given, first=...) gives the ended execution as DescribeExecution has it."""
    client = laptop.client("stepfunctions")

    def execute(states: dict[str, Any], given: Any = None, *, role_arn: str = role, **top: Any) -> dict[str, Any]:
        definition = {"QueryLanguage": "JSONata", "StartAt": next(iter(states)), "States": states, **top}
        machine = client.create_state_machine(
            name=f"m{time.time_ns()}", definition=json.dumps(definition), roleArn=role_arn
        )["stateMachineArn"]
        arn = client.start_execution(stateMachineArn=machine, input=json.dumps(given or {}))["executionArn"]
        deadline = time.monotonic() + 30
        while (found := client.describe_execution(executionArn=arn))["status"] == "RUNNING":
            assert time.monotonic() < deadline, "the execution does not end"
            time.sleep(0.05)
        return found

    return execute


def task(resource: str, arguments: Any, **fields: Any) -> dict[str, Any]:
    return {"Type": "Task", "Resource": f"arn:aws:states:::{resource}", "Arguments": arguments, "End": True, **fields}


def test_branches_have_their_own_variables_state_and_context(run: Run) -> None:
    def branch(name: str) -> dict[str, Any]:
        return {
            "StartAt": name,
            "States": {
                name: {"Type": "Pass", "Assign": {"mine": name}, "Next": f"{name}Wait"},
                f"{name}Wait": {"Type": "Wait", "Seconds": 10, "Next": f"{name}End"},
                f"{name}End": {
                    "Type": "Succeed",
                    "Output": "{% [$mine, $states.context.State.Name, $states.input.given, $outer] %}",
                },
            },
        }

    both = {
        "Type": "Parallel",
        "Arguments": {"given": "{% $states.input.number %}"},
        "Branches": [branch("A"), branch("B")],
        "Output": "{% {'both': $states.result} %}",
        "End": True,
    }
    first = {"Type": "Pass", "Assign": {"outer": "o"}, "Next": "Both"}
    ended = run({"First": first, "Both": both}, {"number": 5})
    assert json.loads(ended["output"]) == {"both": [["A", "AEnd", 5, "o"], ["B", "BEnd", 5, "o"]]}


def test_states_of_branches_appear_in_the_history(run: Run, laptop: LaptopCloud) -> None:
    inner = {"StartAt": "Inner", "States": {"Inner": {"Type": "Pass", "End": True}}}
    ended = run({"Outer": {"Type": "Parallel", "Branches": [inner], "End": True}})
    events = laptop.client("stepfunctions").get_execution_history(executionArn=ended["executionArn"])["events"]
    entered = [e["stateEnteredEventDetails"]["name"] for e in events if "stateEnteredEventDetails" in e]
    assert entered == ["Outer", "Inner"]
    assert [e["id"] for e in events] == list(range(1, len(events) + 1))


def test_a_choices_output_applies_to_its_default(run: Run) -> None:
    choice = {
        "Type": "Choice",
        "Choices": [{"Condition": "{% $states.input.x = 1 %}", "Next": "End"}],
        "Default": "End",
        "Output": {"from": "the choice"},
    }
    assert json.loads(run({"C": choice, "End": {"Type": "Succeed"}})["output"]) == {"from": "the choice"}


def test_the_context_tells_redrive_count_and_role(run: Run, role: str) -> None:
    context = "{% [$states.context.Execution.RedriveCount, $states.context.Execution.RoleArn] %}"
    assert json.loads(run({"P": {"Type": "Pass", "Output": context, "End": True}})["output"]) == [0, role]


def test_an_sdk_call_has_the_roles_rights_and_the_sdks_spelling(run: Run) -> None:
    listing = task("aws-sdk:s3:listObjectsV2", {"Bucket": "workflow-bucket", "MaxKeys": "{% 10 / 2 %}"})
    output = json.loads(run({"List": listing})["output"])
    assert (output["MaxKeys"], output["KeyCount"], output["Contents"][0]["Key"]) == (5, 1, "parts/1")


def test_a_missing_right_is_named_with_principal_action_and_resource(run: Run) -> None:
    ended = run({"Delete": task("aws-sdk:cloudformation:deleteStack", {"StackName": "Other"})})
    assert ended["error"] == "CloudFormation.CloudFormationException"
    assert (
        "arn:aws:sts::000000000000:assumed-role/workflow/StepFunctions is not authorized to perform" in ended["cause"]
    )
    assert "DeleteStack on resource: arn:aws:cloudformation:us-east-1:000000000000:stack/Other/*" in ended["cause"]


def test_an_undeclared_error_is_the_services_exception(run: Run) -> None:
    ended = run({"Describe": task("aws-sdk:cloudformation:describeStacks", {"StackName": "missing"})})
    assert ended["error"] == "CloudFormation.CloudFormationException"
    assert ended["cause"].startswith("Stack with id missing does not exist (Service: CloudFormation, Status Code: 400")


def test_a_wrong_argument_is_a_broken_definition_that_no_catch_hides(run: Run) -> None:
    wrong = task("aws-sdk:s3:listObjectsV2", {"Buket": "b"}, Catch=[{"ErrorEquals": ["States.ALL"], "Next": "Caught"}])
    ended = run({"List": wrong, "Caught": {"Type": "Succeed"}})
    assert (ended["status"], ended["error"]) == ("FAILED", "States.Runtime")
    assert "could not be used to start the Task" in ended["cause"]


def test_a_functions_exception_is_caught_by_its_class(run: Run, make_function: Callable[[str, str], str]) -> None:
    source = "class EmptyExport(Exception): pass\ndef handler(event, context): raise EmptyExport('no rows')\n"
    name = make_function("raiser", source)
    call = task(
        "lambda:invoke",
        {"FunctionName": FUNCTION + name, "Payload": {}},
        Catch=[{"ErrorEquals": ["EmptyExport"], "Next": "Caught", "Output": "{% $states.errorOutput %}"}],
    )
    output = json.loads(run({"Call": call, "Caught": {"Type": "Succeed"}})["output"])
    assert json.loads(output["Cause"])["errorMessage"] == "no rows"


def test_a_task_may_not_return_more_than_256_kib(run: Run, make_function: Callable[[str, str], str]) -> None:
    name = make_function("chatty", "def handler(event, context): return 'x' * 300_000\n")
    ended = run({"Call": task("lambda:invoke", {"FunctionName": FUNCTION + name, "Payload": {}})})
    assert ended["error"] == "States.DataLimitExceeded"


def test_a_nested_execution_gives_its_output_or_fails_with_its_description(
    run: Run, laptop: LaptopCloud, role: str
) -> None:
    child = {
        "QueryLanguage": "JSONata",
        "StartAt": "Which",
        "States": {
            "Which": {
                "Type": "Choice",
                "Choices": [{"Condition": "{% $states.input.fail %}", "Next": "Bad"}],
                "Default": "Good",
            },
            "Good": {"Type": "Pass", "Output": {"answer": 42}, "End": True},
            "Bad": {"Type": "Fail", "Error": "Broken", "Cause": "on purpose"},
        },
    }
    arn = laptop.client("stepfunctions").create_state_machine(name="child", definition=json.dumps(child), roleArn=role)[
        "stateMachineArn"
    ]
    good, bad = (
        run({"Nest": task("states:startExecution.sync:2", {"StateMachineArn": arn, "Input": {"fail": fail}})})
        for fail in (False, True)
    )
    assert json.loads(good["output"])["Output"] == {"answer": 42}
    assert bad["error"] == "States.TaskFailed"
    described = json.loads(bad["cause"])
    assert (described["Status"], described["Error"], described["Cause"]) == ("FAILED", "Broken", "on purpose")


def test_starting_a_running_execution_again_answers_with_it_and_another_input_is_refused(
    laptop: LaptopCloud, role: str
) -> None:
    states = laptop.client("stepfunctions")
    waiting = {"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 500, "End": True}}}
    arn = states.create_state_machine(name="waiting", definition=json.dumps(waiting), roleArn=role)["stateMachineArn"]

    first, again = (states.start_execution(stateMachineArn=arn, name="once", input="{}") for _ in range(2))

    assert again["executionArn"] == first["executionArn"]
    with pytest.raises(states.exceptions.ExecutionAlreadyExists):
        states.start_execution(stateMachineArn=arn, name="once", input='{"other": 1}')
    states.stop_execution(executionArn=first["executionArn"])
    with pytest.raises(states.exceptions.ExecutionAlreadyExists):
        states.start_execution(stateMachineArn=arn, name="once", input="{}")


def test_a_state_machines_own_time_limit_ends_it(run: Run) -> None:
    assert run({"W": {"Type": "Wait", "Seconds": 500, "End": True}}, TimeoutSeconds=1)["status"] == "TIMED_OUT"


def test_a_role_without_the_managed_rules_cannot_have_waiting_tasks(
    laptop: LaptopCloud, make_role: Callable[..., str]
) -> None:
    poor = make_role("poor", STATES, {"Action": "sagemaker:*", "Resource": "*"})
    definition = {"StartAt": "T", "States": {"T": task("sagemaker:createTrainingJob.sync", {})}}
    client = laptop.client("stepfunctions")
    with pytest.raises(client.exceptions.ClientError) as refused:
        client.create_state_machine(name="waiting", definition=json.dumps(definition), roleArn=poor)
    assert refused.value.response["Error"]["Code"] == "AccessDeniedException"
    assert "is not authorized to create managed-rule" in refused.value.response["Error"]["Message"]
    assert "StepFunctionsGetEventsForSageMakerTrainingJobsRule" in refused.value.response["Error"]["Message"]


def test_a_role_that_does_not_trust_step_functions_cannot_work_for_it(run: Run, make_role: Callable[..., str]) -> None:
    stranger = make_role("stranger", "lambda.amazonaws.com", {"Action": "*", "Resource": "*"})
    listing = task("aws-sdk:s3:listObjectsV2", {"Bucket": "workflow-bucket"})
    ended = run({"List": listing}, role_arn=stranger)
    assert ended["status"] == "FAILED"
    assert "allows principal 'states.amazonaws.com' to assume the role" in ended["cause"]
