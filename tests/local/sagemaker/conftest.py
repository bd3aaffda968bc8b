"""One laptop cloud whose SageMaker knows the toy image, and what the tests below need in it."""

import json
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local.cloud import LaptopCloud

ACCOUNT = "000000000000"
TOY = f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/toy:1"
BUCKET = "toy-data"
SERVER = Path(__file__).resolve().parent / "cloud_process.py"
REPOSITORY = SERVER.parents[3]


class ToyCloud(LaptopCloud):
    """The same server, started with the tests' images."""

    def _spawn(self) -> subprocess.Popen[bytes]:
        from local.settings import CloudSettings, server_environment

        own = self.settings
        settings = CloudSettings(own.state_dir, own.port, own.wait_scale, own.record_calls, faults=own.faults)
        with self.log_file.open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-c", f"import runpy; runpy.run_path({str(SERVER)!r}, run_name='__main__')"],
                cwd=REPOSITORY,
                env=server_environment(settings),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )


@dataclass
class Toy:
    """Scenario helper: clients, the role, and requests with everything that a test does not care about."""

    cloud: LaptopCloud
    role: str

    def __post_init__(self) -> None:
        self.sagemaker = self.cloud.client("sagemaker")
        self.runtime = self.cloud.client("sagemaker-runtime")
        self.s3 = self.cloud.client("s3")

    def name(self, prefix: str) -> str:
        return f"{prefix}-{uuid.uuid4().hex[:8]}"

    def put(self, key: str, body: bytes = b"content") -> str:
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=body)
        return f"s3://{BUCKET}/{key}"

    def keys(self, prefix: str) -> list[str]:
        found = self.s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])
        return [item["Key"] for item in found]

    def read(self, key: str) -> bytes:
        body: bytes = self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        return body

    def training_request(self, name: str, *, instances: int = 1, seconds: int = 60, **hyper: str) -> dict[str, Any]:
        return {
            "TrainingJobName": name,
            "AlgorithmSpecification": self.algorithm(),
            "RoleArn": self.role,
            "HyperParameters": hyper,
            "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/models/"},
            "ResourceConfig": {"InstanceType": "ml.m5.xlarge", "InstanceCount": instances, "VolumeSizeInGB": 1},
            "StoppingCondition": {"MaxRuntimeInSeconds": seconds},
        }

    def algorithm(self) -> dict[str, Any]:
        metric = {"Name": "validation:loss", "Regex": "loss=([0-9.eE+-]+);"}
        return {"TrainingImage": TOY, "TrainingInputMode": "File", "MetricDefinitions": [metric]}

    def train(self, **options: Any) -> dict[str, Any]:
        """Run a training job to its end and describe it."""
        request = self.training_request(self.name("job"), **options)
        self.sagemaker.create_training_job(**request)
        return self.ended("training", request["TrainingJobName"])

    def ended(self, kind: str, name: str) -> dict[str, Any]:
        noun = {"training": "TrainingJob", "processing": "ProcessingJob", "tuning": "HyperParameterTuningJob"}[kind]
        call = {"training": "training", "processing": "processing", "tuning": "hyper_parameter_tuning"}[kind]
        describe = getattr(self.sagemaker, f"describe_{call}_job")
        return self.until(
            lambda: describe(**{f"{noun}Name": name}),
            lambda body: body[f"{noun}Status"] in ("Completed", "Failed", "Stopped"),
        )

    def until(self, ask: Callable[[], Any], is_met: Callable[[Any], bool]) -> Any:
        """Ask until the answer is as wanted; the test's own timeout ends a vain wait."""
        while True:
            answer = ask()
            if is_met(answer):
                return answer
            time.sleep(0.05)

    def log_text(self, group: str, prefix: str) -> list[str]:
        """Every line of the group's streams with that prefix; none while there is no such group."""
        logs = self.cloud.client("logs")
        try:
            streams = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=prefix)["logStreams"]
        except logs.exceptions.ResourceNotFoundException:
            return []
        return [
            event["message"]
            for stream in streams
            for event in logs.get_log_events(logGroupName=group, logStreamName=stream["logStreamName"])["events"]
        ]

    def model(self, version: str = "1", **environment: str) -> str:
        """A model whose containers say `version`."""
        name = self.name("model")
        self.sagemaker.create_model(
            ModelName=name,
            ExecutionRoleArn=self.role,
            PrimaryContainer={"Image": TOY, "Environment": {"VERSION": version, **environment}},
        )
        return name

    def config(self, *variants: dict[str, Any], **members: Any) -> str:
        name = self.name("config")
        self.sagemaker.create_endpoint_config(
            EndpointConfigName=name, ProductionVariants=[variant_of(v) for v in variants], **members
        )
        return name

    def settled(self, endpoint: str) -> dict[str, Any]:
        return self.until(
            lambda: self.sagemaker.describe_endpoint(EndpointName=endpoint),
            lambda body: body["EndpointStatus"] in ("InService", "Failed"),
        )

    def invoke(self, endpoint: str, body: str = "hello", **members: Any) -> dict[str, Any]:
        answer = self.runtime.invoke_endpoint(
            EndpointName=endpoint, Body=body.encode(), **{"ContentType": "text/csv", **members}
        )
        told: dict[str, Any] = json.loads(answer["Body"].read())
        return {**told, "variant": answer["InvokedProductionVariant"], "answer": answer}


def variant_of(given: dict[str, Any]) -> dict[str, Any]:
    defaults = {"VariantName": "live", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    return {**defaults, "InitialVariantWeight": 1.0, **given}


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Toy]:
    with ToyCloud(tmp_path_factory.mktemp("toy-cloud"), port=0, wait_scale=0.1, faults=True) as cloud:
        statement = {"Effect": "Allow", "Action": ["s3:*", "logs:*", "cloudwatch:PutMetricData"], "Resource": "*"}
        made = Toy(cloud, make_role(cloud, "SageMakerToy", statement))
        made.s3.create_bucket(Bucket=BUCKET)
        yield made


@pytest.fixture(scope="session")
def make_sagemaker_role(toy: Toy) -> Callable[..., str]:
    """make_sagemaker_role(name, *statements) -> ARN"""
    return lambda name, *statements: make_role(toy.cloud, name, *statements)


def make_role(cloud: LaptopCloud, name: str, *statements: dict[str, Any]) -> str:
    principal = {"Service": "sagemaker.amazonaws.com"}
    trust = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    iam = cloud.client("iam")
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps({"Statement": [trust]}))
    if statements:
        document = {"Version": "2012-10-17", "Statement": list(statements)}
        iam.put_role_policy(RoleName=name, PolicyName="given", PolicyDocument=json.dumps(document))
    return f"arn:aws:iam::{ACCOUNT}:role/{name}"
