"""Changes of endpoints, one at a time each: created, replaced blue/green, resized, deleted.

A new fleet is healthy before it gets traffic; when it fails or an alarm rings, the old one goes on as if nothing was.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from local.sagemaker import endpoint_configs, jobs, models
from local.sagemaker.errors import JobFailed
from local.sagemaker.fleet import Fleet, VariantFleet
from local.sagemaker.store import Record, now
from local.sagemaker.telemetry import Telemetry

if TYPE_CHECKING:
    from local.sagemaker.service import Service

logger = logging.getLogger("iops.sagemaker")
KIND = "Endpoint"


@dataclass(eq=False)
class Live:
    """What one endpoint serves with: fleets and their shares of the traffic (two while an update shifts it)."""

    routes: list[tuple[Fleet, float]] = field(default_factory=list)
    current: Fleet | None = None
    """What Describe tells of: the fleet that stays if the update fails."""
    next_config: str | None = None
    update_started: datetime | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def pick(self) -> Fleet | None:
        routes = self.routes
        return random.choices([fleet for fleet, _ in routes], [share for _, share in routes])[0] if routes else None

    def serves_with(self, fleet: Fleet) -> bool:
        return any(fleet is serving for serving, _ in self.routes)

    def serve_with(self, fleet: Fleet | None) -> None:
        self.routes = [(fleet, 1.0)] if fleet else []
        self.current = fleet


class Endpoints:
    """Every endpoint of one laptop cloud."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self.telemetry = Telemetry(service, self._serving)

    def live(self, record: Record) -> Live:
        found: Live = record.memory["live"]
        return found

    def create(self, record: Record) -> None:
        def work() -> None:
            fleet = self._fleet(record, record.body["EndpointConfigName"])
            try:
                fleet.start()
            except Exception as error:
                fleet.stop()
                self._settle(record, "Failed", FailureReason=jobs.reason_of(error))
                return
            self.live(record).serve_with(fleet)
            self._settle(record, "InService")

        self._run(record, work)

    def update(self, record: Record, request: Mapping[str, Any], deployment: Mapping[str, Any]) -> None:
        """Blue/green: the new fleet is healthy before it gets traffic, the old one ends after the new one has baked."""
        live = self.live(record)
        live.next_config, live.update_started = request["EndpointConfigName"], now()

        def work() -> None:
            old = live.current
            assert old is not None  # noqa: S101 - an endpoint InService has one
            new = None
            try:
                new = self._fleet(record, request["EndpointConfigName"], retained(old, request))
                new.start()
                self._shift(live, old, new, deployment)
            except Exception as error:
                self._settle(record, "RollingBack")
                live.serve_with(old)
                live.next_config = None
                if new is not None:
                    new.stop()
                self._settle(record, "InService", FailureReason=jobs.reason_of(error))
                return
            live.serve_with(new)
            live.next_config = None
            old.stop()
            done = {"EndpointConfigName": new.config_name, "LastDeploymentConfig": dict(deployment) or None}
            self._settle(record, "InService", FailureReason=None, **done)

        self._run(record, work)

    def resize(self, record: Record, wanted: Mapping[str, Mapping[str, Any]]) -> None:
        def work() -> None:
            fleet = self.live(record).current
            reason = None
            try:
                for name, change in wanted.items():
                    variant = fleet.named(name) if fleet else None
                    if variant is not None:
                        variant.weight = float(change.get("DesiredWeight", variant.weight))
                        variant.resize(int(change.get("DesiredInstanceCount", variant.desired)))
            except Exception as error:
                reason = jobs.reason_of(error)
            self._settle(record, "InService", FailureReason=reason)

        self._run(record, work)

    def delete(self, record: Record) -> None:
        def work() -> None:
            live = self.live(record)
            fleets = {id(fleet): fleet for fleet, _ in live.routes}
            live.serve_with(None)
            for fleet in fleets.values():
                fleet.stop()
            self.telemetry.forget(record.name)
            self._service.store.remove(record)

        self._run(record, work)

    def close(self) -> None:
        """The containers themselves end with the cloud's; nothing is replaced any more."""
        self.telemetry.close()
        for fleet in (fleet for record in self._service.store.all(KIND) for fleet, _ in self.live(record).routes):
            for variant in fleet.everything():
                variant.desired = 0

    def _serving(self) -> list[VariantFleet]:
        fleets = (fleet for record in self._service.store.all(KIND) for fleet, _ in self.live(record).routes)
        return [variant for fleet in fleets for variant in fleet.everything()]

    def _run(self, record: Record, work: Callable[[], None]) -> None:
        """One change of an endpoint at a time, in its own thread."""

        def alone() -> None:
            with self.live(record).lock:
                try:
                    work()
                except Exception as error:
                    self._settle(record, "Failed", FailureReason=jobs.reason_of(error))

        jobs.run_in_background(f"endpoint-{record.name}", alone)

    def _fleet(self, record: Record, config_name: str, kept: Retained | None = None) -> Fleet:
        config = endpoint_configs.get(self._service, record.scope, config_name).body
        kept = kept or Retained({}, {}, None)

        def fleet_of(variant: Mapping[str, Any], *, is_shadow: bool) -> VariantFleet:
            name = variant["VariantName"]
            default_seconds = self._service.settings.startup_health_check_seconds
            return VariantFleet(
                service=self._service,
                endpoint=record.name,
                name=name,
                servable=models.servable(self._service, record.scope, variant["ModelName"]),
                weight=kept.weights.get(name, float(variant.get("InitialVariantWeight", 1.0))),
                desired=kept.counts.get(name, int(variant.get("InitialInstanceCount", 1))),
                health_check_seconds=float(variant.get("ContainerStartupHealthCheckTimeoutInSeconds", default_seconds)),
                is_shadow=is_shadow,
                config_name=config_name,
            )

        production = [fleet_of(variant, is_shadow=False) for variant in config["ProductionVariants"]]
        shadows = [fleet_of(variant, is_shadow=True) for variant in config.get("ShadowProductionVariants", [])]
        return Fleet(
            config_name,
            {variant.name: variant for variant in production},
            {variant.name: variant for variant in shadows},
            kept.capture or config.get("DataCaptureConfig"),
        )

    def _shift(self, live: Live, old: Fleet, new: Fleet, deployment: Mapping[str, Any]) -> None:
        """Give the new fleet its shares one after the other; an alarm on the way raises."""
        alarms = [alarm["AlarmName"] for alarm in deployment.get("AutoRollbackConfiguration", {}).get("Alarms", [])]
        for share, wait_seconds in steps(deployment, old):
            live.routes = [(new, share), (old, 1 - share)] if share < 1 else [(new, 1.0)]
            self._bake(alarms, wait_seconds)

    def _bake(self, alarms: Sequence[str], seconds: float) -> None:
        settings = self._service.settings
        deadline = time.monotonic() + settings.clock.real(seconds)
        while True:
            ringing = self._ringing(alarms) if alarms else []
            if ringing:
                raise JobFailed(
                    f"One or more configured alarms are in the ALARM state: {', '.join(ringing)}. "
                    "The deployment was rolled back."
                )
            left = deadline - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(left, settings.alarm_poll_seconds))

    def _ringing(self, alarms: Sequence[str]) -> list[str]:
        if self._service.settings.ringing_alarms is not None:
            return sorted(self._service.settings.ringing_alarms(alarms))
        found = self._service.clients.for_cloud("cloudwatch").describe_alarms(
            AlarmNames=list(alarms), AlarmTypes=["MetricAlarm", "CompositeAlarm"], StateValue="ALARM"
        )
        return sorted(
            alarm["AlarmName"] for kind in ("MetricAlarms", "CompositeAlarms") for alarm in found.get(kind, [])
        )

    def _settle(self, record: Record, status: str, **members: Any) -> None:
        """A member given as None is removed."""
        with self._service.store.changing(record) as body:
            body.update(EndpointStatus=status, **members)
            for member in [name for name, value in body.items() if value is None]:
                del body[member]


@dataclass(frozen=True)
class Retained:
    """What an update takes over from the variants of the same name."""

    counts: Mapping[str, int]
    weights: Mapping[str, float]
    capture: Mapping[str, Any] | None


def retained(old: Fleet, request: Mapping[str, Any]) -> Retained:
    """RetainAllVariantProperties less ExcludeRetainedVariantProperties: what scaling and operators arrived at."""
    if not request.get("RetainAllVariantProperties"):
        return Retained({}, {}, None)
    excluded = {entry["VariantPropertyType"] for entry in request.get("ExcludeRetainedVariantProperties", [])}
    variants = old.everything()
    return Retained(
        {} if "DesiredInstanceCount" in excluded else {variant.name: variant.desired for variant in variants},
        {} if "DesiredWeight" in excluded else {variant.name: variant.weight for variant in variants},
        None if "DataCaptureConfig" in excluded else old.capture,
    )


def steps(deployment: Mapping[str, Any], old: Fleet) -> list[tuple[float, float]]:
    """The new fleet's shares of the traffic and the seconds after each; at the end all, then the termination wait."""
    policy = deployment.get("BlueGreenUpdatePolicy", {})
    routing = policy.get("TrafficRoutingConfiguration", {})
    wait = float(routing.get("WaitIntervalInSeconds", 0))
    last = (1.0, float(policy.get("TerminationWaitInSeconds", 0)))
    if routing.get("Type") == "CANARY":
        return [(share_of(routing["CanarySize"], old), wait), last]
    if routing.get("Type") == "LINEAR":
        step = share_of(routing["LinearStepSize"], old)
        count = int(1 / step + 1e-9)
        return [*((step * number, wait) for number in range(1, count + 1) if step * number < 1 - 1e-9), last]
    return [last]


def share_of(size: Mapping[str, Any], old: Fleet) -> float:
    """The part of the traffic for a CanarySize or LinearStepSize: its part of the endpoint's capacity."""
    if size["Type"] == "CAPACITY_PERCENT":
        return float(size["Value"]) / 100
    return float(size["Value"]) / max(1, sum(variant.desired for variant in old.variants.values()))


def largest_share_of(size: Mapping[str, Any], old: Fleet) -> float:
    """Its part of the capacity of the variant with fewest instances."""
    if size["Type"] == "CAPACITY_PERCENT":
        return float(size["Value"]) / 100
    return float(size["Value"]) / max(1, min(variant.desired for variant in old.variants.values()))
