"""The alarms of the synthesised templates, as tests look at them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Templates = Mapping[str, dict[str, Any]]
METRIC_ALARM, COMPOSITE_ALARM = "AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm"


@dataclass(frozen=True)
class Metric:
    """A metric that something looks at; a dimension's value is a text or ("type of resource", its properties)."""

    seen_by: str
    namespace: str
    name: str
    dimensions: Mapping[str, Any]
    period_seconds: int


def resources(templates: Templates, kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The stack of each resource of a type, and its properties."""
    for stack, template in templates.items():
        for resource in template["Resources"].values():
            if resource["Type"] == kind:
                yield stack, resource["Properties"]


def alarms(templates: Templates, *kinds: str) -> dict[str, dict[str, Any]]:
    """By name; those of Application Auto Scaling are not in a template."""
    found = [(stack, p) for kind in kinds or (METRIC_ALARM, COMPOSITE_ALARM) for stack, p in resources(templates, kind)]
    named = {properties["AlarmName"]: {**properties, "stack": stack} for stack, properties in found}
    assert len(named) == len(found)
    return named


def resolved(templates: Templates, stack: str, value: Any) -> Any:
    """A text, or the type and the properties of the resource that a reference leads to, in another stack too."""
    if not isinstance(value, Mapping):
        return value
    [(function, argument)] = value.items()
    if function == "Fn::GetStackOutput":
        producer = argument["StackName"]
        return resolved(templates, producer, templates[producer]["Outputs"][argument["OutputName"]]["Value"])
    if function == "Fn::If":
        return resolved(templates, stack, argument[1])
    target = argument if function == "Ref" else argument[0]
    resource = templates[stack]["Resources"][target]
    return resource["Type"], resource["Properties"]


def metrics_of(templates: Templates, alarm: Mapping[str, Any]) -> list[Metric]:
    """Of an alarm of one metric, or of those in its expression."""
    stats = [query["MetricStat"] for query in alarm.get("Metrics", []) if "MetricStat" in query]
    if "MetricName" in alarm:
        stats = [{"Metric": alarm, "Period": alarm["Period"]}]
    return [
        Metric(
            seen_by=alarm["AlarmName"],
            namespace=stat["Metric"]["Namespace"],
            name=stat["Metric"]["MetricName"],
            dimensions={
                entry["Name"]: resolved(templates, alarm["stack"], entry["Value"])
                for entry in stat["Metric"]["Dimensions"]
            },
            period_seconds=stat["Period"],
        )
        for stat in stats
    ]


def charted(templates: Templates) -> Iterator[Metric]:
    """Every metric of every dashboard."""
    for stack, board in resources(templates, "AWS::CloudWatch::Dashboard"):
        references: list[Any] = []
        body = json.loads(_joined(board["DashboardBody"], references))
        for widget in body["widgets"]:
            before: list[Any] = []
            for entry in widget["properties"].get("metrics", []):
                if not isinstance(entry[0], str):
                    continue  # an expression
                names = [part for part in entry if isinstance(part, str)]
                # "." repeats what the entry before has in its place.
                names = [before[place] if part == "." else part for place, part in enumerate(names)]
                before = names
                values = [_dereferenced(templates, stack, value, references) for value in names[3::2]]
                dimensions = dict(zip(names[2::2], values, strict=True))
                options = entry[-1] if isinstance(entry[-1], Mapping) else {}
                yield Metric(board["DashboardName"], names[0], names[1], dimensions, options.get("period", 300))


def _joined(text: Any, references: list[Any]) -> str:
    if isinstance(text, str):
        return text
    parts = []
    for part in text["Fn::Join"][1]:
        if isinstance(part, str):
            parts.append(part)
        else:
            parts.append(f"@{len(references)}@")
            references.append(part)
    return "".join(parts)


def _dereferenced(templates: Templates, stack: str, value: str, references: list[Any]) -> Any:
    found = re.fullmatch(r"@(\d+)@", value)
    return resolved(templates, stack, references[int(found[1])]) if found else value


def rule_of(templates: Templates, composite: Mapping[str, Any]) -> str:
    """The rule with the members' names."""
    rule = composite["AlarmRule"]
    if isinstance(rule, str):
        return rule
    resources_of = templates[composite["stack"]]["Resources"]
    return "".join(
        part if isinstance(part, str) else resources_of[part["Ref"]]["Properties"]["AlarmName"]
        for part in rule["Fn::Join"][1]
    )


def members(templates: Templates, composite: Mapping[str, Any]) -> list[str]:
    return re.findall(r'ALARM\("([^"]+)"\)', rule_of(templates, composite))
