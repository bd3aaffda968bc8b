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
    "garbage": Ending("the function answered without"),
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
    "times_out": Ending("MaxRuntimeInSeconds"),
    "crashes": GOES_ON,
    "lost": GOES_ON,
    "disk_full": Ending("the volume of the instance is full"),
    "denied": Ending("not authorized to perform"),
}
_RETRIED: Final[Mapping[What, Ending]] = {"times_out": GOES_ON, "crashes": GOES_ON}
_UNDESCRIBED: Final[Mapping[What, Ending]] = {**_RETRIED, "garbage": GOES_ON}
_OF_A_TUNING: Final[Mapping[What, Ending]] = {"crashes": Ending("exit code: 137")}
OTHERWISE: Final[Mapping[str, Mapping[What, Ending]]] = {
    # A part of the export is tried again whatever it fails by, except for what no trying helps.
    "ExportSegment": _RETRIED,
    "ExportFile": _RETRIED,
    # An execution that fails does so with what was caught, if it cannot be told better.
    "DescribeFailure": _UNDESCRIBED,
    "DescribeRiskFailure": _UNDESCRIBED,
    "DescribePerformanceFailure": _UNDESCRIBED,
    # That nobody could be told is a part of the output.
    "Notify": {"denied": GOES_ON},
    # SageMaker counts a trial whose container was killed as failed, and these tunings have one trial.
    "TuneRisk": _OF_A_TUNING,
    "TunePerformance": _OF_A_TUNING,
}
"""By task, where it comes to something else, and why."""


def ending_of(cell: Cell) -> Ending:
    place = cell.place
    usual = OF_A_JOB if place.job else OF_A_FUNCTION if place.function else OF_A_CALL
    return OTHERWISE.get(place.task, {}).get(cell.what, usual[cell.what])
