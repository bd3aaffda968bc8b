"""The first step of a training run: a checked input with its defaults, and what must exist before anything starts."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from typing import Any

from botocore.exceptions import ClientError

from lambdas.clients import client
from lambdas.environment import InvalidEnvironment
from lambdas.objects import split_uri
from lambdas.prepare_run.run_input import MODELS, InvalidRunInput, RunInput, Tuning, parse_run_input
from lambdas.throttling import error_code

RUN_ID_CHARACTERS = 12
MOST_SEGMENTS = 1000  # the segment has three digits in the names of its batches
_MODEL_TYPES = {"both": MODELS, "risk": ("risk",), "performance": ("performance",)}


@dataclass(frozen=True)
class PrepareRunEnvironment:
    bucket_name: str
    insights_table_name: str
    model_type: str = "both"
    tuning_max_jobs: int = 50
    tuning_max_parallel_jobs: int = 5
    scan_segments: int = 4
    create_bucket: bool = False

    def __post_init__(self) -> None:
        if self.model_type not in _MODEL_TYPES:
            raise InvalidEnvironment("MODEL_TYPE", f"is {self.model_type!r}, none of {', '.join(_MODEL_TYPES)}")
        if not 1 <= self.scan_segments <= MOST_SEGMENTS:
            raise InvalidEnvironment("SCAN_SEGMENTS", f"is {self.scan_segments}, not from 1 to {MOST_SEGMENTS}")


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
        models=_MODEL_TYPES[environment.model_type],
        tuning=Tuning(max_jobs=environment.tuning_max_jobs, max_parallel_jobs=environment.tuning_max_parallel_jobs),
    )
    s3 = s3 or client("s3")
    _check_bucket(s3, environment)
    if run.source.kind == "s3":
        _check_source(s3, str(run.source.uri))
    else:
        _check_table(dynamodb or client("dynamodb"), environment.insights_table_name)
    return _described(run, run_id_of(execution_arn, redrive_count), environment)


def run_id_of(execution_arn: str, redrive_count: int) -> str:
    """Short enough for a tuning job's name (32 characters), which an execution's own UUID is not."""
    return hashlib.sha256(f"{execution_arn}#{redrive_count}".encode()).hexdigest()[:RUN_ID_CHARACTERS]


def _described(run: RunInput, run_id: str, environment: PrepareRunEnvironment) -> dict[str, Any]:
    segments = 0 if run.source.kind == "s3" else environment.scan_segments
    return {
        "run_id": run_id,
        "bucket": environment.bucket_name,
        "raw_prefix": f"raw/{run_id}/",
        "features_prefix": f"features/{run_id}/",
        "source": asdict(run.source),
        "models": {model: model in run.models for model in MODELS},
        "tuning": asdict(run.tuning),
        "gate": dict(run.gate),
        "promote": run.promote,
        "split": run.split,
        "trigger": run.trigger,
        "reason": run.reason,
        "segments": [{"segment": number, "total_segments": segments} for number in range(segments)],
    }


def _check_bucket(s3: Any, environment: PrepareRunEnvironment) -> None:
    bucket = environment.bucket_name
    try:
        s3.head_bucket(Bucket=bucket)
    except ClientError as error:
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


def _check_table(dynamodb: Any, table: str) -> None:
    """Existence only: DescribeTable counts items every six hours, so whether it has rows is the manifest's to say."""
    try:
        status = dynamodb.describe_table(TableName=table)["Table"]["TableStatus"]
    except ClientError as error:
        if error_code(error) != "ResourceNotFoundException":
            raise
        raise TableMissing(f"table {table} does not exist; deploy the data stack again") from error
    if status not in {"ACTIVE", "UPDATING"}:
        raise TableMissing(f"table {table} is {status}; start again when it is ACTIVE")


def _check_source(s3: Any, uri: str) -> None:
    bucket, prefix = split_uri(uri)
    try:
        found = s3.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1).get("KeyCount", 0)
    except ClientError as error:
        if error_code(error) not in {"NoSuchBucket", "AccessDenied", "403", "404"}:
            raise
        raise InvalidRunInput(
            "source.uri",
            uri,
            f"bucket {bucket} does not exist or may not be listed by this function; use {prefix!r} "
            "in the project's own bucket, or grant s3:ListBucket and s3:GetObject",
        ) from error
    if not found:
        raise InvalidRunInput("source.uri", uri, "there is no object below it; copy the insight files there first")
