"""A bad hour, in which every deployed alarm rings, and the hour after it, in which every one recovers; told once each.

What is cheap to break is broken: the endpoint is deleted, a function has a variable that it cannot read, callers have no
token, a workflow is started with nonsense. The rest gets the data points of its cause.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from local.api_client import Answer, get
from local.clock import MINUTE_SECONDS, Clock
from local.run import sign_in_of
from tests.e2e.alarm_data import put, recovering, ringing
from tests.e2e.api_refusals import Api, windows
from tests.e2e.collected_volumes import BUSY, CollectedVolume
from tests.e2e.people import People
from tests.e2e.permissions import DeployedRoles, needed, proven_by
from tests.e2e.served_models import KINDS, ServedModels, ServingOptions, endpoint_name
from tests.stacks.alarms import alarms

pytestmark = pytest.mark.e2e

KIND = "risk"
# Three periods of five minutes then take 27 s; at the laptop's usual pace they would take 90.
CLOCK = Clock(0.03)
LIMIT_SECONDS = 150.0
"""Of each part; on a quiet machine it takes a third of that."""
CALL_EVERY_SECONDS = 0.1
BROKEN = {
    *(f"iops-endpoint-no-invocations-{kind}" for kind in KINDS),
    "iops-api-server-errors",
    "iops-api-client-errors",
    "iops-budget-burn-1h-over-1h",
    "iops-budget-burn-1h-over-5m",
    "iops-budget-burn-1h",
    "iops-function-errors-describe_models",
    "iops-function-errors-prepare_run",
    "iops-workflow-failed-TrainModels",
    "iops-page-serving",
    "iops-page-workflows",
}
"""What rings by its real cause."""


@pytest.fixture(scope="module")
def serving_options() -> ServingOptions:
    return ServingOptions(
        kinds=(KIND,),
        wait_scale=CLOCK.scale,
        context=("client_requests_per_minute=1000000", "ebs_collection=on"),
        record_calls=True,
    )


@dataclass
class Hours:
    """The deployed alarms, and which of them have rung since the course began."""

    served: ServedModels
    people: People
    rung: set[str] = field(default_factory=set)

    def alarms(self) -> dict[str, dict[str, Any]]:
        """Those of our templates; target tracking has its own, which nobody is told of."""
        pages = self.cloudwatch.get_paginator("describe_alarms").paginate(AlarmTypes=["MetricAlarm", "CompositeAlarm"])
        found = [alarm for page in pages for kind in ("MetricAlarms", "CompositeAlarms") for alarm in page[kind]]
        return {a["AlarmName"]: a for a in found if not a["AlarmName"].startswith("TargetTracking-")}

    @property
    def cloudwatch(self) -> Any:
        return self.served.cloud.client("cloudwatch")

    def in_alarm(self) -> set[str]:
        ringing_now = {name for name, alarm in self.alarms().items() if alarm["StateValue"] == "ALARM"}
        self.rung |= ringing_now
        self.people.listen()
        return ringing_now

    def until(self, is_so: Callable[[set[str]], bool], meanwhile: Callable[[], None]) -> None:
        """Once a minute of the laptop's clock: do what is to be done meanwhile, and look."""
        deadline = time.monotonic() + LIMIT_SECONDS
        while not is_so(now := self.in_alarm()):
            assert time.monotonic() < deadline, f"rings: {sorted(now)}; rang: {sorted(self.rung)}"
            due = time.monotonic() + CLOCK.real(MINUTE_SECONDS)
            meanwhile()
            time.sleep(max(0.0, due - time.monotonic()))


@dataclass(frozen=True)
class Callers:
    """A service with a token, that also asks for the kind of which no model was ever promoted, and one without."""

    api: Api
    body: Mapping[str, Any]

    def call(self) -> None:
        """The others go on while a function that fails takes its time: five minutes must hold enough calls for a share."""
        with ThreadPoolExecutor(max_workers=3) as pool:
            health = pool.submit(get, self.api.url, "/api/health", token=None)
            for others in [pool.submit(self._repeat, work, health) for work in (self._predict, self._knock)]:
                others.result()
            health.result()

    @staticmethod
    def _repeat(work: Callable[[], None], health: Future[Answer]) -> None:
        work()
        while not health.done():
            work()
            time.sleep(CALL_EVERY_SECONDS)

    def _predict(self) -> None:
        for kind in KINDS:
            self.api.predict(self.body, kind)

    def _knock(self) -> None:
        for _ in range(2):
            get(self.api.url, "/api/devices", token="none")


@contextmanager
def no_endpoint(served: ServedModels) -> Iterator[None]:
    """As if somebody had deleted it in the console; it is made again from the same configuration."""
    sagemaker, name = served.cloud.client("sagemaker"), endpoint_name(KIND)
    config = served.endpoint(KIND)["EndpointConfigName"]
    sagemaker.delete_endpoint(EndpointName=name)
    sagemaker.get_waiter("endpoint_deleted").wait(EndpointName=name, WaiterConfig={"Delay": 1})
    try:
        yield
    finally:
        sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config)
        sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=name, WaiterConfig={"Delay": 1})


@dataclass(frozen=True)
class Course:
    """Which alarms there are, which have rung, which still do, and what people were told: of what was broken, and in all."""

    alarms: set[str]
    rung: set[str]
    still_in_alarm: set[str]
    told_of_broken: Counter[tuple[str, str]]
    told: Counter[tuple[str, str]]
    answer_afterwards: int


@pytest.fixture(scope="module")
def course(served: ServedModels) -> Course:
    hours = Hours(served, People.of(served))
    callers = callers_of(served)
    assert hours.in_alarm() == set(), "a new deployment that nobody calls rings"
    with ExitStack() as broken:
        broken.enter_context(no_endpoint(served))
        broken.enter_context(callers.api.function("describe_models", CLIENT_REQUESTS_PER_MINUTE="many"))
        hours.until(lambda _: "iops-page-serving" in hours.rung, callers.call)
        assert served.execute("TrainModels", {"no such field": 1}).status == "FAILED"
        hours.until(lambda _: hours.rung >= BROKEN, callers.call)
        # A new page's first OK is told too; of one that waits for the serving page, whenever that is over.
        told_of_broken = Counter({told: times for told, times in hours.people.alarms.items() if told[1] == "ALARM"})
        rest = [alarm for name, alarm in hours.alarms().items() if name not in hours.rung and "AlarmRule" not in alarm]
        put(hours.cloudwatch, [datum for alarm in rest for datum in ringing(alarm, CLOCK)])
        hours.until(lambda _: hours.rung >= set(hours.alarms()), callers.call)
    simple = [alarm for alarm in hours.alarms().values() if "AlarmRule" not in alarm]
    hours.until(
        lambda now: not now,
        lambda: put(hours.cloudwatch, [datum for alarm in simple for datum in recovering(alarm)]),
    )
    return Course(
        alarms=set(hours.alarms()),
        rung=hours.rung,
        still_in_alarm=hours.in_alarm(),
        told_of_broken=told_of_broken,
        told=hours.people.alarms,
        answer_afterwards=callers.api.predict(callers.body).status,
    )


def callers_of(served: ServedModels) -> Callers:
    url = served.cloud.reachable_url(served.deployment["IopsApi.ApiUrl"])
    sign_in = sign_in_of(served.cloud, served.deployment)
    body = {"insights": windows("nvme-1", 12)}
    api = Api(
        served=served,
        url=url,
        token=sign_in.service_token(),
        tokens=sign_in.service_token,
        device_id="nvme-1",
        prediction_id="",
    )
    assert api.predict(body).status == 200
    return Callers(api, body)


def test_every_alarm_of_every_template_rang(course: Course, templates: Mapping[str, dict[str, Any]]) -> None:
    assert course.alarms == set(alarms(templates))
    assert course.rung == course.alarms


def test_every_alarm_recovered(course: Course) -> None:
    assert course.still_in_alarm == set()
    assert course.answer_afterwards == 200


def test_a_dead_endpoint_and_what_fails_while_people_are_at_it_are_one_page(course: Course) -> None:
    """A client without a token is a fault of its own."""
    assert course.told_of_broken == {("iops-page-serving", "ALARM"): 1, ("iops-api-client-errors", "ALARM"): 1}


def test_people_were_told_of_each_fault_once_and_of_its_end(course: Course, templates: Mapping[str, Any]) -> None:
    deployed = alarms(templates)
    telling = {name for name, alarm in deployed.items() if alarm.get("AlarmActions")}
    hushed = {name for name in telling if "ActionsSuppressor" in deployed[name]}
    rang = {name: course.told[name, "ALARM"] for name in telling}
    assert {name for name, times in rang.items() if times == 1} >= telling - hushed
    assert max(rang.values()) == 1
    assert {name for name, state in course.told if state == "OK"} >= telling - hushed
    assert {name for name, _ in course.told} <= telling


def test_the_metrics_of_a_volume_become_insights_and_late_ones_change_them(served: ServedModels) -> None:
    """Here as the collector is deployed with the alarms about it, and last, as what it refuses sets off one of them; its
    schedule may run beside."""
    volume = CollectedVolume.of(served)
    volume.put(6, {name: value for name, value in BUSY.items() if name != "VolumeReadBytes"})
    for back in (5, 2, 1):
        volume.put(back, BUSY)
    volume.put(1, {"VolumeIOPSExceededCheck": 1}, of_instance=True)
    volume.put(0, {name: value for name, value in BUSY.items() if name != "VolumeTotalReadTime"})
    volume.collect()

    rows = volume.rows()
    assert sorted(rows) == [0, 1, 2, 5]  # 6 can be no insight any more, and the others have no points
    assert {back for back, row in rows.items() if row["alert"]["BOOL"]} == {1}
    assert (rows[2]["read_iops"]["N"], rows[2]["device_class"]["S"]) == ("100", "ssd")
    assert float(rows[2]["avg_latency_ms"]["N"]) == pytest.approx(75 / 45)
    assert "avg_latency_ms" not in rows[0]
    assert {line["field"] for line in volume.quarantined()} == {"bandwidth_mbps"}

    volume.put(0, {"VolumeTotalReadTime": 30})
    volume.collect()
    assert float(volume.rows()[0]["avg_latency_ms"]["N"]) == pytest.approx(75 / 45)


def test_the_collector_needs_what_its_role_may_do(served: ServedModels) -> None:
    """Of the other roles this module's faults need what a sound run does not."""
    found = needed("alarms", served.cloud, DeployedRoles.of(served.cloud), of="IopsCollectors.")

    assert sorted(proven_by("alarms") - found) == []
