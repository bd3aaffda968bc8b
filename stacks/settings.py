"""What a deployment may choose, parsed once from the CDK context and refused in words that say what to write instead.

cdk.json's "iops" object holds the values; `-c field=value` on the command line overrides a field.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import NoneType, UnionType
from typing import Any, get_args, get_type_hints

import aws_cdk as cdk
from aws_cdk import aws_logs as logs

from stacks.names import KINDS
from stacks.serving_hours import InvalidHours, ServingHours

STAGES = ("dev", "prod", "local")
MODEL_TYPES = ("both", *KINDS)

# The laptop cloud's only account; nothing else may be deployed with it.
LOCAL_ACCOUNT = "000000000000"
LOCAL_REGION = "us-east-1"

# CreateTransformJob and friends take 1-63 characters; PutScalingPolicy puts an endpoint's name into alarm names.
_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_ROLE_ARN = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+")
_INSTANCE = re.compile(r"ml\.[a-z0-9-]+\.[a-z0-9]+")
_ORIGIN = re.compile(r"https?://[^/\s*,]+")
# For how long CloudWatch keeps points of so many seconds (API reference, GetMetricData).
_KEPT_DAYS: Mapping[int, int] = {300: 63, 60: 15}
# What divides an hour, so that runs keep their distance over its end.
_EVERY_MINUTES = (1, 5, 10, 15, 20, 30, 60)
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


class InvalidSetting(ValueError):
    """A setting that cannot be deployed."""

    def __init__(self, field: str, value: object, allowed: str) -> None:
        super().__init__(f"setting '{field[:80]}' is {value!r:.200}; allowed: {allowed[:600]}")
        self.field = field


@dataclass(frozen=True, slots=True, kw_only=True)
class StageRules:
    """What a stage decides by itself. Point-in-time recovery and encryption are on in every stage."""

    removal_policy: cdk.RemovalPolicy
    empties_on_destroy: bool
    termination_protection: bool
    log_retention: logs.RetentionDays
    is_laptop: bool

    @property
    def log_days(self) -> int:
        return _LOG_DAYS[self.log_retention]


_LOG_DAYS: Mapping[logs.RetentionDays, int] = {logs.RetentionDays.ONE_MONTH: 30, logs.RetentionDays.ONE_YEAR: 365}

STAGE_RULES: Mapping[str, StageRules] = {
    "dev": StageRules(
        removal_policy=cdk.RemovalPolicy.DESTROY,
        empties_on_destroy=True,
        termination_protection=False,
        log_retention=logs.RetentionDays.ONE_MONTH,
        is_laptop=False,
    ),
    "prod": StageRules(
        removal_policy=cdk.RemovalPolicy.RETAIN,
        empties_on_destroy=False,
        termination_protection=True,
        log_retention=logs.RetentionDays.ONE_YEAR,
        is_laptop=False,
    ),
    "local": StageRules(
        removal_policy=cdk.RemovalPolicy.DESTROY,
        empties_on_destroy=True,
        termination_protection=False,
        log_retention=logs.RetentionDays.ONE_MONTH,
        is_laptop=True,
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One deployment's choices; every field stands in cdk.json with its default."""

    stage: str
    region: str | None
    account: str | None
    bucket: str | None  # an existing bucket's name; None: the app makes its own
    create_bucket: bool  # whether a run may create the bucket that `bucket` names
    source_buckets: tuple[str, ...]  # buckets that a run with source kind s3 may read, beside the app's own
    execution_role_arn: str | None  # an existing SageMaker role; None: the app makes two narrow ones
    model_type: str
    risk_endpoint_name: str
    performance_endpoint_name: str
    training_instance_type: str
    processing_instance_type: str
    endpoint_instance_type: str
    larger_instance_types: tuple[str, ...]  # what a run's plan may take instead of the first two (docs/scale.md)
    most_processing_instances: int
    most_training_instances: int  # of one trial; tuning runs tuning_max_parallel_jobs of them for each model at once
    # What one instance of endpoint_instance_type answers: `make bench BENCH=serving`, JSON window at concurrency 8, run on
    # it. The default stays well below what two shared cores gave, as many as an ml.m5.large has.
    requests_per_second_per_instance: float
    data_capture_percent: int
    tuning_max_jobs: int
    tuning_max_parallel_jobs: int
    scan_segments: int
    monthly_training: bool
    watch_every_hours: int  # how often the live models are watched for drift, and how long a period is; 0: by hand only
    retraining_debounce_hours: int  # between two trainings of one model that nobody asked for by hand
    retraining_drift_runs_per_week: int  # of one model
    kept_versions: int  # of each model and approval, beside those that serve or may be gone back to
    allowed_origins: tuple[str, ...]
    notification_email: str | None
    prediction_days: int  # how long a stored prediction lives
    client_requests_per_minute: int  # of one Cognito client; an item of a request counts as one
    serving_hours: str | None  # when the endpoints serve, "Mon-Fri 06:00-20:00" (UTC); None: always
    monthly_budget_usd: float | None  # what this app may cost a month before people are told; None: no budget
    ebs_collection: str  # on: the stack IopsCollectors reads the metrics of EBS volumes
    ebs_tag: (
        str | None
    )  # which volumes: those with this tag, `name` or `name=value`; None: all of the account and region
    ebs_period_seconds: int  # of an insight, 300 or 60
    ebs_every_minutes: int  # between two runs; what GetMetricData costs goes with how often it is asked
    ebs_shards: int  # functions that share the volumes, each by a hash of their ids
    ebs_catch_up_hours: int  # how far back a run goes for a volume that is new or was not read for a while

    def __post_init__(self) -> None:
        _refuse_wrong_identity(self)
        _refuse_wrong_names(self)
        _refuse_wrong_instances(self)
        _refuse_wrong_numbers(self)
        _refuse_wrong_collection(self)
        _refuse_wrong_contacts(self)

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> "Settings":
        """Values of cdk.json (typed) or of the command line (text); raises InvalidSetting."""
        hints = get_type_hints(cls)
        if unknown := sorted(set(values) - set(hints)):
            raise InvalidSetting(unknown[0], values[unknown[0]], f"only the fields {', '.join(hints)}")
        return cls(**{name: _typed(name, hint, values.get(name)) for name, hint in hints.items()})

    @classmethod
    def from_context(cls, app: cdk.App) -> "Settings":
        """The "iops" object of the context with `-c field=value` overrides; the laptop's account is fixed."""
        values = dict(app.node.try_get_context("iops") or {})
        for field in fields(cls):
            override = app.node.try_get_context(field.name)
            if override is not None:
                values[field.name] = override
        if values.get("stage") == "local":
            values |= {"account": LOCAL_ACCOUNT, "region": LOCAL_REGION}
        return cls.from_mapping(values)

    @property
    def rules(self) -> StageRules:
        return STAGE_RULES[self.stage]

    @property
    def environment(self) -> cdk.Environment:
        return cdk.Environment(account=self.account, region=self.region)

    @property
    def target_invocations_per_minute(self) -> float:
        """SageMaker's own formula: measured requests/s x safety factor x 60 (endpoint-scaling-loadtest)."""
        return round(self.requests_per_second_per_instance * 0.7 * 60, 1)

    @property
    def hours(self) -> ServingHours | None:
        return None if self.serving_hours is None else ServingHours.parse(self.serving_hours)

    def endpoint_name(self, kind: str) -> str:
        return self.risk_endpoint_name if kind == "risk" else self.performance_endpoint_name


def _typed(field: str, hint: Any, value: Any) -> Any:
    """The command line has text only, so "5", "true" and "a,b" mean what the field's type says."""
    if value in (None, "", "null"):  # the context drops nulls on its way here, so an absent field is a null one
        if "None" in str(hint):
            return None
        raise InvalidSetting(field, value, 'a value, not null; cdk.json\'s "iops" object lists every field')
    if isinstance(hint, UnionType):
        [hint] = [part for part in get_args(hint) if part is not NoneType]
    if hint is bool:
        if str(value).lower() not in ("true", "false"):
            raise InvalidSetting(field, value, "true, false")
        return str(value).lower() == "true"
    if hint in (int, float):
        try:
            return hint(value) if isinstance(value, str) else hint(str(value))
        except ValueError:
            raise InvalidSetting(field, value, "a whole number" if hint is int else "a number") from None
    if hint == tuple[str, ...]:
        items = [item.strip() for item in value.split(",") if item.strip()] if isinstance(value, str) else value
        if not isinstance(items, list | tuple) or not all(isinstance(item, str) for item in items):
            raise InvalidSetting(field, value, "a list of texts (on the command line: comma-separated)")
        return tuple(items)
    return str(value)


def _refuse_wrong_identity(settings: Settings) -> None:
    _one_of("stage", settings.stage, STAGES)
    _one_of("model_type", settings.model_type, MODEL_TYPES)
    if settings.account is not None and not re.fullmatch(r"\d{12}", settings.account):
        raise InvalidSetting("account", settings.account, "12 digits, or null for the account of the credentials")
    if settings.region is not None and not re.fullmatch(r"[a-z]{2}(-[a-z]+)+-\d", settings.region):
        raise InvalidSetting("region", settings.region, "a region's name such as us-east-1, or null")
    role = settings.execution_role_arn
    if role is not None and not _ROLE_ARN.fullmatch(role):
        raise InvalidSetting("execution_role_arn", role, "arn:aws:iam::<12 digits>:role/<name>, or null")


def _refuse_wrong_names(settings: Settings) -> None:
    for field in ("risk_endpoint_name", "performance_endpoint_name"):
        name = getattr(settings, field)
        if not _NAME.fullmatch(name):
            raise InvalidSetting(field, name, "1-63 letters, digits and single hyphens between them")
    if settings.risk_endpoint_name == settings.performance_endpoint_name:
        raise InvalidSetting(
            "performance_endpoint_name", settings.performance_endpoint_name, "another name than the risk endpoint's"
        )
    named = [("bucket", settings.bucket)] if settings.bucket is not None else []
    for field, name in [*named, *(("source_buckets", name) for name in settings.source_buckets)]:
        if not _BUCKET.fullmatch(str(name)):
            raise InvalidSetting(field, name, "a bucket's name: 3-63 of a-z, 0-9, '.' and '-'")
    if settings.create_bucket and settings.bucket is None:
        raise InvalidSetting(
            "create_bucket", True, "false while 'bucket' is null (the app then makes its own at deployment)"
        )


def _refuse_wrong_instances(settings: Settings) -> None:
    single = ("training_instance_type", "processing_instance_type", "endpoint_instance_type")
    larger = (("larger_instance_types", name) for name in settings.larger_instance_types)
    for field, value in (*((field, getattr(settings, field)) for field in single), *larger):
        if not _INSTANCE.fullmatch(value):
            raise InvalidSetting(field, value, "a SageMaker instance type such as ml.m5.xlarge")
    endpoint = settings.endpoint_instance_type
    if endpoint.startswith("ml.t3."):
        raise InvalidSetting(
            "endpoint_instance_type",
            endpoint,
            "a type that is not burstable, such as ml.m5.large: ml.t3 does not exist for endpoints",
        )
    if endpoint.startswith("ml.t"):
        raise InvalidSetting(
            "endpoint_instance_type",
            endpoint,
            "a type that is not burstable, such as ml.m5.large: SageMaker cannot auto-scale burstable types",
        )


def _refuse_wrong_numbers(settings: Settings) -> None:
    # Limits of Amazon SageMaker's automatic model tuning: 750 jobs of a Bayesian tuning job; 10 in parallel.
    _between("tuning_max_jobs", settings.tuning_max_jobs, 1, 750)
    _between("tuning_max_parallel_jobs", settings.tuning_max_parallel_jobs, 1, 10)
    if settings.tuning_max_parallel_jobs > settings.tuning_max_jobs:
        raise InvalidSetting(
            "tuning_max_parallel_jobs",
            settings.tuning_max_parallel_jobs,
            f"at most tuning_max_jobs ({settings.tuning_max_jobs})",
        )
    _between("scan_segments", settings.scan_segments, 1, 1000)
    _between("most_processing_instances", settings.most_processing_instances, 1, 100)  # CreateProcessingJob's own limit
    _between("most_training_instances", settings.most_training_instances, 1, 100)
    # A period's captured days are inputs of one job, which takes ten: three days, and each of up to two variants.
    _between("watch_every_hours", settings.watch_every_hours, 0, 72)
    _between("data_capture_percent", settings.data_capture_percent, 0, 100)
    _between("retraining_debounce_hours", settings.retraining_debounce_hours, 1, 24 * 31)
    _between("retraining_drift_runs_per_week", settings.retraining_drift_runs_per_week, 0, 50)
    _between("kept_versions", settings.kept_versions, 1, 1000)
    _between("prediction_days", settings.prediction_days, 1, 3650)
    _between("client_requests_per_minute", settings.client_requests_per_minute, 100, 10_000_000)
    _between("requests_per_second_per_instance", settings.requests_per_second_per_instance, 0.1, 100_000)
    if settings.monthly_budget_usd is not None:
        _between("monthly_budget_usd", settings.monthly_budget_usd, 1, 1_000_000)
    try:
        _ = settings.hours
    except InvalidHours as wrong:
        raise InvalidSetting("serving_hours", settings.serving_hours, str(wrong)) from None


def _refuse_wrong_collection(settings: Settings) -> None:
    _one_of("ebs_collection", settings.ebs_collection, ("off", "on"))
    if settings.ebs_period_seconds not in _KEPT_DAYS:
        raise InvalidSetting("ebs_period_seconds", settings.ebs_period_seconds, ", ".join(map(str, _KEPT_DAYS)))
    if settings.ebs_every_minutes not in _EVERY_MINUTES:
        raise InvalidSetting("ebs_every_minutes", settings.ebs_every_minutes, ", ".join(map(str, _EVERY_MINUTES)))
    _between("ebs_shards", settings.ebs_shards, 1, 100)
    # A day is left for runs that are late themselves.
    most_hours = (_KEPT_DAYS[settings.ebs_period_seconds] - 1) * 24
    _between("ebs_catch_up_hours", settings.ebs_catch_up_hours, 1, most_hours)


def _refuse_wrong_contacts(settings: Settings) -> None:
    if not settings.allowed_origins:
        raise InvalidSetting("allowed_origins", [], "at least one origin such as https://dashboard.example.com")
    for origin in settings.allowed_origins:
        if origin == "*":
            raise InvalidSetting("allowed_origins", "*", "listed origins: sign-in returns to them, and to nowhere else")
        if not _ORIGIN.fullmatch(origin):
            raise InvalidSetting(
                "allowed_origins", origin, "scheme://host[:port] without path, such as https://a.example"
            )
    email = settings.notification_email
    if email is not None and not _EMAIL.fullmatch(email):
        raise InvalidSetting("notification_email", email, "an e-mail address, or null")


def _one_of(field: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise InvalidSetting(field, value, ", ".join(allowed))


def _between(field: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise InvalidSetting(field, value, f"{low} to {high}")
