from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest

from stacks.names import KINDS, drift_alarm_name
from tests.stacks.alarms import COMPOSITE_ALARM, METRIC_ALARM, alarms, members, metrics_of, resolved, resources

Templates = Mapping[str, dict[str, Any]]
DAY, WEEK = 86_400, 604_800


def tells(alarm: Mapping[str, Any]) -> bool:
    return bool(alarm.get("AlarmActions"))


def pages_of(templates: Templates) -> dict[str, set[str]]:
    """For each alarm the alarms that tell people of it: itself, or composites that have it among their members."""
    composites = alarms(templates, COMPOSITE_ALARM)
    found: dict[str, set[str]] = {name: {name} if tells(alarm) else set() for name, alarm in alarms(templates).items()}

    def reach(page: str, composite: str) -> None:
        for member in members(templates, composites[composite]):
            found[member].add(page)
            if member in composites:
                reach(page, member)

    for name, composite in composites.items():
        if tells(composite):
            reach(name, name)
    return found


def test_each_alarm_reaches_people_by_exactly_one_alarm(templates: Templates):
    for name, pages in pages_of(templates).items():
        assert len(pages) == 1, f"{name} is told of by {pages or 'nobody'}"


def test_one_page_covers_all_that_a_dead_endpoint_sets_off(templates: Templates):
    pages = pages_of(templates)
    dead = [
        *(f"Iops{kind.capitalize()}Endpoint-{what}" for kind in KINDS for what in ("ServerErrors", "ModelLatency")),
        *(f"iops-endpoint-no-invocations-{kind}" for kind in KINDS),
        "iops-api-server-errors",
        "iops-api-latency",
        "iops-budget-burn-1h",
        "iops-budget-burn-6h",
    ]
    assert {page for name in dead for page in pages[name]} == {"iops-page-serving"}


def test_what_follows_from_a_fault_in_serving_waits_for_its_page(templates: Templates):
    composites = alarms(templates, COMPOSITE_ALARM)
    hushed = {name for name, alarm in composites.items() if "ActionsSuppressor" in alarm}
    assert hushed == {"iops-page-workflows", "iops-page-data", "iops-budget-burn-1d", "iops-budget-burn-3d"}
    for name in hushed:
        _, suppressor = resolved(templates, "IopsMonitoring", composites[name]["ActionsSuppressor"])
        assert suppressor["AlarmName"] == "iops-page-serving"
        assert composites[name]["ActionsSuppressorWaitPeriod"] >= 300


def test_no_alarm_breaks_a_limit_of_cloudwatch(templates: Templates):
    """PutMetricAlarm, PutCompositeAlarm and "CloudWatch service quotas"."""
    for alarm in alarms(templates, METRIC_ALARM).values():
        metrics = metrics_of(templates, alarm)
        assert 1 <= len(metrics) <= 10
        [period] = {metric.period_seconds for metric in metrics}
        assert period * alarm["EvaluationPeriods"] <= (WEEK if period >= 3600 else DAY)
    for composite in alarms(templates, COMPOSITE_ALARM).values():
        assert 1 <= len(members(templates, composite)) <= 100


def test_no_data_is_no_fault_unless_the_last_value_still_counts(templates: Templates):
    treatments: dict[str, set[str]] = {}
    for name, alarm in alarms(templates, METRIC_ALARM).items():
        treatments.setdefault(alarm["TreatMissingData"], set()).add(re.sub(r"-(risk|performance)$", "", name))
    assert set(treatments) == {"notBreaching", "ignore"}
    assert treatments["ignore"] == {
        "iops-drift",
        "iops-live-quality",
        "iops-outcomes-unjoined",
        "iops-export-lag",
        "iops-export-quarantine",
        "iops-collection-late",
        "iops-collection-refused",
    }


@pytest.mark.parametrize("kind", KINDS)
def test_the_drift_alarm_has_the_name_that_starts_the_decision_to_train_again(templates: Templates, kind: str):
    alarm = alarms(templates)[drift_alarm_name(kind)]
    [metric] = metrics_of(templates, alarm)
    assert (metric.name, metric.dimensions) == ("DriftDetected", {"Kind": kind, "service": "publish_watch"})


# Google's SRE workbook, "Alerting on SLOs", table "Recommended parameters for an SLO-based alerting configuration", for
# 99.9%; and the slower pair of its text.
@pytest.mark.parametrize(
    ("entry", "share", "windows"),
    [
        ("budget-burn-1h", 0.0144, {3600, 300}),
        ("budget-burn-6h", 0.006, {6 * 3600, 1800}),
        ("budget-burn-1d", 0.003, {DAY, 2 * 3600}),
        ("budget-burn-3d", 0.001, {3 * DAY, 6 * 3600}),
    ],
)
def test_a_burn_rate_needs_both_of_its_windows(templates: Templates, entry: str, share: float, windows: set[int]):
    found = alarms(templates)
    page = found[f"iops-{entry}"]
    names = members(templates, page)
    assert {metrics_of(templates, found[name])[0].period_seconds for name in names} == windows
    assert {found[name]["Threshold"] for name in names} == {share}
    assert str(page["AlarmRule"]).count(" AND ") == 1


def test_the_topic_lets_only_the_rules_of_the_endpoints_publish(templates: Templates):
    [(_, policy)] = resources(templates, "AWS::SNS::TopicPolicy")
    [statement] = [
        statement
        for statement in policy["PolicyDocument"]["Statement"]
        if statement["Principal"] == {"Service": "events.amazonaws.com"}
    ]
    allowed = str(statement["Condition"]["ArnEquals"]["aws:SourceArn"])
    rules = {rule["Name"]: rule for stack, rule in resources(templates, "AWS::Events::Rule") if "Name" in rule}
    publishing = {
        name for name, rule in rules.items() if any("Notifications" in str(target["Arn"]) for target in rule["Targets"])
    }
    assert publishing == {"iops-endpoint-state", "iops-endpoint-scaling"}
    assert set(re.findall(r"rule/([\w-]+)", allowed)) == publishing
    assert "*" not in allowed
