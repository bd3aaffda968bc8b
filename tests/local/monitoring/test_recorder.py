"""The store is MiniStack's, in this process."""

from typing import Any

from local.clock import Clock
from local.monitoring.recorder import Recorder


def points(name: str, **dimensions: str) -> list[Any]:
    from ministack.services import cloudwatch

    return list(cloudwatch._metrics.get(("Recorded", name, cloudwatch._dims_key(dimensions))) or [])


class Moment:
    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __call__(self) -> float:
        return self.seconds


def test_a_minute_is_written_once_it_has_ended_with_each_value_and_how_often_it_came() -> None:
    now = Moment(6_000_000.0)
    recorder = Recorder(Clock(), now=now)
    for value in (5.0, 7.0, 5.0):
        recorder.count("Recorded", {"Api": "a"}, ("Ended", value, "Milliseconds"))
    now.seconds += 59.0
    recorder.flush()
    assert points("Ended", Api="a") == []

    now.seconds += 1.0
    recorder.flush()
    recorder.flush()

    found = points("Ended", Api="a")
    assert [(point["Value"], point["Count"], point["Unit"]) for point in found] == [
        (5.0, 2.0, "Milliseconds"),
        (7.0, 1.0, "Milliseconds"),
    ]
    assert {point["Timestamp"] for point in found} == {6_000_030.0}


def test_minutes_are_the_clocks() -> None:
    now = Moment(6_000_000.0)
    recorder = Recorder(Clock(0.1), now=now)
    recorder.count("Recorded", {}, ("Scaled", 1, "Count"))
    now.seconds += 6.0
    recorder.count("Recorded", {}, ("Scaled", 1, "Count"))
    recorder.flush()

    assert [point["Timestamp"] for point in points("Scaled")] == [6_000_003.0]


def test_a_straggler_joins_its_own_minute() -> None:
    now = Moment(6_000_000.0)
    recorder = Recorder(Clock(), now=now)
    recorder.count("Recorded", {}, ("Late", 1, "Count"), moment=5_999_900.0)
    recorder.flush()

    assert [point["Timestamp"] for point in points("Late")] == [5_999_910.0]
