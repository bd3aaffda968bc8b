"""What each cell comes to: the execution goes on as if nothing had been, or it ends and its cause says why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from local.faults.book import What
from tests.faults.cells import Cell


@dataclass(frozen=True)
class Ending:
    """says: what a user finds in the cause, as a regular expression; empty where the execution goes on."""

    says: str = ""

    @property
    def goes_on(self) -> bool:
        return not self.says


GOES_ON: Final = Ending()
OF_A_FUNCTION: Final[Mapping[What, Ending]] = {
    "throttled": GOES_ON,
    "twice": GOES_ON,
    "times_out": Ending("timed out|Timedout"),
    "crashes": Ending("Runtime.ExitError|exited|died"),
    "garbage": Ending("JSONata|expression|evaluat"),
    "denied": Ending("not authorized to perform"),
}
OF_A_CALL: Final[Mapping[What, Ending]] = {
    "throttled": GOES_ON,
    "twice": GOES_ON,
    "times_out": GOES_ON,
    "crashes": GOES_ON,
    "denied": Ending("not authorized to perform"),
}
OF_A_JOB: Final[Mapping[What, Ending]] = {
    "throttled": GOES_ON,
    "times_out": Ending("MaxRuntimeInSeconds|time"),
    "crashes": Ending("exit code|killed"),
    "disk_full": Ending("No space left|disk"),
    "denied": Ending("not authorized to perform"),
}
OTHERWISE: Final[Mapping[str, Mapping[What, Ending]]] = {}
"""By task, where it comes to something else, and why."""


def ending_of(cell: Cell) -> Ending:
    place = cell.place
    usual = OF_A_JOB if place.job else OF_A_FUNCTION if place.function else OF_A_CALL
    return OTHERWISE.get(place.task, {}).get(cell.what, usual[cell.what])
