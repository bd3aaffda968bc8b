"""Auto-scaling of a deployed endpoint, seen from outside: load goes up and down through InvokeEndpoint, instances come,
die and go, and every request is answered.
"""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config

from local.clock import MINUTE_SECONDS, Clock
from local.processes import ProcessRecord, listening_ports
from tests.e2e.people import People
from tests.e2e.served_models import ServedModels, ServingOptions, endpoint_name

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks instances up in /proc"),
]

KIND = "risk"
CLOCK = Clock(0.04)
REQUESTS_PER_SECOND = 0.5
"""The measured rate that the deployment is told: its policy keeps 0.5 x 0.7 x 60 = 21 invocations a minute."""
BUSY_PER_MINUTE = 55
"""Three instances have 18 each, which is no reason for a fourth and none to lose one."""
IDLE_PER_MINUTE = 6
CALLERS = 4
LIMIT_SECONDS = 120.0
"""Of either direction; the course takes half of it."""


@pytest.fixture(scope="module")
def serving_options() -> ServingOptions:
    return ServingOptions(
        kinds=(KIND,),
        context=(f"requests_per_second_per_instance={REQUESTS_PER_SECOND}",),
        wait_scale=CLOCK.scale,
    )


@dataclass
class Load:
    """Callers that together send so many requests a minute, each once: no client retries."""

    served: ServedModels
    per_minute: int
    sent: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def running(self) -> Iterator[None]:
        stopped = threading.Event()
        callers = [threading.Thread(target=self._call, args=(stopped, number)) for number in range(CALLERS)]
        for caller in callers:
            caller.start()
        try:
            yield
        finally:
            stopped.set()
            for caller in callers:
                caller.join()

    def _call(self, stopped: threading.Event, number: int) -> None:
        retries = Config(retries={"total_max_attempts": 1})
        runtime = self.served.cloud.client("sagemaker-runtime", config=retries)
        body = self.served.golden_csv(KIND).splitlines()[0]
        pause = CLOCK.real(MINUTE_SECONDS) * CALLERS / self.per_minute
        due = time.monotonic() + pause * number / CALLERS
        while not stopped.wait(max(0.0, due - time.monotonic())):
            due += pause
            with self._lock:
                self.sent += 1
            try:
                answer = runtime.invoke_endpoint(EndpointName=endpoint_name(KIND), ContentType="text/csv", Body=body)
                outcome = str(answer["ResponseMetadata"]["HTTPStatusCode"])
            except Exception as error:
                outcome = repr(error)
            with self._lock:
                self.outcomes[outcome] += 1


@dataclass
class Course:
    """The instance counts that the endpoint went through, as DescribeEndpoint told them."""

    served: ServedModels
    counts: list[tuple[int, int]] = field(default_factory=list)
    """(current, desired), each when it was new."""

    def until(self, is_reached: Callable[[int, int], bool]) -> None:
        deadline = time.monotonic() + LIMIT_SECONDS
        while True:
            (variant,) = self.served.endpoint(KIND)["ProductionVariants"]
            found = (variant["CurrentInstanceCount"], variant["DesiredInstanceCount"])
            if self.counts[-1:] != [found]:
                self.counts.append(found)
            if is_reached(*found):
                return
            assert time.monotonic() < deadline, f"after {LIMIT_SECONDS:.0f} s the instances went through {self.counts}"
            time.sleep(0.05)

    @property
    def desired(self) -> list[int]:
        return [count for count, _ in itertools.groupby(desired for _, desired in self.counts)]


def instances(served: ServedModels) -> dict[int, tuple[int, ...]]:
    """The ports that each container's process listens on, by process id."""
    record = ProcessRecord(served.cloud.settings.state_dir / "containers" / "processes.json")
    found = {process.pid: tuple(listening_ports(process.pid)) for process in record.read()}
    return {pid: ports for pid, ports in found.items() if ports}


def activities(served: ServedModels) -> list[tuple[str, str]]:
    """What scaling did, oldest first."""
    scaling = served.cloud.client("application-autoscaling")
    described = scaling.describe_scaling_activities(ServiceNamespace="sagemaker")["ScalingActivities"]
    return [(activity["Description"], activity["StatusCode"]) for activity in reversed(described)]


def counted(served: ServedModels, since: datetime, name: str) -> float:
    """The sum of a metric's values."""
    points: list[dict[str, Any]] = served.cloud.client("cloudwatch").get_metric_statistics(
        Namespace="AWS/SageMaker",
        MetricName=name,
        Dimensions=[
            {"Name": "EndpointName", "Value": endpoint_name(KIND)},
            {"Name": "VariantName", "Value": "live"},
        ],
        StartTime=since - timedelta(minutes=1),
        EndTime=since + timedelta(hours=1),
        Period=60,
        Statistics=["Sum"],
    )["Datapoints"]
    return sum(point["Sum"] for point in points)


def rises_once_and_falls(counts: list[int]) -> bool:
    """Whether no count comes between two larger ones. How many steps it takes is the load's to say: callers that the
    machine holds up for a second make a minute that asks for two instances, and the next one asks for the third."""
    top = counts.index(max(counts))
    return counts[: top + 1] == sorted(counts[: top + 1]) and counts[top:] == sorted(counts[top:], reverse=True)


def await_metrics() -> None:
    """The metrics of a minute are written when it has ended."""
    time.sleep(CLOCK.real(2 * MINUTE_SECONDS))


def test_load_scales_out_to_three_and_back_to_one_and_a_killed_instance_costs_no_request(served: ServedModels):
    people = People.of(served)
    course, load, idle = Course(served), Load(served, BUSY_PER_MINUTE), Load(served, IDLE_PER_MINUTE)
    started = served.endpoint(KIND)["CreationTime"]
    await_metrics()
    before = counted(served, started, "Invocations")  # those of the promotion, which asked for the golden answers

    with load.running():
        course.until(lambda current, desired: (current, desired) == (3, 3))
        processes = instances(served)
        killed = min(processes)
        os.kill(killed, signal.SIGKILL)
        course.until(lambda current, _: current == 3 and killed not in instances(served))
        replaced = instances(served)
    with idle.running():
        course.until(lambda current, desired: (current, desired) == (1, 1))
        time.sleep(CLOCK.real(5 * MINUTE_SECONDS))
        course.until(lambda current, desired: (current, desired) == (1, 1))
    await_metrics()

    assert len(processes) == len({port for ports in processes.values() for port in ports}) == 3
    assert len(replaced) == 3
    assert killed not in replaced
    assert rises_once_and_falls(course.desired), course.desired
    assert (course.desired[0], max(course.desired), course.desired[-1]) == (1, 3, 1)
    assert all(1 <= current <= 3 for current, _ in course.counts)
    told = people.hear("was scaled")
    assert told.startswith(
        f'"endpoint/{endpoint_name(KIND)}/variant/live was scaled from 1 to {course.desired[1]} instances, of 3 at most'
    )
    assert activities(served) == [
        (f"Setting desired instance count to {count}.", "Successful") for count in course.desired[1:]
    ]
    sent = load.sent + idle.sent
    assert load.outcomes + idle.outcomes == Counter({"200": sent})
    assert counted(served, started, "Invocations") - before == sent
    assert counted(served, started, "Invocation5XXErrors") == 0
    print(f"sent and answered: {sent}; instances (current, desired): {course.counts}")
