"""Custom resources: CDK's bucket emptier without Node's SDK, and failures that are told at once.

CDK empties a bucket before its deletion with a Node.js function, whose SDK is part of AWS's runtime and not of this
machine. The same is done here with the function's own role, so that the bucket policy which CDK wrote is needed as
well.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from local.lambda_workers import ask_for_logging
from local.permissions import role_session
from local.settings import REGION

logger = logging.getLogger("iops.cloudformation")

Created = tuple[str, dict[str, Any]]
EMPTIER = "Custom::S3AutoDeleteObjects"
CONSENT_TAG = "aws-cdk:auto-delete-objects"


def register(endpoint_url: str) -> None:
    from ministack.services import lambda_svc
    from ministack.services.cloudformation import provisioners

    def create(logical_id: str, props: dict[str, Any], stack_name: str) -> Created:
        return f"{stack_name}-{logical_id}", {}

    def update(physical_id: str, old: Mapping[str, Any], new: dict[str, Any], stack_name: str) -> Created:
        return physical_id, {}

    def delete(physical_id: str, props: Mapping[str, Any]) -> None:
        empty_bucket(props["BucketName"], emptier_client(props["ServiceToken"], endpoint_url))

    provisioners._RESOURCE_HANDLERS[EMPTIER] = {"create": create, "update": update, "delete": delete}
    lambda_svc._execute_function_with_config_scope = with_failure_told(lambda_svc._execute_function_with_config_scope)


def emptier_client(service_token: str, endpoint_url: str) -> Any:
    """S3 with the rights of the provider function's role."""
    import boto3
    from botocore.config import Config
    from ministack.services import lambda_svc

    _, config, _ = lambda_svc._get_func_record_for_ref(service_token)
    ask_for_logging(config)
    keys = role_session(config["Role"], session_name="CustomResource", service="lambda.amazonaws.com")
    return boto3.session.Session(region_name=REGION).client(
        "s3",
        endpoint_url=endpoint_url,
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys["SessionToken"],
        config=Config(proxies={}, s3={"addressing_style": "path"}),
    )


def empty_bucket(bucket: str, s3: Any) -> None:
    """Delete every version of every object, if the bucket still carries CDK's tag of consent."""
    try:
        tags = s3.get_bucket_tagging(Bucket=bucket)["TagSet"]
    except s3.exceptions.ClientError as error:
        if error.response["Error"]["Code"] in ("NoSuchBucket", "NoSuchTagSet"):
            return
        raise
    if {"Key": CONSENT_TAG, "Value": "true"} not in tags:
        logger.info("bucket %s has no tag %s=true; its objects stay", bucket, CONSENT_TAG)
        return
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
        found = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        if found:
            objects = [{"Key": entry["Key"], "VersionId": entry["VersionId"]} for entry in found]
            s3.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True})


def with_failure_told(execute: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """A custom resource's function that raises never answers: AWS waits an hour for it, the laptop says so at once."""

    def run(record: Any, event: Any, *rest: Any, **named: Any) -> dict[str, Any]:
        result = execute(record, event, *rest, **named)
        if isinstance(event, dict) and "ResponseURL" in event and result.get("error"):
            from ministack.services.cloudformation.custom_resource import deliver_response

            token = event["ResponseURL"].rstrip("/").rpartition("/")[2].partition("?")[0]
            deliver_response(token, {"Status": "FAILED", "Reason": f"the function failed: {result.get('body')}"})
        return result

    return run
