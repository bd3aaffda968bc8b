"""CloudWatch on the laptop: what AWS's services count about themselves, embedded metrics, and alarms that ring by it."""

from __future__ import annotations

from local.clock import Clock


def register(clock: Clock) -> None:
    from local.monitoring import alarms, executions, functions, gateway, query_definitions, reading, tables
    from local.monitoring.recorder import Recorder

    recorder = Recorder(clock)
    for module in (functions, executions, gateway, tables):
        module.register(recorder)
    reading.register(recorder)
    alarms.register(clock, recorder)
    query_definitions.register()
