"""A Map Run and its child executions, as ListMapRuns, DescribeMapRun and ListExecutions report them."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from local.states.integrations import RESULT_LIMIT_BYTES

COUNTS = (
    "pending",
    "running",
    "succeeded",
    "failed",
    "timedOut",
    "aborted",
    "total",
    "resultsWritten",
    "failuresNotRedrivable",
    "pendingRedrive",
)
COUNTED_AS = {"SUCCEEDED": "succeeded", "FAILED": "failed", "ABORTED": "aborted"}


@dataclass(frozen=True)
class Threshold:
    """Either limit ends the Map Run; with neither, the first failure does."""

    count: float | None
    percentage: float | None

    def is_exceeded(self, failures: int, total: int) -> bool:
        by_count = self.count is not None and failures > self.count
        by_share = self.percentage is not None and failures * 100 > self.percentage * total
        return by_count or by_share or (self.count is None and self.percentage is None and failures > 0)


@dataclass(frozen=True)
class Batcher:
    """ItemBatcher: {"Items": [...]}, with BatchInput, up to either limit."""

    most_items: int
    most_bytes: int
    batch_input: Any

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> Self:
        most_bytes = int(state.get("MaxInputBytesPerBatch") or RESULT_LIMIT_BYTES)
        return cls(int(state.get("MaxItemsPerBatch") or 0), most_bytes, state.get("BatchInput"))

    def batches(self, items: list[Any]) -> list[Any]:
        made: list[dict[str, Any]] = []
        for item in items:
            if not made or self._is_full(made[-1], item):
                made.append(
                    {"Items": []} if self.batch_input is None else {"Items": [], "BatchInput": self.batch_input}
                )
            made[-1]["Items"].append(item)
        return made

    def _is_full(self, batch: Mapping[str, Any], item: Any) -> bool:
        if self.most_items and len(batch["Items"]) >= self.most_items:
            return True
        return len(json.dumps({**batch, "Items": [*batch["Items"], item]}).encode()) > self.most_bytes


@dataclass
class MapRun:
    """Changes are under one lock, as children end in threads of their own."""

    record: dict[str, Any]
    threshold: Threshold
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _running: list[dict[str, Any]] = field(default_factory=list)
    is_over: bool = False

    @classmethod
    def start(
        cls, execution: Mapping[str, Any], label: str, total: int, threshold: Threshold, max_concurrency: float
    ) -> Self:
        from ministack.services import stepfunctions as sfn

        machine = execution["stateMachineArn"]
        arn = f"{machine.replace(':stateMachine:', ':mapRun:')}/{label}:{uuid.uuid4()}"
        zero = dict.fromkeys(COUNTS, 0) | {"total": total, "pending": total}
        record = {
            "mapRunArn": arn,
            "executionArn": execution["executionArn"],
            "status": "RUNNING",
            "startDate": sfn.now_iso(),
            "maxConcurrency": int(max_concurrency),
            "toleratedFailurePercentage": threshold.percentage or 0.0,
            "toleratedFailureCount": int(threshold.count or 0),
            "itemCounts": dict(zero),
            "executionCounts": dict(zero),
            "redriveCount": 0,
            "_stateMachineArn": f"{machine}/{label}",
        }
        sfn._map_runs[arn] = record
        return cls(record, threshold)

    @property
    def arn(self) -> str:
        return str(self.record["mapRunArn"])

    @property
    def max_concurrency(self) -> int:
        return int(self.record["maxConcurrency"])

    @property
    def execution_arns(self) -> str:
        """Of any child."""
        return str(self.record["_stateMachineArn"]).replace(":stateMachine:", ":execution:") + ":*"

    def child(self, given: Any) -> dict[str, Any]:
        """An execution that is not started yet; only a started one is listed."""
        name = str(uuid.uuid4())
        return {
            "executionArn": self.execution_arns.removesuffix("*") + name,
            "stateMachineArn": self.record["_stateMachineArn"],
            "name": name,
            "status": "PENDING",
            "startDate": "",
            "stopDate": None,
            "input": json.dumps(given),
            "inputDetails": {"included": True},
            "output": None,
            "outputDetails": {"included": True},
            "mapRunArn": self.arn,
            "events": [],
            "testCase": "",
            "mockAttempts": {},
            "result": None,
        }

    def begin(self, child: dict[str, Any]) -> bool:
        from ministack.services import stepfunctions as sfn

        with self._lock:
            if self.is_over:
                return False
            child.update(status="RUNNING", startDate=sfn.now_iso())
            self._running.append(child)
            self._count("pending", "running")
        sfn._executions[child["executionArn"]] = child
        sfn._add_event(child, "ExecutionStarted", {"executionStartedEventDetails": {"input": child["input"]}})
        return True

    def end(self, child: dict[str, Any], status: str, **members: Any) -> None:
        """Once; where too many have failed, the other running ones are stopped."""
        from ministack.services import stepfunctions as sfn

        with self._lock:
            if child["status"] != "RUNNING":
                return
            child.update(status=status, stopDate=sfn.now_iso(), **members)
            self._running.remove(child)
            self._count("running", COUNTED_AS[status])
            counts = self.record["executionCounts"]
            failures = counts["failed"] + counts["timedOut"]
            self.is_over = self.is_over or self.threshold.is_exceeded(failures, counts["total"])
            others = self.is_over and bool(self._running)
        details = {name: members[name] for name in ("error", "cause", "output") if name in members}
        kind = f"Execution{status.capitalize()}"
        sfn._add_event(child, kind, {kind[0].lower() + kind[1:] + "EventDetails": details})
        if others:
            self.stop()

    def stop(self) -> None:
        """Ends what runs; nothing more is started."""
        self.is_over = True
        for child in list(self._running):
            self.end(child, "ABORTED")

    def finish(self, *, parent_is_running: bool) -> bool:
        from ministack.services import stepfunctions as sfn

        status = "ABORTED" if not parent_is_running else "FAILED" if self.is_over else "SUCCEEDED"
        self.record.update(status=status, stopDate=sfn.now_iso())
        return status == "SUCCEEDED"

    def _count(self, before: str, after: str) -> None:
        for counts in (self.record["itemCounts"], self.record["executionCounts"]):
            counts[before] -= 1
            counts[after] += 1
