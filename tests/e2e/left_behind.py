"""What a laptop cloud may leave behind: its processes, whoever their parent is by now."""

from __future__ import annotations

import os
import time
from pathlib import Path


def processes_of(state_dir: Path) -> list[int]:
    """Every process that was started for this state folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if str(state_dir).encode() in (entry / "environ").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue  # it ended meanwhile, or is not ours to read
    return [pid for pid in found if pid != os.getpid()]


def processes_left(state_dir: Path, *, within_seconds: float = 20.0) -> list[int]:
    """Those that have not ended by then."""
    deadline = time.monotonic() + within_seconds
    while (left := processes_of(state_dir)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return left
