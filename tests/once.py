"""What every worker of a test session needs the same is made by the first that asks, and waited for by the others."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """The session's folder `name`, filled by `make`; whose failure is raised, and tried again by the next that asks."""
    base = factory.getbasetemp()
    root = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base  # a worker's own folder is below the session's
    folder, unfinished = root / "once" / name, root / "once" / f"{name}.unfinished"
    unfinished.mkdir(parents=True, exist_ok=True)
    with (root / "once" / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            make(unfinished)
            unfinished.rename(folder)
    return folder
