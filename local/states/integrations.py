"""What a Task does: SDK integrations of every service by botocore's model, and the optimised ones that the workflows
use."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from local.permissions import RoleNotAssumable
from local.states import naming, sagemaker_jobs
from local.states.clients import RoleClients
from local.states.current import current_task

PREFIX = "arn:aws:states:::"
SDK_PREFIX = f"{PREFIX}aws-sdk:"
POLL_SECONDS = 0.2
RESULT_LIMIT_BYTES = 262_144
CHILD_MEMBERS = (
    "ExecutionArn",
    "Input",
    "InputDetails",
    "Name",
    "Output",
    "OutputDetails",
    "StartDate",
    "StateMachineArn",
    "Status",
    "StopDate",
    "Error",
    "Cause",
)

Invoke = Callable[[str, Any], Any]


class Integrations:
    """Replaces MiniStack's dispatch: its own calls run with the administrator's rights and know a few operations
    only."""

    def __init__(self, clients: RoleClients, *, fallback: Invoke) -> None:
        self._clients = clients
        self._fallback = fallback

    def invoke(self, resource: str, arguments: Any) -> Any:
        """The task's result; raises MiniStack's _ExecutionError with AWS's error name and cause."""
        try:
            return self._dispatch(resource, arguments)
        except RoleNotAssumable as refused:
            raise failed("States.Runtime", str(refused)) from refused

    def _dispatch(self, resource: str, arguments: Any) -> Any:
        if resource.startswith(SDK_PREFIX):
            return self.sdk(resource, arguments)
        if resource.startswith(f"{PREFIX}lambda:invoke") and "waitForTaskToken" not in resource:
            return self.invoke_lambda(arguments)
        if resource == f"{PREFIX}sns:publish":
            return self.publish(arguments)
        if resource.startswith(f"{PREFIX}states:startExecution") and "waitForTaskToken" not in resource:
            return self.start_execution(resource, arguments)
        if resource.startswith(f"{PREFIX}sagemaker:"):
            return self.sagemaker(resource, arguments)
        return self._fallback(resource, arguments)

    def client(self, service: str) -> Any:
        return self._clients.get(service, current_task().role_arn)

    def sdk(self, resource: str, arguments: Any) -> Any:
        """arn:aws:states:::aws-sdk:<service>:<action>"""
        sdk_name, _, action = resource.removeprefix(SDK_PREFIX).partition(":")
        service = naming.botocore_service(sdk_name)
        operation = action[:1].upper() + action[1:]
        client = self.client(service) if service else None
        if client is None or operation not in client.meta.service_model.operation_names:
            raise failed("States.Runtime", f"The resource provided {resource} is not recognized.")
        answer = self.call(client, operation, arguments, error=naming.sdk_error)
        shape = client.meta.service_model.operation_model(operation).output_shape
        return naming.result_members(answer, shape) if shape is not None else {}

    def call(self, client: Any, operation: str, arguments: Any, *, error: Callable[[Any, str], str]) -> dict[str, Any]:
        """One API call; its refusal becomes a task failure named by `error(model, code)`."""
        from botocore import xform_name
        from botocore.exceptions import ClientError, ParamValidationError

        model = client.meta.service_model
        shape = model.operation_model(operation).input_shape
        request = naming.request_members(arguments, shape) if shape is not None else {}
        try:
            answer: dict[str, Any] = getattr(client, xform_name(operation))(**request)
        except ParamValidationError as refused:
            shown = json.dumps(arguments, default=str)
            raise failed(
                "States.Runtime", f"The Parameters '{shown}' could not be used to start the Task: [{refused}]"
            ) from refused
        except ClientError as refused:
            code = refused.response.get("Error", {}).get("Code", "")
            cause = naming.error_cause(refused.response, model.service_id)
            raise failed(error(model, code), cause) from refused
        answer.pop("ResponseMetadata", None)
        return answer

    def optimized(self, service: str, integration: str, operation: str, arguments: Any) -> dict[str, Any]:
        def error(model: Any, code: str) -> str:
            return naming.optimized_error(integration, model, code)

        return self.call(self.client(service), operation, arguments, error=error)

    def invoke_lambda(self, arguments: Mapping[str, Any]) -> Any:
        """The optimised lambda:invoke: the payload parsed, a function's error raised by its errorType."""
        request = {**arguments, "Payload": json.dumps(arguments.get("Payload", {}))}
        answer = self.optimized("lambda", "lambda", "Invoke", request)
        text = answer["Payload"].read().decode()
        payload = json.loads(text) if text else None
        if answer.get("FunctionError"):
            error = payload if isinstance(payload, dict) else {}
            raise failed(error.get("errorType", "Lambda.Unknown"), text)
        result = {"ExecutedVersion": answer.get("ExecutedVersion", "$LATEST"), "Payload": payload}
        return {**result, "StatusCode": answer["StatusCode"]}

    def publish(self, arguments: Mapping[str, Any]) -> Any:
        message = arguments.get("Message", "")
        text = message if isinstance(message, str) else json.dumps(message)
        answer = self.optimized("sns", "sns", "Publish", {**arguments, "Message": text})
        return {"MessageId": answer["MessageId"]}

    def start_execution(self, resource: str, arguments: Mapping[str, Any]) -> Any:
        given = arguments.get("Input", {})
        request = {
            "stateMachineArn": arguments.get("StateMachineArn"),
            "input": given if isinstance(given, str) else json.dumps(given),
        }
        if "Name" in arguments:
            request["name"] = arguments["Name"]
        started = self.optimized("stepfunctions", "states", "StartExecution", request)
        arn = started["executionArn"]
        if ".sync" not in resource:
            return {"ExecutionArn": arn, "StartDate": int(started["startDate"].timestamp() * 1000)}
        child = self._wait_for_child(arn)
        if child["Status"] != "SUCCEEDED":
            raise failed("States.TaskFailed", json.dumps(child))
        if resource.endswith(".sync:2"):
            child["Output"] = json.loads(child["Output"])
        return child

    def _wait_for_child(self, arn: str) -> dict[str, Any]:
        while True:
            described = self.optimized("stepfunctions", "states", "DescribeExecution", {"executionArn": arn})
            if described["status"] != "RUNNING":
                break
            self.wait_or_stop(lambda: self.optimized("stepfunctions", "states", "StopExecution", {"executionArn": arn}))
        shape = self.client("stepfunctions").meta.service_model.operation_model("DescribeExecution").output_shape
        members = naming.result_members(described, shape, epoch_milliseconds=True)
        named = {name[:1].upper() + name[1:]: value for name, value in members.items()}
        return {name: named[name] for name in CHILD_MEMBERS if name in named}

    def wait_or_stop(self, stop: Callable[[], Any]) -> None:
        """Wait for one poll; an aborted execution or a passed time limit stops the job, best effort, as Step
        Functions does."""
        from ministack.services.stepfunctions import _ExecutionError

        task = current_task()
        timed_out = task.deadline is not None and time.monotonic() > task.deadline
        if task.is_aborted or timed_out:
            with contextlib.suppress(_ExecutionError):
                stop()
            raise failed("States.Timeout" if timed_out else "States.TaskFailed", "the job was stopped")
        time.sleep(POLL_SECONDS)

    def sagemaker(self, resource: str, arguments: Mapping[str, Any]) -> Any:
        action = resource.removeprefix(f"{PREFIX}sagemaker:").removesuffix(".sync")
        operation = action[:1].upper() + action[1:]
        if not resource.endswith(".sync"):
            return self.optimized("sagemaker", "sagemaker", operation, arguments)
        return sagemaker_jobs.run(self, operation, arguments)


def failed(error: str, cause: str) -> Exception:
    """MiniStack's own exception, so that its Retry and Catch see it."""
    from ministack.services.stepfunctions import _ExecutionError

    exception: Exception = _ExecutionError(error, cause)
    return exception
