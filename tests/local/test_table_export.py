"""ExportTableToPointInTime on a running laptop cloud."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import time
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from local.cloud import LaptopCloud
from local.settings import REGION

TABLE, BUCKET = "exported", "table-exports"
ARN = f"arn:aws:dynamodb:us-east-1:000000000000:table/{TABLE}"


@pytest.fixture(scope="module")
def items(laptop: LaptopCloud) -> list[dict[str, Any]]:
    """Nine devices of five rows."""
    dynamodb = laptop.client("dynamodb")
    laptop.client("s3").create_bucket(Bucket=BUCKET)
    keys = (("device_id", "HASH"), ("timestamp", "RANGE"))
    dynamodb.create_table(
        TableName=TABLE,
        KeySchema=[{"AttributeName": name, "KeyType": kind} for name, kind in keys],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name, _ in keys],
        BillingMode="PAY_PER_REQUEST",
    )
    rows = [
        {"device_id": {"S": f"d{device}"}, "timestamp": {"S": f"t{n}"}, "read_iops": {"N": "7"}}
        for device in range(9)
        for n in range(5)
    ]
    for row in rows:
        dynamodb.put_item(TableName=TABLE, Item=row)
    return rows


def enable(laptop: LaptopCloud) -> None:
    laptop.client("dynamodb").update_continuous_backups(
        TableName=TABLE, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
    )


def client_of(laptop: LaptopCloud, role_arn: str) -> Any:
    keys = laptop.client("sts").assume_role(RoleArn=role_arn, RoleSessionName="exporter")["Credentials"]
    return boto3.client(
        "dynamodb",
        endpoint_url=laptop.settings.endpoint_url,
        region_name=REGION,
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys["SessionToken"],
    )


def test_a_table_without_point_in_time_recovery_is_not_exported(laptop: LaptopCloud, items: Any) -> None:
    with pytest.raises(ClientError) as refused:
        laptop.client("dynamodb").export_table_to_point_in_time(TableArn=ARN, S3Bucket=BUCKET)
    assert refused.value.response["Error"]["Code"] == "PointInTimeRecoveryUnavailableException"


def test_every_item_is_in_the_files_that_the_manifest_lists_and_a_token_starts_one_export(
    laptop: LaptopCloud, items: list[dict[str, Any]]
) -> None:
    enable(laptop)
    dynamodb, s3 = laptop.client("dynamodb"), laptop.client("s3")
    request = {"TableArn": ARN, "S3Bucket": BUCKET, "S3Prefix": "exports/run/table", "ClientToken": "run"}
    arn = dynamodb.export_table_to_point_in_time(**request)["ExportDescription"]["ExportArn"]
    assert dynamodb.export_table_to_point_in_time(**request)["ExportDescription"]["ExportArn"] == arn
    deadline = time.monotonic() + 20
    while (found := dynamodb.describe_export(ExportArn=arn)["ExportDescription"])["ExportStatus"] != "COMPLETED":
        assert time.monotonic() < deadline, found
        time.sleep(0.05)
    folder = f"exports/run/table/AWSDynamoDB/{arn.rpartition('/')[2]}"
    listed = s3.get_object(Bucket=BUCKET, Key=f"{folder}/manifest-files.json")["Body"].read().decode().splitlines()
    exported, devices = [], []
    for entry in map(json.loads, listed):
        body = s3.get_object(Bucket=BUCKET, Key=entry["dataFileS3Key"])["Body"].read()
        rows = [json.loads(line)["Item"] for line in gzip.decompress(body).splitlines()]
        digest = hashlib.md5(body, usedforsecurity=False).digest()
        assert (entry["itemCount"], entry["md5Checksum"]) == (len(rows), base64.b64encode(digest).decode())
        exported += rows
        devices += list({row["device_id"]["S"]: None for row in rows})
    assert sorted(exported, key=str) == sorted(items, key=str)
    assert len(devices) > 9, "a file is full in the middle of a device"
    assert found["ItemCount"] == 45


@pytest.mark.parametrize("missing", ["s3:PutObject", "s3:PutObjectAcl", "s3:AbortMultipartUpload"])
def test_whoever_may_not_write_the_export_may_not_start_it(
    laptop: LaptopCloud, items: Any, make_role: Callable[..., str], missing: str
) -> None:
    enable(laptop)
    wanted = ("s3:PutObject", "s3:PutObjectAcl", "s3:AbortMultipartUpload")
    writes = [action for action in wanted if action != missing]
    role = make_role(
        f"exporter-{missing.rpartition(':')[2]}",
        "states.amazonaws.com",
        {"Action": "dynamodb:ExportTableToPointInTime", "Resource": ARN},
        {"Action": writes, "Resource": f"arn:aws:s3:::{BUCKET}/exports/*"},
    )
    with pytest.raises(ClientError, match=f"not authorized to perform: {missing}"):
        client_of(laptop, role).export_table_to_point_in_time(
            TableArn=ARN, S3Bucket=BUCKET, S3Prefix="exports/run/table"
        )


@pytest.mark.parametrize(("wanted", "status"), [(True, "ENABLED"), (False, "DISABLED")])
def test_a_stacks_table_has_the_recovery_of_its_template(laptop: LaptopCloud, wanted: bool, status: str) -> None:
    table = {
        "Type": "AWS::DynamoDB::Table",
        "Properties": {
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
            "BillingMode": "PAY_PER_REQUEST",
            "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": wanted},
        },
    }
    cloudformation, name = laptop.client("cloudformation"), f"recovery-{status.lower()}"
    cloudformation.create_stack(StackName=name, TemplateBody=json.dumps({"Resources": {"Table": table}}))
    cloudformation.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 1})
    found = cloudformation.describe_stack_resource(StackName=name, LogicalResourceId="Table")["StackResourceDetail"]
    backups = laptop.client("dynamodb").describe_continuous_backups(TableName=found["PhysicalResourceId"])
    recovery = backups["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"]
    assert recovery["PointInTimeRecoveryStatus"] == status
