"""boto3 clients with the rights of a state machine's role, over HTTP: so every call of a workflow passes the same IAM
checks."""

from __future__ import annotations

import threading
from typing import Any

from local.permissions import role_session
from local.settings import REGION

LONGEST_LAMBDA_SECONDS = 900


class RoleClients:
    def __init__(self, endpoint_url: str) -> None:
        self._endpoint_url = endpoint_url
        self._lock = threading.Lock()
        self._session: Any = None
        self._clients: dict[tuple[str, str], Any] = {}

    def get(self, service: str, role_arn: str) -> Any:
        """A client with a session of the role; the session is registered anew, as its policies are read at each
        call."""
        import boto3
        from botocore.config import Config

        with self._lock:
            known = self._clients.get((service, role_arn))
            if known is not None:
                return known
            keys = role_session(role_arn, session_name="StepFunctions", service="states.amazonaws.com")
            self._session = self._session or boto3.session.Session(region_name=REGION)
            client = self._session.client(
                service,
                endpoint_url=self._endpoint_url,
                aws_access_key_id=keys["AccessKeyId"],
                aws_secret_access_key=keys["SecretAccessKey"],
                aws_session_token=keys["SessionToken"],
                config=Config(
                    retries={"total_max_attempts": 1},
                    read_timeout=LONGEST_LAMBDA_SECONDS + 30,
                    max_pool_connections=64,
                    s3={"addressing_style": "path"},
                    parameter_validation=True,
                    inject_host_prefix=False,
                    proxies={},
                ),
            )
            self._clients[service, role_arn] = client
            return client
