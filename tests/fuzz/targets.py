"""All targets by name."""

from __future__ import annotations

from tests.fuzz.surfaces import inputs, insight_formats, requests, stored
from tests.fuzz.target import Target

QUICK: tuple[Target, ...] = (*insight_formats.TARGETS, *requests.TARGETS, *inputs.TARGETS, *stored.TARGETS)


def every() -> dict[str, Target]:
    return {target.name: target for target in (*QUICK, *inputs.slow_targets())}
