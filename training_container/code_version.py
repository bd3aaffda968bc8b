"""Which code trained a model: a hash of the sources that decide about features, labels, training and evaluation."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGES = ("insights", "training_container")


@cache
def code_version(root: Path = ROOT) -> str:
    """The same for the same sources, wherever they lie; the first 16 digits tell versions apart."""
    digest = hashlib.sha256()
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            content = path.read_bytes()
            digest.update(f"{path.relative_to(root).as_posix()} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:16]
