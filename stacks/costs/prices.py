"""The price table of prices.json: every price with its unit, where it was read and when, and whether that can be relied on."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_FILE = Path(__file__).with_name("prices.json")
_INSTANCE = "instance/"


class UnknownPrice(LookupError):
    """The table has no such entry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """`verified` is False where no dated source for this region was found."""

    usd: float
    unit: str
    source: str
    verified: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """A SageMaker instance type; an hour of it costs the same in an endpoint and in a job."""

    usd_per_hour: float
    vcpus: int
    memory_gib: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceTable:
    region: str
    prices: Mapping[str, Price]
    instances: Mapping[str, Instance]
    sources: Mapping[str, Mapping[str, str]]

    @classmethod
    def read(cls, path: Path = _FILE) -> "PriceTable":
        table = json.loads(path.read_text())
        source, types = table["instances"]["source"], table["instances"]["usd_per_hour_vcpus_memory_gib"]
        instances = {
            name: Instance(usd_per_hour=usd, vcpus=vcpus, memory_gib=memory)
            for name, (usd, vcpus, memory) in types.items()
        }
        hours = {
            _INSTANCE + name: Price(usd=found.usd_per_hour, unit=f"hour of {name}", source=source, verified=True)
            for name, found in instances.items()
        }
        prices = {name: Price(**entry) for name, entry in table["prices"].items()}
        return cls(region=table["region"], prices=prices | hours, instances=instances, sources=table["sources"])

    def price(self, name: str) -> Price:
        """`name` is a key of prices.json, or that of an instance's hour (`instance_hour`)."""
        if name not in self.prices:
            kind, known = ("instance type", self.instances) if name.startswith(_INSTANCE) else ("price", self.prices)
            raise UnknownPrice(
                f"{_FILE.name} has no {kind} {name.removeprefix(_INSTANCE)!r}; add it with its source and date, or "
                f"choose one of {', '.join(sorted(known))}"
            )
        return self.prices[name]


def instance_hour(instance_type: str) -> str:
    return _INSTANCE + instance_type
