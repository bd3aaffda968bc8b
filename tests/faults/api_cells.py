"""Hops of the API x faults: who calls whom, and what the caller hears when that goes wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from local.faults.book import Fault, What

ApiWhat = Literal[What, "denied"]
Heard = tuple[int, str] | None
"""Status and name of the problem; None where the request is answered all the same."""

INVOKED: Final[tuple[ApiWhat, ...]] = ("throttled", "times_out", "crashes", "garbage", "twice")
READ: Final[tuple[ApiWhat, ...]] = ("throttled", "times_out", "crashes", "garbage", "denied")
WRITTEN: Final[tuple[ApiWhat, ...]] = (*READ, "twice")
UNCHECKED: Final[tuple[ApiWhat, ...]] = ("throttled", "times_out", "crashes", "denied")
"""What is read from services whose answers have no checksum: half of one cannot be told from a bug, and says so."""
PATIENT: Final[tuple[ApiWhat, ...]] = ("throttled", "crashes", "denied")
"""Of calls that wait a minute for their answer: for these, late is only slow."""

STORE: Final[Heard] = (503, "store-unavailable")
TELEMETRY: Final[Heard] = (503, "telemetry-unavailable")
MODEL: Final[Heard] = (503, "model-unavailable")
GARBLED: Final[Heard] = (503, "model-failed")
INTERNAL: Final[Heard] = (500, "internal")
FUNCTION: Final[Heard] = (502, "function-failed")
EVERY_TIME: Final = 1000


@dataclass(frozen=True, kw_only=True)
class Hop:
    """`caller` invokes `function`, or `function` makes the call `action`; `of` tells calls of one action apart.

    holding: text of the call's path or body, resource: of the ARN in the role's policy. ask: the request that takes the
    hop (tests.faults.asking). refused: what its caller hears while the hop does not work. is_cold: the call is made by a
    fresh process alone. waits_seconds: how long the caller waits for one answer; where that is short, a late one is
    late each time, else once.
    """

    function: str
    ask: str
    whats: tuple[ApiWhat, ...]
    caller: str = ""
    action: str = ""
    of: str = ""
    holding: str = ""
    resource: str = ""
    refused: Heard = None
    is_cold: bool = False
    waits_seconds: float = 1.0

    @property
    def id(self) -> str:
        if self.caller:
            return f"{self.caller}-{self.function}"
        return "-".join(filter(None, [self.function, self.action.partition(":")[2], self.of]))


@dataclass(frozen=True, kw_only=True)
class ApiCell:
    hop: Hop
    what: ApiWhat

    @property
    def id(self) -> str:
        return f"{self.hop.id}-{self.what}"

    @property
    def group(self) -> str:
        return self.hop.caller or self.hop.function

    @property
    def covers(self) -> set[tuple[str, str]]:
        """Its hop, and the fault of its function, as a caller's or by its calls."""
        return {("hop", self.hop.id), (self.group, self.what)}

    @property
    def lasts(self) -> bool:
        """Whether it strikes as long as it is armed; else once, and what is asked again goes well."""
        if self.hop.caller or self.what in ("twice", "garbage"):
            return False
        return self.what != "times_out" or self.hop.waits_seconds <= 1.0

    @property
    def heard(self) -> Heard:
        if self.what == "twice":
            return None
        if self.hop.caller:
            return FUNCTION
        if self.what == "garbage":
            return GARBLED if self.hop.action == "sagemaker:InvokeEndpoint" else None
        if self.what == "denied":
            return INTERNAL if self.hop.refused else None
        return self.hop.refused if self.lasts else None

    @property
    def deliveries(self) -> int:
        """How often the function meets the request."""
        return 2 if self.hop.caller and self.what == "twice" else 1

    def faults(self, function_name: str) -> list[Fault]:
        """As the injector has them; what is denied is taken from the role instead. A function that crashes has done
        everything and answered nothing; one that is out of time is stopped after its first call."""
        if self.what == "denied":
            return []
        if self.hop.caller:
            return [Fault(id=self.id, where="function", name=self.hop.function, what=self.what, skip=EVERY_TIME)]
        return [
            Fault(
                id=self.id,
                where="call",
                name=self.hop.action,
                what=self.what,
                caller=f"/{function_name} ",
                holding=self.hop.holding,
                times=EVERY_TIME if self.lasts else 1,
                late_seconds=self.hop.waits_seconds + 0.5,
            )
        ]


def _invoked(caller: str, function: str, ask: str) -> Hop:
    return Hop(caller=caller, function=function, ask=ask, whats=INVOKED)


def _call(function: str, action: str, ask: str, **more: object) -> Hop:
    return Hop(function=function, action=action, ask=ask, **more)  # type: ignore[arg-type]


def _reading(action: str, of: str, ask: str) -> Hop:
    table = f"{of.capitalize()}Table"
    return _call("read_fleet", action, ask, of=of, holding=table, resource=table, refused=STORE, whats=READ,
                 waits_seconds=3.0)  # fmt: skip


def _labelling(function: str, action: str, of: str, ask: str, **more: object) -> Hop:
    table = f"{of.capitalize()}Table"
    return _call(function, action, ask, of=of, holding=table, resource=table, **more)


_PREDICT: Final = (
    _call("predict", "dynamodb:Query", "predict", of="window", holding='"device_id = :device"', resource="InsightsTable",
          refused=TELEMETRY, whats=READ),
    _call("predict", "dynamodb:Query", "predict", of="alerts", holding="last-alert", resource="index/last-alert",
          refused=TELEMETRY, whats=READ),
    _call("predict", "sagemaker:InvokeEndpoint", "predict", refused=MODEL, whats=WRITTEN),
    _call("predict", "dynamodb:PutItem", "predict", resource="PredictionsTable", whats=WRITTEN),
    _call("predict", "dynamodb:BatchWriteItem", "items", resource="PredictionsTable", whats=WRITTEN),
    _call("predict", "dynamodb:UpdateItem", "items", of="requests", holding="RequestsTable", resource="RequestsTable",
          whats=WRITTEN),
    _call("predict", "ssm:GetParameter", "predict", is_cold=True, whats=READ, waits_seconds=0.5),
)  # fmt: skip
_READ_FLEET: Final = (
    _reading("dynamodb:Query", "insights", "insights"),
    _reading("dynamodb:Query", "predictions", "predictions"),
    _reading("dynamodb:Scan", "devices", "devices"),
)
_GIVE_FEEDBACK: Final = tuple(
    _labelling("give_feedback", "dynamodb:UpdateItem", of, "feedback", refused=STORE, whats=WRITTEN, waits_seconds=2.0)
    for of in ("predictions", "insights")
)
_DESCRIBE_MODELS: Final = (
    *(
        _call("describe_models", action, "models", refused=STORE, is_cold=True, whats=UNCHECKED, waits_seconds=2.0)
        for action in ("sagemaker:DescribeEndpoint", "sagemaker:DescribeModelPackage", "ssm:GetParameter")
    ),
    # Without s3:ListBucket a missing object is a denied one, so that nothing tells the two apart.
    _call("describe_models", "s3:GetObject", "models", is_cold=True, whats=UNCHECKED[:-1], waits_seconds=2.0),
)

ASKED: Final = (
    _invoked("gateway", "give_feedback", "feedback"),
    _invoked("gateway", "read_fleet", "devices"),
    _invoked("gateway", "predict", "predict"),
    _invoked("gateway", "describe_models", "models"),
    *_PREDICT,
    *_READ_FLEET,
    *_GIVE_FEEDBACK,
    *_DESCRIBE_MODELS,
)
"""Whose caller waits for the answer."""

TRACKED: Final = (
    _invoked("stream", "track_devices", "predict"),
    _call("track_devices", "dynamodb:UpdateItem", "predict", resource="DevicesTable", whats=(*PATIENT, "twice")),
)
JOINED: Final = (
    _invoked("schedule", "join_outcomes", "join"),
    _labelling("join_outcomes", "dynamodb:Query", "insights", "join", whats=PATIENT),
    _call("join_outcomes", "dynamodb:Query", "join", of="due", holding='"due"', resource="index/due", whats=PATIENT),
    *(
        _labelling("join_outcomes", "dynamodb:UpdateItem", of, "join", whats=(*PATIENT, "twice"))
        for of in ("insights", "predictions")
    ),
)
COUNTED: Final = ("dynamodb:UpdateItem", "RequestsTable")
"""Every function that answers callers counts them by the same code; the cells of predict stand for all."""


def cells_of(hops: Sequence[Hop]) -> list[ApiCell]:
    return [ApiCell(hop=hop, what=what) for hop in hops for what in hop.whats]
