"""TrackDevices: adapter between the streams of the two tables and `track_devices`."""

from __future__ import annotations

from functools import cache
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from lambdas.clients import client
from lambdas.environment import read_environment
from lambdas.track_devices.track_devices import TrackEnvironment, track_devices

logger = Logger()


@cache
def environment() -> TrackEnvironment:
    return read_environment(TrackEnvironment)


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    return track_devices(event["Records"], table=environment().devices_table_name, dynamodb=client("dynamodb"))
