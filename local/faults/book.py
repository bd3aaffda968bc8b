"""Which faults are armed, as a file that tests write and the server reads, and which have struck."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

Where = Literal["call", "function", "job", "task"]
What = Literal["throttled", "times_out", "crashes", "lost", "garbage", "denied", "disk_full", "twice"]


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One fault and where it strikes.

    name: of a call the IAM action (s3:PutObject; * is any), of a function its folder in lambdas/, of a job its first
    argument (engineer), of a task its state. A call's `caller` is text of the caller's session ARN or the name of its state;
    `holding` is text of its path or body, of a job its further arguments. It strikes `times` times, after `skip` that
    it let pass; of a function that crashes, `skip` is the number of calls to AWS that it still makes. A call that times
    out is answered `late_seconds` later; 1.5 are past the second that a task or function with that fault is given.
    """

    id: str
    where: Where
    name: str
    what: What
    caller: str = ""
    holding: str = ""
    times: int = 1
    skip: int = 0
    late_seconds: float = 1.5

    def fits(self, where: Where, name: str, *, caller: str, holding: str) -> bool:
        return self.where == where and self.name in (name, "*") and self.caller in caller and self.holding in holding


class Book:
    """The faults of one laptop cloud; both sides know it by its state folder."""

    def __init__(self, state_dir: Path) -> None:
        self._armed, self._struck = state_dir / "faults.json", state_dir / "faults-struck.jsonl"
        self._met: Counter[str] = Counter()
        self._lock = threading.Lock()

    def arm(self, faults: Sequence[Fault]) -> None:
        """These and no others; written at once, as the server may read at any moment."""
        unfinished = self._armed.with_suffix(".unfinished")
        unfinished.write_text(json.dumps([asdict(fault) for fault in faults]))
        unfinished.replace(self._armed)

    def armed(self) -> list[Fault]:
        try:
            return [Fault(**fault) for fault in json.loads(self._armed.read_text())]
        except FileNotFoundError:
            return []

    def take(
        self, where: Where, name: str, *, whats: Sequence[What] = (), caller: str = "", holding: str = ""
    ) -> Fault | None:
        """The fault (one of `whats`, if given) that strikes here and now, which is noted."""
        for fault in self.armed():
            if whats and fault.what not in whats:
                continue
            if fault.fits(where, name, caller=caller, holding=holding) and self._strikes(fault):
                return fault
        return None

    def _strikes(self, fault: Fault) -> bool:
        skipped = 0 if fault.where == "function" else fault.skip
        with self._lock:
            self._met[fault.id] += 1
            if not skipped < self._met[fault.id] <= skipped + fault.times:
                return False
            with self._struck.open("a") as struck:
                struck.write(json.dumps(fault.id) + "\n")
        return True

    def struck(self, fault_id: str) -> int:
        """How often it has struck."""
        if not self._struck.exists():
            return 0
        return [json.loads(line) for line in self._struck.read_text().splitlines()].count(fault_id)
