"""A line of the fault matrix for a cell: printed, and with `make faults` also kept in build/faults.json."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

KEPT = Path("build/faults.json")


def tell(cell: str, group: str, *, status: object, error: str, cause: object, struck: int, kept: bool) -> None:
    """`struck`: how often the fault was met; after each time but the last it was tried again."""
    told: dict[str, Any] = {
        "cell": cell,
        "group": group,
        "status": status,
        "error": error,
        "cause": cause,
        "failed_attempts": struck,
        "kept": kept,
    }
    line = json.dumps(told)
    print(line, flush=True)
    if os.environ.get("FAULTS") == "all":
        KEPT.parent.mkdir(exist_ok=True)
        with KEPT.open("a") as file:
            file.write(line + "\n")
