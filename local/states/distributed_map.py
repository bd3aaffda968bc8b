"""A Distributed Map as Step Functions runs it, where MiniStack's differs in what matters here.

MiniStack 1.5.33 knows JSONPath alone here (no JSONata Items, ItemSelector, Arguments or Output), reads S3 with nobody's
rights, lets a child read its parent's variables and context, runs every child to its end whatever failed, and has
neither ItemBatcher nor ResultWriter.
"""

from __future__ import annotations

import contextlib
import contextvars
import copy
import json
import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

from local.permissions import AccessDenied, Check, RoleNotAssumable, authorize
from local.states import engine
from local.states.current import role_of
from local.states.integrations import failed
from local.states.item_reader import Reader
from local.states.map_run import Batcher, MapRun, Threshold
from local.states.result_writer import write_results

State = dict[str, Any]
LARGEST_CONCURRENCY = 64
"""AWS starts up to 10,000 children at once; here they are threads of one process."""


class DistributedMap:
    """One Map Run. `clients` gives clients with the rights of a role."""

    def __init__(self, clients: Any, state: State, given: Any, execution: dict[str, Any], context: State) -> None:
        from ministack.services import stepfunctions as sfn

        self._sfn, self._clients = sfn, clients
        self._state, self._given, self._execution, self._context = state, given, execution, context
        self._effective = sfn._apply_input_path(state, given, context)
        self._processor = state.get("ItemProcessor") or state["Iterator"]
        self._role = role_of(execution)

    def run(self) -> engine.Outcome:
        items = self._items()
        threshold = Threshold(
            count=self._number("ToleratedFailureCount"), percentage=self._number("ToleratedFailurePercentage")
        )
        run = MapRun.start(self._execution, self._label(), len(items), threshold, self._number("MaxConcurrency") or 0)
        self._note("MapRunStarted", {"mapRunArn": run.arn})
        children = self._start_children(run, items)
        ended_well = run.finish(parent_is_running=self._execution["status"] == "RUNNING")
        if self._execution["status"] != "RUNNING":
            raise failed("States.TaskFailed", "the execution was stopped")
        written = self._write_results(run, children)
        if not ended_well:
            cause = "The specified tolerated failure threshold was exceeded"
            self._note("MapRunFailed", {"error": engine.THRESHOLD_EXCEEDED, "cause": cause})
            raise failed(engine.THRESHOLD_EXCEEDED, cause)
        self._note("MapRunSucceeded", None)
        return self._answer(written if written is not None else [child["result"] for child in children])

    def _note(self, kind: str, details: Mapping[str, Any] | None) -> None:
        named = kind[0].lower() + kind[1:] + "EventDetails"
        self._sfn._add_event(self._execution, kind, {named: dict(details)} if details else None)

    def _label(self) -> str:
        return str(self._state.get("Label") or self._context["State"]["Name"])

    def _items(self) -> list[Any]:
        """What each child is given, in order."""
        if reader := self._state.get("ItemReader"):
            arguments = self._evaluated(reader.get("Arguments") or reader.get("Parameters") or {})
            found = Reader(self._clients.get("s3", self._role)).read(reader, arguments)
        elif "Items" in self._state:
            found = self._evaluated(self._state["Items"])
        else:
            found = self._sfn._resolve_path_or_ctx(self._state.get("ItemsPath", "$"), self._effective, self._context)
        if not isinstance(found, list):
            raise failed("States.Runtime", f"The items of a Map are an array, and not {json.dumps(found)[:100]}")
        selected = [self._selected(index, item) for index, item in enumerate(found)]
        if batcher := self._state.get("ItemBatcher"):
            return Batcher.of(self._evaluated(batcher)).batches(selected)
        return selected

    def _selected(self, index: int, item: Any) -> Any:
        selector = self._state.get("ItemSelector") or self._state.get("Parameters")
        if not selector:
            return item
        context = {**self._context, "Map": {"Item": {"Index": index, "Value": item}}}
        return self._evaluated(selector, context)

    def _evaluated(self, template: Any, context: State | None = None) -> Any:
        context = context or self._context
        if engine.is_jsonata(self._state, self._context):
            return self._sfn._apply_jsonata_template(template, self._given, context)
        return self._sfn._resolve_params_obj(template, self._effective, context)

    def _number(self, name: str) -> float | None:
        if name in self._state:
            return float(self._evaluated({name: self._state[name]})[name])
        path = self._state.get(f"{name}Path")
        return float(self._sfn._resolve_path_or_ctx(path, self._effective, self._context)) if path else None

    def _start_children(self, run: MapRun, items: list[Any]) -> list[dict[str, Any]]:
        """Starts are in the role's name (IAM policies for using Distributed Map), so are descriptions and stops."""
        self._ask("states:StartExecution", str(self._execution["stateMachineArn"]))
        children = [run.child(item) for item in items]
        wanted = int(run.max_concurrency) or LARGEST_CONCURRENCY
        pool = ThreadPoolExecutor(min(wanted, LARGEST_CONCURRENCY))
        try:
            waiting = {pool.submit(contextvars.copy_context().run, self._run_child, run, child) for child in children}
            while waiting and not run.is_over:
                waiting = wait(waiting, timeout=0.1).not_done
                if self._execution["status"] != "RUNNING":
                    self._stop_children(run)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
        if children:
            self._ask("states:DescribeExecution", self._documented_arn)
        return children

    @property
    def _documented_arn(self) -> str:
        """The developer guide allows descriptions and stops on executions of the machine itself, not of its label."""
        return str(self._execution["stateMachineArn"]).replace(":stateMachine:", ":execution:") + f":{uuid.uuid4()}"

    def _stop_children(self, run: MapRun) -> None:
        with contextlib.suppress(self._sfn._ExecutionError):
            self._ask("states:StopExecution", self._documented_arn)
            run.stop()

    def _ask(self, action: str, resource: str) -> None:
        try:
            authorize(self._role, [Check(action, resource)], session_name="StepFunctions")
        except (AccessDenied, RoleNotAssumable) as refused:
            raise failed("StepFunctions.AccessDeniedException", str(refused)) from refused

    def _run_child(self, run: MapRun, child: dict[str, Any]) -> None:
        """A child that the Map Run's end or its parent's abortion comes before is not started."""
        if self._execution["status"] != "RUNNING" or not run.begin(child):
            return
        given = json.loads(child["input"])
        context = self._child_context(child, given)
        try:
            child["result"] = self._sfn._run_sub_machine(
                self._processor["States"], self._processor["StartAt"], given, child, context
            )
            run.end(child, "SUCCEEDED", output=json.dumps(child["result"]))
        except self._sfn._ExecutionError as error:
            run.end(child, "FAILED", error=error.error, cause=error.cause)
        except Exception as error:
            run.end(child, "FAILED", error="States.Runtime", cause=str(error))

    def _child_context(self, child: Mapping[str, Any], given: Any) -> State:
        """An execution of its own: neither the parent's variables nor its context reach a child."""
        return {
            "QueryLanguage": self._processor.get("QueryLanguage") or self._context.get("QueryLanguage", "JSONPath"),
            "Execution": {
                "Id": child["executionArn"],
                "Input": copy.deepcopy(given),
                "Name": child["name"],
                "StartTime": child["startDate"],
                "RedriveCount": 0,
                "RoleArn": self._role,
            },
            "StateMachine": {"Id": child["stateMachineArn"], "Name": child["stateMachineArn"].rpartition(":")[2]},
            "variables": {},
        }

    def _write_results(self, run: MapRun, children: list[dict[str, Any]]) -> dict[str, Any] | None:
        writer = self._state.get("ResultWriter")
        if not writer or "Resource" not in writer:
            return None
        arguments = self._evaluated(writer.get("Arguments") or writer.get("Parameters") or {})
        return write_results(self._clients.get("s3", self._role), arguments, run, children)

    def _answer(self, result: Any) -> engine.Outcome:
        sfn, state = self._sfn, self._state
        if engine.is_jsonata(state, self._context):
            output = sfn._apply_jsonata_output(state, self._given, self._context, result=result, default=result)
            sfn._apply_state_assign(state, self._given, self._context, result=result)
            return output, sfn._next_or_end(state)
        output = sfn._apply_result_path(state, self._given, sfn._apply_result_selector(state, result))
        return sfn._apply_output_path(state, output, self._context), sfn._next_or_end(state)
