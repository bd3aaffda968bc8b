"""Target tracking: when a variant's instance count follows its metric, and the thread that makes it so."""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from local.autoscaling import endpoints
from local.autoscaling.api import DEFAULT_COOLDOWN_SECONDS
from local.autoscaling.targets import TARGETS, Policy, Target

logger = logging.getLogger("iops.autoscaling")

PERIOD_SECONDS = 60.0
HIGH_DATAPOINTS = 3
"""AWS's scale-out alarm: above the target for three one-minute data points."""
LOW_DATAPOINTS = 15
LOW_FRACTION = 0.9
"""AWS's scale-in alarm: below nine tenths of the target for fifteen one-minute data points."""

PREDEFINED_METRICS = {
    "SageMakerVariantInvocationsPerInstance": ("AWS/SageMaker", "InvocationsPerInstance", "Sum"),
}
CLOCK_SCALE_VARIABLE = "IOPS_SCALING_CLOCK"
"""How many seconds of auto scaling's clock pass in one second of the wall's; 1 unless a test is in a hurry."""


@dataclass(frozen=True)
class Sizes:
    current: int
    minimum: int
    maximum: int


@dataclass(frozen=True)
class Decision:
    desired: int
    reason: str


def decide(
    *,
    sizes: Sizes,
    target_value: float,
    datapoints: Sequence[float],
    seconds_since_out: float,
    seconds_since_in: float,
    out_cooldown: float,
    in_cooldown: float,
    scale_in_allowed: bool = True,
) -> Decision:
    """The instance count that target tracking wants now, and why. datapoints: per-instance values, oldest first."""
    current = sizes.current
    bounded = min(max(current, sizes.minimum), sizes.maximum)
    if bounded != current:
        return Decision(bounded, f"capacity {current} is outside {sizes.minimum} to {sizes.maximum}")
    recent, longer = datapoints[-HIGH_DATAPOINTS:], datapoints[-LOW_DATAPOINTS:]
    if len(recent) == HIGH_DATAPOINTS and min(recent) > target_value:
        wanted = min(math.ceil(current * recent[-1] / target_value), sizes.maximum)
        if wanted > current and seconds_since_out < out_cooldown:
            return Decision(current, f"above the target, but {seconds_since_out:.0f} s into the scale-out cooldown")
        return Decision(max(wanted, current), f"metric {recent[-1]:g} above the target {target_value:g}")
    low = target_value * LOW_FRACTION
    if scale_in_allowed and len(longer) == LOW_DATAPOINTS and max(longer) < low:
        wanted = max(math.ceil(current * max(longer) / target_value), sizes.minimum)
        if wanted < current and min(seconds_since_in, seconds_since_out) < in_cooldown:
            return Decision(current, "below the target, but in the scale-in cooldown")
        return Decision(min(wanted, current), f"metric {longer[-1]:g} below {low:g} for {LOW_DATAPOINTS} minutes")
    return Decision(current, "within the target")


class Tracker:
    """Looks at every policy once a minute of its clock."""

    def __init__(self, *, clock_scale: float = 1.0, now: Callable[[], float] = time.time) -> None:
        self.clock_scale = clock_scale
        self._now = now
        self._stopped = threading.Event()

    def start(self) -> None:
        threading.Thread(target=self._run, daemon=True, name="target-tracking").start()

    def stop(self) -> None:
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.wait(PERIOD_SECONDS / self.clock_scale):
            for target in TARGETS:
                try:
                    self.look_at(target)
                except Exception:
                    logger.exception("target tracking of %s failed", target.resource_id)

    def look_at(self, target: Target) -> None:
        """Scale one target if its policies ask for it; with several policies the largest capacity wins."""
        size = endpoints.variant_size(target.endpoint_name, target.variant_name)
        if size is None or size.status != endpoints.SETTLED:
            return
        sizes = Sizes(size.desired, target.minimum, target.maximum)
        decisions = [(self._decide(target, policy, sizes), policy) for policy in target.policies.values()]
        if not decisions:
            return
        decision, policy = max(decisions, key=lambda pair: pair[0].desired)
        if decision.desired != sizes.current:
            self._scale(target, policy, sizes.current, decision)

    def _decide(self, target: Target, policy: Policy, sizes: Sizes) -> Decision:
        configuration = policy.configuration
        suspended = target.suspended
        decision = decide(
            sizes=sizes,
            target_value=float(configuration["TargetValue"]),
            datapoints=self._datapoints(target, configuration),
            seconds_since_out=self._since(policy.last_scaled_out),
            seconds_since_in=self._since(policy.last_scaled_in),
            out_cooldown=configuration.get("ScaleOutCooldown", DEFAULT_COOLDOWN_SECONDS),
            in_cooldown=configuration.get("ScaleInCooldown", DEFAULT_COOLDOWN_SECONDS),
            scale_in_allowed=not (configuration.get("DisableScaleIn") or suspended["DynamicScalingInSuspended"]),
        )
        if decision.desired > sizes.current and suspended["DynamicScalingOutSuspended"]:
            return Decision(sizes.current, "scaling out is suspended")
        return decision

    def _since(self, moment: float | None) -> float:
        return math.inf if moment is None else (self._now() - moment) * self.clock_scale

    def _scale(self, target: Target, policy: Policy, current: int, decision: Decision) -> None:
        endpoints.set_size(target.endpoint_name, target.variant_name, decision.desired)
        if decision.desired > current:
            policy.last_scaled_out = self._now()
        else:
            policy.last_scaled_in = self._now()
        target.note_activity(
            f"Setting desired instance count to {decision.desired}.", f"policy {policy.name}: {decision.reason}"
        )

    def _datapoints(self, target: Target, configuration: dict[str, Any]) -> list[float]:
        namespace, name, statistic, dimensions = metric_of(target, configuration)
        period = PERIOD_SECONDS / self.clock_scale
        return read_metric(
            namespace, name, statistic, dimensions, end=self._now(), period_seconds=period, count=LOW_DATAPOINTS
        )


def metric_of(target: Target, configuration: dict[str, Any]) -> tuple[str, str, str, dict[str, str]]:
    """Namespace, name, statistic and dimensions of a policy's metric."""
    if predefined := configuration.get("PredefinedMetricSpecification"):
        namespace, name, statistic = PREDEFINED_METRICS[predefined["PredefinedMetricType"]]
        return namespace, name, statistic, {"EndpointName": target.endpoint_name, "VariantName": target.variant_name}
    custom = configuration["CustomizedMetricSpecification"]
    dimensions = {entry["Name"]: entry["Value"] for entry in custom.get("Dimensions", [])}
    return custom["Namespace"], custom["MetricName"], custom["Statistic"], dimensions


def read_metric(
    namespace: str,
    name: str,
    statistic: str,
    dimensions: dict[str, str],
    *,
    end: float,
    period_seconds: float,
    count: int,
) -> list[float]:
    """The last `count` whole periods before `end`, oldest first; a period without data counts as zero once data began.

    SageMaker reports zeros for an idle variant, so a gap after the first data point is idleness.
    """
    from ministack.services import cloudwatch

    points = [
        point
        for (space, metric, _), stored in list(cloudwatch._metrics.items())
        if (space, metric) == (namespace, name)
        for point in list(stored)
        if point.get("Dimensions") == dimensions
    ]
    if not points:
        return []
    last_edge = math.floor(end / period_seconds) * period_seconds
    first = min(point["Timestamp"] for point in points)
    values = []
    for index in range(count, 0, -1):
        start = last_edge - index * period_seconds
        if start + period_seconds <= first:
            continue
        inside = [point for point in points if start <= point["Timestamp"] < start + period_seconds]
        stats = cloudwatch._calc_stats(inside)
        values.append(float(stats.get(statistic, 0.0)) if stats else 0.0)
    return values


def clock_scale() -> float:
    return float(os.environ.get(CLOCK_SCALE_VARIABLE, "1"))
