"""The first step of a training run: a checked input with its defaults, and what must exist before anything starts."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from botocore.exceptions import ClientError

from insights.schema import KINDS
from lambdas.client_errors import error_code
from lambdas.clients import client
from lambdas.environment import InvalidEnvironment
from lambdas.executions import run_id_of
from lambdas.objects import listed, split_uri
from lambdas.prepare_run.plan import export_plan, jobs_plan
from lambdas.prepare_run.planning import MOST_SEGMENTS, Limits, Planning
from lambdas.prepare_run.rates import Rates
from lambdas.prepare_run.run_input import InvalidRunInput, RunInput, Tuning, parse_run_input
from lambdas.training_terms import KINDS_OF_MODEL_TYPE, check_model_type

GZIP_RATIO = 8  # of the generator's JSON, by gzip's default


@dataclass(frozen=True)
class PrepareRunEnvironment:
    bucket_name: str
    insights_table_name: str
    model_type: str = "both"
    tuning_max_jobs: int = 50
    tuning_max_parallel_jobs: int = 5
    scan_segments: int = 4
    create_bucket: bool = False
    processing_instance_type: str = "ml.m5.xlarge"
    training_instance_type: str = "ml.m5.xlarge"
    larger_instance_types: str = ""  # separated by commas
    most_processing_instances: int = 1
    most_training_instances: int = 1

    def __post_init__(self) -> None:
        check_model_type(self.model_type)
        if not 1 <= self.scan_segments <= MOST_SEGMENTS:
            raise InvalidEnvironment("SCAN_SEGMENTS", f"is {self.scan_segments}, not from 1 to {MOST_SEGMENTS}")

    @property
    def limits(self) -> Limits:
        return Limits(
            processing_instance_type=self.processing_instance_type,
            training_instance_type=self.training_instance_type,
            larger_instance_types=tuple(filter(None, self.larger_instance_types.split(","))),
            most_processing_instances=self.most_processing_instances,
            most_training_instances=self.most_training_instances,
            scan_segments=self.scan_segments,
        )


class BucketForbidden(PermissionError):
    """The run's bucket may not be looked at."""


class BucketMissing(LookupError):
    """The project's bucket does not exist, and the function may not make it."""


class TableMissing(LookupError):
    """The insights table does not exist or is not ready."""


def prepare_run(
    given: object,
    *,
    execution_arn: str,
    redrive_count: int,
    environment: PrepareRunEnvironment,
    s3: Any = None,
    dynamodb: Any = None,
) -> dict[str, Any]:
    """The run that every later state works from; the same execution and redrive give the same run."""
    run = parse_run_input(
        given,
        models=KINDS_OF_MODEL_TYPE[environment.model_type],
        tuning=Tuning(max_jobs=environment.tuning_max_jobs, max_parallel_jobs=environment.tuning_max_parallel_jobs),
        limits=environment.limits,
    )
    s3 = s3 or client("s3")
    rates = Rates.read()
    _check_bucket(s3, environment)
    if run.source.kind == "s3":
        rows = _rows_of_source(s3, str(run.source.uri), rates)
    else:
        stored = _stored_rows(dynamodb or client("dynamodb"), environment.insights_table_name)
        rows = run.source.records or stored
    return _described(run, run_id_of(execution_arn, redrive_count), environment, rows, rates)


def _described(
    run: RunInput, run_id: str, environment: PrepareRunEnvironment, rows: int, rates: Rates
) -> dict[str, Any]:
    """`rows` is what is known before the export: a guess that the manifest's count replaces."""
    planning = Planning(limits=environment.limits, chosen=run.plan, source_kind=run.source.kind)
    export = export_plan(rows, planning, rates)
    return {
        "run_id": run_id,
        "bucket": environment.bucket_name,
        "raw_prefix": f"raw/{run_id}/",
        "features_prefix": f"features/{run_id}/",
        "source": asdict(run.source),
        "models": {model: model in run.models for model in KINDS},
        "tuning": asdict(run.tuning),
        "gate": dict(run.gate),
        "promote": run.promote,
        "split": run.split,
        "trigger": run.trigger,
        "reason": run.reason,
        "segments": [{"segment": number, "total_segments": export.segments} for number in range(export.segments)],
        "export": export.to_json(),
        "plan": jobs_plan(rows, planning, rates).to_json(),
        "planning": planning.to_json(),
    }


def _check_bucket(s3: Any, environment: PrepareRunEnvironment) -> None:
    bucket = environment.bucket_name
    try:
        s3.head_bucket(Bucket=bucket)
    except ClientError as error:
        if error_code(error) in {"403", "AccessDenied"}:  # the answer to a HEAD has no words
            raise BucketForbidden(
                f"this function is not authorized to perform s3:ListBucket on bucket {bucket}, or the bucket belongs to "
                "another account; see setting bucket of the deployment, and deploy the training stack again"
            ) from error
        if error_code(error) not in {"404", "NoSuchBucket"}:
            raise
        if not environment.create_bucket:
            raise BucketMissing(
                f"bucket {bucket} does not exist; deploy the data stack again, "
                "or let this function make it (CREATE_BUCKET=true)"
            ) from error
        _create_bucket(s3, bucket)


def _create_bucket(s3: Any, bucket: str) -> None:
    """S3 refuses us-east-1 as a location constraint, and wants one everywhere else (API reference, CreateBucket)."""
    region = s3.meta.region_name
    place = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    s3.create_bucket(Bucket=bucket, **place)


def _stored_rows(dynamodb: Any, table: str) -> int:
    """DescribeTable counts items every six hours, so this is a guess, and that there are none is the manifest's to say."""
    try:
        described = dynamodb.describe_table(TableName=table)["Table"]
    except ClientError as error:
        if error_code(error) != "ResourceNotFoundException":
            raise
        raise TableMissing(f"table {table} does not exist; deploy the data stack again") from error
    if (status := described["TableStatus"]) not in {"ACTIVE", "UPDATING"}:
        raise TableMissing(f"table {table} is {status}; start again when it is ACTIVE")
    return int(described.get("ItemCount", 0))


def _rows_of_source(s3: Any, uri: str, rates: Rates) -> int:
    """As many as the objects' bytes hold; a guess, as rows differ in what they know."""
    bucket, prefix = split_uri(uri)
    try:
        rows = [_rows_of_object(key, size, rates) for key, size in listed(s3, bucket, prefix)]
    except ClientError as error:
        if error_code(error) not in {"NoSuchBucket", "AccessDenied", "403", "404"}:
            raise
        raise InvalidRunInput(
            "source.uri",
            uri,
            f"bucket {bucket} does not exist or may not be listed by this function; use {prefix!r} "
            "in the project's own bucket, or grant s3:ListBucket and s3:GetObject",
        ) from error
    if not rows:
        raise InvalidRunInput("source.uri", uri, "there is no object below it; copy the insight files there first")
    return round(sum(rows))


def _rows_of_object(key: str, size_bytes: int, rates: Rates) -> float:
    plain = size_bytes * (GZIP_RATIO if key.endswith(".gz") else 1)
    return plain / rates.bytes_per_row["full_csv" if ".csv" in key else "raw"]
