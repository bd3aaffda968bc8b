"""The runbook has an entry for each alarm, and no entry for an alarm that is not there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.stacks.alarms import alarms, resources

Templates = Mapping[str, dict[str, Any]]
TEXT = (Path(__file__).parents[2] / "docs" / "runbook.md").read_text()
# Told by EventBridge, not by an alarm.
OF_NO_ALARM = {"endpoint-state-changes"}


def entries() -> dict[str, str]:
    """Each entry's text by its heading."""
    _, *parts = re.split(r"^### ", TEXT, flags=re.MULTILINE)
    return {part.partition("\n")[0]: re.split(r"^## ", part, flags=re.MULTILINE)[0] for part in parts}


def named_by(alarm: Mapping[str, Any]) -> str:
    found = re.search(r"\. Runbook: docs/runbook\.md#([a-z0-9-]+)$", alarm["AlarmDescription"])
    assert found, f"{alarm['AlarmName']} names no entry: {alarm['AlarmDescription']}"
    return found[1]


def test_every_alarm_names_an_entry_and_every_entry_belongs_to_an_alarm(templates: Templates):
    assert {named_by(alarm) for alarm in alarms(templates).values()} == set(entries()) - OF_NO_ALARM


def test_an_alarm_is_called_after_its_entry(templates: Templates):
    own_stack = {name: alarm for name, alarm in alarms(templates).items() if alarm["stack"] == "IopsMonitoring"}
    for name, alarm in own_stack.items():
        assert name.startswith(f"iops-{named_by(alarm)}")


def test_every_entry_says_what_it_means_what_to_check_and_what_to_do():
    for heading, text in entries().items():
        assert re.findall(r"^- \*\*(\w+)\*\*: \S", text, flags=re.MULTILINE) == ["Meaning", "Check", "Remedy"], heading


def test_every_saved_query_answers_a_question_of_the_runbook_and_every_one_it_names_is_saved(templates: Templates):
    saved = {query["Name"] for _, query in resources(templates, "AWS::Logs::QueryDefinition")}
    assert set(re.findall(r"`(iops-insights/[a-z-]+)`", TEXT)) == saved


def test_every_dashboard_is_named(templates: Templates):
    for _, board in resources(templates, "AWS::CloudWatch::Dashboard"):
        assert f"`{board['DashboardName']}`" in TEXT
