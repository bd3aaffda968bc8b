"""Application Auto Scaling, as far as SageMaker variants need it: MiniStack has none."""

from __future__ import annotations

from local.clock import Clock

SERVICE = "application-autoscaling"


def register(clock: Clock) -> None:
    """Put the service behind MiniStack's front door and start target tracking."""
    from ministack import app
    from ministack.core import router

    from local.autoscaling.http import handle_request
    from local.autoscaling.tracking import Tracker

    app.SERVICE_HANDLERS[SERVICE] = handle_request
    router.SERVICE_PATTERNS[SERVICE] = {
        "target_prefixes": ["AnyScaleFrontendService."],
        "host_patterns": [r"^application-autoscaling\."],
    }
    Tracker(clock).start()
