"""What is captured of a request, which data CloudWatch gets, and how an update shifts traffic."""

import base64
import operator
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from local.clock import Clock
from local.sagemaker.deployments import steps
from local.sagemaker.fleet import Fleet
from local.sagemaker.logs import batches
from local.sagemaker.telemetry import Counted, Exchange, Invocation, Telemetry, by_dimensions, captured, metric_data
from local.sagemaker.utilisation import Utilisation, cpu_seconds

BOTH = [{"CaptureMode": "InputAndOutput"}]


def test_types_that_are_not_listed_are_captured_as_base64():
    line = captured(
        {"CaptureOptions": BOTH, "CaptureContentTypeHeader": {"JsonContentTypes": ["application/json"]}},
        Exchange("text/csv", b"1,2", "application/json; charset=utf-8", b'{"a":1}'),
    )
    sent, answered = line["captureData"]["endpointInput"], line["captureData"]["endpointOutput"]
    assert (base64.b64decode(sent["data"]), sent["encoding"]) == (b"1,2", "BASE64")
    assert (answered["data"], answered["encoding"], answered["mode"]) == ('{"a":1}', "JSON", "OUTPUT")


def test_only_the_wanted_side_is_captured():
    line = captured({"CaptureOptions": [{"CaptureMode": "Input"}]}, Exchange("text/csv", b"1", "text/csv", b"2"))
    assert list(line["captureData"]) == ["endpointInput"]


def totals(data: list[dict[str, Any]], name: str) -> tuple[float, float]:
    """Sum and sample count, as CloudWatch makes them of Values and Counts."""
    pairs = [
        pair
        for datum in data
        if datum["MetricName"] == name
        for pair in zip(datum["Values"], datum["Counts"], strict=True)
    ]
    return sum(value * count for value, count in pairs), sum(count for _, count in pairs)


def test_every_invocation_is_a_sample():
    answers = [Invocation(200, 1000.4, 10.0), Invocation(400, 3000, 10.0), Invocation(503, None, None)]
    data = list(metric_data([Counted(1, 0.5, answer) for answer in answers]))
    assert totals(data, "Invocations") == (3, 3)
    assert totals(data, "InvocationsPerInstance") == (1.5, 3)
    assert totals(data, "Invocation4XXErrors") == (1, 3)
    assert totals(data, "Invocation5XXErrors") == (1, 3)
    assert totals(data, "ModelLatency") == (4000, 2)


class Book:
    """Telemetry whose time a test moves by hand and whose data it keeps; one variant that always serves."""

    def __init__(self) -> None:
        self.now = 1_200_000.0  # a whole minute since the epoch
        self.written: list[dict[str, Any]] = []
        instance = SimpleNamespace(container=SimpleNamespace(pid=os.getpid()))
        self.variant = SimpleNamespace(endpoint="risk", name="live", config_name="", ready=lambda: [instance, instance])
        settings = SimpleNamespace(clock=Clock(), capture_flush_seconds=3600.0)
        clients = SimpleNamespace(for_cloud=lambda _: SimpleNamespace(put_metric_data=self.put))
        service: Any = SimpleNamespace(settings=settings, clients=clients)
        serving: Any = [self.variant]
        self.telemetry = Telemetry(service, lambda: serving, now=lambda: self.now)

    def put(self, Namespace: str, MetricData: list[dict[str, Any]]) -> None:
        self.written += MetricData

    def answer(self, moment: float) -> None:
        self.now = moment
        variant: Any = self.variant
        self.telemetry.count(variant, Invocation(200, 1000.0, 10.0))

    def minutes(self, name: str) -> list[tuple[float, float]]:
        """(minutes since the beginning, sum) of each datum."""
        return [
            (
                (datum["Timestamp"].timestamp() - 1_200_000) // 60,
                sum(map(operator.mul, datum["Values"], datum["Counts"])),
            )
            for datum in self.written
            if datum["MetricName"] == name
        ]


def test_a_minute_is_written_once_when_it_has_ended_and_stamped_with_itself():
    book = Book()
    for moment in (1_200_010, 1_200_059.9, 1_200_060, 1_200_200):
        book.answer(moment)
    book.telemetry.flush_metrics()
    book.telemetry.flush_metrics()
    assert book.minutes("Invocations") == [(0, 2), (1, 1), (2, 0)]
    assert book.minutes("InvocationsPerInstance") == [(0, 1), (1, 0.5), (2, 0)]
    book.now = 1_200_240
    book.telemetry.flush_metrics()
    book.telemetry.close()
    assert book.minutes("Invocations") == [(0, 2), (1, 1), (2, 0), (3, 1)]


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks processes up in /proc")
def test_utilisation_is_a_sample_per_instance():
    working = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    resting = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    pids = [working.pid, resting.pid]
    try:
        utilisation = Utilisation()
        assert utilisation.of(pids, moment=0.0)[0] == []
        used = cpu_seconds(working.pid)
        while cpu_seconds(working.pid) < used + 0.5:
            time.sleep(0.02)
        cpu, memory = utilisation.of(pids, moment=1.0)
    finally:
        for process in (working, resting):
            process.kill()
            process.wait()
    assert cpu[0] >= 50  # half a second of work in what counts as one
    assert cpu[1] < 50
    assert all(0 < share < 100 for share in memory)
    assert utilisation.of(pids, moment=2.0) == ([], [])


def test_the_fleets_of_a_deployment_are_told_apart_by_their_configurations():
    answers = {"old": Invocation(200, 1000.0, 1.0), "new": Invocation(500, 9000.0, 1.0)}
    counted = [Counted(1, 1.0, answer, name) for name, answer in answers.items()]

    told = {
        tuple(entry["Value"] for entry in dimensions): totals(list(metric_data(part)), "Invocation5XXErrors")
        for dimensions, part in by_dimensions("risk", "live", counted)
    }

    assert told == {("risk", "live"): (1, 2), ("risk", "live", "old"): (0, 1), ("risk", "live", "new"): (1, 1)}


def test_no_latency_is_dropped_when_there_are_many():
    data = list(metric_data([Counted(1, 1.0, Invocation(200, float(n), 1.0)) for n in range(1, 401)]))
    assert totals(data, "ModelLatency") == (80_200, 400)
    assert max(len(datum["Values"]) for datum in data) == 150


def test_without_traffic_the_counts_are_zero_and_there_is_no_latency():
    data = list(metric_data([]))
    assert totals(data, "Invocations") == (0, 1)
    assert {datum["MetricName"] for datum in data} == {
        "Invocations",
        "InvocationsPerInstance",
        "Invocation4XXErrors",
        "Invocation5XXErrors",
    }


def deployment(kind: str, wait: int = 30, termination: int = 60, **size: Any) -> dict[str, Any]:
    routing = {"Type": kind, "WaitIntervalInSeconds": wait, **size}
    return {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing, "TerminationWaitInSeconds": termination}}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, [(1.0, 0)]),
        (deployment("ALL_AT_ONCE"), [(1.0, 60)]),
        (deployment("CANARY", CanarySize={"Type": "INSTANCE_COUNT", "Value": 1}), [(0.25, 30), (1.0, 60)]),
        (
            deployment("LINEAR", LinearStepSize={"Type": "CAPACITY_PERCENT", "Value": 40}),
            [(pytest.approx(0.4), 30), (pytest.approx(0.8), 30), (1.0, 60)],
        ),
        (
            deployment("LINEAR", LinearStepSize={"Type": "INSTANCE_COUNT", "Value": 2}),
            [(0.5, 30), (1.0, 60)],
        ),
    ],
)
def test_traffic_is_shifted_in_the_steps_of_the_deployment(given, expected):
    four: Any = SimpleNamespace(desired=4)
    assert steps(given, Fleet("old", {"live": four}, {}, None)) == expected


def test_log_events_fit_into_the_requests_that_cloudwatch_takes():
    lines = b"\n".join([b"x" * 300_000, b"", b"short"] + [b"y" * 240_000] * 5)
    made = list(batches(lines, 1))
    texts = [len(event["message"]) for batch in made for event in batch]
    assert texts == [250_000, 5, *[240_000] * 5]
    assert all(sum(len(event["message"]) + 26 for event in batch) <= 1_048_576 for batch in made)
