"""What an algorithm says of itself: metrics read from a training job's log by its MetricDefinitions."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from local.sagemaker import jobs
from local.sagemaker.errors import validation
from local.sagemaker.service import Service
from local.sagemaker.store import Record, now

NAMESPACE = "/aws/sagemaker/TrainingJobs"


def check_definitions(definitions: Sequence[Mapping[str, str]]) -> None:
    for definition in definitions:
        try:
            re.compile(definition["Regex"])
        except re.error as error:
            raise validation(f"The regular expression of metric {definition['Name']} is not valid: {error}.") from error


def final_metrics(definitions: Sequence[Mapping[str, str]], instances: Sequence[jobs.Instance]) -> list[dict[str, Any]]:
    """The last value of each metric in the jobs' logs, by the first group of its regular expression."""
    found: list[dict[str, Any]] = []
    texts = [instance.log.read_text(errors="replace") for instance in instances if instance.log.exists()]
    for definition in definitions:
        pattern = re.compile(definition["Regex"])
        values = [value for text in texts for match in pattern.finditer(text) if (value := _number(match)) is not None]
        if values and math.isfinite(values[-1]):
            found.append({"MetricName": definition["Name"], "Value": values[-1], "Timestamp": now()})
    return found


def publish(service: Service, record: Record, metrics: Sequence[Mapping[str, Any]]) -> None:
    """The algorithm's metrics in CloudWatch, with the role's rights; a job does not fail for want of them."""
    role_arn = record.body["RoleArn"]
    if not metrics or role_arn in service.roles_without_metrics:
        return
    dimensions = [{"Name": "TrainingJobName", "Value": record.name}]
    data = [{**metric, "Dimensions": dimensions} for metric in metrics]
    try:
        client = service.clients.for_role("cloudwatch", role_arn)
        client.put_metric_data(Namespace=NAMESPACE, MetricData=data)
    except Exception as error:
        if "AccessDenied" in str(error):
            service.roles_without_metrics.add(role_arn)  # said once, not for each of fifty trials
        jobs.logger.warning("metrics of %s are not in CloudWatch: %s", record.name, error)


def _number(match: re.Match[str]) -> float | None:
    try:
        return float(match.group(1) if match.re.groups else match.group(0))
    except (TypeError, ValueError):
        return None
