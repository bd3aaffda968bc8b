"""Puts local/sagemaker behind MiniStack's front door and ends its containers with the server."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from local.sagemaker.state_events import Event
    from local.sagemaker.store import Change

SERVICE = "sagemaker"
"""Control plane and runtime sign with the same name, so one handler serves both and looks at the path."""


def register() -> None:
    from ministack import app
    from ministack.core import router

    from local.sagemaker import api
    from local.sagemaker.http import handle_request
    from local.sagemaker.state_events import Notifier

    app.SERVICE_HANDLERS[SERVICE] = handle_request
    router.SERVICE_PATTERNS[SERVICE] = {
        "target_prefixes": ["SageMaker."],
        "host_patterns": [r"^api\.sagemaker\.", r"^runtime\.sagemaker\."],
        "credential_scope": SERVICE,
    }
    api.on_change(Notifier(_put_event, described=_described))


def _put_event(event: Event) -> None:
    from local.events import put_event
    from local.sagemaker import state_events

    put_event(state_events.SOURCE, event.detail_type, event.detail, resources=[event.resource])


def _described(change: Change) -> Mapping[str, Any]:
    """An endpoint's event has the variants that Describe adds."""
    from local.sagemaker import api, endpoints

    if change.kind != "Endpoint":
        return change.body
    return endpoints.describe_endpoint(api.service(), change.scope, {"EndpointName": change.name})


def stop() -> None:
    from local.sagemaker import containers

    containers.stop_all()


def kill_survivors(state_dir: Path) -> None:
    from local.sagemaker import containers

    containers.kill_survivors(state_dir)
