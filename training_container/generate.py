"""generate: a synthetic fleet's insights as files, with what its oracle foretold."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from insights.files import write_csv, write_json
from insights.fleet_statistics import FleetStatistics
from insights.generator import GOOD, REALISTIC, Collector, generate, generate_cohorts
from insights.oracle import FUTURES, ORACLE, Foretold
from insights.schema import Insight
from training_container.errors import UnusableInput

PART_ROWS = 25_000  # one part is loaded into the table by one Lambda, well within its time
ORACLE_RECORDS = 100_000  # simulating futures costs more than everything else: above, the oracle only where asked
COLLECTORS = {"good": GOOD, "realistic": REALISTIC}


def chosen_collector(name: str, given: Mapping[str, Any]) -> Collector:
    """The named collector with what is given (not None) in its fields' stead."""
    changes = {field.name: given[field.name] for field in fields(Collector) if given.get(field.name) is not None}
    try:
        return replace(COLLECTORS[name], **changes)
    except ValueError as refused:
        raise UnusableInput(str(refused)) from refused


def generate_files(
    *, records: int, seed: int, output: Path, by_hand: bool, collector: Collector = GOOD, futures: int | None = None
) -> None:
    """By hand training-data.json, .csv and training-stats.json; in the workflow parts that Lambdas load side by side.

    One cohort is in memory at a time. `futures` None: FUTURES up to ORACLE_RECORDS records, none above.
    """
    if records < 1:
        raise UnusableInput(f"--records is {records}; give a whole number above 0")
    if futures is None:
        futures = FUTURES if records <= ORACLE_RECORDS else 0
    output.mkdir(parents=True, exist_ok=True)
    counted, foretold = FleetStatistics(), [Foretold.nothing()]

    def insights() -> Iterator[Insight]:
        for cohort in generate_cohorts(records, seed, collector=collector, futures=futures):
            counted.add(cohort.columns, cohort.foretold)
            foretold.append(cohort.foretold)
            yield from cohort.columns.insights()

    if by_hand:
        write_json(output / "training-data.json", insights())
        write_csv(output / "training-data.csv", generate(records, seed, collector=collector))
    else:
        rest = insights()
        for number in range(-(-records // PART_ROWS)):
            write_json(output / f"part-{number:05d}.json", itertools.islice(rest, PART_ROWS))
        next(rest, None)  # the last cohort is counted when its rows are used up
    Foretold.concatenate(foretold).write(output / ORACLE)
    stats = json.dumps(counted.to_json(), indent=1)
    if by_hand:
        (output / "training-stats.json").write_text(stats + "\n")
    print(stats, flush=True)
