"""How near do rows that are right come to the limits of insights/consistency.py? INSIGHTS=FILE adds a set to the two here."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from bench.material.table import keep, show
from insights.consistency import RULES
from insights.files import read_insights
from insights.generator import REALISTIC, generate
from insights.schema import Insight

RECORDS = 20_000
MEASURED = Path("data/measured.jsonl.gz")


def main() -> None:
    figures = {}
    for name, rows in sets():
        found = strains(rows)
        figures[name] = found
        show(f"{name}: share of each limit that the rows come to (a row is refused above 1)", found)
    keep("consistency", figures)


def sets() -> Iterator[tuple[str, Iterable[Insight]]]:
    yield "measured", read_insights(MEASURED)
    yield "synthetic", generate(RECORDS, 8, collector=REALISTIC)
    given = os.environ.get("INSIGHTS")
    if given:
        yield given, read_insights(given)


def strains(rows: Iterable[Insight]) -> list[dict[str, Any]]:
    """Of each rule: the largest share, the one of a row in a thousand, and how many rows break it."""
    shares: dict[str, list[float]] = {rule.name: [] for rule in RULES}
    for row in rows:
        for rule in RULES:
            shares[rule.name].append(rule.strain(row))
    return [
        {
            "rule": name,
            "rows": len(values),
            "refused": sum(value > 1 for value in values),
            "largest": max(values),
            "one in 1,000": sorted(values)[-1 - len(values) // 1000],
        }
        for name, values in shares.items()
    ]


if __name__ == "__main__":
    main()
