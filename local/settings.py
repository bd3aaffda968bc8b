"""The laptop cloud's account, region and addresses, and the environment of its server process."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from local.clock import Clock

REPOSITORY = Path(__file__).resolve().parent.parent
ACCOUNT = "000000000000"
REGION = "us-east-1"
HOST = "127.0.0.1"
DEFAULT_PORT = 4566
ACCESS_KEY = "test"
SECRET_KEY = "test"  # noqa: S105 - the laptop's administrator, reachable from this machine alone

DEFAULT_WAIT_SCALE = 0.1
"""A tenth of AWS's time for what only waits, so that a minute takes 6 s (local.clock says what that is)."""

HIDDEN_PREFIXES = ("AWS_", "LOCALSTACK_", "MINISTACK_", "DOCKER_", "LAMBDA_", "SFN_", "PYTHONPATH")
"""A developer's own profile, proxies for other emulators or Docker settings never reach the laptop cloud."""


@dataclass(frozen=True)
class CloudSettings:
    """state_dir holds everything the cloud writes; parent_pid 0 means that nobody is watched.

    images adds container images to the app's own: end of the URI after a slash -> Python module or .py file.
    faults lets tests bring them about (local.faults).
    """

    state_dir: Path
    port: int
    wait_scale: float = DEFAULT_WAIT_SCALE
    record_calls: bool = False
    parent_pid: int = 0
    images: Mapping[str, str] = field(default_factory=dict)
    faults: bool = False

    @property
    def endpoint_url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def clock(self) -> Clock:
        return Clock(self.wait_scale)

    @property
    def calls_file(self) -> Path:
        return self.state_dir / "calls.jsonl"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> CloudSettings:
        """The settings that `server_environment` wrote; for the server process."""
        return cls(
            state_dir=Path(environment["IOPS_CLOUD_STATE"]),
            port=int(environment["GATEWAY_PORT"]),
            wait_scale=float(environment["SFN_WAIT_SCALE"]),
            record_calls=environment["IOPS_CLOUD_RECORD_CALLS"] == "1",
            parent_pid=int(environment["IOPS_CLOUD_PARENT"]),
            images=json.loads(environment["IOPS_CLOUD_IMAGES"]),
            faults=environment["IOPS_CLOUD_FAULTS"] == "1",
        )


def credentials() -> dict[str, str]:
    """The administrator's credentials as boto3 client arguments."""
    return {"aws_access_key_id": ACCESS_KEY, "aws_secret_access_key": SECRET_KEY, "region_name": REGION}


def client_environment(endpoint_url: str, *, base: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a command that is to talk to the laptop cloud and to nothing else."""
    inherited = os.environ if base is None else base
    kept = {name: value for name, value in inherited.items() if not name.startswith(HIDDEN_PREFIXES)}
    return {
        **kept,
        "AWS_ENDPOINT_URL": endpoint_url,
        "AWS_ENDPOINT_URL_S3": endpoint_url,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "NO_PROXY": f"{HOST},localhost",
        "no_proxy": f"{HOST},localhost",
    }


def server_environment(settings: CloudSettings, *, base: Mapping[str, str] | None = None) -> dict[str, str]:
    """MiniStack's settings; it reads them at import, so they must stand before its process starts."""
    state = settings.state_dir.resolve()
    environment = client_environment(settings.endpoint_url, base=base)
    environment.update(
        {
            "AUTH": "true",
            "BIND_HOST": HOST,
            "GATEWAY_PORT": str(settings.port),
            "MINISTACK_ACCOUNT_ID": ACCOUNT,
            "MINISTACK_REGION": REGION,
            "PERSIST_STATE": "0",
            "S3_PERSIST": "0",
            "STATE_DIR": str(state / "ministack"),
            "S3_DATA_DIR": str(state / "ministack" / "s3"),
            "TMPDIR": str(state / "tmp"),
            # No container, no broker and no file server: these would listen on every interface or ask a Docker daemon.
            "DOCKER_HOST": "unix:///nonexistent/docker.sock",
            "SFTP_ENABLED": "0",
            "IOT_MTLS_ENABLED": "0",
            "LAMBDA_EXECUTOR": "local",
            "LOG_LEVEL": "INFO",
            "SFN_WAIT_SCALE": str(settings.wait_scale),
            "IOPS_CLOUD_STATE": str(state),
            "IOPS_CLOUD_RECORD_CALLS": "1" if settings.record_calls else "0",
            "IOPS_CLOUD_PARENT": str(settings.parent_pid),
            "IOPS_CLOUD_IMAGES": json.dumps(dict(settings.images)),
            "IOPS_CLOUD_FAULTS": "1" if settings.faults else "0",
        }
    )
    return environment
