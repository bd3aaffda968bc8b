"""Which model versions have had their time. Pure: the registry, what serves and what was promoted in, the answer out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

# `PromoteModel` with "previous" goes back one promotion at a time; a way back of this many is kept open.
PROMOTIONS_WITHIN_REACH: Final = 10


@dataclass(frozen=True, kw_only=True)
class Package:
    arn: str
    version: int
    approval: str


def retired(packages: Iterable[Package], *, kept: int, protected: Collection[str]) -> list[Package]:
    """All but the newest `kept` of each approval and the `protected` ones; oldest first.

    By approval, as a month of rejected models must not push out the approved ones.
    """
    seen: Counter[str] = Counter()
    gone = []
    for package in sorted(packages, key=lambda package: package.version, reverse=True):
        seen[package.approval] += 1
        if seen[package.approval] > kept and package.arn not in protected:
            gone.append(package)
    return gone[::-1]


def within_reach(records: Sequence[Mapping[str, Any]]) -> set[str]:
    """Every package that the newest promotions name as what they replaced, made live or were to make live."""
    promoted = [record for record in records if record.get("outcome") == "promoted"][:PROMOTIONS_WITHIN_REACH]
    named = (record.get(name) for record in promoted for name in ("from", "to", "live"))
    return {arn for arn in named if isinstance(arn, str) and arn.startswith("arn:")}
