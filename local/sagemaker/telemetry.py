"""What a serving endpoint tells: CloudWatch metrics of its variants, and captured requests in S3."""

from __future__ import annotations

import base64
import json
import logging
import random
import threading
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from local.sagemaker import utilisation
from local.sagemaker.store import now
from local.sagemaker.transfer import S3Location

if TYPE_CHECKING:
    from local.sagemaker.fleet import VariantFleet
    from local.sagemaker.service import Service

logger = logging.getLogger("iops.sagemaker")
NAMESPACE = "AWS/SageMaker"
MOST_VALUES = 150
"""PutMetricData's limit of distinct values a datum."""
MOST_DATA = 500
DEFAULT_ENCODING = "BASE64"


class Invocation(NamedTuple):
    """One answered (or failed) request; times in microseconds, None where the model was not reached."""

    status: int
    model_us: float | None
    overhead_us: float | None


class Exchange(NamedTuple):
    """A request and its answer, for data capture."""

    content_type: str
    request: bytes
    answer_type: str
    answer: bytes
    inference_id: str | None = None


class Counted(NamedTuple):
    """An invocation, the minute of its answer, and its part in InvocationsPerInstance: one by the instances then active."""

    minute: int
    share: float
    invocation: Invocation
    config_name: str = ""


@dataclass
class _Variant:
    invocations: list[Counted] = field(default_factory=list)
    captured: list[dict[str, Any]] = field(default_factory=list)
    destination: str = ""
    role_arn: str = ""


class Telemetry:
    """Collects in memory and flushes in a thread, so that no invocation waits for CloudWatch or S3."""

    def __init__(
        self, service: Service, serving: Callable[[], list[VariantFleet]], *, now: Callable[[], float] = time.time
    ) -> None:
        self._service = service
        self._serving = serving
        self._clock, self._now = service.settings.clock, now
        self._told_until = self._clock.minute_of(now()) - 1
        """The newest minute whose metrics are written."""
        self._utilisation = utilisation.Utilisation()
        self._variants: dict[tuple[str, str], _Variant] = defaultdict(_Variant)
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        capture_seconds = service.settings.capture_flush_seconds
        for flush, pause in (
            (self.flush_metrics, lambda: self._clock.seconds_until_next_minute(now())),
            (self.flush_captures, lambda: capture_seconds),
        ):
            threading.Thread(target=self._repeat, args=(flush, pause), daemon=True, name="telemetry").start()

    def count(self, variant: VariantFleet, invocation: Invocation) -> None:
        share = 1.0 / max(1, len(variant.ready()))
        with self._lock:  # the moment is taken inside, so that no invocation belongs to a minute already told
            counted = Counted(self._clock.minute_of(self._now()), share, invocation, variant.config_name)
            self._variants[variant.endpoint, variant.name].invocations.append(counted)

    def capture(self, variant: VariantFleet, config: Mapping[str, Any] | None, exchange: Exchange) -> None:
        if not config or not config.get("EnableCapture"):
            return
        if random.random() * 100 >= config["InitialSamplingPercentage"]:
            return
        record = captured(config, exchange)
        with self._lock:
            known = self._variants[variant.endpoint, variant.name]
            known.destination = config["DestinationS3Uri"]
            known.role_arn = variant.servable.role_arn
            known.captured.append(record)

    def forget(self, endpoint: str) -> None:
        self.flush_captures()
        with self._lock:
            for key in [key for key in self._variants if key[0] == endpoint]:
                del self._variants[key]

    def close(self) -> None:
        self._stopped.set()

    def flush_metrics(self) -> None:
        """Write the minutes that have ended, each once and stamped with itself; one without traffic has zeros, by which
        scaling comes down."""
        serving = {(variant.endpoint, variant.name) for variant in self._serving()}
        with self._lock:
            ended = self._clock.minute_of(self._now()) - 1
            minutes, self._told_until = range(self._told_until + 1, ended + 1), max(ended, self._told_until)
            taken: dict[tuple[int, tuple[str, str]], list[Counted]] = {
                (minute, key): [] for minute in minutes for key in serving
            }
            for key, known in self._variants.items():
                for counted in known.invocations:
                    if counted.minute <= ended:
                        taken.setdefault((counted.minute, key), []).append(counted)
                known.invocations = [counted for counted in known.invocations if counted.minute > ended]
        data = [
            {**datum, "Dimensions": dimensions, "Timestamp": _stamp(self._clock.middle_of(minute))}
            for (minute, key), counted in sorted(taken.items())
            for dimensions, part in by_dimensions(*key, counted)
            for datum in metric_data(part)
        ]
        self._put(NAMESPACE, data)
        if minutes:
            self._put(utilisation.NAMESPACE, list(self._utilisation_data(ended)))

    def _put(self, namespace: str, data: Sequence[dict[str, Any]]) -> None:
        for start in range(0, len(data), MOST_DATA):
            self._service.clients.for_cloud("cloudwatch").put_metric_data(
                Namespace=namespace, MetricData=data[start : start + MOST_DATA]
            )

    def _utilisation_data(self, minute: int) -> Iterator[dict[str, Any]]:
        pids: dict[tuple[str, str], list[int]] = defaultdict(list)
        for variant in self._serving():
            pids[variant.endpoint, variant.name] += [instance.container.pid for instance in variant.ready()]
        self._utilisation.forget_all_but(pid for known in pids.values() for pid in known)
        for key, known in pids.items():
            cpu, memory = self._utilisation.of(known, moment=self._now())
            for name, values in (("CPUUtilization", cpu), ("MemoryUtilization", memory)):
                for datum in _data(name, "Percent", values):
                    yield {**datum, "Dimensions": _dimensions(*key), "Timestamp": _stamp(self._clock.middle_of(minute))}

    def flush_captures(self) -> None:
        """<destination>/<endpoint>/<variant>/YYYY/MM/DD/HH/<minute-second-...>.jsonl, with the serving role's rights."""
        with self._lock:
            taken = [(key, k.destination, k.role_arn, k.captured) for key, k in self._variants.items() if k.captured]
            for known in self._variants.values():
                known.captured = []
        for (endpoint, variant), destination, role_arn, records in taken:
            moment = now()
            name = f"{moment:%M-%S}-{moment.microsecond // 1000:03d}-{uuid.uuid4()}.jsonl"
            target = S3Location.parse(destination).below(endpoint, variant, f"{moment:%Y/%m/%d/%H}", name)
            body = "".join(json.dumps(record) + "\n" for record in records).encode()
            try:
                client = self._service.clients.for_role("s3", role_arn)
                client.put_object(Bucket=target.bucket, Key=target.key, Body=body)
            except Exception as error:
                logger.warning("%d captures of %s/%s are lost: %s", len(records), endpoint, variant, error)

    def _repeat(self, flush: Callable[[], None], pause: Callable[[], float]) -> None:
        while not self._stopped.wait(pause()):
            try:
                flush()
            except Exception as error:
                logger.warning("telemetry of the endpoints was not written: %s", error)


def _stamp(moment: float) -> datetime:
    return datetime.fromtimestamp(moment, UTC)


def _dimensions(endpoint: str, variant: str) -> list[dict[str, str]]:
    return [{"Name": "EndpointName", "Value": endpoint}, {"Name": "VariantName", "Value": variant}]


def by_dimensions(
    endpoint: str, variant: str, counted: Sequence[Counted]
) -> Iterator[tuple[list[dict[str, str]], Sequence[Counted]]]:
    """The variant whole, then once more by configuration, which tells the fleets of a deployment apart; that only with
    traffic (SageMaker guide, "Auto-Rollback Configuration and Monitoring")."""
    dimensions = _dimensions(endpoint, variant)
    yield dimensions, counted
    for config_name in sorted({one.config_name for one in counted} - {""}):
        of_config = [one for one in counted if one.config_name == config_name]
        yield [*dimensions, {"Name": "EndpointConfigName", "Value": config_name}], of_config


def captured(config: Mapping[str, Any], exchange: Exchange) -> dict[str, Any]:
    """One line of a capture file (SageMaker guide, "Capture data")."""
    modes = {option["CaptureMode"] for option in config["CaptureOptions"]}
    listed = config.get("CaptureContentTypeHeader", {})
    data: dict[str, Any] = {}
    if modes & {"Input", "InputAndOutput"}:
        data["endpointInput"] = _side("INPUT", exchange.content_type, exchange.request, listed)
    if modes & {"Output", "InputAndOutput"}:
        data["endpointOutput"] = _side("OUTPUT", exchange.answer_type, exchange.answer, listed)
    event = {"eventId": str(uuid.uuid4()), "inferenceTime": now().strftime("%Y-%m-%dT%H:%M:%SZ")}
    if exchange.inference_id:
        event["inferenceId"] = exchange.inference_id
    return {"captureData": data, "eventMetadata": event, "eventVersion": "0"}


def _side(mode: str, content_type: str, data: bytes, listed: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Content types that the configuration does not list as CSV or JSON are base64, which is AWS's default."""
    plain = content_type.partition(";")[0].strip().lower()
    encoding = DEFAULT_ENCODING
    for member, name in (("CsvContentTypes", "CSV"), ("JsonContentTypes", "JSON")):
        if plain in {known.lower() for known in listed.get(member, [])}:
            encoding = name
    text = base64.b64encode(data).decode() if encoding == DEFAULT_ENCODING else data.decode("utf-8", "replace")
    return {"observedContentType": content_type, "mode": mode, "data": text, "encoding": encoding}


def metric_data(counted: Sequence[Counted]) -> Iterator[dict[str, Any]]:
    """Metrics of one variant and minute; Sum, Average and SampleCount come out as AWS documents them."""
    invocations = [one.invocation for one in counted]
    refusals = [float(400 <= invocation.status < 500) for invocation in invocations]
    faults = [float(invocation.status >= 500) for invocation in invocations]
    yield from _data("Invocations", "None", [1.0] * len(invocations) or [0.0])
    yield from _data("InvocationsPerInstance", "None", [one.share for one in counted] or [0.0])
    yield from _data("Invocation4XXErrors", "None", refusals or [0.0])
    yield from _data("Invocation5XXErrors", "None", faults or [0.0])
    for name, times in (
        ("ModelLatency", [invocation.model_us for invocation in invocations]),
        ("OverheadLatency", [invocation.overhead_us for invocation in invocations]),
    ):
        yield from _data(name, "Microseconds", [float(round(value)) for value in times if value is not None])


def _data(name: str, unit: str, values: Sequence[float]) -> Iterator[dict[str, Any]]:
    counts = sorted(Counter(values).items())
    for start in range(0, len(counts), MOST_VALUES):
        part = counts[start : start + MOST_VALUES]
        yield {
            "MetricName": name,
            "Unit": unit,
            "Values": [value for value, _ in part],
            "Counts": [float(count) for _, count in part],
        }
