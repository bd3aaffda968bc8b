"""Cores and memory of a SageMaker instance type, out of its name."""

from __future__ import annotations

import re
from typing import NamedTuple

# EC2's general (m), compute (c) and memory (r) families, generation 5 and later: GiB for each vCPU (EC2 instance types).
_GIB_PER_VCPU = {"m": 4, "c": 2, "r": 8}
_NAME = re.compile(r"ml\.([mcr])([5-9])[a-z-]*\.(?:(large)|(\d*)xlarge)")


class InstanceSize(NamedTuple):
    vcpus: int
    memory_gib: int


def size_of(instance_type: str) -> InstanceSize | None:
    """None for a type of a family whose sizes follow no such rule (burstable, accelerated, older ones)."""
    match = _NAME.fullmatch(instance_type)
    if match is None:
        return None
    family, _, is_large, times = match.groups()
    vcpus = 2 if is_large else 4 * int(times or 1)
    return InstanceSize(vcpus, vcpus * _GIB_PER_VCPU[family])
