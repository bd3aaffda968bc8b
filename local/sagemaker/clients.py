"""boto3 clients of the laptop cloud, for the services that SageMaker itself calls."""

from __future__ import annotations

import threading
import time
from typing import Any

from local.sagemaker.settings import Credentials, Settings

KEPT_SECONDS = 300.0


class Clients:
    """Clients with the cloud's own rights or a role's. One session, so that service models are read once."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._session: Any = None
        self._lock = threading.Lock()  # boto3 sessions make clients for one thread at a time
        self._cloud: dict[str, Any] = {}
        self._of_roles: dict[tuple[str, str], tuple[float, Any]] = {}

    def for_role(self, service: str, role_arn: str) -> Any:
        """Raises whatever says that the role cannot be assumed. Kept for a while: fifty trials share one client."""
        made, client = self._of_roles.get((service, role_arn), (0.0, None))
        if client is None or time.monotonic() - made > KEPT_SECONDS:
            client = self._make(service, self._settings.credentials_for_role(role_arn))
            self._of_roles[service, role_arn] = (time.monotonic(), client)
        return client

    def for_cloud(self, service: str) -> Any:
        if service not in self._cloud:
            self._cloud[service] = self._make(service, self._settings.cloud_credentials)
        return self._cloud[service]

    def _make(self, service: str, credentials: Credentials) -> Any:
        import boto3
        from botocore.config import Config

        with self._lock:
            if self._session is None:
                self._session = boto3.session.Session(region_name=self._settings.region)
            return self._session.client(
                service,
                endpoint_url=self._settings.endpoint_url,
                aws_access_key_id=credentials["AccessKeyId"],
                aws_secret_access_key=credentials["SecretAccessKey"],
                aws_session_token=credentials.get("SessionToken"),
                config=Config(
                    retries={"mode": "standard", "max_attempts": 5},
                    s3={"addressing_style": "path"},
                    proxies={},
                    max_pool_connections=16,
                ),
            )
