"""The AWS clients of a function: one per service and process, made at first use, so that a test needs none.

They are botocore's, the same that boto3.client returns without what boto3 adds to some of them (transfers of S3 files):
importing boto3 as well takes a cold function another 30 ms (bench cold_lambda).
"""

from __future__ import annotations

from functools import cache
from typing import Any

from botocore.config import Config
from botocore.loaders import Loader
from botocore.session import Session

# Standard mode: three attempts with full jitter inside one call; what outlasts it meets lambdas.client_errors.
PATIENT = Config(retries={"mode": "standard", "total_max_attempts": 3}, connect_timeout=5, read_timeout=60)
# A prediction of many items reads that many queries side by side (lambdas.predict.telemetry); fewer would be made anew.
_MOST_CONNECTIONS = 16


@cache
def client(service: str) -> Any:
    return _made(service, PATIENT)


@cache
def hurried_client(
    service: str, *, connect_timeout_seconds: float, read_timeout_seconds: float, most_attempts: int
) -> Any:
    """For a caller who waits: every attempt ends within the two time-outs. Requests are not checked against botocore's
    model of the service, which is a tenth of a prediction's own time; the service checks them all the same."""
    return _made(
        service,
        Config(
            retries={"mode": "standard", "total_max_attempts": most_attempts},
            connect_timeout=connect_timeout_seconds,
            read_timeout=read_timeout_seconds,
            parameter_validation=False,
            max_pool_connections=_MOST_CONNECTIONS,
        ),
    )


def _made(service: str, config: Config) -> Any:
    made = session()
    made.get_component("data_loader").services.add(service)
    return made.create_client(service, config=config)


@cache
def session() -> Session:
    """One for all clients: it holds the credentials, and what it has read of botocore's data."""
    made = Session()
    made.register_component("data_loader", _Loader())
    return made


class _Loader(Loader):
    """Takes for known what is asked for; botocore's lists its folders of 400 services, a third of a cold client's time."""

    def __init__(self) -> None:
        super().__init__()
        self.services: set[str] = set()

    def list_available_services(self, type_name: str) -> list[str]:
        return sorted(self.services)
