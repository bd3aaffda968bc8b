"""What there is to watch of one kind in a period: the live model, the requests captured of its endpoint, or why nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from botocore.exceptions import ClientError

from insights.schema import InvalidInsight, parse_timestamp, shown, timestamp_text
from lambdas.client_errors import is_missing_in_sagemaker
from lambdas.clients import client
from lambdas.executions import run_id_of
from lambdas.objects import listed, uri_of

FIELDS: Final = ("end", "hours")
# CreateProcessingJob takes ten inputs; model and outcomes are two of them. A day of a variant is one.
MOST_CAPTURED_PREFIXES: Final = 8
MOST_HOURS: Final = 72
# Operators answer late and outcomes need their horizon: a day alone would leave most predictions without one.
OUTCOME_DAYS: Final = 7


class InvalidWatchInput(ValueError):
    """The execution's input is wrong; the message names field, value and remedy."""

    def __init__(self, field: str, value: object, remedy: str) -> None:
        super().__init__(f"{field[:80]} is {shown(value)}; {remedy}")


@dataclass(frozen=True)
class WatchEnvironment:
    bucket_name: str
    watch_hours: int
    risk_endpoint_name: str
    performance_endpoint_name: str
    risk_live_package_parameter: str
    performance_live_package_parameter: str

    def of(self, kind: str) -> tuple[str, str]:
        """The endpoint's name and the parameter that says what is live."""
        if kind == "risk":
            return self.risk_endpoint_name, self.risk_live_package_parameter
        return self.performance_endpoint_name, self.performance_live_package_parameter


@dataclass(frozen=True)
class Period:
    start: datetime
    end: datetime

    @property
    def name(self) -> str:
        """Of its folder: the same period has the same one, whoever asks for it."""
        return f"{self.start:%Y-%m-%dT%H-%M-%SZ}--{self.end:%Y-%m-%dT%H-%M-%SZ}"

    def days(self) -> Iterator[str]:
        """As SageMaker's capture files have them in their keys."""
        day = self.start.replace(hour=0, minute=0, second=0, microsecond=0)
        while day < self.end:
            yield f"{day:%Y/%m/%d}"
            day += timedelta(days=1)


def prepare_watch(
    kind: str,
    given: object,
    *,
    started_at: str,
    execution_arn: str,
    environment: WatchEnvironment,
    s3: Any = None,
    sagemaker: Any = None,
    ssm: Any = None,
) -> dict[str, Any]:
    """The plan of a kind's branch; status "skipped" with its reason where there is nothing to watch."""
    period = period_of(given, started_at, environment.watch_hours)
    endpoint, parameter = environment.of(kind)
    sagemaker = sagemaker or client("sagemaker")
    variants = variants_of(sagemaker, endpoint)
    package = live_package(ssm or client("ssm"), parameter) if variants else ""
    if not package:
        return skipped(kind, f"no model is live at the endpoint {endpoint}; promote one")
    prefixes = captured_prefixes(s3 or client("s3"), environment.bucket_name, endpoint, variants, period)
    if not prefixes:
        return skipped(
            kind,
            f"no request to {endpoint} was captured from {timestamp_text(period.start)} to {timestamp_text(period.end)}",
        )
    described = sagemaker.describe_model_package(ModelPackageName=package)
    prefix = f"monitoring/{kind}/{period.name}/"
    return {
        "kind": kind,
        "status": "watched",
        "run_id": run_id_of(execution_arn, kind),
        "bucket": environment.bucket_name,
        "prefix": prefix,
        "report": uri_of(environment.bucket_name, f"{prefix}report.html"),
        "start": timestamp_text(period.start),
        "end": timestamp_text(period.end),
        "outcomes_since": timestamp_text(min(period.start, period.end - timedelta(days=OUTCOME_DAYS))),
        "model_version": package,
        "model_uri": described["InferenceSpecification"]["Containers"][0]["ModelDataUrl"],
        "captured": [
            {"name": f"captured-{number}", "uri": uri_of(environment.bucket_name, key), "path": path}
            for number, (key, path) in enumerate(prefixes)
        ],
    }


def skipped(kind: str, reason: str) -> dict[str, Any]:
    return {"kind": kind, "status": "skipped", "reason": reason}


def period_of(given: object, started_at: str, default_hours: int) -> Period:
    """The `hours` before `end`; without an end, before the execution began, so that a repeat is of the same period."""
    if given is None:
        given = {}
    if not isinstance(given, Mapping):
        raise InvalidWatchInput("input", given, 'write {} or {"end": "2026-01-31T00:00:00Z", "hours": 24}')
    for name in given:
        if name not in FIELDS:
            raise InvalidWatchInput(str(name), given[name], f"no such field; known are {', '.join(FIELDS)}")
    hours = default_hours if given.get("hours") is None else given["hours"]
    if isinstance(hours, bool) or not isinstance(hours, int | float) or not 0 < hours <= MOST_HOURS:
        raise InvalidWatchInput("hours", hours, f"give a number above 0, at most {MOST_HOURS}")
    ends_at = started_at if given.get("end") is None else given["end"]
    try:
        end = parse_timestamp(ends_at).astimezone(UTC).replace(microsecond=0)
    except (InvalidInsight, TypeError, AttributeError) as error:
        raise InvalidWatchInput("end", ends_at, "give an ISO 8601 time that names its offset") from error
    return Period(end - timedelta(hours=hours), end)


def variants_of(sagemaker: Any, endpoint: str) -> list[str]:
    """None where there is no endpoint. Shadow variants are no part of the answers that callers get."""
    try:
        described = sagemaker.describe_endpoint(EndpointName=endpoint)
    except ClientError as error:
        if not is_missing_in_sagemaker(error):
            raise
        return []
    return sorted(variant["VariantName"] for variant in described.get("ProductionVariants", []))


def live_package(ssm: Any, parameter: str) -> str:
    value = str(ssm.get_parameter(Name=parameter)["Parameter"]["Value"])
    return value if value.startswith("arn:") else ""


def captured_prefixes(
    s3: Any, bucket: str, endpoint: str, variants: Sequence[str], period: Period
) -> list[tuple[str, str]]:
    """Key prefix and <variant>/<day> of each day that holds captured requests, the newest days if there are too many."""
    found = []
    for day in sorted(period.days(), reverse=True):
        for variant in variants:
            prefix = f"monitoring/data-capture/{endpoint}/{variant}/{day}/"
            if next(listed(s3, bucket, prefix), None) is not None:
                found.append((prefix, f"{variant}/{day}"))
    return found[:MOST_CAPTURED_PREFIXES]
