"""Application Auto Scaling, as far as SageMaker variants need it: MiniStack has none."""

from __future__ import annotations

SERVICE = "application-autoscaling"


def register() -> None:
    """Put the service behind MiniStack's front door and start target tracking."""
    from ministack import app
    from ministack.core import router

    from local.autoscaling.http import handle_request
    from local.autoscaling.tracking import Tracker, clock_scale

    app.SERVICE_HANDLERS[SERVICE] = handle_request
    router.SERVICE_PATTERNS[SERVICE] = {
        "target_prefixes": ["AnyScaleFrontendService."],
        "host_patterns": [r"^application-autoscaling\."],
    }
    Tracker(clock_scale=clock_scale()).start()
