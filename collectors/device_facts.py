"""What a source cannot know of its devices and an operator says once: whose they are, their class, objective and limit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class DeviceFacts:
    """`host` comes before the / of a device's id (the group whose devices share a split); the others go into every row."""

    host: str
    device_class: str | None = None
    latency_slo_ms: float | None = None
    provisioned_iops: float | None = None

    def of(self, device: str) -> dict[str, Any]:
        """The fields of an insight that do not change; a device that names its host itself is left as it is."""
        return {
            "device_id": f"{self.host}/{device}" if self.host else device,
            "device_class": self.device_class,
            "latency_slo_ms": self.latency_slo_ms,
            "provisioned_iops": self.provisioned_iops,
        }


def significant(value: float, digits: int = 6) -> float:
    """A measured number without the digits that nobody measured."""
    return float(f"{value:.{digits}g}")
