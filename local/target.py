"""Where a command of operations goes: the laptop cloud that is up, or AWS; asked for where it is not clear."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from local.cloud import LaptopCloud
from local.options import InvalidOption

TARGETS = ("laptop", "aws")
NAMED_CREDENTIALS = ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE")
"""Whoever sets one of these may mean AWS although a laptop cloud is up."""

MakeClient = Callable[[str], Any]


class NoTarget(RuntimeError):
    """There is no cloud to go to, or more than one may be meant; the message is the one clear sentence."""


def target_of(environment: Mapping[str, str]) -> str:
    """What TARGET says, or nothing; raises InvalidOption."""
    target = environment.get("TARGET", "")
    if target and target not in TARGETS:
        raise InvalidOption("TARGET", target, f"give one of {', '.join(TARGETS)}, or leave it out")
    return target


def find_cloud(target: str, environment: Mapping[str, str], build: Path) -> tuple[str, MakeClient]:
    """The cloud in words and as a maker of clients; `target` decides where both are within reach. Raises NoTarget."""
    import boto3

    if url := environment.get("AWS_ENDPOINT_URL"):
        return url, boto3.client
    laptop = LaptopCloud(build / "cloud")
    is_up = laptop.is_running() and laptop.is_healthy()
    if is_up and not target and any(environment.get(name) for name in NAMED_CREDENTIALS):
        raise NoTarget("a laptop cloud is up and AWS credentials are set; say TARGET=laptop or TARGET=aws")
    if is_up and target != "aws":
        return f"the laptop cloud {laptop.endpoint_url}", laptop.client
    if target == "laptop":
        raise NoTarget("no laptop cloud is up; start one with `make up` and come back from another terminal")
    if boto3.session.Session().get_credentials() is None:
        raise NoTarget(
            "no laptop cloud is up and there are no AWS credentials; start a laptop cloud with `make up`, or set "
            "AWS_PROFILE (and AWS_REGION) for the account that is meant"
        )
    return "AWS", boto3.client


def stack_output(cloudformation: Any, stack_name: str, output: str) -> str:
    """One output of a deployed stack; raises NoTarget where the app is not deployed there, or is older."""
    from botocore.exceptions import ClientError

    try:
        [stack] = cloudformation.describe_stacks(StackName=stack_name)["Stacks"]
    except ClientError as error:
        raise NoTarget(f"stack {stack_name} cannot be read there ({error}); is the app deployed?") from error
    outputs = {entry["OutputKey"]: entry["OutputValue"] for entry in stack.get("Outputs", [])}
    if output not in outputs:
        raise NoTarget(f"stack {stack_name} has no output {output}; deploy the present version of the app")
    return str(outputs[output])
