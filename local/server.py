"""The laptop cloud's server process: `python -m local.server`, started by local.cloud with the environment it needs.

MiniStack reads its settings when it is imported, so they arrive by environment; what it lacks is registered in the
tables that it dispatches through, before it serves the first request.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
from typing import Any

from local.processes import ProcessIdentity, exit_with_parent
from local.settings import HOST, CloudSettings

logger = logging.getLogger("iops.cloud")

SHUTDOWN_SECONDS = 4.0


def main() -> int:
    settings = CloudSettings.from_environment(os.environ)
    (settings.state_dir / "tmp").mkdir(parents=True, exist_ok=True)
    if settings.parent_pid and (parent := ProcessIdentity.of(settings.parent_pid)):
        exit_with_parent(parent)
    register_everything(settings)
    asyncio.run(serve(settings))
    return 0


def register_everything(settings: CloudSettings) -> None:
    """Add to MiniStack what this project needs of AWS and what MiniStack does differently; once per process."""
    from local import (
        autoscaling,
        cloudformation,
        events,
        faults,
        gateway,
        lambda_workers,
        monitoring,
        number_texts,
        permissions,
        sagemaker_service,
        states,
        streams,
        table_export,
        throughput,
    )

    permissions.register(settings)
    lambda_workers.register()
    sagemaker_service.register()
    autoscaling.register(settings.clock)
    gateway.register()
    states.register(settings)
    streams.register()
    throughput.register()
    number_texts.register()
    table_export.register(settings)
    recorder = monitoring.register(settings.clock)
    events.register(settings.clock, recorder)
    cloudformation.register(settings)
    permissions.wrap_handlers()
    if settings.faults:
        faults.register(settings)


async def serve(settings: CloudSettings) -> None:
    """Serve until SIGTERM or SIGINT, then end every child."""
    from hypercorn.asyncio import serve as hypercorn_serve
    from hypercorn.config import Config
    from ministack.core.hypercorn_compat import install

    install()
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stop() -> None:
        stopping.set()
        last_resort = threading.Timer(SHUTDOWN_SECONDS, leave)
        last_resort.daemon = True
        last_resort.start()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    config = Config()
    config.bind = [f"{HOST}:{settings.port}"]
    config.keep_alive_timeout = 75
    config.graceful_timeout = 0.5
    config.loglevel = "WARNING"
    from ministack.app import app

    application: Any = app
    try:
        await hypercorn_serve(application, config, shutdown_trigger=stopping.wait)
    finally:
        leave()


def leave() -> None:
    """End at once: threads of executions and stack updates may wait for hours, and nothing they could do is wanted."""
    end_children()
    sys.stdout.flush()
    os._exit(0)


def end_children() -> None:
    """SageMaker's containers first (theirs is the longest shutdown), then the Lambda workers and whatever is left."""
    from local import sagemaker_service
    from local.processes import descendants, end

    sagemaker_service.stop()
    end(descendants(os.getpid()), grace_seconds=1.0)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    sys.exit(main())
