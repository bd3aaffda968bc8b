"""Target tracking: when a variant's instance count follows its metric, and the thread that makes it so."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from local.autoscaling import endpoints, events
from local.autoscaling.api import DEFAULT_COOLDOWN_SECONDS
from local.autoscaling.endpoints import VariantSize
from local.autoscaling.targets import TARGETS, Policy, Target
from local.clock import Clock
from local.monitoring.evaluation import SPARE_PERIODS, datapoints, wanted_state

logger = logging.getLogger("iops.autoscaling")

LOOK_EVERY_SECONDS = 5.0
DATA_DELAY_SECONDS = 10.0
"""The metrics of a minute are written when it has ended; target tracking looks a little later."""
HIGH_DATAPOINTS = 3
"""AWS's scale-out alarm: above the target for three one-minute data points."""
LOW_DATAPOINTS = 15
LOW_FRACTION = 0.9
"""AWS's scale-in alarm: below nine tenths of the target for fifteen one-minute data points."""
SCALE_IN_STEP = 1
"""AWS says that it removes capacity "more gradually" than it adds it, and no number; here one instance at a time."""

PREDEFINED_METRICS = {
    "SageMakerVariantInvocationsPerInstance": ("AWS/SageMaker", "InvocationsPerInstance", "Sum"),
}


@dataclass(frozen=True)
class Sizes:
    """`before_out` is what the last scaling out started from, while its cooldown lasts."""

    current: int
    minimum: int
    maximum: int
    before_out: int | None = None


@dataclass(frozen=True)
class Decision:
    desired: int
    reason: str


def decide(
    *,
    sizes: Sizes,
    target_value: float,
    values: Sequence[float | None],
    is_in_scale_in_cooldown: bool = False,
    scale_in_allowed: bool = True,
) -> Decision:
    """The instance count that target tracking wants now, and why. values: per instance and minute, oldest first.

    During a scale-out cooldown what it added counts as part of the next step (Application Auto Scaling user guide,
    "Define cooldown periods"): only a metric that would have asked for more from the start adds more.
    """
    current = sizes.current
    bounded = min(max(current, sizes.minimum), sizes.maximum)
    if bounded != current:
        return Decision(bounded, f"capacity {current} is outside {sizes.minimum} to {sizes.maximum}")
    if _is_in_alarm(values, "GreaterThanThreshold", target_value, HIGH_DATAPOINTS):
        return _scaled_out(sizes, target_value, _newest(values))
    if _is_in_alarm(values, "LessThanThreshold", target_value * LOW_FRACTION, LOW_DATAPOINTS):
        decision = _scaled_in(sizes, target_value, _newest(values))
        if decision.desired == current or not scale_in_allowed:
            return Decision(current, "below the target, but not to be scaled in")
        if is_in_scale_in_cooldown:
            return Decision(current, "below the target, but in the scale-in cooldown")
        return decision
    return Decision(current, "within the target")


def _scaled_out(sizes: Sizes, target_value: float, newest: float) -> Decision:
    basis = sizes.current if sizes.before_out is None else sizes.before_out
    wanted = min(math.ceil(basis * newest / target_value), sizes.maximum)
    return Decision(max(wanted, sizes.current), f"metric {newest:g} is above the target {target_value:g}")


def _scaled_in(sizes: Sizes, target_value: float, newest: float) -> Decision:
    wanted = max(math.ceil(sizes.current * newest / target_value), sizes.current - SCALE_IN_STEP, sizes.minimum)
    low = target_value * LOW_FRACTION
    return Decision(
        min(wanted, sizes.current), f"metric {newest:g} is below {low:g} and has been for {LOW_DATAPOINTS} minutes"
    )


def _newest(values: Sequence[float | None]) -> float:
    return next(value for value in reversed(values) if value is not None)


def _is_in_alarm(values: Sequence[float | None], comparison: str, threshold: float, count: int) -> bool:
    """Whether one of the two alarms of a target tracking policy rings; missing data leaves them without enough."""
    alarm = {"ComparisonOperator": comparison, "Threshold": threshold, "EvaluationPeriods": count}
    return wanted_state(alarm, values[-(count + SPARE_PERIODS) :])[0] == "ALARM"


class Tracker:
    """Looks at every policy once a minute of the clock."""

    def __init__(self, clock: Clock, *, now: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._now = now
        self._stopped = threading.Event()

    def start(self) -> None:
        threading.Thread(target=self._run, daemon=True, name="target-tracking").start()

    def stop(self) -> None:
        self._stopped.set()

    def _run(self) -> None:
        looked = None
        while not self._stopped.wait(self._clock.real(LOOK_EVERY_SECONDS)):
            minute = self._clock.minute_of(self._now() - self._clock.real(DATA_DELAY_SECONDS))
            for target in TARGETS:
                try:
                    self.settle(target)
                    if minute != looked:
                        self.look_at(target)
                except Exception:
                    logger.exception("target tracking of %s failed", target.resource_id)
            looked = minute

    def settle(self, target: Target) -> None:
        """Conclude the activity under way once the endpoint is through with it; cooldowns begin with its end."""
        under_way = target.under_way
        size = _settled_size(target) if under_way else None
        if under_way is None or size is None:
            return
        target.under_way = None
        under_way.activity["EndTime"] = self._now()
        if size.desired != under_way.desired:
            under_way.activity.update(
                StatusCode="Failed", StatusMessage=f"Failed to set desired instance count to {under_way.desired}."
            )
            return
        under_way.activity.update(
            StatusCode="Successful",
            StatusMessage=f"Successfully set desired instance count to {under_way.desired}. "
            "Change successfully fulfilled by sagemaker.",
        )
        policy = under_way.policy
        if under_way.desired > under_way.before:
            policy.scaled_out_at, policy.scaled_out_from = self._now(), under_way.before
            policy.scaled_in_at = None  # scaling out ends the scale-in cooldown
        else:
            policy.scaled_in_at = self._now()
        events.announce(target, under_way)

    def look_at(self, target: Target) -> None:
        """Scale one target if its policies ask for it; with several policies the largest capacity wins."""
        size = _settled_size(target)
        if size is None or target.under_way is not None:
            return
        decisions = [(self._decide(target, policy, size.desired), policy) for policy in target.policies.values()]
        if not decisions:
            return
        decision, policy = max(decisions, key=lambda pair: pair[0].desired)
        if decision.desired != size.desired:
            endpoints.set_size(target.endpoint_name, target.variant_name, decision.desired)
            target.begin(policy, size.desired, decision.desired, decision.reason, now=self._now())

    def _decide(self, target: Target, policy: Policy, current: int) -> Decision:
        configuration, suspended = policy.configuration, target.suspended
        out_cooldown = configuration.get("ScaleOutCooldown", DEFAULT_COOLDOWN_SECONDS)
        is_cooling = self._is_within(policy.scaled_out_at, out_cooldown)
        decision = decide(
            sizes=Sizes(current, target.minimum, target.maximum, policy.scaled_out_from if is_cooling else None),
            target_value=float(configuration["TargetValue"]),
            values=datapoints(metric_of(target, configuration), now=self._now(), clock=self._clock),
            is_in_scale_in_cooldown=self._is_within(
                policy.scaled_in_at, configuration.get("ScaleInCooldown", DEFAULT_COOLDOWN_SECONDS)
            ),
            scale_in_allowed=not (configuration.get("DisableScaleIn") or suspended["DynamicScalingInSuspended"]),
        )
        if decision.desired > current and suspended["DynamicScalingOutSuspended"]:
            return Decision(current, "scaling out is suspended")
        return decision

    def _is_within(self, moment: float | None, cooldown_seconds: float) -> bool:
        return moment is not None and self._clock.aws(self._now() - moment) < cooldown_seconds


def _settled_size(target: Target) -> VariantSize | None:
    """None while the endpoint is being changed, or gone: scaling is blocked then."""
    size = endpoints.variant_size(target.endpoint_name, target.variant_name)
    return size if size is not None and size.status == endpoints.SETTLED else None


def metric_of(target: Target, configuration: dict[str, Any]) -> dict[str, Any]:
    """A policy's metric as the alarms of it name it, over the range of the longer alarm."""
    found: dict[str, Any] = {"Period": 60, "EvaluationPeriods": LOW_DATAPOINTS}
    if predefined := configuration.get("PredefinedMetricSpecification"):
        namespace, name, statistic = PREDEFINED_METRICS[predefined["PredefinedMetricType"]]
        dimensions = {"EndpointName": target.endpoint_name, "VariantName": target.variant_name}
        listed = [{"Name": key, "Value": value} for key, value in dimensions.items()]
        return {**found, "Namespace": namespace, "MetricName": name, "Statistic": statistic, "Dimensions": listed}
    custom = configuration["CustomizedMetricSpecification"]
    return {**found, **{key: custom[key] for key in ("Namespace", "MetricName", "Statistic")}} | {
        "Dimensions": custom.get("Dimensions", [])
    }
