"""Where MiniStack 1.5.33's interpreter of the Amazon States Language differs from Step Functions, and the difference
matters here.

Each function replaces the one of MiniStack that its docstring names.
"""

from __future__ import annotations

import contextvars
import copy
import json
import threading
import time
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

from local.states.current import CurrentTask, role_of, working_for
from local.states.integrations import RESULT_LIMIT_BYTES, failed

UNCAUGHT_BY_ALL = ("States.DataLimitExceeded", "States.Runtime")
THRESHOLD_EXCEEDED = "States.ExceedToleratedFailureThreshold"
JSONATA_TIMEOUT_MILLISECONDS = 30_000
"""AWS gives an expression 1 s on its own machine; here trainings share the processor, so wall time says nothing."""

State = dict[str, Any]
Outcome = tuple[Any, str | None]

_events_lock = threading.Lock()


def is_jsonata(state: Mapping[str, Any], context: Mapping[str, Any] | None) -> bool:
    return bool((state.get("QueryLanguage") or (context or {}).get("QueryLanguage", "JSONPath")) == "JSONata")


def check_size(value: Any, what: str) -> Any:
    """Refuse what Step Functions could not pass on: 256 KiB of JSON."""
    if len(json.dumps(value, default=str).encode()) > RESULT_LIMIT_BYTES:
        raise failed(
            "States.DataLimitExceeded",
            f"{what} returned a result with a size exceeding the maximum number of bytes service limit.",
        )
    return value


def task(original: Callable[..., Outcome]) -> Callable[..., Outcome]:
    """_execute_task: the integration learns its execution, the time limit may be JSONata, the result has a size
    limit."""

    def execute(state: State, raw_input: Any, execution: dict[str, Any], context: dict[str, Any]) -> Outcome:
        from ministack.services import stepfunctions as sfn

        complete_context(context, execution)
        limit = state.get("TimeoutSeconds")
        if isinstance(limit, str):
            limit = sfn._jsonata_state_field(state, "TimeoutSeconds", "number", raw_input, context)
            state = {**state, "TimeoutSeconds": limit}
        deadline = time.monotonic() + float(limit) if limit else None
        with working_for(CurrentTask(execution, role_of(execution), deadline)):
            output, following = original(state, raw_input, execution, context)
        return check_size(output, f"The state/task '{context['State']['Name']}'"), following

    return execute


def complete_context(context: dict[str, Any], execution: dict[str, Any]) -> None:
    """The members of the context object that MiniStack leaves out; nothing is ever redriven here."""
    described = context.setdefault("Execution", {})
    described.setdefault("RedriveCount", 0)
    described.setdefault("RoleArn", role_of(execution))


def timed_invocation(
    original: Callable[[str, Any, float], Any], invoke: Callable[[str, Any], Any]
) -> Callable[[str, Any, float], Any]:
    """_invoke_resource_with_timeout: a .sync task watches its own deadline, so that it can stop its job."""

    def run(resource: str, arguments: Any, timeout: float) -> Any:
        return invoke(resource, arguments) if ".sync" in resource else original(resource, arguments, timeout)

    return run


def sub_machine(states: dict[str, State], start_at: str, given: Any, execution: dict[str, Any], context: State) -> Any:
    """_run_sub_machine: each branch has its own state and variables, appears in the history, and ends with its
    execution.

    MiniStack's branches share one context, so that a branch reads another's state name, retry count and variables.
    """
    from ministack.services import stepfunctions as sfn

    branch = {**context, "variables": copy.deepcopy(context.get("variables", {}))}
    complete_context(branch, execution)
    name: str | None = start_at
    value = copy.deepcopy(given)
    while name:
        if execution.get("status") != "RUNNING":
            raise failed("States.TaskFailed", "the execution was stopped")
        state = states.get(name)
        if state is None:
            raise failed("States.Runtime", f"State '{name}' not found")
        kind = state["Type"]
        branch["State"] = {"Name": name, "EnteredTime": sfn.now_iso(), "RetryCount": 0}
        note(execution, f"{kind}StateEntered", "stateEnteredEventDetails", {"name": name, "input": json.dumps(value)})
        value, following = step(state, value, execution, branch)
        note(execution, f"{kind}StateExited", "stateExitedEventDetails", {"name": name, "output": json.dumps(value)})
        name = following
    return value


def step(state: State, value: Any, execution: dict[str, Any], context: State) -> Outcome:
    """One state of a branch."""
    from ministack.services import stepfunctions as sfn

    kind = state["Type"]
    if kind == "Fail":
        raise failed(*sfn._fail_state_error(state, value, context))
    if kind == "Succeed":
        return sfn._apply_output_path(state, sfn._apply_input_path(state, value, context), context), None
    handlers: dict[str, Callable[..., Outcome]] = {
        "Pass": sfn._execute_pass,
        "Choice": sfn._execute_choice,
        "Wait": sfn._execute_wait,
    }
    nested: dict[str, Callable[..., Outcome]] = {
        "Task": sfn._execute_task,
        "Parallel": sfn._execute_parallel,
        "Map": sfn._execute_map,
    }
    if kind in handlers:
        return handlers[kind](state, value, context)
    if kind in nested:
        return nested[kind](state, value, execution, context)
    raise failed("States.Runtime", f"Unknown state type: {kind}")


def note(execution: dict[str, Any], kind: str, member: str, details: dict[str, Any]) -> None:
    from ministack.services import stepfunctions as sfn

    sfn._add_event(execution, kind, {member: details})


def add_event(original: Callable[..., None]) -> Callable[..., None]:
    """_add_event: numbered under a lock, as branches write to one history."""

    def add(execution: dict[str, Any], kind: str, details: dict[str, Any] | None = None) -> None:
        with _events_lock:
            original(execution, kind, details)

    return add


def parallel(original: Callable[..., Outcome]) -> Callable[..., Outcome]:
    """_run_parallel_branches: Arguments, Output and Assign of a JSONata state, which MiniStack ignores."""
    fields = ("Arguments", "Output", "Assign")

    def run(state: State, raw_input: Any, execution: dict[str, Any], context: State) -> Outcome:
        from ministack.services import stepfunctions as sfn

        if not is_jsonata(state, context):
            return original(state, raw_input, execution, context)
        given = sfn._apply_jsonata_arguments(state, raw_input, context)
        bare = {name: value for name, value in state.items() if name not in fields}
        results, following = original(bare, given, execution, context)
        output = sfn._apply_jsonata_output(state, raw_input, context, result=results, default=results)
        sfn._apply_state_assign(state, raw_input, context, result=results)
        return check_size(output, "The Parallel state"), following

    return run


def map_items(
    original: Callable[..., Outcome], distributed: Callable[..., Outcome] | None = None
) -> Callable[..., Outcome]:
    """_run_map_items: the result has a size limit, and a Distributed Map is local.states.distributed_map's."""

    def run(state: State, raw_input: Any, execution: dict[str, Any], context: State) -> Outcome:
        run_items = distributed if distributed is not None and is_distributed(state) else original
        output, following = run_items(state, raw_input, execution, context)
        return check_size(output, "The Map state"), following

    return run


def output_path(original: Callable[..., Any]) -> Callable[..., Any]:
    """_apply_output_path: a JSONata Succeed state has an Output, which MiniStack ignores."""

    def apply(state: State, data: Any, context: State | None = None) -> Any:
        if state.get("Type") == "Succeed" and is_jsonata(state, context):
            from ministack.services import stepfunctions as sfn

            return sfn._apply_jsonata_output(state, data, context, default=data)
        return original(state, data, context)

    return apply


def choice(original: Callable[..., Outcome]) -> Callable[..., Outcome]:
    """_execute_choice: in JSONata the state's own Output applies to Default, and to a rule that has none."""

    def execute(state: State, raw_input: Any, context: State | None = None) -> Outcome:
        from ministack.services import stepfunctions as sfn

        if not is_jsonata(state, context):
            return original(state, raw_input, context)
        for rule in state.get("Choices", []):
            if sfn._evaluate_jsonata_choice_rule(rule, raw_input, context):
                chosen = rule if "Output" in rule else {**rule, **_only(state, "Output")}
                output = sfn._apply_jsonata_output(chosen, raw_input, context, default=raw_input)
                sfn._apply_state_assign(rule, raw_input, context)
                return output, rule["Next"]
        if "Default" not in state:
            raise failed("States.NoChoiceMatched", "No choice rule matched and no Default")
        output = sfn._apply_jsonata_output(state, raw_input, context, default=raw_input)
        sfn._apply_state_assign(state, raw_input, context)
        return output, state["Default"]

    return execute


def is_distributed(state: Mapping[str, Any]) -> bool:
    processor = state.get("ItemProcessor") or state.get("Iterator") or {}
    return bool((processor.get("ProcessorConfig") or {}).get("Mode") == "DISTRIBUTED")


def _only(state: State, name: str) -> State:
    return {name: state[name]} if name in state else {}


def error_matches(original: Callable[[list[str], str], bool]) -> Callable[[list[str], str], bool]:
    """_error_matches: States.ALL and States.TaskFailed do not catch an exceeded limit or a broken definition."""

    def matches(patterns: list[str], error: str) -> bool:
        return error in patterns if error in UNCAUGHT_BY_ALL else original(patterns, error)

    return matches


def evaluate_jsonata(original: Callable[..., Any]) -> Callable[..., Any]:
    """_evaluate_jsonata: the context object is complete in every state, not in tasks alone."""

    def evaluate(expression: str, raw_input: Any, context: State | None = None, *rest: Any, **named: Any) -> Any:
        if context and "Execution" in context:
            complete_context(context, {"stateMachineArn": context.get("StateMachine", {}).get("Id", "")})
        return original(expression, raw_input, context, *rest, **named)

    return evaluate


def patient_jsonata(module: Any) -> Any:
    """The jsonata module with a longer limit on an expression's wall time."""

    def parse(expression: str, timeout: int = 0) -> Any:
        return module.Jsonata.jsonata(expression, timeout=max(timeout, JSONATA_TIMEOUT_MILLISECONDS))

    return SimpleNamespace(Jsonata=SimpleNamespace(jsonata=parse), utils=module.utils)


def execution_with_time_limit(original: Callable[[str], None]) -> Callable[[str], None]:
    """_run_execution: the state machine's own TimeoutSeconds ends an execution as TIMED_OUT."""

    def run(execution_arn: str) -> None:
        from ministack.services import stepfunctions as sfn

        execution = sfn._executions.get(execution_arn)
        machine = sfn._state_machines.get(execution["stateMachineArn"]) if execution else None
        limit = json.loads(machine["definition"]).get("TimeoutSeconds") if machine else None
        if limit is None or execution is None:
            original(execution_arn)
            return
        snapshot = contextvars.copy_context()
        timer = threading.Timer(float(limit), snapshot.run, args=(_time_out, execution))
        timer.daemon = True
        timer.start()
        try:
            original(execution_arn)
        finally:
            timer.cancel()

    return run


def _time_out(execution: dict[str, Any]) -> None:
    from ministack.services import stepfunctions as sfn

    if execution["status"] == "RUNNING":
        execution.update(status="TIMED_OUT", stopDate=sfn.now_iso(), error="States.Timeout", cause="")
        sfn._add_event(execution, "ExecutionTimedOut", {"executionTimedOutEventDetails": {"error": "States.Timeout"}})
        sfn._emit_execution_status_event(execution)
