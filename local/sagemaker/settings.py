"""What the laptop's SageMaker needs to know of the cloud around it, and the times it shares with AWS."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from local.clock import Clock
from local.containers.launchers import FORKING_IS_SAFE
from local.settings import ACCESS_KEY, HOST, REGION, REPOSITORY, SECRET_KEY

Credentials = Mapping[str, str]
"""AccessKeyId, SecretAccessKey and, for a role's session, SessionToken."""

SERVICE_PRINCIPAL = "sagemaker.amazonaws.com"
APP_IMAGES = {"iops-insights:laptop": "training_container"}
CLOUD_CREDENTIALS: Credentials = {"AccessKeyId": ACCESS_KEY, "SecretAccessKey": SECRET_KEY}


def role_credentials(role_arn: str) -> Credentials:
    """A session of the role, refused where its trust policy does not name SageMaker."""
    from local.permissions import role_session

    return role_session(role_arn, session_name="SageMaker", service=SERVICE_PRINCIPAL)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Times are real, and AWS's unless said otherwise; `clock` paces baking, canary intervals and metrics."""

    state_dir: Path
    endpoint_url: str
    region: str = REGION
    images: Mapping[str, str] = field(default_factory=lambda: dict(APP_IMAGES))
    """End of an image's URI after a slash -> Python module that is its ENTRYPOINT (`python -m module`), or .py file."""
    code_root: Path = REPOSITORY
    """Working directory of every container, as WORKDIR is in the image."""
    use_zygote: bool = FORKING_IS_SAFE
    """Fork containers from a process that has the slow imports behind it."""
    credentials_for_role: Callable[[str], Credentials] = role_credentials
    cloud_credentials: Credentials = field(default_factory=lambda: CLOUD_CREDENTIALS)
    container_environment: Mapping[str, str] = field(default_factory=dict)
    job_stop_grace_seconds: float = 120.0
    endpoint_stop_grace_seconds: float = 30.0
    startup_health_check_seconds: float = 240.0
    """AWS's default where a variant sets no ContainerStartupHealthCheckTimeoutInSeconds."""
    ping_timeout_seconds: float = 2.0
    invocation_timeout_seconds: float = 60.0
    log_flush_seconds: float = 1.0
    capture_flush_seconds: float = 10.0
    """AWS buffers captures for longer; a laptop's reader does not want to wait."""
    ringing_alarms: Callable[[Sequence[str]], Sequence[str]] | None = None
    """Which of these alarms are in ALARM; None asks the laptop's CloudWatch."""
    alarm_poll_seconds: float = 1.0
    clock: Clock = field(default_factory=Clock)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """The settings of the server process, as local.settings.server_environment wrote them."""
        return cls(
            state_dir=Path(environment["IOPS_CLOUD_STATE"]),
            endpoint_url=f"http://{HOST}:{environment['GATEWAY_PORT']}",
            images={**APP_IMAGES, **json.loads(environment.get("IOPS_CLOUD_IMAGES", "{}"))},
            clock=Clock(float(environment.get("SFN_WAIT_SCALE", "1"))),
        )

    @property
    def containers_dir(self) -> Path:
        return self.state_dir / "containers"
