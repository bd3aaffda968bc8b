"""Puts local/sagemaker behind MiniStack's front door and ends its containers with the server."""

from __future__ import annotations

from pathlib import Path

SERVICE = "sagemaker"
"""Control plane and runtime sign with the same name, so one handler serves both and looks at the path."""


def register() -> None:
    from ministack import app
    from ministack.core import router

    from local.sagemaker.http import handle_request

    app.SERVICE_HANDLERS[SERVICE] = handle_request
    router.SERVICE_PATTERNS[SERVICE] = {
        "target_prefixes": ["SageMaker."],
        "host_patterns": [r"^api\.sagemaker\.", r"^runtime\.sagemaker\."],
        "credential_scope": SERVICE,
    }


def stop() -> None:
    from local.sagemaker import containers

    containers.stop_all()


def kill_survivors(state_dir: Path) -> None:
    from local.sagemaker import containers

    containers.kill_survivors(state_dir)
