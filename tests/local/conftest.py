"""A laptop cloud for the tests below this folder: one for all of them, on a free port, in a folder of its own."""

import contextlib
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from local.cloud import LaptopCloud
from tests.local.watching import Ear, MakeEar, Metrics


@pytest.fixture(scope="session")
def laptop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LaptopCloud]:
    """Waits take a hundredth; every decision about a role is recorded."""
    state: Path = tmp_path_factory.mktemp("cloud")
    with LaptopCloud(state, port=0, wait_scale=0.01, record_calls=True) as cloud:
        yield cloud


MakeRole = Callable[..., str]
MakeFunction = Callable[[str, str], str]


@pytest.fixture(scope="session")
def make_role(laptop: LaptopCloud) -> MakeRole:
    """make_role(name, service, *statements) creates a role, or gives an existing one new statements; returns its ARN."""
    iam = laptop.client("iam")

    def make(name: str, service: str, *statements: dict[str, Any]) -> str:
        trust = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
        with contextlib.suppress(iam.exceptions.EntityAlreadyExistsException):
            iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps({"Statement": [trust]}))
        if statements:
            document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **s} for s in statements]}
            iam.put_role_policy(RoleName=name, PolicyName="given", PolicyDocument=json.dumps(document))
        return f"arn:aws:iam::000000000000:role/{name}"

    return make


@pytest.fixture(scope="session")
def make_function(laptop: LaptopCloud, make_role: MakeRole) -> MakeFunction:
    """make_function(name, source) deploys a Python function with a role of the same name."""
    functions = laptop.client("lambda")

    def make(name: str, source: str) -> str:
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as bundle:
            bundle.writestr("code.py", source)
        functions.create_function(
            FunctionName=name,
            Runtime="python3.13",
            Role=make_role(name, "lambda.amazonaws.com"),
            Handler="code.handler",
            Code={"ZipFile": archive.getvalue()},
            Timeout=10,
        )
        functions.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})
        return name

    return make


@pytest.fixture
def metrics(laptop: LaptopCloud) -> Metrics:
    return Metrics(laptop.client("cloudwatch"))


@pytest.fixture
def make_ear(laptop: LaptopCloud) -> Iterator[MakeEar]:
    sqs = laptop.client("sqs")
    urls = []

    def make(name: str) -> Ear:
        url = sqs.create_queue(QueueName=name)["QueueUrl"]
        urls.append(url)
        arn = f"arn:aws:sqs:us-east-1:000000000000:{name}"
        everyone = {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": arn}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [everyone]})
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
        return Ear(sqs, url, arn)

    yield make
    for url in urls:
        sqs.delete_queue(QueueUrl=url)
