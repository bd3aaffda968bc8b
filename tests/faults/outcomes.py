"""What each cell comes to: the execution goes on as if nothing had been, or it ends and its cause says why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from local.faults.book import What
from tests.faults.cells import Cell


@dataclass(frozen=True)
class Ending:
    """says: what a user finds in the cause, as a regular expression; empty where the execution goes on as if nothing had
    been. succeeds: it goes on, and its output says so. left: the configurations and models that stay, and are named."""

    says: str = ""
    succeeds: bool = False
    left: tuple[int, int] = (0, 0)

    @property
    def goes_on(self) -> bool:
        return not self.says


GOES_ON: Final = Ending()
DENIED: Final = "not authorized to perform"
OF_A_FUNCTION: Final[Mapping[What, Ending]] = {
    "throttled": GOES_ON,
    "twice": GOES_ON,
    "times_out": Ending("timed out|Timedout"),
    "crashes": Ending("Runtime.ExitError|exited|died"),
    "garbage": Ending("the function answered without"),
    "denied": Ending(DENIED),
}
OF_A_CALL: Final[Mapping[What, Ending]] = {
    "throttled": GOES_ON,
    "twice": GOES_ON,
    "times_out": GOES_ON,
    "crashes": GOES_ON,
    "denied": Ending(DENIED),
}
OF_A_JOB: Final[Mapping[What, Ending]] = {
    "throttled": GOES_ON,
    "times_out": Ending("MaxRuntimeInSeconds"),
    "crashes": GOES_ON,
    "lost": GOES_ON,
    "disk_full": Ending("the volume of the instance is full"),
    "denied": Ending(DENIED),
}
_NOT_RELIED_ON: Final[Mapping[What, Ending]] = {"times_out": GOES_ON, "crashes": GOES_ON, "garbage": GOES_ON}
_OF_A_TUNING: Final[Mapping[What, Ending]] = {"crashes": Ending("exit code: 137")}
OTHERWISE: Final[Mapping[str, Mapping[What, Ending]]] = {
    # A part of the export is tried again whatever it fails by, except for what no trying helps. Its answer is for people.
    "ExportSegment": _NOT_RELIED_ON,
    "ExportFile": _NOT_RELIED_ON,
    # An execution that fails does so with what was caught, if it cannot be told better.
    "DescribeFailure": _NOT_RELIED_ON,
    "DescribeRiskFailure": _NOT_RELIED_ON,
    "DescribePerformanceFailure": _NOT_RELIED_ON,
    # That nobody could be told is a part of the output.
    "Notify": {"denied": GOES_ON},
    # So is that a promotion has no record, and what it leaves because it may not look at it or delete it.
    "RecordPromotion": {"denied": Ending(DENIED, succeeds=True)},
    "DescribeLive": {"denied": Ending(DENIED, succeeds=True)},
    "DescribeLiveConfig": {"denied": Ending(DENIED, succeeds=True)},
    "DescribeReplaced": {"denied": Ending(DENIED, succeeds=True, left=(1, 1))},
    "DeleteReplacedConfig": {"denied": Ending(DENIED, succeeds=True, left=(1, 1))},
    "DeleteReplacedModel": {"denied": Ending(DENIED, succeeds=True, left=(0, 1))},
    # One that is taken back leaves what was live, in another configuration now, and what was refused.
    "DescribeLiveRefused": {"denied": Ending(DENIED, left=(2, 2))},
    "DescribeLiveConfigRefused": {"denied": Ending(DENIED, left=(2, 2))},
    "DescribeReplacedRefused": {"denied": Ending(DENIED, left=(2, 2))},
    "DeleteReplacedConfigRefused": {"denied": Ending(DENIED, left=(2, 2))},
    "DeleteReplacedModelRefused": {"denied": Ending(DENIED, left=(0, 2))},
    "DescribeStackRolledBack": {"denied": Ending(DENIED, left=(2, 2))},
    # One that may not be taken back, or not be followed, leaves what was live before.
    "RollBack": {"denied": Ending(DENIED, left=(1, 1))},
    "DescribeStackUnanswered": {"denied": Ending(DENIED, left=(1, 1))},
    # SageMaker counts a trial whose container was killed as failed, and these tunings have one trial.
    "TuneRisk": _OF_A_TUNING,
    "TunePerformance": _OF_A_TUNING,
}
"""By task, where it comes to something else, and why."""


def ending_of(cell: Cell) -> Ending:
    place = cell.place
    usual = OF_A_JOB if place.job else OF_A_FUNCTION if place.function else OF_A_CALL
    return OTHERWISE.get(place.task, {}).get(cell.what, usual[cell.what])
