"""A live endpoint that falls ill as it is told, and gets well again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.e2e.served_models import ServedModels, endpoint_name, image_uri
from tests.e2e.throttling import ThrottlingProxy

MOODY: Final = {"moody:1": str(Path(__file__).parent / "images" / "moody.py")}
FAULTS: Final = ("slow", "shedding", "throttled", "stopped", "garbling")


@dataclass(frozen=True)
class MoodyEndpoint:
    """Functions that ask at `url` meet its faults."""

    fault_file: Path
    proxy: ThrottlingProxy

    @property
    def url(self) -> str:
        return self.proxy.url

    @contextmanager
    def ill(self, fault: str) -> Iterator[None]:
        """One of FAULTS, until the block ends."""
        self.proxy.is_throttling = fault == "throttled"
        self.fault_file.write_text(fault)
        try:
            yield
        finally:
            self.proxy.is_throttling = False
            self.fault_file.write_text("")


@contextmanager
def moody_endpoint(served: ServedModels, kind: str, fault_file: Path) -> Iterator[MoodyEndpoint]:
    """Promotes the trained model of the kind behind the image of MOODY, which the deployment must know."""
    fault_file.write_text("")
    package = served.register(kind, image=image_uri("moody:1"), environment={"FAULT_FILE": str(fault_file)})
    served.make_live(kind, package)
    with ThrottlingProxy(served.cloud.endpoint_url, endpoint_name=endpoint_name(kind)) as proxy:
        yield MoodyEndpoint(fault_file, proxy)
