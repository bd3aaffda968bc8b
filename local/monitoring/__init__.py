"""CloudWatch on the laptop: what AWS's services count about themselves, embedded metrics, and alarms that ring by it."""

from __future__ import annotations

from local.clock import Clock
from local.monitoring.recorder import Recorder


def register(clock: Clock) -> Recorder:
    """Give what counts for everything else that has something to count."""
    from local.monitoring import (
        alarms,
        executions,
        functions,
        gateway,
        metric_data,
        query_definitions,
        reading,
        tables,
    )

    recorder = Recorder(clock)
    for module in (functions, executions, gateway, tables):
        module.register(recorder)
    reading.register(recorder)
    alarms.register(clock, recorder)
    query_definitions.register()
    metric_data.register()
    return recorder
