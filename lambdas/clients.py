"""The boto3 clients of a function: one per service and process, made at first use, so that a test needs none."""

from __future__ import annotations

from functools import cache
from typing import Any

import boto3
from botocore.config import Config

# Standard mode: three attempts with full jitter inside one call; what outlasts it meets lambdas.throttling.
_PATIENT = Config(retries={"mode": "standard", "total_max_attempts": 3}, connect_timeout=5, read_timeout=60)


@cache
def client(service: str) -> Any:
    return boto3.client(service, config=_PATIENT)


@cache
def hurried_client(service: str, read_timeout_seconds: float) -> Any:
    """For a caller who waits: two attempts, each at most 1 s to connect and `read_timeout_seconds` to answer."""
    return boto3.client(
        service,
        config=Config(
            retries={"mode": "standard", "total_max_attempts": 2},
            connect_timeout=1,
            read_timeout=read_timeout_seconds,
        ),
    )
