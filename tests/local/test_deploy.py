"""The real CDK CLI on a running laptop cloud, with an app of one small stack."""

import json
from pathlib import Path

import pytest

from local.cloud import LaptopCloud
from local.deploy import App, DeployFailed, deploy, destroy, failure_reasons, stack_progress

APP = """
import aws_cdk as cdk
from aws_cdk import aws_lambda as lambda_, aws_s3 as s3

app = cdk.App()
stack = cdk.Stack(app, "Tiny", env=cdk.Environment(account="000000000000", region="us-east-1"),
                  synthesizer=cdk.CliCredentialsStackSynthesizer())
bucket = s3.Bucket(stack, "Bucket", removal_policy=cdk.RemovalPolicy.DESTROY, auto_delete_objects=True, enforce_ssl=True)
function = lambda_.Function(stack, "Reader", runtime=lambda_.Runtime.PYTHON_3_13, handler="package.inner.handler.handler",
                            code=lambda_.Code.from_asset("code"), environment={"BUCKET": bucket.bucket_name})
bucket.grant_read(function)
cdk.CfnOutput(stack, "BucketName", value=bucket.bucket_name)
cdk.CfnOutput(stack, "FunctionName", value=function.function_name)
app.synth()
"""
HANDLER = """
import os
import boto3

def handler(event, context):
    return boto3.client("s3").get_object(Bucket=os.environ["BUCKET"], Key=event["key"])["Body"].read().decode()
"""


@pytest.fixture
def tiny_app(tmp_path: Path) -> App:
    package = tmp_path / "code" / "package" / "inner"
    package.mkdir(parents=True)
    (package / "handler.py").write_text(HANDLER)
    (tmp_path / "code" / "package" / "__init__.py").touch()
    (package / "__init__.py").touch()
    (tmp_path / "app.py").write_text(APP)
    return App(tmp_path, context=())


def test_an_app_is_deployed_used_deployed_again_and_destroyed(laptop: LaptopCloud, tiny_app: App) -> None:
    said: list[str] = []
    deploy(laptop, say=said.append, app=tiny_app)
    assert said == ["Tiny: deploying", "Tiny: done"]
    stack = laptop.client("cloudformation").describe_stacks(StackName="Tiny")["Stacks"][0]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
    laptop.client("s3").put_object(Bucket=outputs["BucketName"], Key="greeting", Body=b"hello")
    answer = laptop.client("lambda").invoke(FunctionName=outputs["FunctionName"], Payload='{"key": "greeting"}')
    assert json.load(answer["Payload"]) == "hello"
    deploy(laptop, app=tiny_app)
    destroy(laptop, app=tiny_app)
    buckets = [bucket["Name"] for bucket in laptop.client("s3").list_buckets()["Buckets"]]
    assert outputs["BucketName"] not in buckets


def test_an_app_that_does_not_synthesise_says_why(laptop: LaptopCloud, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("raise SystemExit('setting stage is missing')\n")
    with pytest.raises(DeployFailed, match="setting stage is missing"):
        deploy(laptop, app=App(tmp_path, context=()))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("IopsData: deploying... [1/6]\n", "IopsData: deploying"),
        (" ✅  IopsData (no changes)\n", "IopsData: done"),
        ("IopsRiskEndpoint: destroying... [2/6]\n", "IopsRiskEndpoint: destroying"),
        (" ✅  IopsData: destroyed\n", "IopsData: done"),
        ("IopsData | 1/9 | 12:00:00 AM | CREATE_COMPLETE | AWS::S3::Bucket | Bucket\n", None),
        ("✨  Deployment time: 4.1s\n", None),
    ],
)
def test_a_stack_is_announced_and_other_lines_are_not(line: str, said: str | None) -> None:
    assert stack_progress(line) == said


def test_the_reasons_of_a_failure_are_its_failed_resources() -> None:
    lines = [
        "A | CREATE_IN_PROGRESS | Bucket",
        "A | CREATE_FAILED | Bucket name is taken",
        "❌  A failed to deploy",
        "done",
    ]
    assert failure_reasons(lines) == "A | CREATE_FAILED | Bucket name is taken\n❌  A failed to deploy"
    assert failure_reasons(["one", "two"]) == "one\ntwo"
