"""The parts of one laptop SageMaker, made once from its settings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from local.sagemaker.clients import Clients
from local.sagemaker.containers import Containers
from local.sagemaker.errors import SageMakerError, validation
from local.sagemaker.logs import LogShipper
from local.sagemaker.settings import Credentials, Settings
from local.sagemaker.store import Store


@dataclass
class Service:
    settings: Settings
    store: Store = field(default_factory=Store)
    roles_without_metrics: set[str] = field(default_factory=set)
    """Roles that were refused cloudwatch:PutMetricData."""
    clients: Clients = field(init=False)
    containers: Containers = field(init=False)
    logs: LogShipper = field(init=False)
    endpoints: Any = field(init=False)

    def __post_init__(self) -> None:
        from local.sagemaker.deployments import Endpoints

        self.settings.state_dir.mkdir(parents=True, exist_ok=True)
        self.clients = Clients(self.settings)
        self.containers = Containers(self.settings)
        self.logs = LogShipper(self.clients, self.settings.log_flush_seconds)
        self.endpoints = Endpoints(self)

    def role_session(self, role_arn: str) -> Credentials:
        """A session of an execution role; ValidationException where the role does not let SageMaker in."""
        try:
            return self.settings.credentials_for_role(role_arn)
        except SageMakerError:
            raise
        except ValueError as error:
            raise validation(str(error)) from error

    def close(self) -> None:
        self.endpoints.close()
        self.containers.close()
        self.logs.close()
