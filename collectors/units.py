"""Units that a mapping may name for a column, and what one of each is in the insight's own unit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

KIB: Final = 1024
SECTOR: Final = 512


@dataclass(frozen=True, slots=True)
class Unit:
    """`factor` insight units; `is_per_interval`: of the whole interval, so that it is divided by the interval's seconds."""

    factor: float
    is_per_interval: bool = False


AS_IT_IS: Final = Unit(1)
_BYTES: Final = {
    "B": 1,
    "kB": 1e3,
    "KiB": KIB,
    "MB": 1e6,
    "MiB": KIB**2,
    "GB": 1e9,
    "GiB": KIB**3,
    "sectors": SECTOR,
}
_BITS: Final = {"kb": 1e3 / 8, "Mb": 1e6 / 8, "Gb": 1e9 / 8}
_SECONDS: Final = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}
MILLISECONDS: Final = {name: Unit(seconds * 1000) for name, seconds in _SECONDS.items()}
RATES: Final = {
    "1/s": Unit(1),
    "1000/s": Unit(1000),
    "1/min": Unit(1 / 60),
    "1/interval": Unit(1, is_per_interval=True),
}
BANDWIDTHS: Final = {
    **{f"{name}/s": Unit(size / 1e6) for name, size in {**_BYTES, **_BITS}.items()},
    **{f"{name}/interval": Unit(size / 1e6, is_per_interval=True) for name, size in _BYTES.items()},
}
SHARES: Final = {"share": Unit(1), "%": Unit(0.01)}
UNITS: Final[Mapping[str, Mapping[str, Unit]]] = {
    "interval_seconds": {name: Unit(seconds) for name, seconds in _SECONDS.items()},
    "read_iops": RATES,
    "write_iops": RATES,
    "provisioned_iops": {name: unit for name, unit in RATES.items() if not unit.is_per_interval},
    "avg_latency_ms": MILLISECONDS,
    "p95_latency_ms": MILLISECONDS,
    "p99_latency_ms": MILLISECONDS,
    "latency_slo_ms": MILLISECONDS,
    "bandwidth_mbps": BANDWIDTHS,
    "error_rate": SHARES,
    "sequential_ratio": SHARES,
    "io_size_kib": {name: Unit(size / KIB) for name, size in _BYTES.items()},
    "queue_depth": {"1": Unit(1)},
    "performance_score": {"points": Unit(1)},
}
"""By number field; a column without a unit is in the insight's own."""
