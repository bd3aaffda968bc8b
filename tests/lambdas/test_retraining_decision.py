from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lambdas.decide_retraining.asked import InvalidRequest, asked_by
from lambdas.decide_retraining.decision import Asked, Decision, Rules, Run, decide

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
RULES = Rules(debounce=timedelta(hours=24), drift_runs_per_week=2)
BOTH = ("risk", "performance")


def decided(trigger: str, *kinds: str, runs: tuple[Run, ...] = (), switch: str = "on") -> Decision:
    asked = Asked(trigger=trigger, kinds=kinds or ("risk",), reason="why", requested_by="who")
    return decide(asked, switch=switch, runs=runs, rules=RULES, now=NOW)


def run(hours_ago: float, *kinds: str, trigger: str = "drift", is_running: bool = False) -> Run:
    return Run(
        name=f"run-{hours_ago:g}",
        kinds=kinds or ("risk",),
        trigger=trigger,
        started_at=NOW - timedelta(hours=hours_ago),
        is_running=is_running,
    )


def test_the_first_drift_trains_the_drifted_model_alone() -> None:
    assert decided("drift", "performance") == Decision(kinds=("performance",), reasons={"performance": "started: why"})


@pytest.mark.parametrize("trigger", ["drift", "schedule", "request"])
@pytest.mark.parametrize("switch", ["paused", "Paused", ""])
def test_a_switch_that_is_not_on_stops_every_trigger(trigger: str, switch: str) -> None:
    refused = decided(trigger, switch=switch)
    assert refused.kinds == ()
    assert "paused" in refused.reasons["risk"]


@pytest.mark.parametrize("trigger", ["drift", "schedule", "request"])
def test_a_running_training_of_any_model_is_waited_for(trigger: str) -> None:
    refused = decided(trigger, "risk", runs=(run(900, "performance", is_running=True),))
    assert (refused.kinds, refused.reasons) == ((), {"risk": "the training run-900 is still running"})


@pytest.mark.parametrize(("hours", "is_started"), [(23.9, False), (24, True)])
@pytest.mark.parametrize("trigger", ["drift", "schedule"])
def test_two_trainings_of_a_model_are_a_day_apart(trigger: str, hours: float, is_started: bool) -> None:
    assert (decided(trigger, runs=(run(hours, trigger="request"),)).kinds == ("risk",)) is is_started


def test_a_person_is_not_debounced() -> None:
    assert decided("request", runs=(run(0.1), run(30), run(40))).kinds == ("risk",)


@pytest.mark.parametrize(
    ("hours", "is_started"), [((30, 60), False), ((30, 7 * 24), True), ((30,), True), ((30, 60, 90), False)]
)
def test_drift_trains_a_model_twice_a_week_at_most(hours: tuple[float, ...], is_started: bool) -> None:
    assert (decided("drift", runs=tuple(run(ago) for ago in hours)).kinds == ("risk",)) is is_started


def test_what_others_started_does_not_use_up_the_weeks_share_of_drift_and_the_schedule_knows_none() -> None:
    assert decided("drift", runs=(run(30, trigger="request"), run(60, trigger="schedule"), run(90))).kinds == ("risk",)
    assert decided("schedule", runs=(run(30), run(60), run(90))).kinds == ("risk",)


def test_the_schedule_leaves_out_the_model_that_was_just_trained() -> None:
    decision = decided("schedule", *BOTH, runs=(run(3, "risk"),))
    assert decision.kinds == ("performance",)
    assert decision.reasons == {
        "risk": "the last training of the risk model began 3.0 h ago, less than 24 h",
        "performance": "started: why",
    }


ALARMS = {"risk": "iops-drift-risk", "performance": "iops-drift-performance"}


def asked(event: Any) -> Asked:
    return asked_by(event, alarms=ALARMS, models=BOTH)


def test_a_drift_alarm_asks_for_its_own_model_with_its_reason(event: Any) -> None:
    assert asked(event("drift_alarm")) == Asked(
        trigger="drift",
        kinds=("performance",),
        reason="Threshold Crossed: 1 datapoint [1.0 (02/03/26 03:10:00)] was greater than or equal to the threshold (1.0).",
        requested_by="alarm iops-drift-performance",
    )


def test_nothing_but_a_drift_alarm_asks(event: Any) -> None:
    other = event("drift_alarm")
    other["detail"]["alarmName"] = "iops-api-latency"
    with pytest.raises(InvalidRequest, match="iops-api-latency"):
        asked(other)


def test_a_person_asks_for_what_the_deployment_trains_unless_models_are_named() -> None:
    assert asked({}) == Asked(trigger="request", kinds=BOTH, reason="no reason given", requested_by="not given")
    given = {"models": ["performance"], "reason": "new disks", "requested_by": "somebody"}
    assert asked(given) == Asked(trigger="request", kinds=("performance",), reason="new disks", requested_by="somebody")


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"trigger": "whim"}, "trigger"),
        ({"models": []}, "models"),
        ({"models": ["x"]}, "models"),
        ({"a": 1}, "field a"),
    ],
)
def test_a_wrong_request_is_refused_by_field(given: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidRequest, match=named):
        asked(given)
